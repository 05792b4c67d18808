"""Which plans of a compiled step are kept, and for which sizes a plan is made.

Making a plan takes as long as many calls without one. So it is made only if it is expected to pay. This is decided by
counts and not by a clock, so that the same calls are evaluated in the same way in every process.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import Plan

Sizes = tuple[int | None, ...]

MOST_PLANS = 16
# The cost of making a plan, and what one call of it saves, in calls of the interpreter. Both are measured with small
# arrays. With large ones a plan saves a smaller part of a call, but making it costs far less in comparison.
_COST, _SAVED = 16.0, 0.5
_AGAIN = 2.0
"""How many times longer an evaluation of a node takes outside of a loop than inside, at most."""
_SHARE = 0.125
"""The share of the time of all calls that may be spent on plans that have not paid yet."""
_CALLS = 16
"""How often sizes must have come, if there are others: half as often as their plan needs to pay."""
_MISSED = 4
"""How many calls in a row must have been without a plan before one is recorded."""
_UNUSED = 1024
"""A plan that was not used for so many calls may be replaced."""
_MOST_COUNTED = 4096


class Kept:
    """The plans kept for a step, and how often each set of sizes has come. Not safe for several threads."""

    def __init__(self) -> None:
        self.plans: OrderedDict[Sizes, Plan] = OrderedDict()
        """The one used last is at the end."""
        self._counts: dict[Sizes, int] = {}
        self._used_at: dict[Sizes, int] = {}
        self._of_gone = 0
        self._without = 0
        self._missed = 0
        """Calls without a plan since the last one was made."""
        self._spent = 0.0
        """On plans, in calls of the interpreter."""

    def used(self, sizes: Sizes) -> Plan | None:
        """Return the plan for these sizes, if it is kept, and count it as used last."""
        plan = self.plans.get(sizes)
        if plan is not None and sizes != (last := next(reversed(self.plans))):
            # Calls of the last plan are counted by the plan itself: it was in use until now.
            self._used_at[last] = self._used_at[sizes] = self._calls()
            self.plans.move_to_end(sizes)
        return plan

    @property
    def vary(self) -> bool:
        """Whether there are several sizes, as far as can be seen."""
        return bool(self.plans) or len(self._counts) > 1

    def pays(self, sizes: Sizes, recorded: bool = False, again: float = 1.0) -> int:
        """Count a call of sizes for which no plan is kept, and return what pays now.

        Parameters
        ----------
        sizes : Sizes
        recorded : bool
            Whether a plan may be recorded, which takes twice as long and serves for other sizes, too.
        again : float
            How often a call of the interpreter evaluates a node, on average: more than once if there are loops.

        Returns
        -------
        int
            0: nothing; 1: a plan; 2: one that is recorded.
        """
        if len(self._counts) >= _MOST_COUNTED:
            self._counts.clear()
        count = self._counts[sizes] = self._counts.get(sizes, 0) + 1
        cheaper = max(1.0, again / _AGAIN)
        cost = _COST / cheaper
        if len(self._counts) == 1 and not self.plans:
            pays = int(count > 1)  # a loop over batches of one size, as far as can be seen
        else:
            left = _SHARE * self._calls() + _SAVED * self._by_plan() - self._spent
            often = count >= (_CALLS if recorded else _CALLS / cheaper)
            pays = int(often and left >= cost and self._has_room())
            if recorded and self._missed >= _MISSED and left >= 2 * cost:
                pays = 2
        self._spent += pays * cost
        self._without += not pays
        self._missed = 0 if pays else self._missed + 1
        return pays

    def keep(self, sizes: Sizes, plan: Plan) -> None:
        """Keep a plan; the one that was used least recently goes if there are too many."""
        while len(self.plans) >= MOST_PLANS:
            gone, old = self.plans.popitem(last=False)
            self._of_gone += old.calls
            del self._used_at[gone]
        if self.plans:
            self._used_at[next(reversed(self.plans))] = self._calls()
        self._used_at[sizes] = self._calls()
        self.plans[sizes] = plan

    def _has_room(self) -> bool:
        return len(self.plans) < MOST_PLANS or self._calls() - self._used_at[next(iter(self.plans))] >= _UNUSED

    def _by_plan(self) -> int:
        return self._of_gone + sum(plan.calls for plan in self.plans.values())

    def _calls(self) -> int:
        return self._without + self._by_plan()
