"""graphnn: a computational-graph engine one can see through.

Every operation is a node of a NetworkX DAG; a scheduler evaluates it in topological order; gradients are nodes
of the same DAG.
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from . import errors, functions, ops
from .calls import explain_public as _explain_public
from .errors import (
    AxisError,
    ClusterError,
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
from .graph import Graph, Node, Op, Scope, Spec, name
from .graph import registry as _registry
from .habits import ELSEWHERE as _ELSEWHERE
from .habits import attribute_error as _attribute_error
from .habits import moved as _moved
from .later import load as _load

if TYPE_CHECKING:  # at run time, by the table below
    from . import datasets, nn, testing, view
    from . import demo as demo
    from . import interop as interop
    from . import terminal as terminal
    from .autograd import grad, jvp, vjp
    from .execute.compiled import Compiled, compile
    from .execute.interpreter import run, steps
    from .execute.loop import Step
    from .files import load, save
    from .functions import *  # noqa: F403 - the stub beside it names every operation
    from .inspector.compare import Comparison, compare
    from .inspector.debugger import Debugger, debug
    from .inspector.health import Finding, Health, check_health
    from .inspector.interventions import Circuit, Effects, circuit, effects, patched, saliency
    from .inspector.interventions import patches as patches
    from .inspector.profile import Profile, profile
    from .inspector.trace import Film, Trace, recording, trace
    from .inspector.waiting import critical_path, generations
    from .interop.onnx import from_onnx
    from .interop.onnx.writing import to_onnx
    from .interop.torch import from_torch
    from .jacobians import hessian, hvp, jacobian
    from .linearized import Linearization, linearize
    from .loops import cond, fixed_point, scan, while_loop
    from .mapped import vmap
    from .order import schedule
    from .transform import extract, replace
    from .view import draw, summary

# What loads when it is first asked for: names by the module that has them, and modules.
_LATER = {
    "autograd": "grad jvp vjp",
    "execute.compiled": "Compiled compile",
    "execute.interpreter": "run steps",
    "execute.loop": "Step",
    "files": "load save",
    "inspector.compare": "Comparison compare",
    "inspector.debugger": "Debugger debug",
    "inspector.health": "Finding Health check_health",
    "inspector.interventions": "Circuit Effects circuit effects patched patches saliency",
    "inspector.profile": "Profile profile",
    "inspector.trace": "Film Trace recording trace",
    "inspector.waiting": "critical_path generations",
    "interop.onnx.writing": "to_onnx",
    "jacobians": "hessian hvp jacobian",
    "interop.onnx": "from_onnx",
    "interop.torch": "from_torch",
    "linearized": "Linearization linearize",
    "loops": "cond fixed_point scan while_loop",
    "mapped": "vmap",
    "order": "schedule",
    "transform": "extract replace",
    "view": "draw summary",
}
_MODULES = (
    *("autograd", "datasets", "demo", "execute", "files", "inspector", "interop", "nn", "order", "terminal", "testing"),
    *("transform", "view"),
)
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names.split()}

__version__ = "0.1.0"

__all__ = [
    "AxisError",
    "Circuit",
    "ClusterError",
    "Comparison",
    "Compiled",
    "Debugger",
    "DivisionError",
    "DrawingError",
    "DtypeError",
    "Effects",
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
    "Linearization",
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
    "circuit",
    "compare",
    "compile",
    "cond",
    "critical_path",
    "datasets",
    "debug",
    "draw",
    "effects",
    "errors",
    "extract",
    "fixed_point",
    "from_onnx",
    "from_torch",
    "functions",
    "generations",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "load",
    "name",
    "nn",
    "ops",
    "patched",
    "patches",
    "profile",
    "recording",
    "replace",
    "run",
    "saliency",
    "save",
    "scan",
    "schedule",
    "steps",
    "summary",
    "testing",
    "to_onnx",
    "trace",
    "view",
    "vjp",
    "vmap",
    "while_loop",
]
_explain_public(globals(), ["Graph", "Node", "Op", "Scope", "name"])


def __getattr__(name: str) -> _Any:
    """Load what is not loaded yet; hand on the operations, also those a user defines: ``gn.exp``, ``gn.softsign``."""
    if name in _MODULES:
        return _load(f"{__name__}.{name}")
    if name in _MODULE_OF:
        names = _LATER[_MODULE_OF[name]].split()
        module = _load(f"{__name__}.{_MODULE_OF[name]}")
        globals().update({each: getattr(module, each) for each in names})
        _explain_public(globals(), names)
        return globals()[name]
    try:
        return getattr(functions, name)
    except AttributeError:
        if name.startswith("_") or name in _ELSEWHERE["gn"] or name in _registry:
            raise
        held = next((path for path in _HOLDING if name in _names_in(_load(f"{__name__}.{path}"))), None)
        if held is None:
            says = _moved(f"{__name__}.{name}")
            if not says:
                raise
            raise _attribute_error(says) from None
    after = ', after "from graphnn import nn"' if held.startswith("nn") else ""
    raise _attribute_error(f'there is no "gn.{name}". Write {"" if after else "gn."}{held}.{name}{after}.')


_HOLDING = "nn", "nn.schedules", "nn.init", "datasets", "testing"
"""The modules in which a name is looked for that is none here."""


def _names_in(module: _Any) -> list[str]:
    """Return the public names of a module: those that it lists, or those of what is defined in it."""
    own = [
        name
        for name, thing in vars(module).items()
        if str(getattr(thing, "__module__", "")).startswith(module.__name__)
    ]
    return getattr(module, "__all__", None) or [name for name in own if not name.startswith("_")]


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_MODULES, *dir(functions)})
