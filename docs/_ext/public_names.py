"""The public names of graphnn as they are, and the table in docs/names.md that decides about each.

    python docs/_ext/public_names.py

writes a line for each name that the table lacks, with "?" for its decision, which is to be made by hand; it brings
kinds and arguments up to date, and changes no decision. A test holds that the table is complete, and true.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import reference

import graphnn as gn
from graphnn import functions, nn
from graphnn._util.hints import Absent
from graphnn.nn.training.sklearn_estimators import NAMES

TABLE = Path(__file__).resolve().parents[1] / "names.md"
MODULES = {
    "gn": "",
    "nn": "nn",
    **{f"nn.{name}": f"nn.{name}" for name in ("init", "schedules")},
    **{f"gn.{name}": name for name in ("view", "view.plots", "testing", "datasets", "patches", "saliency", "errors")},
}
"""The modules whose names are public, by what code calls them, with their paths from `graphnn`."""
_ABSENT = object()
_ROW = re.compile(r"\| `([^`]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|")


class Name(NamedTuple):
    """A public name."""

    kind: str
    arguments: str = ""


class Row(NamedTuple):
    """A line of the table: what is so, and what was decided."""

    name: str
    kind: str
    arguments: str
    decision: str
    reason: str

    @property
    def new(self) -> dict[str, str]:
        """The arguments that have had other names, by these."""
        return {old: new for new, old in re.findall(r"(\w+) \(was (\w+)\)", self.arguments)}

    @property
    def plain(self) -> Name:
        """What the table says of the name as it is."""
        return Name(self.kind, re.sub(r" \(was \w+\)", "", self.arguments))

    @property
    def was(self) -> str:
        """The name that it had."""
        found = re.fullmatch(r"renamed from `(.+)`", self.decision)
        return found[1] if found else self.name if self.decision.startswith("removed") else ""


def rows() -> list[Row]:
    """Return the lines of the table."""
    found = (_ROW.fullmatch(line) for line in TABLE.read_text(encoding="utf-8").splitlines())
    return [Row(*(cell.strip() for cell in row.groups())) for row in found if row and row[2].strip() != "kind"]


def public() -> dict[str, Name]:
    """Return the names that are public, walked from the objects."""
    found: dict[str, Name] = {}
    classes: dict[type, str] = {}
    for called, path in MODULES.items():
        module = _reached(path)
        if module is _ABSENT:
            continue  # of a satellite that is not there
        for name in sorted(_names(called, module)):
            thing = _present(module, name)
            if thing is not _ABSENT:
                _add(found, classes, f"{called}.{name}", thing)
    for section in reference.api().values():
        for path, thing in section.items():
            if thing not in classes and isinstance(thing, type):
                _add(found, classes, f"graphnn.{path}", thing)
    for cls, called in list(classes.items()):
        for name, member in _members(cls, classes):
            found.setdefault(f"{called if name.count('.') == 0 else called.rpartition('.')[0]}.{name}", member)
    return found


def _reached(path: str) -> Any:
    thing: Any = gn
    for name in filter(None, path.split(".")):
        thing = thing if thing is _ABSENT else _present(thing, name)
    return thing


def _present(module: Any, name: str) -> Any:
    """Return what a module has under a name; `_ABSENT` of what belongs to a satellite that is not there."""
    try:
        return getattr(module, name)
    except (AttributeError, ImportError) as error:
        if "not installed" not in str(error):
            raise
        return _ABSENT


def _names(called: str, module: ModuleType) -> set[str]:
    names = set(module.__all__)
    if called == "gn":
        names |= {*dir(functions)}
    if called == "nn":
        names |= {*NAMES}
    if called == "gn.view.plots":  # some are given by other rooms
        names |= {name for name in dir(module) if name not in vars(module)}
    return names


def _add(found: dict[str, Name], classes: dict[type, str], name: str, thing: Any) -> None:
    if inspect.ismodule(thing):
        found[name] = Name("module")
    elif isinstance(thing, type):
        error = issubclass(thing, (Exception, Warning))
        if thing not in classes:
            classes[thing] = name
        found[name] = Name("exception" if error else "class", "" if error else _arguments(thing))
    else:
        found[name] = Name("function" if callable(thing) else "object", _arguments(thing) if callable(thing) else "")


def _arguments(thing: Any) -> str:
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return ""
    if isinstance(thing, type) and {p.kind for p in parameters} <= {
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    }:
        parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return ", ".join(f"{stars.get(p.kind, '')}{p.name}" for p in parameters if p.name != "self")


def _members(cls: type, classes: dict[type, str]) -> Iterator[tuple[str, Name]]:
    """Return the public attributes of a class that it defines, or that a base does which is not public itself."""
    for owner in cls.__mro__:
        if not owner.__module__.startswith("graphnn") or (owner is not cls and owner in classes):
            continue
        before = "" if owner is cls else f"{owner.__name__.lstrip('_')}."
        fields = {*inspect.get_annotations(owner), *_set_in_methods(owner)}
        for name in sorted({*vars(owner), *fields}):
            member = vars(owner).get(name)
            if name.startswith("_") or isinstance(member, Absent) or _is_of_sklearn(member):
                continue
            if callable(member) or isinstance(member, (classmethod, staticmethod)):
                yield f"{before}{name}", Name("method", _arguments(getattr(owner, name)))
            else:
                yield f"{before}{name}", Name("attribute")


def _is_of_sklearn(member: Any) -> bool:
    return type(member).__module__.startswith("sklearn")


def _set_in_methods(cls: type) -> set[str]:
    """Return the attributes that the methods of a class set on self."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return set()
    targets = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return {node.attr for node in targets if isinstance(node.value, ast.Name) and node.value.id == "self"}


