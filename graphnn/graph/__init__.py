"""What everything else is built on: specs, operations, nodes, and the graph that keeps them as a live NetworkX DAG."""

from ..origin import Origin, user_origin
from .arrays import as_array, in_range, sealed
from .attributes import (
    AnyShape,
    Bound,
    Count,
    Dim,
    DType,
    DtypeName,
    Either,
    Flag,
    Index,
    Int64,
    Kind,
    Real,
    Row,
    Several,
    Shape,
    Whole,
)
from .derivatives import Derivatives, Seeds
from .forms import flatten
from .graph import Graph
from .node import Node
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
)
from .provenance import Provenance, current_provenance
from .scopes import Scope
from .tables import name
from .traits import Trait

__all__ = [
    "AnyShape",
    "Array",
    "Bound",
    "Constant",
    "Count",
    "DType",
    "Derivatives",
    "Dim",
    "DtypeName",
    "Either",
    "Flag",
    "Seeds",
    "Graph",
    "Index",
    "Int64",
    "Kind",
    "Node",
    "Op",
    "Origin",
    "Parameter",
    "Provenance",
    "Placeholder",
    "Real",
    "Row",
    "Scope",
    "Several",
    "Shape",
    "Spec",
    "Trait",
    "Unbuilt",
    "Unknown",
    "Whole",
    "as_array",
    "composition",
    "fitting",
    "flatten",
    "fn",
    "in_range",
    "name",
    "operation",
    "current_provenance",
    "registry",
    "sealed",
    "user_origin",
]
