"""The reference, made from the code.

It has the tables of docs/operations.md and docs/api.md, and a page for each operation, function and class, which Sphinx
is given when the documentation is built. They are of the rooms that are there: satellites may be deleted.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

import graphnn as gn
from graphnn.core import Op, fn, registry
from graphnn.core.op import ALIASES

# --- tables ---------------------------------------------------------------------------------------------------


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    cells = [headers, ("---",) * len(headers), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in cells)


def inline(text: str) -> str:
    """Return a docstring's text as Markdown on one line."""
    text = re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split()))
    return "".join(part if i % 2 else re.sub(r"([*_<>\[\]$])", r"\\\1", part) for i, part in _pieces(text))


def summary(thing: Any) -> str:
    """Return the first paragraph of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n\n")[0]


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    for i, part in enumerate(text.split("`")):
        yield (i, f"`{part}`") if i % 2 else (i, part)


# --- operations -----------------------------------------------------------------------------------------------


def operations() -> dict[str, list[type[Op]]]:
    """Return the operations that the library offers by the modules of `graphnn.ops`."""
    found: dict[str, list[type[Op]]] = {}
    for cls in registry.values():
        if cls.__module__ != Op.__module__ and cls.public:
            found.setdefault(cls.__module__, []).append(cls)
    return found


def compositions() -> list[str]:
    """Return the names of the functions that make several nodes."""
    return [name for name in dir(fn) if name not in registry and name not in ALIASES]


def reference() -> str:
    """Return the reference of operations as Markdown: a section for each module of `graphnn.ops`."""
    parts = [text for module, ops in operations().items() for text in _section(module, ops)]
    made = [(f"`{call(name)}`", inline(summary(getattr(fn, name)))) for name in compositions()]
    parts += [
        "## Compositions\n\nFunctions that make several nodes, so that one can look into them.\n",
        table(("call", "computes"), made),
    ]
    names = ", ".join(f"`{alias}` for `{name}`" for alias, name in ALIASES.items())
    return "\n".join([*parts, f"## Other names\n\nAs in NumPy: {names}.\n"])


def _section(module: str, ops: list[type[Op]]) -> Iterator[str]:
    yield f"## {title_of(module)}\n\n{inline(summary(sys.modules[module]))}\n"
    rows = [(f"`{call(c.name)}`", c.formula and f"`{formula(c)}`", gradient(c), inline(summary(c))) for c in ops]
    yield table(("call", "formula", "gradient", "computes"), rows)
    for cls in ops:
        rest = _rest(cls)
        if rest:
            paragraphs = "\n\n  ".join(inline(paragraph) for paragraph in rest.split("\n\n"))
            yield f"- `{cls.name}`: {paragraphs}\n"


def title_of(module: str) -> str:
    """Return the title of a module's section."""
    return module.rpartition(".")[2].capitalize()


def call(name: str) -> str:
    """Return how a function of an operation is called, without the arguments that all of them take."""
    parameters = inspect.signature(inspect.unwrap(getattr(fn, name))).parameters.values()
    shown = [
        str(p.replace(annotation=p.empty)) if p.default is not p.empty or p.kind is p.VAR_POSITIONAL else p.name
        for p in parameters
        if p.name not in ("name", "graph")
    ]
    if name in registry and not registry[name].operands and not registry[name].variadic:
        shown += ["graph=…"]  # nothing else says which graph it is of
    return f"{name}({', '.join(shown)})"


def formula(cls: type[Op]) -> str:
    """Return the template of an operation with the names of operands and attributes in it."""
    template = re.sub(r"\{(\d+)\}", lambda found: cls.operands[min(int(found[1]), len(cls.operands) - 1)], cls.formula)
    return re.sub(r"\{(\w+)\}", r"\1", template)


def gradient(cls: type[Op]) -> str:
    """Return whether a gradient passes through an operation."""
    return "yes" if cls.differentiable and cls.vjp is not Op.vjp else "no"


def _rest(cls: type[Op]) -> str:
    """Return what a docstring says after its summary, the headings of its sections left off."""
    rest = (inspect.getdoc(cls) or "").partition("\n\n")[2]
    return re.sub(r"^\w[\w ]*\n-{3,}\n", "", rest, flags=re.MULTILINE).strip()


# --- functions and classes ------------------------------------------------------------------------------------

