"""What other libraries call otherwise, and what was called otherwise here before: a table of what to write.

The errors of unknown names and arguments look into it before they look for what is spelt alike. So a habit is one line
of ``table.txt``, and no case of its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from ...errors import UsageError, alike, near

T = TypeVar("T")

_OPERATORS = {"xor": ("^", "bitwise_xor"), "lshift": ("<<", "left_shift"), "rshift": (">>", "right_shift")}
"""Operators that arrays have and nodes lack: the sign, and what to call instead."""


def _lines(name: str) -> list[str]:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()


def _read() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in _lines("table.txt"):
        names, sign, hint = line.partition(": ")
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif sign and not line.startswith("#"):
            section.update(dict.fromkeys(names.split(), hint))
    return found


TABLE: Mapping[str, Mapping[str, str]] = _read()
"""The sections of the table: for each kind of thing the names that it lacks, with a sentence; then arguments."""


def _refused(sign: str, name: str) -> Callable[[object, object], NoReturn]:
    def refuse(thing: object, other: object) -> NoReturn:
        raise UsageError(f"nodes have no operator {sign}: write gn.{name}(a, b)")

    return refuse


class Absent:
    """An attribute that a thing has in other libraries. To read it is an error, which says what to write here.

    It is a descriptor of the class, since `__getattr__` would make every look-up of an attribute slower. A class of the
    user's may have such an attribute.
    """

    def __init__(self, what: str, name: str, hint: str | Callable[[str], str]) -> None:
        self._what, self._name, self._hint = what, name, hint
        self.__doc__ = hint if isinstance(hint, str) else f"Write gn.{name}."  # what `help` shows

    def __get__(self, thing: object, owner: type) -> NoReturn:
        hint = f". {self._hint}" if isinstance(self._hint, str) else f": write {self._hint(self._name)}"
        says = f'{self._what.format(owner.__name__)} has no attribute "{self._name}"{hint}'
        raise attribute_error(says)


def elsewhere(kind: str, what: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator of a class: the names in a section of `TABLE` are errors that say what to write here.

    Parameters
    ----------
    kind : str
        The section.
    what : str
        What a thing of the class is called in a sentence: "a node". ``{}`` is the name of the class.

    Examples
    --------
    >>> @elsewhere("node", "a node")
    ... class Node: pass
    >>> Node().detach
    Traceback (most recent call last):
    AttributeError: a node has no attribute "detach". Write gn.stop_gradient(node).
    """

    def described(cls: type[T]) -> type[T]:
        absent = {name: Absent(what, name, hint) for name, hint in TABLE[kind].items()}
        signs = [(f"__{r}{name}__", _refused(*sign)) for name, sign in _OPERATORS.items() for r in ("", "r")]
        for name, member in {"__dir__": _present, **absent, **dict(signs if kind == "node" else ())}.items():
            setattr(cls, name, member)
        return cls

    return described


def _present(thing: object) -> list[str]:
    names = object.__dir__(thing)
    return [name for name in names if not isinstance(inspect.getattr_static(thing, name, None), Absent)]


def attribute_error(says: str) -> AttributeError:
    """Return the error for a name that does not exist, whose text says what does: Python adds no guess of its own."""
    return AttributeError(says, name=None, obj=None)


def instead(kind: str, name: str, known: Collection[str]) -> str:
    """Return a clause that says what to write for a name of elsewhere; else what is spelt alike.

    Examples
    --------
    >>> instead("gn", "Linear", ["Dense"]), instead("gn", "Denze", ["Dense"])
    (' Write nn.Dense(units).', ' Did you mean "Dense"?')
    """
    if name.startswith("__"):  # a tool asks whether there is such a thing, and does so often
        return ""
    hint = TABLE[kind].get(name)
    return f" {hint}" if hint else near(name, known)


def argument(name: str, known: Collection[str], function: str = "") -> str:
    """Return a clause that says how an argument is called here, or what is spelt alike; "" where neither is known.

    Parameters
    ----------
    name : str
    known : collection of str
        The arguments there are.
    function : str
        What takes them, which may have a section of its own in the table.

    Examples
    --------
    >>> argument("lr", ["learning_rate"]), argument("axos", ["axis"]), argument("colour", ["axis"])
    (' Here it is learning_rate=.', ' Did you mean "axis"?', '')
    """
    hint = TABLE.get(f"arguments of {function}", {}).get(name) or TABLE["arguments"].get(name, "")
    if hint.endswith("."):
        return f" {hint}"
    if meant := [other for other in hint.split() if other in known]:
        return f" Here it is {meant[0]}=."
    return near(name, known) if alike(name, known) else ""


def moved(path: str) -> str:
    """Return a sentence that says where a module stands now, or "" where it did not move.

    Examples
    --------
    >>> moved("graphnn.jacobians"), moved("graphnn.nonsense")
    ('graphnn.jacobians is now graphnn.autodiff.jacobian', '')
    """
    table = {old: new for old, *new in map(str.split, _lines("moved.txt"))}
    places = [f"graphnn.{place}" for place in table.get(path.removeprefix("graphnn."), ())]
    return f"{path} is now {' and '.join(places)}" if places else ""


class _MovedModules:
    """What Python asks last when it looks for a module: an import of one that has moved says where it stands now."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if not name.startswith("graphnn."):
            return
        wanted, frame = name, sys._getframe()
        while frame := frame.f_back:  # type: ignore[assignment]
            # Of an import of a.b.c, Python looks for a.b first.
            outer = str(frame.f_locals.get("name"))
            if frame.f_code.co_name == "_find_and_load" and outer.startswith(f"{name}."):
                wanted = outer
        if says := moved(wanted) or moved(name):
            raise ModuleNotFoundError(says)  # without its name, or "from graphnn import …" would hide it


sys.meta_path.append(_MovedModules)
