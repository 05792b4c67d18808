"""What other libraries call otherwise: the names that their users type first, and what to write here.

The errors of unknown names and arguments look here before they look for what is spelt alike. So a habit is one line of
a table, and no case of its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NoReturn, TypeVar

from ...errors import UsageError, alike, near
from .foreign_names import ALIASES as ALIASES
from .foreign_names import ARGUMENTS as ARGUMENTS
from .foreign_names import ELSEWHERE as ELSEWHERE
from .foreign_names import NUMPY as NUMPY
from .foreign_names import SET as SET

T = TypeVar("T")


_OPERATORS = {"xor": ("^", "bitwise_xor"), "lshift": ("<<", "left_shift"), "rshift": (">>", "right_shift")}
"""Operators that arrays have and nodes lack: the sign, and what to call instead."""


def _refused(sign: str, name: str) -> Callable[[object, object], NoReturn]:
    def refuse(thing: object, other: object) -> NoReturn:
        raise UsageError(f"nodes have no operator {sign}: write gn.{name}(a, b)")

    return refuse


class Absent:
    """An attribute that a thing has in other libraries. To read it is an error, which says what to write here.

    It is a descriptor of the class, since `__getattr__` would make every look-up of an attribute slower.
    """

    def __init__(self, what: str, name: str, hint: str | Callable[[str], str]) -> None:
        self._what, self._name, self._hint = what, name, hint
        self.__doc__ = hint if isinstance(hint, str) else f"Write gn.{name}."  # what `help` shows

    def __get__(self, thing: object, owner: type) -> NoReturn:
        hint = f". {self._hint}" if isinstance(self._hint, str) else f": write {self._hint(self._name)}"
        says = f'{self._what.format(owner.__name__)} has no attribute "{self._name}"{hint}'
        raise attribute_error(says)


class Unset(Absent):
    """An attribute that is set in other libraries. To set it is an error, too: it would change nothing.

    A user's class whose own methods set or read such an attribute is left alone.
    """

    def __get__(self, thing: object, owner: type) -> Any:
        if thing is not None and self._name in vars(thing):
            return vars(thing)[self._name]
        return super().__get__(thing, owner)

    def __set__(self, thing: object, value: object) -> None:
        ours = __name__.partition(".")[0]
        own = (kind for kind in type(thing).__mro__ if kind.__module__.partition(".")[0] != ours)
        if names_used(own).isdisjoint((self._name, "setattr")):
            super().__get__(thing, type(thing))
        vars(thing)[self._name] = value


def names_used(kinds: Iterable[type]) -> set[str]:
    """Return the names of the attributes and globals that the methods of classes use.

    Examples
    --------
    >>> class Layer:
    ...     def call(self): return [each for each in self.parts]
    >>> names_used([Layer])
    {'parts'}
    """
    methods = [member for kind in kinds for member in vars(kind).values() if isinstance(member, FunctionType)]
    found, waiting = set[str](), [inspect.unwrap(method).__code__ for method in methods]
    while waiting:
        code = waiting.pop()
        found.update(code.co_names)
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return found


def elsewhere(kind: str, what: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator of a class: the names of its kind in `ELSEWHERE` are errors that say what to write here.

    Parameters
    ----------
    kind : str
        A table of `ELSEWHERE`.
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
        settable = SET.get(kind, ())
        absent = {
            name: (Unset if name in settable else Absent)(what, name, hint) for name, hint in ELSEWHERE[kind].items()
        }
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
    >>> instead("nn", "Linear", ["Dense"]), instead("nn", "Denze", ["Dense"])
    (' Write nn.Dense(units).', ' Did you mean "Dense"?')
    """
    if name.startswith("__"):  # a tool asks whether there is such a thing, and does so often
        return ""
    hint = ELSEWHERE[kind].get(name)
    return f" {hint}" if hint else near(name, known)


def argument(name: str, known: Collection[str], otherwise: str | None = None) -> str:
    """Return a clause that says how an argument is called here; `otherwise`, or a list, where that is not known.

    Examples
    --------
    >>> argument("lr", ["learning_rate"]), argument("axos", ["axis"])
    (' Here it is learning_rate=.', ' Did you mean "axis"?')
    """
    meant = ARGUMENTS.get(name, ())
    if isinstance(meant, str):
        return f" {meant}"
    found = next((other for other in meant if other in known), None)
    if found is not None:
        return f" Here it is {found}=."
    return near(name, known) if otherwise is None or alike(name, known) else otherwise


def moved(path: str) -> str:
    """Return a sentence that says where a module stands now, or "" where it did not move.

    Examples
    --------
    >>> moved("graphnn.jacobians"), moved("graphnn.nonsense")
    ('graphnn.jacobians is now graphnn.autodiff.jacobian', '')
    """
    lines = Path(__file__).with_name("moved.txt").read_text(encoding="utf-8").splitlines()
    table = {old: new for old, *new in map(str.split, lines)}
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
