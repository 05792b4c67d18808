"""graphnn: a computational-graph engine one can see through.

Every operation is a node of a NetworkX DAG; a scheduler evaluates it in topological order; gradients are nodes
of the same DAG.
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from . import datasets, errors, functions, nn, ops, testing, view
from .autograd import grad, jvp, vjp
from .errors import (
    AxisError,
    DivisionError,
    DrawingError,
    DtypeError,
    EvaluationError,
    FileFormatError,
    GradientError,
    GraphError,
    GraphnnError,
    GraphnnWarning,
    LabelError,
    LookupFailure,
    MemoryBudgetError,
    NoRuleError,
    ShapeError,
    UsageError,
    ValueRangeError,
)
from .execute.compiled import Compiled, compile
from .execute.interpreter import Step, run, steps
from .files import load, save
from .graph import Graph, Node, Op, Scope, Spec, name
from .inspector.compare import compare
from .inspector.debugger import Debugger, debug
from .inspector.differences import Comparison
from .inspector.findings import Finding, Health
from .inspector.health import check_health
from .inspector.profile import Profile, profile
from .inspector.trace import Film, Trace, recording, trace
from .order import critical_path, generations, schedule
from .transform import extract, replace
from .view import draw, summary

if TYPE_CHECKING:
    from .functions import *  # noqa: F403 - the stub beside it names every operation

__version__ = "0.1.0"

__all__ = [
    "AxisError",
    "Comparison",
    "Compiled",
    "Debugger",
    "DivisionError",
    "DrawingError",
    "DtypeError",
    "EvaluationError",
    "FileFormatError",
    "Film",
    "Finding",
    "GradientError",
    "Graph",
    "GraphError",
    "GraphnnError",
    "GraphnnWarning",
    "Health",
    "LabelError",
    "LookupFailure",
    "MemoryBudgetError",
    "NoRuleError",
    "Node",
    "Op",
    "Profile",
    "Scope",
    "ShapeError",
    "Spec",
    "Step",
    "Trace",
    "UsageError",
    "ValueRangeError",
    "check_health",
    "compare",
    "compile",
    "critical_path",
    "datasets",
    "debug",
    "draw",
    "errors",
    "extract",
    "functions",
    "generations",
    "grad",
    "jvp",
    "load",
    "name",
    "nn",
    "ops",
    "profile",
    "recording",
    "replace",
    "run",
    "save",
    "schedule",
    "steps",
    "summary",
    "testing",
    "trace",
    "view",
    "vjp",
]


def __getattr__(name: str) -> _Any:
    """Hand on the operations and compositions, also those a user defines: ``gn.exp``, ``gn.softsign``."""
    if name in nn.__all__:
        raise AttributeError(f'there is no "gn.{name}". Write nn.{name}, after "from graphnn import nn".')
    return getattr(functions, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(functions)})
