"""Batches in epochs: pass after pass over a set, or so many steps at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..random_state import plain_state

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ...runtime.batches import Batch, Batches
    from ..init import Rng


class Passes:
    """The batches of one epoch after another.

    An epoch is a pass, or so many steps: then it begins where the last one ended, and a pass that ends within it is
    followed by another one.
    """

    def __init__(self, batches: Batches, rng: Rng | None, steps: int | None) -> None:
        self.batches, self.rng = batches, rng
        self.steps = steps
        self.drawn = 0
        """How many batches of the present pass were drawn."""
        self.ran_dry = False
        """Whether the batches ended, and there is no other pass."""
        self._open: Generator[Batch] | None = None
        self._before: Any = None

    @property
    def per_epoch(self) -> int | None:
        """How many steps an epoch has, if it is known."""
        return self.steps or self.batches.length

    @property
    def state(self) -> Any:
        """The state of the generator of random numbers from before the present pass, or else before the next one."""
        return plain_state(self.rng) if self._open is None else self._before

    def epoch(self, start: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        taken = start
        while self.steps is None or taken < self.steps:
            if self._open is None:
                self._before = plain_state(self.rng)
                self._open = self.batches.opened(self.drawn)
            batch = next(self._open, None)
            if batch is not None:
                self.drawn, taken = self.drawn + 1, taken + 1
                yield batch
                continue
            self.end_pass()
            self.ran_dry = self.batches.once
            if self.steps is None or self.ran_dry:
                return

    def end_pass(self) -> None:
        """Let the next epoch begin a pass."""
        if self._open is not None:
            self._open.close()
        self._open, self.drawn = None, 0

    def rows_of(self, size: int) -> str:
        """Return which rows are in the batch that was drawn last, for an error."""
        return self.batches.rows_of(self.drawn - 1, size)

    def division(self) -> dict[str, int]:
        """Return what must be the same where a checkpoint from within an epoch resumes; 0 where it does not apply."""
        return {**self.batches.division(), "steps_per_epoch": self.steps or 0}
