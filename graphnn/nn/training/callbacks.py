"""What is called while a training run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.callables import check_takes
from ...errors import UsageError

if TYPE_CHECKING:
    from .history import History
    from .live_run import Run


class Callback:
    """Base class of what `fit` calls after each step and after each epoch: ``nn.fit(..., callbacks=[Mine()])``.

    A subclass has one of the methods, or both. If a method returns True, the training ends there. A function of the
    history, without a class, is called after each epoch, too.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class Below(nn.Callback):
    ...     def __init__(self, limit):
    ...         self.limit = limit
    ...     def batch(self, run):
    ...         return run.loss < self.limit
    >>> w = gn.Graph().parameter("w", 8.0)
    >>> history = nn.fit(gn.compile(w, {w: w * 0.5}), {}, epochs=100, callbacks=[Below(1.0)])
    >>> history["loss"]
    [8.0, 4.0, 2.0, 1.0, 0.5]
    """

    def batch(self, run: Run) -> Any:
        """Do something after a step. True ends the training: the epoch counts, with the steps that it had."""

    def epoch(self, run: Run) -> Any:
        """Do something after an epoch, whose figures are in ``run.history``. True ends the training."""


class _Function(Callback):
    """A function of the history, as a callback."""

    def __init__(self, function: Callable[[History], Any]) -> None:
        self._function = function

    def epoch(self, run: Run) -> Any:
        """Call the function."""
        return self._function(run.history)


Callbacks = Callback | Callable[["History"], Any] | Iterable[Callback | Callable[["History"], Any]]


def checked_callbacks(given: Any) -> list[Callback]:
    """Return callbacks, and functions as callbacks.

    Raises
    ------
    UsageError
        When one is neither.
    """
    one = isinstance(given, Callback) or callable(given)
    if not one and not isinstance(given, Iterable):
        raise UsageError(f"callbacks are functions of the history, or nn.Callback, not {type(given).__name__}")
    return [_checked(callback) for callback in ([given] if one else given)]


def _checked(given: Any) -> Callback:
    if isinstance(given, Callback):
        for method in (given.batch, given.epoch):
            check_takes(f"{type(given).__name__}.{method.__name__}", method, "the run")
        return given
    if not callable(given) or isinstance(given, type):
        named = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise UsageError(f"a callback is a function of the history, or an nn.Callback, not {named}")
    check_takes("a callback", given, "the history")
    return _Function(given)


def after_each_step(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return those that do something after each step."""
    return [each for each in callbacks if type(each).batch is not Callback.batch or "batch" in vars(each)]


def ask_to_stop(callbacks: Iterable[Callback], ask: Callable[[Callback], object]) -> bool:
    """Ask all callbacks, and return whether one wants to stop."""
    # Not written out in `Training.run`: from Python 3.12 on a comprehension is inlined, and a Ctrl-C at its very end
    # would miss the `try` around it.
    answers = [ask(callback) for callback in callbacks]
    return any(map(is_true, answers))


def is_true(answer: Any) -> bool:
    """Return whether the answer of a callback is True, of Python or NumPy."""
    if isinstance(answer, (np.bool_, np.ndarray)):
        return answer.dtype == bool and answer.shape == () and bool(answer)
    return answer is True
