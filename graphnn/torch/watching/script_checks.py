"""Checks of what a PyTorch script does around its model: which gradients it starts from, and what its step changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core import Parameter
from ...debugger.health import check
from ...debugger.health.findings import listed
from .torch_call import TorchCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...debugger.health import Evaluation
    from ...debugger.health.findings import Finding


def _is_watched(run: Evaluation) -> bool:
    return any(isinstance(node.op, TorchCall) for node in run.order)


@check(
    "not-zeroed",
    "a step adds its gradients to those of an earlier step",
    "call optimizer.zero_grad() before loss.backward()",
)
def not_zeroed(run: Evaluation) -> Iterator[Finding]:
    """Look for gradients from before the step to which its backward pass adds."""
    if not _is_watched(run):
        return
    old = {}
    for node in run.order:
        if isinstance(node.op, Parameter) and node.name.endswith(".grad") and np.any(run.value_of(node)):
            added = [each for each in node.users if each in run.places and each.phase == "backward"]
            if added:
                old[node] = added[0]
    if old:
        names = listed(old)
        cause = f"loss.backward() adds to {names}, which the step before has left"
        yield not_zeroed.of(next(iter(old.values())), cause)


@check(
    "left-out",
    "a step changes some trained parameters of a PyTorch model and leaves others",
    "give the optimizer all of them, optimizer = AdamW(model.parameters()); look for a detach() or no_grad() after "
    "them; or freeze them, parameter.requires_grad_(False)",
)
def left_out(run: Evaluation) -> Iterator[Finding]:
    """Look for parameters that ask for gradients and have no update where others have one."""
    if not _is_watched(run):
        return
    trained = [node for node in run.order if isinstance(node.op, Parameter) and node.op.trainable]
    left = [node for node in trained if node not in run.updates]
    if left and len(left) < len(trained):
        why = "the optimizer does not hold them, or no gradient reaches them"
        yield left_out.of(left[0], f"the step leaves {listed(left)} as they were: {why}")
