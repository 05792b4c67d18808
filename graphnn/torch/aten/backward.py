"""Operations of the backward pass that PyTorch does not take apart: graphnn's derivatives of their forward twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...autodiff.grad import vjp
from ...core import Node, fn
from .attention import scaled_dot_product_attention
from .convolutions import adaptive_avg_pool, convolution
from .table import RULES, aten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .call import Call


def pulled_back(function: Callable[..., Node], cotangent: Node, operands: Sequence[Node]) -> list[Node]:
    """Return the cotangents of operands; what these are made of counts for nothing."""
    alone = [fn.stop_gradient(each) for each in operands]
    return list(vjp({function(*alone): cotangent}, alone))


@aten("convolution_backward")
def convolution_backward(
    call: Call,
    grad_output: Node,
    input: Node,
    weight: Node,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Any,
) -> tuple[Node | None, Node | None, Node | None]:
    """Return the gradients of x, weight and bias of a convolution."""

    def forward(x: Node, w: Node) -> Node:
        return convolution(call, x, w, None, stride, padding, dilation, transposed, output_padding, groups)

    wanted = any(output_mask[:2])
    of_input, of_weight = pulled_back(forward, grad_output, [input, weight]) if wanted else (None, None)
    axes = tuple(axis for axis in range(grad_output.ndim) if axis != grad_output.ndim - weight.ndim + 1)
    of_bias = fn.sum(grad_output, axes) if output_mask[2] else None
    return of_input if output_mask[0] else None, of_weight if output_mask[1] else None, of_bias


def _of_one(name: str, forward: str, *, skip: tuple[str, ...] = ()) -> None:
    """Register the backward of an operation of one tensor: the gradient, the tensor, and how it was called."""

    def rule(call: Call, grad_output: Node, self: Node, **given: Any) -> Node:
        settings = {key: value for key, value in given.items() if key not in skip}

        def again(x: Node) -> Any:
            made = RULES[forward].function(call, x, **settings)
            return made[0] if isinstance(made, tuple) else made

        return pulled_back(again, grad_output, [self])[0]

    aten(name)(rule)
    RULES[name] = RULES[name]._replace(takes=None)


for _axes in (2, 3):
    _of_one(f"avg_pool{_axes}d_backward", f"avg_pool{_axes}d")


@aten("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward")
def adaptive_avg_pool_backward(call: Call, grad_output: Node, self: Node) -> Node:
    """Return the gradient of x of means of parts."""
    axes = 2 if call.op.startswith("_adaptive_avg_pool2d") else 3
    size = list(grad_output.spec.shape[grad_output.ndim - axes :])
    return pulled_back(lambda x: adaptive_avg_pool(call, x, size), grad_output, [self])[0]


@aten("_scaled_dot_product_flash_attention_for_cpu_backward")
def flash_attention_backward(
    call: Call,
    grad_out: Node,
    query: Node,
    key: Node,
    value: Node,
    out: Node,
    logsumexp: Node,
    dropout_p: float,
    is_causal: bool,
    attn_mask: Node | None = None,
    scale: float | None = None,
) -> tuple[Node, ...]:
    """Return the gradients of queries, keys and values of attention."""
    if dropout_p:
        call.refuse("it dropped scores at random")

    def forward(q: Node, k: Node, v: Node) -> Node:
        return scaled_dot_product_attention(call, q, k, v, attn_mask, 0.0, is_causal, scale)

    return tuple(pulled_back(forward, grad_out, [query, key, value]))
