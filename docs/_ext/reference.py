"""The reference of operations as Markdown, made from the registry: a section for each module of `graphnn.ops`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module

from graphnn.graph import Op, fn, registry


def reference() -> str:
    """Return the whole reference as Markdown."""
    sections: dict[str, list[type[Op]]] = {}
    for cls in registry.values():
        if cls.__module__ != Op.__module__:
            sections.setdefault(cls.__module__, []).append(cls)
    parts = [text for module, ops in sections.items() for text in _section(module, ops)]
    return "\n".join([*parts, *_compositions(), *_aliases()])


def classes(module: str) -> str:
    """Return the public classes that a module of `graphnn.nn` defines, as directives; a base of all is left out."""
    package = module.rpartition(".")[0]
    offered = vars(import_module(package))
    names = [
        name
        for name, thing in vars(import_module(module)).items()
        if isinstance(thing, type) and thing.__module__ == module and thing.__bases__ != (object,) and name in offered
    ]
    return "\n".join(["```{eval-rst}", *(f".. autoclass:: {package}.{name}" for name in names), "```"])


def _section(module: str, ops: list[type[Op]]) -> Iterator[str]:
    about = (inspect.getdoc(sys.modules[module]) or "").partition("\n\n")[0]
    yield f"## {module.rpartition('.')[2].capitalize()}\n\n{_inline(about)}\n"
    yield "| call | formula | gradient | computes |\n|---|---|---|---|"
    for cls in ops:
        gradient = "yes" if _flows(cls) else "no"
        cells = (f"`{_call(cls.name)}`", f"`{_formula(cls)}`" if cls.formula else "", gradient, _inline(_summary(cls)))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
    notes = [(cls.name, _rest(cls)) for cls in ops if _rest(cls)]
    for name, text in notes:
        yield f"`{name}`\n: {_indented(text)}\n"


def _compositions() -> Iterator[str]:
    made = [name for name in dir(fn) if name not in registry and name not in fn._ALIASES]
    if made:
        yield "## Compositions\n\nFunctions that make several nodes, so that one can look into them.\n"
        yield "| call | computes |\n|---|---|"
        for name in made:
            summary = (inspect.getdoc(getattr(fn, name)) or "").partition("\n\n")[0]
            yield f"| `{_call(name)}` | {_inline(summary)} |"
        yield ""


def _aliases() -> Iterator[str]:
    names = ", ".join(f"`{alias}` for `{name}`" for alias, name in fn._ALIASES.items())
    yield f"## Other names\n\nAs in NumPy: {names}.\n"


def _call(name: str) -> str:
    parameters = inspect.signature(inspect.unwrap(getattr(fn, name))).parameters.values()
    shown = [
        str(p.replace(annotation=p.empty)) if p.default is not p.empty or p.kind is p.VAR_POSITIONAL else p.name
        for p in parameters
        if p.name not in ("name", "graph")
    ]
    if name in registry and not registry[name].operands and not registry[name].variadic:
        shown += ["graph=…"]  # nothing else says which graph it is of
    return f"{name}({', '.join(shown)})"


def _formula(cls: type[Op]) -> str:
    """Return the template with the names of operands and attributes in it."""
    template = re.sub(r"\{(\d+)\}", lambda found: cls.operands[min(int(found[1]), len(cls.operands) - 1)], cls.formula)
    return re.sub(r"\{(\w+)\}", r"\1", template)


def _flows(cls: type[Op]) -> bool:
    return cls.differentiable and cls.vjp is not Op.vjp


def _summary(cls: type[Op]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n\n")[0]


def _rest(cls: type[Op]) -> str:
    """Return what a docstring says after its summary, the headings of its sections left off."""
    rest = (inspect.getdoc(cls) or "").partition("\n\n")[2]
    return re.sub(r"^\w[\w ]*\n-{3,}\n", "", rest, flags=re.MULTILINE).strip()


def _inline(text: str) -> str:
    """Return a docstring's text as Markdown on one line."""
    text = re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split()))
    return "".join(part if i % 2 else re.sub(r"([*_<>\[\]$])", r"\\\1", part) for i, part in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    for i, part in enumerate(text.split("`")):
        yield (i, f"`{part}`") if i % 2 else (i, part)


def _indented(text: str) -> str:
    return "\n\n  ".join(_inline(paragraph) for paragraph in text.split("\n\n"))
