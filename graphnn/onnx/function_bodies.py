"""The bodies that ONNX itself gives for operations that are composed of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Node
from .onnx_attributes import value_of
from .tensors import NUMBERS

if TYPE_CHECKING:
    from .rule_registry import Value


def domain_of(part: Any) -> str:
    """Return the domain of a node, a function or an opset; ONNX's own, which has two names, is ""."""
    return "" if part.domain == "ai.onnx" else str(part.domain)


def composed() -> list[tuple[str, str]]:
    """Return the (domain, operation) pairs that ONNX composes of others."""
    from onnx import defs

    schemas: Any = defs.get_all_schemas()
    bodies = [each for each in schemas if each.has_function or each.has_context_dependent_function]
    return [(each.domain, each.name) for each in bodies]


def has_body(proto: Any, versions: Mapping[str, int]) -> bool:
    """Return whether ONNX composes an operation of others."""
    schema = _schema(proto, versions.get(domain_of(proto), 0))
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def _schema(proto: Any, version: int) -> Any:
    from onnx import defs

    try:
        return defs.get_schema(proto.op_type, version, domain_of(proto))
    except defs.SchemaError:
        return None


@lru_cache(maxsize=4096)
def kinds_of(domain: str, op: str, version: int) -> dict[str, int]:
    """Return {attribute: the number of its type} of an operation of ONNX itself, in an opset; of others nothing."""
    from onnx import defs

    try:
        schema: Any = defs.get_schema(op, version, domain)
    except defs.SchemaError:
        return {}
    return {name: each.type.value for name, each in schema.attributes.items()}


def body_of(proto: Any, version: int, operands: Sequence[Value | None]) -> Any:
    """Return the FunctionProto of an operation that ONNX composes of others, or None."""
    import onnx

    schema = _schema(proto, version)
    if schema is None:
        return None
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = [_type_of(operand).SerializeToString() for operand in operands]
    best = max((v for v in schema.context_dependent_function_opset_versions if v <= version), default=None)
    if best is None:
        return None
    text = schema.get_context_dependent_function_with_opset_version(best, proto.SerializeToString(), types)
    body = onnx.FunctionProto()
    body.ParseFromString(text)
    return body


def defaults_of(proto: Any, version: int) -> dict[str, Any]:
    """Return {name: value} of the attributes that have one without being given."""
    schema = _schema(proto, version)
    if schema is None:
        return {}
    each = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: value_of(default, None) for name, default in each.items() if default.type}


def _type_of(operand: Value | None) -> Any:
    import onnx

    proto = onnx.TypeProto()
    if operand is None or isinstance(operand, list):
        return proto
    dtype = operand.spec.dtype if isinstance(operand, Node) else operand.dtype
    shape = operand.spec.shape if isinstance(operand, Node) else operand.shape
    proto.tensor_type.elem_type = NUMBERS[np.dtype(dtype).name]
    proto.tensor_type.shape.SetInParent()
    for dim in shape:
        entry = proto.tensor_type.shape.dim.add()
        if isinstance(dim, int):
            entry.dim_value = dim
        else:
            entry.dim_param = str(dim)
    return proto
