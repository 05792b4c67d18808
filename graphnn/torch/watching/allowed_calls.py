"""Which functions of PyTorch may be called by the names that a file gives.

A kernel that only PyTorch's own autograd calls trusts what it is given: with operands from a file it would read or
write beyond them. So of a file, only public functions of ``torch.ops.aten`` are called that check shapes, indices and
types themselves, that compute with their operands alone, and that neither resize, alias nor free what they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from ...errors import NoRuleError

_OF_ONE = """
    abs acos acosh alias angle argmax argmin asin asinh atan atanh bitwise_not ceil clone contiguous cos cosh deg2rad
    detach digamma erf erfc erfinv exp exp2 expm1 floor frac isfinite isinf isnan lgamma log log10 log1p log2
    logical_not neg nonzero ones_like positive reciprocal relu round rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt
    square tan tanh trunc zeros_like gelu silu mish selu elu celu hardswish hardsigmoid hardtanh leaky_relu
    log_sigmoid softplus softsign _to_copy lift_fresh
"""
_OF_SEVERAL = """
    add addbmm addcdiv addcmul addmm addmv addr atan2 baddbmm bitwise_and bitwise_or bitwise_xor bmm cat clamp
    clamp_max clamp_min copysign div dot eq floor_divide fmax fmin fmod ge gt hypot le lerp logaddexp logaddexp2
    logical_and logical_or logical_xor lt masked_fill maximum minimum mm mul mv ne pow remainder rsub stack sub
    threshold where xlogy heaviside matmul linear copy fill zero
"""
_OF_AXES = """
    all amax amin any cumprod cumsum flip logcumsumexp logsumexp max mean median min norm prod roll sort std
    sum topk var var_mean linalg_vector_norm softmax log_softmax _softmax _log_softmax tril triu diagonal
"""
_OF_SHAPES = """
    as_strided broadcast_to expand movedim narrow permute repeat reshape select slice split split_with_sizes
    squeeze t transpose unbind unfold unsqueeze view flatten unflatten chunk view_as_real view_as_complex
"""
_OF_INDICES = """
    embedding gather index index_add index_select index_put masked_scatter scatter scatter_add scatter_reduce
    searchsorted select_scatter slice_scatter
"""
_OF_NOTHING = "arange empty eye full linspace ones scalar_tensor zeros new_zeros new_ones new_full full_like"
_OF_WINDOWS = "avg_pool1d avg_pool2d avg_pool3d constant_pad_nd convolution max_pool2d_with_indices pixel_shuffle"
_OF_LOSSES = "binary_cross_entropy binary_cross_entropy_with_logits huber_loss mse_loss smooth_l1_loss"

PUBLIC = frozenset(
    " ".join((_OF_ONE, _OF_SEVERAL, _OF_AXES, _OF_SHAPES, _OF_INDICES, _OF_NOTHING, _OF_WINDOWS, _OF_LOSSES)).split()
)
"""Functions of ``torch.ops.aten`` that may be called by what a file says; those that write in place, too."""


def overload_of(torch: Any, call: str) -> Any:
    """Return the function of PyTorch that a call names.

    Raises
    ------
    NoRuleError
        When it is not one that may be called by its name in a file.
    """
    space, _, rest = call.partition("::")
    name, _, overload = rest.partition(".")
    in_place = name.removesuffix("_") if not name.startswith("_foreach_") else name.removeprefix("_foreach_")
    if space != "aten" or not {name, in_place, in_place.removesuffix("_")} & PUBLIC:
        raise NoRuleError(
            f"{call} is known from a file alone, and is none of the functions of PyTorch that check what they are "
            "given: its recorded value can be looked at. What this process has recorded itself can be computed again"
        )
    packet = getattr(torch.ops.aten, name, None)
    found = getattr(packet, overload, None) if overload in _overloads(packet) else getattr(packet, "default", None)
    if not isinstance(found, torch._ops.OpOverload) or found._schema.overload_name != overload:
        raise NoRuleError(f"PyTorch {torch.__version__} has no {call}")
    if any(each.is_out for each in found._schema.arguments) or not all(map(_of_tensors, found._schema.returns)):
        raise NoRuleError(f"{call} is known from a file alone, and does not make new tensors")
    return found


def _of_tensors(returned: Any) -> bool:
    return str(returned.type) in ("Tensor", "List[Tensor]")


def check_sizes(
    torch: Any,
    call: Callable[..., list[Any]],
    overload: Any,
    args: Any,
    kwargs: Any,
    which: int,
    shape: tuple[Any, ...],
) -> None:
    """Refuse a call whose results are larger than the file says, before there is memory for them.

    PyTorch tells shapes by its device "meta". Where they depend on numbers, there are no more than were given.

    Raises
    ------
    NoRuleError
        When one of the results is larger, or the one recorded has another shape.
    """
    known: list[Any] = []

    def meta(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            known.append(value)
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        return [meta(each) for each in value] if isinstance(value, list) else value

    args, kwargs = meta(args), {key: meta(each) for key, each in kwargs.items()}
    if any(each.name == "device" for each in overload._schema.arguments):
        kwargs["device"] = torch.device("meta")
    if torch.Tag.dynamic_output_shape in overload.tags and all(
        each.dtype in (torch.bool, torch.uint8) for each in known[1:]
    ):
        return
    results = call(overload, args, kwargs)
    most = prod(shape) + sum(each.numel() for each in known)
    given = [(*each.shape, *([2] if each.is_complex() else [])) for each in results]
    if which >= len(results) or given[which] != shape or any(each.numel() > most for each in results):
        raise NoRuleError(f"{overload._schema.name} does not give result {which} of shape {shape} here")


def _overloads(packet: Any) -> list[str]:
    return [] if packet is None else packet.overloads()
