"""`TorchCall`: one call of PyTorch as an operation, which PyTorch's own kernel computes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...core import Array, Op, Shape, Spec, dtype_named
from ...core.attributes import Count, DType, Kind, Name, Several, Text
from ...debugger.small_graphs import SmallGraph
from ...errors import NoRuleError, UsageError
from ...io.graph_columns import OPERATIONS
from .allowed_calls import overload_of
from .tensors import array_of, extent, tensor_with, torch_for


def _shown(value: Any) -> str:
    """Return an argument as PyTorch writes it, a tensor as a dot."""
    if type(value) is not tuple:
        return str(value)
    kind, *parts = value
    if kind == "tensor":
        return "·"
    if kind in ("list", "geometry"):
        return f"[{', '.join(map(_shown, parts))}]"
    return str(complex(*parts)) if kind == "complex" else str(parts[0]) if parts else "[]"


_LAST: dict[int, tuple[Any, tuple[Array, ...], SmallGraph]] = {}
"""The last account, by thread, since elements are asked for one by one."""
_MOST_KEPT = 2**26
ASSEMBLED = "graphnn::assembled"
"""A tensor whose memory was written to by way of other tensors: put together of what was written."""
_CALL = Name()
_LAYOUTS = Several(Kind())

IS_EMPTY = ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided")
"""Calls whose result is memory as it is: its numbers mean nothing, and are recorded as zeros."""


class TorchCall(Op, abstract=True):
    """A call of PyTorch: its kernel computes one of the results again, to the bit.

    In-place calls are pure here: the node reads the old value and is the new one. Strides and offsets of the operands
    are kept, since the last bits of a sum depend on them.

    Attributes
    ----------
    call : str
        Name and overload in PyTorch's table, such as "aten::add.Tensor".
    arguments, keywords : tuple
        Plain data. What is not plain is a tuple that begins with what it is: ("tensor", i) is operand i, ("list", …) a
        list, and likewise "dtype", "device", "layout", "memory_format", "complex" and "other", which cannot be given
        again. The keyword "generator" has ("generator", i): operand i is the state of the random generator.
    result : int
        Which of the results: those that it returns, then those that it writes to and does not return.
    shape, dtype
        Of that result.
    layouts : tuple
        For each operand None if it is contiguous; else its offset and its strides, counted in elements. Text before
        them is its dtype in PyTorch, where NumPy has none like it: complex numbers have an axis more, of two.
    """

    name: ClassVar[str] = "torch_call"
    variadic: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    public: ClassVar[bool] = False
    computes = False
    is_torch_call = True
    call: Annotated[str, _CALL]
    arguments: Annotated[tuple[Any, ...], Several(Kind())]
    keywords: Annotated[tuple[Any, ...], Several(Kind())]
    result: Count
    shape: Shape
    dtype: DType
    layouts: Annotated[tuple[Any, ...], _LAYOUTS]
    as_dtype: Annotated[str, Text()] = ""
    """The result's dtype in PyTorch, where NumPy has none like it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.called)

    @property
    def called(self) -> str:
        """The call without its overload, as "aten.addmm"."""
        return self.call.partition(".")[0].replace("::", ".")

    @property
    def short_name(self) -> str:
        """The call's own name, as "addmm"."""
        return self.called.rpartition(".")[2]

    @property
    def shown_attributes(self) -> dict[str, Any]:
        """What it was called with beside tensors, and which result it is."""
        plain = [_shown(each) for each in self.arguments]
        found: dict[str, Any] = {}
        if any(each != "·" for each in plain):
            found["called with"] = f"({', '.join(plain)})"
        found.update({key: _shown(each) for key, each in self.keywords if key != "generator" and each is not None})
        return found | ({"result": self.result} if self.result else {})

    def infer(self, *operands: Spec) -> Spec:
        """Return what the call gave."""
        if len(operands) != len(self.layouts):
            raise UsageError(f"{self.called} was called with {len(self.layouts)} tensors, not {len(operands)}")
        return Spec(self.shape, dtype_named(self.dtype))

    def account(self, operands: Sequence[Array]) -> SmallGraph | None:
        """Return what tells how elements came about: the call by graphnn's own operations, None without a rule."""
        last = _LAST.get(threading.get_ident())
        if last is not None and last[0] is self and all(a is b for a, b in zip(last[1], operands, strict=True)):
            return last[2]
        from .translation import translated  # it reads calls, so it imports this module

        try:
            small = translated(self, [Spec(x.shape, x.dtype) for x in operands])
        except NoRuleError:
            return None
        account = SmallGraph(small.operands, small.result, operands)
        _LAST.clear()
        if sum(each.nbytes for each in account.values.values()) <= _MOST_KEPT:
            _LAST[threading.get_ident()] = self, tuple(operands), account
        return account

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return which elements made one, as the call's translation tells; all, where it has none."""
        account = self.account(operands)
        return (...,) * len(operands) if account is None else account.reads(index)

    def forward(self, *operands: Array) -> Array:
        """Call PyTorch's kernel."""
        if self.call == ASSEMBLED:
            return assembled_from(self.arguments, operands, self.shape)
        if self.short_name in IS_EMPTY:
            return np.zeros(self.shape, dtype_named(self.dtype))
        torch = torch_for("a call of PyTorch is computed by its own kernel")
        overload = overload_of(torch, self.call)
        tensors = [tensor_with(torch, x, layout) for x, layout in zip(operands, self.layouts, strict=True)]
        args = [_given(torch, each, tensors) for each in self.arguments]
        kwargs = {key: _given(torch, each, tensors) for key, each in self.keywords if key != "generator"}
        seeded = dict(self.keywords).get("generator")
        if seeded is None:
            with torch.no_grad():
                found = overload(*args, **kwargs)
        else:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.set_rng_state(tensors[seeded[1]])
                if any(each.name == "generator" for each in overload._schema.arguments):
                    kwargs["generator"] = torch.default_generator
                found = overload(*args, **kwargs)
        written = tensors_written(torch, overload, written_by(overload), args, kwargs)
        each = results_of(found, written)[self.result]
        return np.array(array_of(torch, each), order="C")