# The sections of docs/api.md. A name that ends with ".*" is all that the module defines.
API = {
    "Graphs": ["Graph", "Node", "Scope", "Spec", "Op", "name", "extract", "replace"],
    "Models of other libraries": ["from_onnx", "from_torch", "to_onnx", "watch", "check_torch"],
    "Evaluation": ["run", "steps", "Step", "compile", "Compiled"],
    "Recording a run": [
        "trace",
        "recording",
        "Trace",
        "Recording",
        "playground",
        "debugger.traces.Record",
        "debugger.traces.Stats",
        "control_flow.iteration_names.NodeInside",
    ],
    "Stepping through a run": [
        "debug",
        "Debugger",
        "debugger.current_node.Spot",
        "debugger.what_if.Change",
        "debugger.breakpoint_conditions.Breakpoint",
        "debugger.breakpoint_conditions.Condition",
    ],
    "Where a number comes from": ["debugger.why.Why", "debugger.why.Read"],
    "Interventions": [
        "patched",
        "effects",
        "Effects",
        "interventions.effect_tables.Effect",
        "interventions.effect_tables.Correlation",
        "interventions.effect_tables.Grid",
        "circuit",
        "Circuit",
        "interventions.Kept",
        "patches.at",
        "patches.each",
        "patches.mean",
        "patches.resample",
        "interventions.Place",
    ],
    "The health check": [
        "check_health",
        "Health",
        "Finding",
        "debugger.health.Element",
        "debugger.health.Culprit",
        "debugger.health.check",
        "debugger.health.Check",
        "debugger.health.Evaluation",
    ],
    "Comparing runs": [
        "compare",
        "bisect",
        "Bisection",
        "Comparison",
        "debugger.diff.Difference",
        "debugger.diff.Counts",
        "debugger.diff.Digits",
        "debugger.diff.Agreement",
        "debugger.diff.Samples",
        "debugger.diff.Sample",
        "debugger.diff.runtime",
        "debugger.diff.Runtime",
    ],
    "Saliency": ["interventions.saliency.*"],
    "Time and memory": [
        "profile",
        "Profile",
        "debugger.profile.Cost",
        "debugger.profile.Peak",
        "debugger.profile.Holder",
    ],
    "Order": ["schedule", "generations", "critical_path"],
    "Loops and branches": ["scan", "while_loop", "fixed_point", "cond"],
    "Derivatives": ["grad", "vjp", "jvp", "jacobian", "hessian", "hvp", "vmap", "linearize", "Linearization"],
    "Pictures and tables": [
        "draw",
        "view.diagrams.draw.Diagram",
        "latex",
        "view.formulas.latex.Formulas",
        "summary",
        "nn.summary",
        "view.tables.summary.Summary",
    ],
    "Plots": ["view.plots.*", "view.plots.effects"],
    "Files": ["save", "load"],
    "Layers": ["nn.Layer", "nn.Sequential", "nn.Dropout", "nn.layers.dense_and_activations.*"],
    "Layers that convolve": ["nn.layers.conv.*", "nn.layers.pooling.*"],
    "Layers that normalize": ["nn.layers.normalization.*"],
    "Layers for sequences": ["nn.layers.embedding.*", "nn.layers.recurrent.*", "nn.layers.attention.*"],
    "Initializers": ["nn.init.*"],
    "Losses": ["nn.losses.classification_losses.*", "nn.losses.regression_losses.*"],
    "Metrics": ["nn.metrics.classification_metrics.*", "nn.metrics.scores.*"],
    "Optimizers": ["nn.Optimizer", "nn.optim.sgd_and_adam.*", "nn.optim.adaptive_optimizers.*", "nn.LBFGS"],
    "What optimizers keep": ["nn.EMA", "nn.LossScale", "nn.optim.optimizer_state.Slots"],
    "Learning rates that change": ["nn.schedules.*"],
    "Training": [
        "nn.fit",
        "nn.evaluate",
        "nn.Loader",
        "nn.Callback",
        "nn.Run",
        "nn.EarlyStopping",
        "nn.Checkpoint",
        "nn.Shards",
        "nn.LivePage",
        "nn.History",
    ],
    "Estimators of scikit-learn": ["nn.Classifier", "nn.Regressor"],
    "Data sets": ["datasets.*"],
    "Testing": ["testing.check_grads", "testing.check_op", "testing.GradientReport", "testing.Draw"],
    "Errors": ["errors.*"],
}

# Of a class, its page shows all members, but of these only some.
MEMBERS = {
    "Op": "attributes, attribute_names, bound, flows, vjp, jvp, reads, samples",
    "Compiled": "__call__",
    "Trace": "fetches, records, time, select, why, to_records, save",
    "debugger.breakpoint_conditions.Condition": "holds_of",
    "debugger.health.Check": "of, at",
    "debugger.health.Evaluation": "computed, op, is_given, operands_of, element, reads, why",
    "nn.Layer": "call, __call__, parameters, state_dict, load_state_dict",
    "nn.Optimizer": "updates, advance, scalars",
    "nn.optim.optimizer_state.Slots": "kept",
    "nn.Sequential": "add",
    "nn.History": "plot",
    "nn.Classifier": "fit, partial_fit, predict, predict_proba",
    "nn.Regressor": "fit, partial_fit, predict",
}
SPECIAL = {"Debugger": "__getitem__, __setitem__, __delitem__"}
_NOT_FOR_USERS = {
    "errors.restated",
    "errors.placed",
    "errors.near",
    "errors.alike",
    "nn.init.checked_initializer",
    "nn.init.checked_rng",
    "nn.init.drawn",
    "view.plots.in_colours",
    "view.plots.plain",
}


