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


@aten("embedding_dense_backward")
def embedding_dense_backward(
    call: Call,
    grad_output: Node,
    indices: Node,
    num_weights: Any,
    padding_idx: int,
    scale_grad_by_freq: bool,
) -> Node:
    """Return the gradient of a table of which rows were read."""
    if scale_grad_by_freq:
        call.refuse("it is divided by how often a row is read")
    shape = (num_weights, grad_output.spec.shape[-1])
    table = fn.broadcast_to(call.node(0, grad_output.spec.dtype), shape)
    if padding_idx >= 0:
        counts = fn.expand_dims(fn.not_equal(indices, padding_idx), -1)
        grad_output = fn.where(counts, grad_output, 0.0)
    return pulled_back(lambda rows: fn.take(rows, indices, axis=0), grad_output, [table])[0]


def _resized_back(name: str) -> None:
    def rule(call: Call, grad_output: Node, output_size: Any, input_size: Any, **given: Any) -> Node:
        x = fn.broadcast_to(call.node(0, grad_output.spec.dtype), tuple(input_size))

        def forward(x: Node) -> Any:
            return RULES[name].function(call, x, output_size, **given)

        return pulled_back(forward, grad_output, [x])[0]

    aten(f"{name}_backward")(rule)
    RULES[f"{name}_backward"] = RULES[f"{name}_backward"]._replace(takes=None)


for _name in (
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d"),
):
    _resized_back(_name)


@aten("_weight_norm_interface_backward")
def weight_norm_backward(
    call: Call, grad_w: Node, saved_v: Node, saved_g: Node, saved_norms: Node, dim: int
) -> tuple[Node, ...]:
    """Return the gradients of direction and length of a weight."""

    def forward(v: Node, g: Node) -> Node:
        made: Node = RULES["_weight_norm"].function(call, v, g, dim)
        return made

    return tuple(pulled_back(forward, grad_w, [saved_v, saved_g]))


def _layer(call: Call, operands: Sequence[Node], settings: Sequence[Any]) -> Sequence[Node | None]:
    made: Sequence[Node | None] = RULES["mkldnn_rnn_layer"].function(call, *operands, *settings, False, True)
    return made


@aten("mkldnn_rnn_layer_backward")
def rnn_layer_backward(
    call: Call,
    input: Node,
    weight1: Node,
    weight2: Node,
    weight3: Node,
    weight4: Node,
    hx_: Node,
    cx_tmp: Node,
    output: Node,
    hy_: Node,
    cy_: Node,
    grad_output: Node | None,
    grad_hy: Node | None,
    grad_cy: Node | None,
    reverse: bool,
    mode: int,
    hidden_size: int,
    num_layers: int,
    has_biases: bool,
    train: bool,
    bidirectional: bool,
    batch_sizes: Any,
    batch_first: bool,
    workspace: Node,
) -> tuple[Node, ...]:
    """Return the gradients of x, of the weights and of the first states of a layer of long short-term memory."""
    operands = [input, weight1, weight2, weight3, weight4, hx_, cx_tmp]
    alone = [fn.stop_gradient(each) for each in operands]
    made = _layer(call, alone, (reverse, batch_sizes, mode, hidden_size, num_layers, has_biases, bidirectional))
    seeds = {
        node: fn.reshape(cotangent, node.spec.shape)
        for node, cotangent in zip(made, (grad_output, grad_hy, grad_cy), strict=False)
        if node is not None and cotangent is not None
    }
    return tuple(vjp(seeds, alone))


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
