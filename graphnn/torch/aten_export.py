"""What PyTorch's exporter writes where it has no ONNX, or wrong one: the operation itself, in a domain of ours."""

from __future__ import annotations

import re
from typing import Any

from ..onnx.rule_registry import RULES
from ..onnx.rules.aten import ATEN

_OVERLOADS = {"median": "dim", "scatter_reduce": "two", "searchsorted": "Tensor"}
"""The overload of operations of which it is not the default one."""

_DTYPES = [f"tensor({name})" for name in ("float", "double", "float16", "bfloat16", "int64", "int32", "bool")]
_KINDS = {"int": "INT", "bool": "INT", "float": "FLOAT", "str": "STRING", "List[int]": "INTS"}


def as_they_are(torch: Any) -> dict[Any, Any]:
    """Return the functions by which the exporter writes what ONNX lacks, or what the exporter itself writes wrong."""
    names = [name for domain, name in RULES if domain == ATEN]
    overloads = [getattr(getattr(torch.ops.aten, name), _OVERLOADS.get(name, "default")) for name in names]
    ours = {torch.ops.aten.conv3d.default: _conv3d, torch.ops.aten.scaled_dot_product_attention.default: _attention}
    return ours | {each: _writer(each._schema) for each in overloads}


def _conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Write a convolution of volumes, to which the exporter gives a bias of a wrong shape if there is none."""
    from onnxscript import opset18

    strides, pads, dilations = (
        [each] * 3 if isinstance(each, int) else [*each] for each in (stride, padding, dilation)
    )
    front = opset18.Constant(value_ints=[0])
    batch = input if len(input.shape) == 5 else opset18.Unsqueeze(input, front)
    found = opset18.Conv(batch, weight, bias, strides=strides, pads=[*pads, *pads], dilations=dilations, group=groups)
    return found if batch is input else opset18.Squeeze(found, front)


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Write attention, which the exporter writes for operands of four axes alone."""
    import onnx
    from onnxscript import opset18
    from onnxscript.function_libs.torch_lib.ops.nn import aten_scaled_dot_product_attention

    axes = len(key.shape)
    if len(query.shape) == axes == len(value.shape) == 4:
        return aten_scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if dropout_p or enable_gqa:
        raise NotImplementedError("attention with dropout_p or enable_gqa, on operands that do not have four axes")
    scores = opset18.MatMul(query, opset18.Transpose(key, perm=[*range(axes - 2), axes - 1, axes - 2]))
    if scale is None:
        scores = opset18.Div(scores, opset18.Sqrt(opset18.CastLike(opset18.Shape(query, start=-1), query)))
    else:
        scores = opset18.Mul(scores, scale)
    if is_causal:
        true = onnx.helper.make_tensor("true", onnx.TensorProto.BOOL, [1], [True])
        attn_mask = opset18.Trilu(opset18.ConstantOfShape(opset18.Shape(scores, start=-2), value=true), upper=0)
    if attn_mask is None:
        return opset18.MatMul(opset18.Softmax(scores, axis=-1), value)
    if not is_causal and attn_mask.dtype == query.dtype:
        return opset18.MatMul(opset18.Softmax(opset18.Add(scores, attn_mask), axis=-1), value)
    none = opset18.CastLike(float("-inf"), scores)
    shares = opset18.Softmax(opset18.Where(attn_mask, scores, none), axis=-1)
    return opset18.MatMul(opset18.Where(attn_mask, shares, opset18.CastLike(0.0, scores)), value)


def _writer(signature: Any) -> Any:
    """Return a function that writes an operation of PyTorch: tensors are operands, and all else attributes."""
    from onnx.defs import OpSchema
    from onnxscript.values import Op, Opset

    def formal(name: str, optional: bool = False) -> Any:
        option = OpSchema.FormalParameterOption.Optional if optional else OpSchema.FormalParameterOption.Single
        return OpSchema.FormalParameter(name, f"T_{name}", param_option=option)

    kinds = {each.name: re.sub(r"^Optional\[(.*)\]$", r"\1", str(each.type)) for each in signature.arguments}
    tensors = {each.name: each.has_default_value() for each in signature.arguments if kinds[each.name] == "Tensor"}
    results = [f"y{i}" for i in range(len(signature.returns))]
    schema = OpSchema(
        signature.name.removeprefix("aten::"),
        ATEN,
        1,
        inputs=[formal(name, optional) for name, optional in tensors.items()],
        outputs=[formal(name) for name in results],
        type_constraints=[(f"T_{name}", _DTYPES, "") for name in (*tensors, *results)],
        attributes=[
            OpSchema.Attribute(name, getattr(OpSchema.AttrType, _KINDS[kind]), "", required=False)
            for name, kind in kinds.items()
            if kind in _KINDS
        ],
    )
    operation = Op(Opset(ATEN, 1), schema.name, schema)

    def write(*operands: Any, **options: Any) -> Any:
        given = dict(zip(kinds, operands, strict=False)) | options
        attributes = {name: value for name, value in given.items() if name not in tensors and value is not None}
        return operation(*[given.get(name) for name in tensors], **attributes)

    return write