def api() -> dict[str, dict[str, Any]]:
    """Return the functions and classes of each section, by their names below `graphnn`."""
    found = {section: dict(_listed(names)) for section, names in API.items()}
    return {section: things for section, things in found.items() if things}


def _listed(names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in filter(_is_present, names):
        module, _, last = name.rpartition(".")
        if last != "*":
            yield name, getattr(import_module(_module(name)), last)
            continue
        for each, thing in vars(import_module(f"graphnn.{module}")).items():
            own = getattr(thing, "__module__", None) == f"graphnn.{module}" and callable(thing)
            if own and not each.startswith("_") and f"{module}.{each}" not in _NOT_FOR_USERS:
                yield _offered(module, each, thing), thing


def _is_present(name: str) -> bool:
    """Tell whether the room is installed that has a name: satellites may be deleted."""
    first = "effects" if name == "view.plots.effects" else name.partition(".")[0]  # that plot a room above gives
    return gn._MODULE_OF.get(first, first).partition(".")[0] not in gn._ABSENT


def _offered(module: str, name: str, thing: Any) -> str:
    """Return the name by which `graphnn` or `graphnn.nn` offers a thing of a module, if one of them does."""
    names = (name, f"{module.partition('.')[0]}.{name}", f"{module}.{name}")
    offered = {each: getattr(import_module(_module(each)), name, None) for each in names}
    return next(each for each, found in offered.items() if inspect.unwrap(found) is inspect.unwrap(thing))


def _module(name: str) -> str:
    first, _, rest = name.rpartition(".")[0].partition(".")
    offered = getattr(gn, first, None) if first else gn
    return f"{offered.__name__ if inspect.ismodule(offered) else f'graphnn.{first}'}.{rest}".rstrip(".")


def short(name: str) -> str:
    """Return the name as code has it after ``import graphnn as gn`` and ``from graphnn import nn``."""
    home, _, last = name.rpartition(".")
    module = home.rpartition(".")[2]
    if module and getattr(gn, module, None) is sys.modules.get(f"graphnn.{home}"):
        name = f"{module}.{last}"  # of a module that is offered without its room, as gn.saliency
    return name if name.startswith("nn.") else f"gn.{name}"


def functions() -> str:
    """Return the tables of docs/api.md as Markdown."""
    parts = []
    for section, things in api().items():
        rows = [(f"`{short(name)}`", inline(summary(thing))) for name, thing in things.items()]
        parts.append(f"## {section}\n\n{table(('name', 'what it is'), rows)}")
    return "\n".join(parts)


# --- a page each ----------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Return a page in reStructuredText for each operation, function and class, by its path.

    Functions and classes have folders of their own: some file systems take `trace` and `Trace` for one name.
    """
    found = {}
    for module, ops in operations().items():
        for cls in filter(lambda cls: cls.public, ops):
            facts = {"Formula": f"``{formula(cls)}``" if cls.formula else "", "Gradient": gradient(cls)}
            found[f"operations/{cls.name}"] = _page_of_operation(cls.name, title_of(module), facts)
    for name in compositions():
        found[f"operations/{name}"] = _page_of_operation(name, "Compositions", {})
    for section, things in api().items():
        for name, thing in things.items():
            folder = "classes" if isinstance(thing, type) else "functions"
            found[f"{folder}/{name}"] = _page(name, thing, section)
    return found


def _page_of_operation(name: str, section: str, facts: dict[str, str]) -> str:
    also = ", ".join(f"``gn.{alias}``" for alias, of in ALIASES.items() if of == name)
    lines = [f":{fact}: {text}" for fact, text in {**facts, "Also": also}.items() if text]
    return _titled(f"gn.{name}", "operations", "Operations", section, [f".. autofunction:: graphnn.{name}", "", *lines])


def _page(name: str, thing: Any, section: str) -> str:
    kind = "function"
    if isinstance(thing, type):
        kind = "exception" if issubclass(thing, BaseException) else "class"
    body = [f".. auto{kind}:: graphnn.{name}"]
    if kind == "exception":
        body.append("   :show-inheritance:")
    if name in MEMBERS or (kind != "function" and not issubclass(thing, (gn.nn.Layer, gn.nn.Optimizer))):
        body.append(f"   :members: {MEMBERS.get(name, '')}".rstrip())
    if name in SPECIAL:
        body.append(f"   :special-members: {SPECIAL[name]}")
    return _titled(short(name), "api", "Functions and classes", section, body)


def _titled(title: str, page: str, of: str, section: str, body: list[str]) -> str:
    anchor = section.lower().replace(" ", "-")
    way = f":doc:`{of} </{page}>` › `{section} <../../{page}.html#{anchor}>`__"
    return "\n".join([":orphan:", "", title, "=" * len(title), "", ".. rst-class:: way", "", way, "", *body, ""])
