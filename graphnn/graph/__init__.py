"""The ground floor: specs, operations, nodes, and the graph that keeps them as a live NetworkX DAG."""

from .dag import Dag
from .dimensions import Dim, Shape
from .forms import flatten
from .graph import Derivatives, Given, Graph, Node, Scope, as_array, check_update, in_range, sealed
from .op import (
    Array,
    Constant,
    Op,
    Parameter,
    Placeholder,
    Spec,
    Unbuilt,
    Unknown,
    composition,
    fitting,
    fn,
    operation,
    registry,
    told_where,
)
from .origin import Origin, user_origin

__all__ = [
    "Array",
    "Constant",
    "Dag",
    "Derivatives",
    "Dim",
    "Given",
    "Graph",
    "Node",
    "Op",
    "Origin",
    "Parameter",
    "Placeholder",
    "Scope",
    "Shape",
    "Spec",
    "Unbuilt",
    "Unknown",
    "as_array",
    "check_update",
    "composition",
    "fitting",
    "flatten",
    "fn",
    "in_range",
    "operation",
    "registry",
    "sealed",
    "told_where",
    "user_origin",
]
