"""graphnn: a computational-graph engine one can see through.

Every operation is a node of a NetworkX DAG; a scheduler evaluates it in topological order; gradients are nodes
of the same DAG.
"""

from typing import TYPE_CHECKING
from typing import Any as _Any

from . import errors, functions, ops
from ._util.call_errors import explain_public as _explain_public
from ._util.hints import TABLE as _TABLE
from ._util.hints import attribute_error as _attribute_error
from ._util.hints import moved as _moved
from ._util.lazy_loading import is_there as _is_there
from ._util.lazy_loading import load as _load
from .core import Graph, Node, Op, Scope, Spec, name
from .core import registry as _registry
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
    MemoryBudgetError,
    NoRuleError,
    NotFoundError,
    ShapeError,
    UsageError,
    ValueRangeError,
)

if TYPE_CHECKING:  # at run time, by the table below
    from . import dap as dap
    from . import datasets, nn, testing, view
    from . import demo as demo
    from . import mcp as mcp
    from . import terminal as terminal
    from .autodiff.grad import grad, jvp, vjp
    from .autodiff.jacobian import hessian, hvp, jacobian
    from .autodiff.linearize import Linearization, linearize
    from .compiler.compile import Compiled, compile
    from .control_flow import cond, fixed_point, scan, while_loop
    from .core.topological_order import schedule
    from .debugger.critical_path import critical_path, generations
    from .debugger.debugger import Debugger, debug
    from .debugger.diff import Bisection, Comparison, bisect, compare
    from .debugger.health import Finding, Health, check_health
    from .debugger.profile import Profile, profile
    from .debugger.traces import Recording, Trace, recording, trace
    from .functions import *  # noqa: F403 - the stub beside it names every operation
    from .interventions import Circuit, Effects, circuit, effects, patched, saliency
    from .interventions import patches as patches
    from .io.graph_files import load, save
    from .onnx.from_onnx import from_onnx
    from .onnx.to_onnx import to_onnx
    from .pages.playground import playground
    from .runtime.evaluation_loop import Step
    from .runtime.interpreter import run, steps
    from .torch.from_torch import from_torch
    from .torch.watching.check_torch import check_torch
    from .torch.watching.watch import watch
    from .transforms.extract_replace import extract, replace
    from .transforms.vmap import vmap
    from .view import draw, latex, summary

# What loads when it is first asked for: names by the module that has them, and modules.
_LATER = {
    "autodiff.grad": "grad jvp vjp",
    "compiler.compile": "Compiled compile",
    "runtime.interpreter": "run steps",
    "runtime.evaluation_loop": "Step",
    "io.graph_files": "load save",
    "debugger.diff": "Bisection Comparison bisect compare",
    "debugger.debugger": "Debugger debug",
    "debugger.health": "Finding Health check_health",
    "interventions": "Circuit Effects circuit effects patched patches saliency",
    "debugger.profile": "Profile profile",
    "debugger.traces": "Recording Trace recording trace",
    "debugger.critical_path": "critical_path generations",
    "onnx.to_onnx": "to_onnx",
    "autodiff.jacobian": "hessian hvp jacobian",
    "onnx.from_onnx": "from_onnx",
    "torch.from_torch": "from_torch",
    "torch.watching.check_torch": "check_torch",
    "torch.watching.watch": "watch",
    "autodiff.linearize": "Linearization linearize",
    "control_flow": "cond fixed_point scan while_loop",
    "transforms.vmap": "vmap",
    "core.topological_order": "schedule",
    "transforms.extract_replace": "extract replace",
    "pages.playground": "playground",
    "view": "draw latex summary",
}
_MODULES = (
    *("autodiff", "cli", "compiler", "control_flow", "dap", "datasets", "debugger", "demo", "distributed"),
    *("interventions", "io", "jax", "mcp", "native", "nn", "onnx", "pages", "runtime", "terminal", "testing"),
    *("torch", "transforms", "view"),
)
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names.split()}
_SATELLITES = (
    *("cli", "dap", "distributed", "interventions", "jax", "mcp", "native", "onnx", "pages", "terminal"),
    *("torch",),
)
"""Folders that may be deleted; what is asked for then says where it is."""

# What gives to the ports of lower rooms, by the name of the port. It loads when the port is first asked.
_GIVES: dict[str, tuple[str, ...]] = {
    "text/plain": ("view.tables.trace_table", "view.tables.plan_table"),
    "image/svg+xml": ("view.diagrams.draw",),
    "text/html": ("view.notebook", "interventions.drawing"),
    "error": ("debugger.debugger", "view.diagrams.error_diagram"),
    "trace of iterations": ("debugger.iteration_traces",),
    "trace of loops": ("debugger.iteration_traces",),
    "page": ("pages.replay.to_html",),
    "overlay": ("view.diagrams.node_marks", "interventions.drawing"),
    "plot": ("interventions.drawing",),
    "live page": ("pages.live.live_page",),
    "live progress": ("pages.live.live_progress",),
    "cluster": ("distributed.dask_cluster",),
    "data in chunks": ("distributed.dask_data",),
    "fast loops": ("native.scalar_loops",),
    "files": ("debugger.traces.trace_file", "torch.watching.run_file"),
    "guard inside": ("control_flow.iteration_guard",),
    "native plans": ("native.size_pattern",),
    "nodes inside": ("control_flow.iteration_lookup",),
    "operations": ("control_flow", "torch.watching.torch_call"),
    "runs in chunks": ("distributed.dask_run",),
    "scripts": ("torch.watching.check_torch",),
    "runtimes": ("onnx.onnx_runtimes", "torch.torch_runtime"),
    "steps on XLA": ("jax.jax_plan",),
    "shards": ("distributed.sharded_fit",),
}

__version__ = "0.1.0"

__all__ = [
    "AxisError",
    "Bisection",
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
    "Recording",
    "Finding",
    "GradientError",
    "Graph",
    "GraphError",
    "GraphnnError",
    "GraphnnWarning",
    "Health",
    "LabelError",
    "Linearization",
    "NotFoundError",
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
    "bisect",
    "check_health",
    "check_torch",
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
    "latex",
    "linearize",
    "load",
    "name",
    "nn",
    "ops",
    "patched",
    "patches",
    "playground",
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
    "watch",
    "while_loop",
]
_ABSENT = {room for room in _SATELLITES if not _is_there(room)}
for _name in [each for each in __all__ if _ABSENT and _MODULE_OF.get(each, "").partition(".")[0] in _ABSENT]:
    __all__.remove(_name)
_explain_public(globals(), ["Graph", "Node", "Op", "Scope", "name"])


def __getattr__(name: str) -> _Any:
    """Load what is not loaded yet; hand on the operations, also those a user defines: ``gn.exp``, ``gn.softsign``."""
    room = name if name in _MODULES else _MODULE_OF.get(name, "").partition(".")[0]
    if room in _ABSENT:
        raise _attribute_error(f"gn.{name} is in {__name__}/{room}, which is not installed")
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
        if name.startswith("_") or name in _TABLE["gn"] or name in _registry:
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
    absent = {name for name, module in _MODULE_OF.items() if module.partition(".")[0] in _ABSENT} | _ABSENT
    return sorted({*globals(), *_MODULE_OF, *_MODULES, *dir(functions)} - absent)
