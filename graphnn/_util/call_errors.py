"""Errors of calls that do not fit a signature: they show which arguments a function takes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import UsageError
from .hints import argument

_Function = TypeVar("_Function", bound=Callable[..., Any])


def explain_misuse(function: _Function) -> _Function:
    """Wrap a function: the TypeError of a call that does not fit its signature has a note that shows it."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            explain(error, function, args, kwargs)
            raise

    called.explains_misuse = True  # type: ignore[attr-defined]
    return cast("_Function", called)


def explain(
    error: TypeError,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    called: str = "",
    *more: inspect.Parameter,
) -> None:
    """Add a note to the error of a call that did not fit the signature: what is called otherwise here, and the call.

    Parameters
    ----------
    error : TypeError
        Caught where the function was called. One that was raised inside the function is left as it is.
    function, args, kwargs
        What was called, and with what.
    called : str
        Its name; by default, that of the function, or of the class of which it is the ``__init__``.
    *more : inspect.Parameter
        What else it takes.
    """
    frame, inner = error.__traceback__, function
    while frame is not None and hasattr(inner, "__wrapped__"):  # what wraps it has a frame of its own
        frame, inner = frame.tb_next, inner.__wrapped__
    if frame is not None and frame.tb_next is None:
        error.add_note(_call_of(function, args, kwargs, called, more))


def check_fits(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise the TypeError of a call that does not fit ``function.__signature__``, which Python does not check."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        misfit = TypeError(f"{function.__name__}(): {error}")
        misfit.add_note(_call_of(function, args, kwargs))
        raise misfit from None


def _call_of(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    called: str = "",
    more: Iterable[inspect.Parameter] = (),
) -> str:
    parameters = sorted([*inspect.signature(function).parameters.values(), *more], key=lambda p: p.kind)
    owner, _, name = function.__qualname__.rpartition(".")
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
        if name in ("__init__", "__call__"):
            kind = type(args[0])
            called = (
                kind.__name__
                if inspect.unwrap(getattr(kind, name)) is inspect.unwrap(function)
                else owner.rpartition(".")[2]
            )
    known = [p.name for p in parameters]
    unknown = (keyword for keyword in kwargs if keyword not in known)
    hint = argument(next(unknown, ""), known, called or function.__qualname__)
    return f"{hint} The call is {called or name}({written(parameters)})".lstrip()


def explain_public(namespace: dict[str, Any], names: Iterable[str] | None = None) -> None:
    """Wrap the public functions of a module, and the methods of its classes and their bases, by `explain_misuse`.

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
            ours = [base for base in thing.__mro__ if base.__module__.partition(".")[0] == __name__.partition(".")[0]]
            for owner, method, member in [(base, *each) for base in ours for each in vars(base).items()]:
                # Of a layer, the call is that of the layer: it explains its own `call`.
                public = method in ("__init__", "__call__") or not (method.startswith("_") or method == "call")
                if public and isinstance(member, FunctionType) and not hasattr(member, "explains_misuse"):
                    setattr(owner, method, explain_misuse(member))


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