def absent(name: str) -> bool:
    """Return whether a name belongs to a satellite that is not there."""
    module, _, rest = name.partition(".")
    if module == "graphnn":
        return find_spec(f"graphnn.{rest.partition('.')[0]}") is None
    thing: Any = {"gn": gn, "nn": nn}[module]
    try:
        for part in rest.split("."):
            thing = _present(thing, part)
            if thing is _ABSENT:
                return True
    except AttributeError:
        return False
    return False


# --- the pages ------------------------------------------------------------------------------------------------


def renamed() -> str:
    """Return the tables of docs/renamed.md: names, arguments, modules."""
    table = rows()
    names = [
        (
            f"`{row.was}`",
            f"`{row.name}`" if row.decision.startswith("renamed") else row.decision.partition("→ ")[2],
            row.reason,
        )
        for row in table
        if row.was
    ]
    arguments = [(f"`{row.name}`", f"`{old}=`", f"`{new}=`") for row in table for old, new in row.new.items()]
    # What became a part of another argument, by the sentence of its error, which begins with the whole call.
    arguments += [
        ("`nn.fit`", f"`{old}=`", f"`{sentence.removeprefix('Write ').rpartition(')')[0]})`")
        for old, sentence in gn._util.hints.TABLE["arguments of fit"].items()
        if old not in ("min_delta", "patience")  # those of Keras
    ]
    moved = Path(gn._util.hints.__file__).with_name("moved.txt").read_text(encoding="utf-8").splitlines()
    modules = [
        (f"`graphnn.{old}`", ", ".join(f"`graphnn.{new}`" for new in news)) for old, *news in map(str.split, moved)
    ]
    return "\n".join(
        [
            "## Names\n",
            reference.table(("old", "new", "why"), names),
            "## Arguments\n",
            reference.table(("of", "old", "new"), arguments),
            "## Modules\n\nWhat users import stands in `graphnn` and `graphnn.nn`, and is where it was.\n",
            reference.table(("old", "new"), modules),
        ]
    )


def written(table: list[Row]) -> str:
    """Return the lines of the table."""
    cells = [(f"`{row.name}`", row.kind, row.arguments, row.decision, row.reason) for row in table]
    return reference.table(("name", "kind", "arguments", "decision", "why"), cells)


def main() -> None:
    """Bring the table up to date, but for the decisions."""
    known, found = {row.name: row for row in rows()}, public()
    table = []
    for name, (kind, arguments) in found.items():
        row = known.get(name) or Row(name, kind, arguments, "?", "")
        marked = ", ".join(
            next((f"{each} (was {old})" for old, new in row.new.items() if new == each), each)
            for each in arguments.split(", ")
        )
        table.append(row._replace(kind=kind, arguments=marked))
    table += [row for row in known.values() if row.decision.startswith("removed") or absent(row.name)]
    text = TABLE.read_text(encoding="utf-8")
    head = text.partition("| name |")[0]
    TABLE.write_text(head + written(sorted(table, key=lambda row: row.name.lower())), encoding="utf-8")


if __name__ == "__main__":
    main()
