"""Errors of calls that do not fit a signature: they show which arguments a function takes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import GraphnnError, UsageError
from .hints import argument

_Function = TypeVar("_Function", bound=Callable[..., Any])


def explain_misuse(function: _Function) -> _Function:
    """Wrap a function: a call that does not fit its signature raises a UsageError that shows the signature.

    A TypeError from inside the function passes through.
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            wrong = None if isinstance(error, GraphnnError) else misused(function, args, kwargs)
            if wrong is None:
                raise
            raise wrong from None

    called.explains_misuse = True  # type: ignore[attr-defined]
    return cast("_Function", called)


def explain_public(namespace: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Wrap all public functions of a module, and the public methods of its classes, by `explain_misuse`.

    Parameters
    ----------
    namespace : dict
        Of the module. A function is replaced here and in the module that defines it.
    names : iterable of str, optional
        The public names; by default, what the module defines. Exceptions, and what is neither function nor class, stay
        as they are.
    """
    # A copy of the items: another thread may load a name into the module.
    own = [n for n, thing in [*namespace.items()] if getattr(thing, "__module__", "") == namespace["__name__"]]
    for name in [n for n in own if n[0] != "_"] if names is None else names:
        thing = namespace.get(name)
        if isinstance(thing, FunctionType) and not hasattr(thing, "explains_misuse"):
            namespace[name] = wrapped = explain_misuse(thing)
            setattr(sys.modules[thing.__module__], thing.__name__, wrapped)
        elif isinstance(thing, type) and not issubclass(thing, Exception):
            for method, member in list(vars(thing).items()):
                public = method in ("__init__", "__call__") or not method.startswith("_")
                if public and isinstance(member, FunctionType) and not hasattr(member, "explains_misuse"):
                    setattr(thing, method, explain_misuse(member))


def misused(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], called: str = ""
) -> UsageError | None:
    """Return the error of a call whose arguments do not fit the signature, and None where they do."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
        return None
    except TypeError as error:
        what = str(error)
    name, parameters = called or function.__name__, [*signature.parameters.values()]
    if parameters and parameters[0].name == "self" and args:
        parameters = parameters[1:]
        if name == "__init__":
            # The arguments of the class that was called, then those that it passes on to its bases.
            found: dict[str, inspect.Parameter] = {}
            bases: Any = type(args[0]).__mro__[:-1] if any(p.kind is p.VAR_KEYWORD for p in parameters) else ()
            for init in (type(args[0]).__init__, function, *(base.__init__ for base in bases)):
                found = found | {p.name: p for p in [*inspect.signature(init).parameters.values()][1:]} | found
            parameters = [p for p in found.values() if p.kind is not p.VAR_KEYWORD]
        name = type(args[0]).__name__ if name in ("__init__", "__call__", "call") else name
    known = [p.name for p in parameters if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if function.__name__ == "__init__" and {*kwargs} <= {*known} and inspect.unwrap(type(args[0]).__init__) != function:
        # A class of the user's gives these to its base.
        name, parameters, known = function.__qualname__, [*signature.parameters.values()][1:], [*signature.parameters]
    unknown = [keyword for keyword in kwargs if keyword not in known]
    # All that it takes is in the call, so an argument that is like none of these is not followed by a list.
    why = (
        f'{name} takes no argument "{unknown[0]}".{argument(unknown[0], known, "")}' if unknown else f"{name}: {what}."
    )
    return UsageError(f"{why} The call is {name}({written(parameters)})")


def without_graph(name: str, operands: Sequence[Any], graph: Any = None, otherwise: str = "") -> UsageError:
    """Return the error of an operation that is called without a node, or a graph, to say which graph it is for."""
    if graph is not None:
        return UsageError(f"{name}: graph= is a graph, such as x.graph of a node x, not {type(graph).__name__}")
    if not operands:
        array = f". Beside a node, an array does, too: np.{name}(…)" if hasattr(np, name) else ""
        return UsageError(
            f"{name} has no operand, and a node belongs to a graph: write gn.{name}(…, graph=g), or graph=x.graph, "
            f"where g is a graph and x a node{array}"
        )
    given = ", ".join(type(value).__name__ for value in operands)
    return UsageError(
        f"{name} needs at least one node among its operands, got {given}: make a constant with graph.constant(value) "
        f"first{otherwise}"
    )


def written(parameters: Sequence[inspect.Parameter]) -> str:
    """Return parameters as one writes them in a call: without types, and functions by their names."""
    parts, bare = list[str](), False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not bare:
            parts.append("*")
        bare = bare or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        star = "*" * ((p.kind is p.VAR_POSITIONAL) + 2 * (p.kind is p.VAR_KEYWORD))
        default = getattr(p.default, "__name__", None) or repr(p.default)
        parts.append(f"{star}{p.name}" + ("" if p.default is p.empty else f"={default}"))
    return ", ".join(parts)
