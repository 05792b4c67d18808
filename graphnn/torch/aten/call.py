"""One call of an operation of ATen, as its rule sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from ...core import Dim, Graph, Node, Shape, fn
from ...errors import NoRuleError

if TYPE_CHECKING:
    from ..aliases import Tensor
    from ..reader import Reader

Number: TypeAlias = "bool | int | float"
_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2}


class Call:
    """What a rule gets first: the graph, and what PyTorch tells of the results.

    Attributes
    ----------
    reader : Reader
    graph : Graph
    op : str
        The name of the operation: "add".
    dtypes : tuple of dtype
        Of the results.
    default : dtype
        What PyTorch makes of floats of Python.
    """

    def __init__(self, reader: Reader, op: str, dtypes: Sequence[np.dtype[Any] | None], default: np.dtype[Any]) -> None:
        self.reader = reader
        self.graph: Graph = reader.graph
        self.op = op
        self.dtypes = tuple(dtypes)
        self.default = default
        self.tensors: dict[str, Tensor] = {}
        """The arguments that are tensors."""
        self.source: Any = None
        """The call in PyTorch's program."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the first result."""
        found = self.dtypes[0]
        assert found is not None
        return found

    def wanted(self, place: int) -> bool:
        """Tell whether one of several results is used."""
        users = getattr(self.source, "users", None)
        if users is None:
            return True
        taken = [each.args[1] for each in users if getattr(each.target, "__name__", "") == "getitem" and each.users]
        return place in taken or any(getattr(each.target, "__name__", "") != "getitem" for each in users)

    def refuse(self, why: str) -> NoReturn:
        """Raise the error that this call cannot be read; `why` says what to write instead."""
        raise NoRuleError(why)

    def write(self, name: str, node: Node) -> None:
        """Write to an argument, as PyTorch does without saying so."""
        self.tensors[name].write(cast(node, self.tensors[name].node.spec.dtype))

    # --- what is given, in the form that a rule asks for ---

    def node(self, value: Node | Number | Dim, dtype: Any = None) -> Node:
        """Return a tensor, a number or a size as a node, of a dtype if one is given."""
        if isinstance(value, Node):
            return value if dtype is None else cast(value, dtype)
        if isinstance(value, str):
            return cast(self.counted(value), dtype or np.int64)
        kind = dtype or (self.default if isinstance(value, float) else np.asarray(value).dtype)
        return self.graph.constant(np.asarray(value, kind))

    def counted(self, size: Dim) -> Node:
        """Return a size as a node that counts it in a run."""
        if not isinstance(size, str):
            return self.graph.constant(np.int64(size))
        return fn.sum(fn.broadcast_to(self.graph.constant(np.int64(1)), (size,)))

    def number(self, value: Any) -> Any:
        """Return a number as it is, and a size as a node."""
        return self.counted(value) if isinstance(value, str) else value

    def alike(self, *values: Any) -> list[Any]:
        """Return operands in the dtype that PyTorch computes with; numbers stay numbers."""
        dtype = promoted(values, self.default)
        return [cast(each, dtype) if isinstance(each, Node) else self.number(each) for each in values]

    def as_result(self, *values: Any) -> list[Any]:
        """Return operands in the dtype of the result; numbers stay numbers."""
        return [cast(each, self.dtype) if isinstance(each, Node) else self.number(each) for each in values]

    def known(self, value: Any, what: str) -> np.ndarray[Any, Any]:
        """Return the array of a constant.

        Raises
        ------
        NoRuleError
            When it is computed from data.
        """
        if not isinstance(value, Node):
            return np.asarray(value)
        if not value.op.is_constant:
            self.refuse(f"{what} is computed from data, and must be known when the module is read")
        return value.graph._stored(value)


def cast(x: Node, dtype: Any) -> Node:
    """Return x in a dtype; no node is made if it has it."""
    return x if x.spec.dtype == dtype else fn.cast(x, dtype)


def is_zeros(x: Node) -> bool:
    """Tell whether a tensor is zeros that were made as such, to which adding is a waste."""
    while x.op.name in ("broadcast_to", "reshape", "zeros_like"):
        if x.op.name == "zeros_like":
            return True
        x = x.inputs[0]
    return x.op.is_constant and x.spec.shape == () and not x.graph._stored(x).any()


def promoted(values: Iterable[Any], default: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that PyTorch computes with, of tensors and numbers.

    Of the kinds bool, integer and float the highest counts. Within it, tensors with axes count before those without,
    and these before numbers.

    Notes
    -----
    As ``torch.result_type`` tells: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    """
    groups: list[list[np.dtype[Any]]] = [[], [], []]
    for value in values:
        if isinstance(value, Node):
            groups[0 if value.ndim else 1].append(value.spec.dtype)
        elif isinstance(value, float):
            groups[2].append(default)
        elif value is not None:
            groups[2].append(np.dtype(bool if isinstance(value, bool) else np.int64))
    found: np.dtype[Any] | None = None
    for group in reversed(groups):
        if group:
            own = group[0]
            for each in group[1:]:
                own = _both(own, each)
            found = own if found is None or kind_of(own) >= kind_of(found) else found
    assert found is not None
    return found


def kind_of(dtype: np.dtype[Any]) -> int:
    """Return 0 for bool, 1 for integers, 2 for floats."""
    return _KINDS.get(dtype.kind, 2)


def _both(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    if kind_of(a) != kind_of(b):
        return a if kind_of(a) > kind_of(b) else b
    return np.promote_types(a, b)


def axis_of(axis: int, ndim: int) -> int:
    """Return an axis counted from the front; a tensor without axes counts as one of one."""
    return axis % ndim if ndim else 0


def axes_of(axes: Any, ndim: int) -> tuple[int, ...]:
    """Return axes counted from the front; None and [] are all of them."""
    if isinstance(axes, int):
        axes = (axes,)
    return tuple(axis_of(each, ndim) for each in axes) if axes else tuple(range(ndim))


def lengths(value: Any, count: int) -> tuple[Any, ...]:
    """Return one length for each axis: a number is the same for all."""
    each = list(value) if isinstance(value, (list, tuple)) else [value]
    return tuple(each * count if len(each) == 1 else each)


def several(made: Any) -> list[Node]:
    """Return the nodes of an operation that makes several."""
    return list(made)


def shape_of(x: Node) -> Shape:
    """Return the shape of a node, of plain dimensions."""
    return x.spec.shape
