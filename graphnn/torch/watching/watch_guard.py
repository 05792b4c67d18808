"""The guard of a watched program: looks at what each call gives, as it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ...errors import GraphnnError, ValueRangeError
from ...runtime.evaluation_loop import Stop
from ...runtime.guard import violation
from .call_results import results_of
from .recorder import STACK, CallPlan, Recorder, origin_at

if TYPE_CHECKING:
    from ..._util.source_location import Origin
    from .watched_run import Run


class Guard:
    """Makes calls, and stops where one gives what the guard looks for.

    Parameters
    ----------
    torch : module
    guard : {"nan", "finite"}
    recorder : Recorder or None
        What records the step; None of a step that is not recorded.
    new_recorder : callable
        Returns one, for the call that is refused.
    add : callable
        Adds to the run what is recorded of the step, and returns the run.
    """

    def __init__(
        self,
        torch: Any,
        guard: str,
        recorder: Recorder | None,
        new_recorder: Callable[[], Recorder],
        add: Callable[[Recorder], Run],
    ) -> None:
        self.torch, self.guard, self.recorder, self.new_recorder, self.add = torch, guard, recorder, new_recorder, add
        self._plans: dict[Any, CallPlan] = {}
        self._lines: dict[int, tuple[Origin, str]] = {}
        """Line and module of the forward calls of a step that is not recorded, by autograd's numbers."""

    def __call__(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call, and look at what it gives.

        Raises
        ------
        ValueRangeError
            When that is refused.
        """
        torch = self.torch
        plan = self._plans.get(func)
        if plan is None:
            plan = self._plans[func] = CallPlan(torch, func)
        if self.recorder is not None:
            found = self.recorder.called(func, args, kwargs)
            if not plan.makes_no_numbers and self._refuses(found, plan, func, args, kwargs):
                self._refuse(self.recorder)
            return found
        if plan.makes_no_numbers:
            return func(*args, **kwargs)
        if torch.is_grad_enabled():
            stack = getattr(STACK, "paths", None)
            number = torch.autograd._get_sequence_nr() - 1
            if number not in self._lines:
                self._lines[number] = origin_at(sys._getframe(1)), stack[-1] if stack else ""
        if not plan.written:
            found = func(*args, **kwargs)
            if self._refuses(found, plan, func, args, kwargs):
                self._refuse_alone(plan, func, args, kwargs, found)
            return found
        before = {id(each): each.detach().clone() for each in plan.tensors_written(torch, args, kwargs)}
        found = func(*args, **kwargs)
        if self._refuses(found, plan, func, args, kwargs):
            given, named = torch.utils._pytree.tree_map(lambda each: before.get(id(each), each), (list(args), kwargs))
            self._refuse_alone(plan, func, given, named, found, now=(args, kwargs))
        return found

    def _refuses(self, found: Any, plan: CallPlan, func: Any, args: Any, kwargs: Any) -> bool:
        torch = self.torch
        if type(found) is torch.Tensor and not plan.written:
            given = [found]
        else:
            given = results_of(found, plan.tensors_written(torch, args, kwargs))
        for each in given:
            if isinstance(each, torch.Tensor) and (each.is_floating_point() or each.is_complex()) and each.numel():
                total = each.sum().item()
                # A sum of numbers that are all there is a number; one that is none may be of numbers too large.
                strange = total != total if self.guard == "nan" else total - total != 0
                if strange and bool((each.isnan() if self.guard == "nan" else ~each.isfinite()).any()):
                    return True
        return False

    def _refuse_alone(self, plan: CallPlan, func: Any, args: Any, kwargs: Any, found: Any, now: Any = None) -> NoReturn:
        """Refuse a call of a step that is not recorded: the call alone is."""
        torch = self.torch
        recorder = self.new_recorder()
        written = [*plan.tensors_written(torch, *(now or (args, kwargs)))]
        call = recorder.alone(plan, func, args, kwargs, found, written)
        node = torch._C._current_autograd_node()
        if node is not None:
            call.origin, call.path = self._lines.get(node._sequence_nr(), (call.origin, call.path))
        self._refuse(recorder)

    def _refuse(self, recorder: Recorder) -> NoReturn:
        run = self.add(recorder)
        step = run.step()
        trace = step.trace
        refused: ValueRangeError | None = None
        for place, node in enumerate(trace.order):
            if node.op.is_leaf:
                continue
            if place >= len(trace) or not trace.records[place].kept:
                stats = trace.records[place].stats
                if stats.nans or (self.guard == "finite" and stats.posinfs + stats.neginfs):
                    value = np.full(trace.records[place].shape, np.nan, node.dtype)
                    refused = violation(self.guard, node, value)
            else:
                refused = violation(self.guard, node, trace.records[place].value)
            if refused is not None:
                refused.stopped = Stop(trace.prepared, place, trace.updates, self.guard, self.guard)
                break
        if refused is None:
            raise ValueRangeError(f"a call of PyTorch gave what guard={self.guard!r} refuses")
        lines = _explained(run, refused)
        refused = ValueRangeError(refused.fact + ": the script stops before the next call", **_fields(refused))
        recorder.error = refused.account
        trace.error = refused.account
        trace.stopped, trace.guard = refused.stopped.position, self.guard
        raise refused.within("", *lines, node=refused.node, origin=refused.origin)


def _explained(run: Run, refused: ValueRangeError) -> list[str]:
    """Return the equation of the first element that is refused, and what to do about it."""
    lines: list[str] = []
    with suppress(GraphnnError):  # a value that was not kept
        lines += [f"  {line}" for line in str(run.trace.why(refused.node)).splitlines()]
    with suppress(GraphnnError):
        error = next(iter(run.check_health().errors), None)
        if error is not None:
            lines += [f"  {error.cause}", f"  → {error.remedy}"]
    return lines


def _fields(refused: ValueRangeError) -> dict[str, Any]:
    names = ("fact", "advice", "calls", "node", "op", "given", "origin", "stopped")
    return {name: getattr(refused, name) for name in names}
