"""Every error a user can meet: a `GraphnnError`, and also the builtin it stands for.

Code that knows nothing of graphnn may write ``except ValueError``; code that does may write
``except gn.ShapeError``. The message finishes the sentence: what was asked, what was given, the node,
its operation and shapes, the user's line, and what would work.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar

from .show import Shown, rendered
from .text import message


class GraphnnError(Shown, Exception):
    """The base of every error that graphnn raises on purpose.

    Attributes
    ----------
    origin : object
        The user's line, once the message names it.
    """

    instead_of_fetch: ClassVar[str] = "error.debug() opens the run that led to it, error.draw() draws it"

    origin: object = None
    stopped: Any = None
    """Where an evaluation ended, or what could not be built, for `debug`, `save` and `draw`."""
    fact: str = ""
    """What was found, without what follows from it."""
    unfed: tuple[str, ...] = ()
    """The names of the placeholders that the feed lacks."""
    calls: tuple[Any, ...] = ()
    """What the message advises a program to call, each with what one types for it in the terminal."""

    def __init__(self, *args: object, **fields: Any) -> None:
        super().__init__(*args)
        vars(self).update(fields)

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
        return self._as("debugger", "comes from no run: there is nothing to step through")

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
        self._as("trace", "comes from no run: there is nothing to save").save(path)

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
        return self._as("diagram", "is of no node: there is nothing to draw")

    def _as(self, form: str, otherwise: str) -> Any:
        made = rendered(self, form)
        if made is None:
            raise UsageError(f"this {type(self).__name__} {otherwise}")
        return made

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would show newlines as \n.
        return message(str(self.args[0])) if self.args else ""


class GraphError(GraphnnError, ValueError):
    """The graph cannot be so: a name taken, a node of another graph, a cycle, a wrong count of operands."""


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
    """A thing of the wrong kind: a fetch that is no node, a node used as a truth value."""


class LookupFailure(GraphnnError, KeyError):
    """A name that nothing answers to: of a node, a scope, a feed, a size."""


class DivisionError(GraphnnError, ZeroDivisionError):
    """An integer divided by zero."""


class MemoryBudgetError(GraphnnError, MemoryError):
    """A value larger than the memory budget; raised before anything is allocated."""


class NoRuleError(GraphnnError, NotImplementedError):
    """An operation without the rule that was asked for."""


class FileFormatError(GraphnnError, ValueError):
    """A file that is no graphnn file, is damaged, or comes from a newer version."""


class DrawingError(GraphnnError, RuntimeError):
    """A picture that could not be made: no engine, too large, or over its time limit."""


class GradientError(GraphnnError, AssertionError):
    """A gradient that differs from finite differences; names the node whose rule is wrong."""


class EvaluationError(GraphnnError, RuntimeError):
    """An operation raised something that stands for no other class here."""


class GraphnnWarning(UserWarning):
    """What graphnn warns of."""

    def __str__(self) -> str:
        return message(str(self.args[0])) if self.args else ""


_BY_BUILTIN: tuple[tuple[type[Exception], type[GraphnnError]], ...] = (
    (IndexError, AxisError),
    (KeyError, LookupFailure),
    (ZeroDivisionError, DivisionError),
    (MemoryError, MemoryBudgetError),
    (NotImplementedError, NoRuleError),
    (TypeError, DtypeError),
    (ValueError, ValueRangeError),
)


def restated(error: Exception, message: str) -> GraphnnError:
    """Return an error of graphnn that stands for the same builtin as `error`, with a fuller message.

    Parameters
    ----------
    error : Exception
        What was raised; one of graphnn's own keeps its class.
    message : str
        The whole new message.

    Returns
    -------
    GraphnnError
        To be raised ``from error``.

    Examples
    --------
    >>> restated(ValueError("no"), "matmul: no, at model.py:3")
    ValueRangeError('matmul: no, at model.py:3')
    """
    if isinstance(error, GraphnnError):
        told = type(error)(message)
        told.stopped = error.stopped
        return told
    for builtin, ours in _BY_BUILTIN:
        if isinstance(error, builtin):
            return ours(message)
    return EvaluationError(message)


def placed(error: GraphnnError, origin: object) -> GraphnnError:
    """Return `error` with the user's line in its message, unless it names one already."""
    if error.origin is None:
        if getattr(origin, "file", True):
            error.args = (f"{error}\n  at {origin}", *error.args[1:])
        error.origin = origin
    return error


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
        Starts with a blank, so that it can be appended to a sentence.

    Examples
    --------
    >>> near("lables", ["x", "labels"])
    ' Did you mean "labels"?'
    >>> near("q", ["x", "labels"])
    ' There is: "x", "labels".'
    """
    known = list(known)
    close = difflib.get_close_matches(str(name)[:200], [k[:200] for k in known[:5000]], n=3, cutoff=0.6)
    if close:
        return " Did you mean " + " or ".join(f'"{c}"' for c in close) + "?"
    if not known:
        return " There is none."
    more = f", and {len(known) - 8} more" if len(known) > 8 else ""
    return " There is: " + ", ".join(f'"{k}"' for k in known[:8]) + more + "."