def assembled_from(places: Sequence[Any], operands: Sequence[Array], shape: tuple[Any, ...]) -> Array:
    """Return part of a storage: of one operand that is all of it, with others written to parts of it."""
    wanted, *places = [_place(each, x) for each, x in zip(places, (None, *operands), strict=True)]
    flat = np.zeros(operands[0].size, operands[0].dtype)
    for (offset, sizes, strides), x in zip(places, operands, strict=True):
        _part(flat, offset, sizes, strides)[...] = x
    return _part(flat, *wanted).copy()


def _place(place: Any, of: Array | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    kind, offset, sizes, strides = place
    if kind != "geometry" or (of is not None and sizes != of.shape):
        raise UsageError(f"{ASSEMBLED} does not take the place {place}")
    return offset, sizes, strides


def _part(flat: Array, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    if offset < 0 or offset + extent(sizes, offset, strides) > flat.size:
        raise UsageError(f"a part at {offset} with strides {strides} is not in {flat.size:,} elements")
    return as_strided(flat[offset:], sizes, [step * flat.itemsize for step in strides])


def _given(torch: Any, value: Any, tensors: Sequence[Any]) -> Any:
    """Return an argument as PyTorch takes it."""
    if type(value) is not tuple:
        return value
    kind, *parts = value
    if kind == "tensor":
        return tensors[parts[0]]
    if kind == "list":
        return [_given(torch, each, tensors) for each in parts]
    if kind in ("dtype", "layout", "memory_format"):
        return getattr(torch, parts[0])
    if kind == "device":
        return torch.device("cpu")
    if kind == "complex":
        return complex(*parts)
    raise NoRuleError(f"an argument of the call was {parts[0]}, which cannot be given again")


WRITES_UNTOLD = {
    "aten::native_batch_norm": ("running_mean", "running_var"),
    "aten::cudnn_batch_norm": ("running_mean", "running_var"),
    "aten::miopen_batch_norm": ("running_mean", "running_var"),
}
"""Arguments that calls write to, though their schemas do not say so."""


def written_by(overload: Any) -> list[tuple[int, str]]:
    """Return positions and names of the arguments that a call may write to."""
    schema = overload._schema
    untold = WRITES_UNTOLD.get(schema.name, ())
    return [
        (place, each.name)
        for place, each in enumerate(schema.arguments)
        if each.name in untold or (each.alias_info is not None and each.alias_info.is_write)
    ]


def tensors_written(
    torch: Any, overload: Any, written: Sequence[tuple[int, str]], args: Sequence[Any], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """Yield the tensors that a call writes to."""
    if overload._schema.name in WRITES_UNTOLD and not (args[5] if len(args) > 5 else kwargs.get("training")):
        return
    for place, name in written:
        given = args[place] if place < len(args) else kwargs.get(name)
        for each in given if isinstance(given, (list, tuple)) else (given,):
            if isinstance(each, torch.Tensor):
                yield each


def results_of(found: Any, written: Iterable[Any]) -> list[Any]:
    """Return the results of a call, in order: what it returns, then what it writes to and does not return."""
    results = list(found) if isinstance(found, (list, tuple)) else [] if found is None else [found]
    flat: list[Any] = []
    for each in results:
        flat.extend(each) if isinstance(each, (list, tuple)) else flat.append(each)
    known = {id(each) for each in flat}
    return flat + [each for each in written if id(each) not in known]


OPERATIONS.give(TorchCall.name)(TorchCall)
