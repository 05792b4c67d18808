"""Every error a user can meet: a `GraphnnError`, and also the builtin it stands for.

Code that knows nothing of graphnn may write ``except ValueError``; code that does may write
``except gn.ShapeError``. The message finishes the sentence: what was asked, what was given, the node,
its operation and shapes, the user's line, and what would work.
"""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, TypeVar

from ._util.display import Shown
from ._util.ports import Port
from ._util.source_location import NOWHERE, Origin, user_origin
from ._util.text import message

__all__ = [
    "AxisError",
    "ClusterError",
    "DivisionError",
    "DrawingError",
    "DtypeError",
    "EvaluationError",
    "FileFormatError",
    "GradientError",
    "GraphError",
    "GraphnnError",
    "GraphnnWarning",
    "LabelError",
    "MemoryBudgetError",
    "NoRuleError",
    "NotFoundError",
    "Origin",
    "ShapeError",
    "UsageError",
    "ValueRangeError",
]

_Error = TypeVar("_Error", bound="GraphnnError")
OF_ERROR: Port[Callable[[GraphnnError], Any]] = Port("error")
"""What methods give of an error, under their names; None where there is nothing."""
_LISTED = 8
"""How many names an error lists."""


class GraphnnError(Shown, Exception):
    """The base of every error that graphnn raises on purpose.

    ``str(error)`` is context, reason and advice on one line, then the details, then the user's line. `reason` is the
    sentence alone, `account` is all but advice and line, `fact` is what was observed. A part that does not apply is
    empty.

    Parameters
    ----------
    *args : object
        The reason: a sentence.
    **fields : object
        Attributes to set. If ``origin`` is among them, the reason must name that line itself: it is not appended.

    Attributes
    ----------
    origin : Origin
        The user's line that was refused; for an error in a run, the line that made the node.
    node : Node or None
        The node that failed, or that does not fit.
    op : str or None
        The name of the operation.
    operands : tuple of Node or ndarray
    shapes : tuple of tuple
        The shapes of the operands, as they met.
    attribute : str or None
        The name of the attribute or argument that was refused.
    given, expected : object
        What was given, and what would have been taken.
    """

    _instead_of_fetch: ClassVar[str] = "error.debug() opens the run that led to it, error.draw() draws it"
    """What to do with an error that was given as a fetch; for the message of `graphnn.core.fetches.resolve`."""

    origin: Origin = NOWHERE
    node: Any = None
    op: str | None = None
    operands: tuple[Any, ...] = ()
    shapes: tuple[Any, ...] = ()
    attribute: str | None = None
    given: Any = None
    expected: Any = None
    stopped: Any = None
    """Where an evaluation ended, or what could not be built, for `debug`, `save` and `draw`."""
    fact: str = ""
    """What was observed, without what follows from it."""
    unfed: tuple[str, ...] = ()
    """The names of the placeholders that the feed lacks."""
    calls: tuple[Any, ...] = ()
    """The calls that the message recommends, each with what to type for it in the debugger's terminal."""
    context: str = ""
    """What was being done; before the reason."""
    details: tuple[str, ...] = ()
    """Lines after the reason, such as one for each operand."""
    advice: str = ""
    """What to do; after the reason. For the user whose call failed; left out where the error is looked into later."""
    _names_line = False

    def __init__(self, *args: object, **fields: Any) -> None:
        super().__init__(*args)
        self._names_line = "origin" in fields
        vars(self).update(fields if "origin" in fields else fields | {"origin": user_origin()})

    @property
    def reason(self) -> str:
        """The cause alone, as one sentence: without its context, operands and line."""
        return message(_sentence(self))

    def within(self, context: str, *details: str, **fields: Any) -> Self:
        """Return an error like this one that says more.

        Parameters
        ----------
        context : str
            What comes before all that it says.
        *details : str
            Lines that come after it.
        **fields : object
            Attributes to set, as of the class.

        Returns
        -------
        GraphnnError
            Of the same class; to be raised ``from`` this one, or from None.
        """
        error = _made(type(self), self.args, vars(self) | fields)
        error.context = context + self.context
        error.details = self.details + details
        error._names_line = self._names_line or "origin" in fields
        if not error._names_line:
            error.origin = user_origin()  # of what was called; the reason may be raised in a rule of the user's own
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        # What cannot be pickled, such as a node, is replaced by its name. `stopped` holds a run, and is left out.
        fields = {k: _sent(v) for k, v in vars(self).items() if k != "stopped"}
        return _made, (type(self), tuple(map(_sent, self.args)), fields)

    @property
    def account(self) -> str:
        """All that it says but for the advice and the line."""
        return message("\n".join([f"{self.context}{_sentence(self)}", *self.details]))

    def __str__(self) -> str:
        # KeyError would print the repr of its argument, which shows newlines as \n.
        line = (f"  at {self.origin}",) if self.origin.file and not self._names_line else ()
        return message("\n".join([f"{self.context}{_sentence(self)}{self.advice}", *self.details, *line]))

    def debug(self) -> Any:
        """Open the debugger where the run was stopped, with its feed and its state.

        Returns
        -------
        Debugger

        Raises
        ------
        UsageError
            When the error comes from no run.
        """
        return self._as("debug", "comes from no run: there is nothing to step through")

    def save(self, path: Any) -> None:
        """Write what led to the error to a file, which ``graphnn debug FILE`` and ``gn.debug(gn.load(FILE))`` open.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        UsageError
            When the error comes from no run.
        """
        self._as("save", "comes from no run: there is nothing to save").save(path)

    def draw(self) -> Any:
        """Draw what was built, or what had run, with the node marked that could not be.

        Returns
        -------
        Diagram

        Raises
        ------
        UsageError
            When the error is of no node.
        """
        return self._as("draw", "is of no node: there is nothing to draw")

    def _as(self, form: str, otherwise: str) -> Any:
        if (made := OF_ERROR.load()[form](self)) is None:
            raise UsageError(f"this {type(self).__name__} {otherwise}")
        return made


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if error.args else ""


