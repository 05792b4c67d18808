"""Steps of optimizers that PyTorch computes in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core import Node, fn
from .call import cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def _gradient(call: Call, grads: Any, grad_scale: Any, found_inf: Any, maximize: bool) -> Node:
    if len(grads) != 1:
        call.refuse("it updates several tensors at once")
    if found_inf is not None:
        call.refuse("it leaves out the step where a gradient is not finite")
    gradient: Node = grads[0]
    if grad_scale is not None:
        gradient = gradient / grad_scale
        call.write("grads", gradient)
    return -gradient if maximize else gradient


@aten("_fused_adam_", "_fused_adamw_", writes=True)
def fused_adam(
    call: Call,
    self: Any,
    grads: Any,
    exp_avgs: Any,
    exp_avg_sqs: Any,
    max_exp_avg_sqs: Any,
    state_steps: Any,
    lr: Any,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    amsgrad: bool,
    maximize: bool,
    grad_scale: Any = None,
    found_inf: Any = None,
) -> tuple[()]:
    """Write a step of Adam or AdamW: weight, means of gradients and of their squares."""
    gradient = _gradient(call, grads, grad_scale, found_inf, maximize)
    weight: Node = self[0]
    rate = cast(lr, weight.spec.dtype) if isinstance(lr, Node) else lr
    if weight_decay and call.op == "_fused_adamw_":
        weight = weight * (1 - rate * weight_decay)
    elif weight_decay:
        gradient = gradient + weight * weight_decay
    mean = exp_avgs[0] + (gradient - exp_avgs[0]) * (1 - beta1)
    square = exp_avg_sqs[0] * beta2 + fn.square(gradient) * (1 - beta2)
    call.write("exp_avgs", mean)
    call.write("exp_avg_sqs", square)
    step = state_steps[0]
    spread = square
    if amsgrad:
        spread = fn.maximum(max_exp_avg_sqs[0], square)
        call.write("max_exp_avg_sqs", spread)
    root = fn.sqrt(spread) / fn.sqrt(1 - fn.power(beta2, step)) + eps
    call.write("self", weight - rate / (1 - fn.power(beta1, step)) * (mean / root))
    return ()


@aten("_fused_sgd_", writes=True)
def fused_sgd(
    call: Call,
    self: Any,
    grads: Any,
    momentum_buffer_list: Any,
    weight_decay: float,
    momentum: float,
    lr: Any,
    dampening: float,
    nesterov: bool,
    maximize: bool,
    is_first_step: bool,
    grad_scale: Any = None,
    found_inf: Any = None,
) -> tuple[()]:
    """Write a step of stochastic gradient descent: weight and momentum."""
    gradient = _gradient(call, grads, grad_scale, found_inf, maximize)
    weight: Node = self[0]
    if weight_decay:
        gradient = gradient + weight * weight_decay
    if momentum:
        before = momentum_buffer_list[0]
        part = gradient * (1 - dampening) if dampening else gradient
        moved = gradient if is_first_step else before * momentum + part
        call.write("momentum_buffer_list", moved)
        gradient = gradient + moved * momentum if nesterov else moved
    rate = cast(lr, weight.spec.dtype) if isinstance(lr, Node) else lr
    call.write("self", weight - gradient * rate)
    return ()
