"""Which plans of a compiled step are kept, and for which sizes a plan is made.

Making a plan takes as long as some ten calls without one, so sizes get one when they come again. This is decided by
counts and not by a clock, so that the same calls are evaluated in the same way in every process.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import Plan

Sizes = tuple[int | None, ...]

MOST_PLANS = 16
_MISSED = 3


class PlanCache(OrderedDict[Sizes, "Plan"]):
    """The last plans of a step by sizes, the one used last at the end. Not safe for several threads."""

    def __init__(self) -> None:
        super().__init__()
        self._missed: deque[Sizes] = deque(maxlen=_MISSED)
        """The sizes of the last calls that had no plan."""

    def used(self, sizes: Sizes) -> Plan | None:
        """Return the plan for these sizes, if it is kept, which is then the one used last."""
        plan = self.get(sizes)
        if plan is not None:
            self.move_to_end(sizes)
        return plan

    def keep(self, sizes: Sizes, plan: Plan) -> None:
        """Keep a plan; the one that was used least recently goes if there are too many."""
        self[sizes] = plan
        if len(self) > MOST_PLANS:
            self.popitem(last=False)

    def vary(self, sizes: Sizes) -> bool:
        """Return whether other sizes than these have come, as far as can be seen."""
        return any(other != sizes for other in (*self, *self._missed))

    def is_due(self, sizes: Sizes, recordable: bool) -> bool:
        """Count a call of sizes for which no plan is kept, and return whether one is to be made.

        It is made at the second call among the last three without a plan. Once the cache is full, it takes two such
        calls in a row, or plans would be dropped for each other. If a plan can be recorded, which then serves for
        other sizes, too, one is also made after three calls of different sizes without a plan.
        """
        missed = list(self._missed)
        if sizes in (missed if len(self) < MOST_PLANS else missed[-1:]):
            self._missed.remove(sizes)
            return True
        if recordable and len(missed) == _MISSED:
            self._missed.clear()
            return True
        self._missed.append(sizes)
        return False