def _made(kind: type[_Error], args: tuple[Any, ...], fields: dict[str, Any]) -> _Error:
    # Without __init__, which a user's class may define in any way.
    error: _Error = Exception.__new__(kind, *args)
    vars(error).update(fields)
    return error


def _sent(value: Any) -> Any:
    """Return a value that can be pickled: itself, or the names of what cannot."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        if isinstance(value, (tuple, list)):
            return tuple(map(_sent, value))
        return str(getattr(value, "name", value))
    return value


class GraphError(GraphnnError, ValueError):
    """Something a graph does not allow: a name taken, a node of another graph, a cycle, a wrong count of operands."""


class ShapeError(GraphnnError, ValueError):
    """Shapes do not fit: of operands with each other, of a feed with its declaration."""


class ValueRangeError(GraphnnError, ValueError):
    """A value that the operation cannot take."""


class AxisError(GraphnnError, IndexError):
    """An axis or an index out of its range."""


class LabelError(GraphnnError, IndexError):
    """A label below zero, or not below the number of classes."""


class DtypeError(GraphnnError, TypeError):
    """A dtype the operation or the placeholder cannot take."""


class UsageError(GraphnnError, TypeError):
    """An object of the wrong kind: a fetch that is not a node, a node used as a truth value."""


class NotFoundError(GraphnnError, KeyError):
    """A name that nothing has: of a node, a scope, a feed, a size."""


class DivisionError(GraphnnError, ZeroDivisionError):
    """An integer divided by zero."""


class MemoryBudgetError(GraphnnError, MemoryError):
    """A value larger than the memory budget, which is found before anything is allocated, or than the memory."""


class NoRuleError(GraphnnError, NotImplementedError):
    """An operation without the rule that was asked for."""


class FileFormatError(GraphnnError, ValueError):
    """A file that is not a graphnn file, is damaged, or comes from a newer version."""


class DrawingError(GraphnnError, RuntimeError):
    """A picture that could not be made: no engine, too large, or over its time limit."""


class GradientError(GraphnnError, AssertionError):
    """A gradient that differs from finite differences; names the node whose rule is wrong."""


class EvaluationError(GraphnnError, RuntimeError):
    """An operation raised an error that matches no other class of error."""


class ClusterError(GraphnnError, RuntimeError):
    """Workers that cannot compute this, would give other bits, or are lost."""


class GraphnnWarning(UserWarning):
    """What graphnn warns of."""

    def __str__(self) -> str:
        return message(_sentence(self))


_BY_BUILTIN: tuple[tuple[type[Exception], type[GraphnnError]], ...] = (
    (IndexError, AxisError),
    (KeyError, NotFoundError),
    (ZeroDivisionError, DivisionError),
    (MemoryError, MemoryBudgetError),
    (NotImplementedError, NoRuleError),
    (TypeError, DtypeError),
    (ValueError, ValueRangeError),
)


def restated(error: Exception, context: str = "", *details: str, **fields: Any) -> GraphnnError:
    """Return an error of graphnn that stands for the same builtin as `error`, and says more.

    Parameters
    ----------
    error : Exception
        What was raised; one of graphnn's own keeps its class.
    context, *details, **fields
        As `GraphnnError.within` takes them.

    Returns
    -------
    GraphnnError
        To be raised ``from error``.

    Examples
    --------
    >>> restated(ValueError("no"), "matmul: ", "  at model.py:3", origin=NOWHERE).args
    ('no',)
    """
    if not isinstance(error, GraphnnError):
        ours = next((ours for builtin, ours in _BY_BUILTIN if isinstance(error, builtin)), EvaluationError)
        error = ours(_text_of(error) or type(error).__name__)
    return error.within(context, *details, **fields)


def _text_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return ""


def __getattr__(name: str) -> Any:
    now = ": write NotFoundError" if name == "LookupFailure" else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{now}", name=None, obj=None)


def near(name: object, known: Iterable[str]) -> str:
    """Return a clause that names what the user may have meant, or lists what there is.

    Parameters
    ----------
    name : object
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        Starts with a space, so that it can be appended to a sentence.

    Examples
    --------
    >>> near("lables", ["x", "labels"])
    ' Did you mean "labels"?'
    >>> near("z", ["x", "layer1/z"])
    ' Did you mean "layer1/z"?'
    >>> near("q", ["x", "labels"])
    ' There is: "x", "labels".'
    """
    known = list(dict.fromkeys(known))
    if close := alike(name, known):
        return " Did you mean " + " or ".join(f'"{c}"' for c in close) + "?"
    if not known:
        return " There is none."
    more = f", and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    nearest = _nearest(str(name), known, _LISTED, 0.4) if more else []
    listed = list(dict.fromkeys([*nearest, *known[: 2 * _LISTED]]))[:_LISTED]
    return " There is: " + ", ".join(f'"{k}"' for k in listed) + more + "."


def alike(name: object, known: Iterable[str]) -> list[str]:
    """Return what the user may have meant: what has the name in other scopes, else what is spelt alike; three at most.

    Examples
    --------
    >>> alike("layer1/b", ["layer1/a", "layer2/b"]), alike("layer1/bb", ["layer1/ab", "layer2/b"])
    (['layer2/b'], ['layer1/ab', 'layer2/b'])
    """
    text, known = str(name), list(known)
    tail = text.rpartition("/")[2]
    namesakes = [k for k in known if tail and k.rpartition("/")[2] == tail]
    return _nearest(text, namesakes, 3, 0.0) or _nearest(text, known, 3, 0.6)


def _nearest(text: str, known: Sequence[str], most: int, cutoff: float) -> list[str]:
    """Return names that are spelt like a text, the nearest first."""
    whole: dict[str, str] = {}
    for each in known[:5000]:
        whole.setdefault(each[:200], each)
    return [whole[short] for short in difflib.get_close_matches(text[:200], whole, n=most, cutoff=cutoff)]
