"""`TorchCall`: one call of PyTorch as an operation, which PyTorch's own kernel computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...core import Array, Op, Shape, Spec, dtype_named
from ...core.attributes import Count, DType, Name, Several, Text
from ...errors import UsageError
from ...io.graph_columns import OPERATIONS
from .allowed_calls import check_sizes, overload_of
from .call_arguments import Argument, Keyword, Layout, given, shown
from .tensors import array_of, extent, tensor_with, torch_for

ASSEMBLED = "graphnn::assembled"
"""A tensor whose memory was written to by way of other tensors: put together of what was written."""
_CALL = Name()
_ARGUMENTS = Several(Argument())
_KEYWORDS = Several(Keyword())
_LAYOUTS = Several(Layout())

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
    arguments: Annotated[tuple[Any, ...], _ARGUMENTS]
    keywords: Annotated[tuple[Any, ...], _KEYWORDS]
    result: Count
    shape: Shape
    dtype: DType
    layouts: Annotated[tuple[Any, ...], _LAYOUTS]
    as_dtype: Annotated[str, Text()] = ""
    """The result's dtype in PyTorch, where NumPy has none like it."""

    _recorded: ClassVar[Any] = None
    """The function of PyTorch, where this process has recorded the call; of a file, only the name is known."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "name", self.called)

    def recorded_from(self, function: Any) -> Self:
        """Remember the function that was called."""
        object.__setattr__(self, "_recorded", function)
        return self

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
        plain = [shown(each) for each in self.arguments]
        found: dict[str, Any] = {}
        if any(each != "·" for each in plain):
            found["arguments"] = f"({', '.join(plain)})"
        found.update({key: shown(each) for key, each in self.keywords if key != "generator" and each is not None})
        return found | ({"result": self.result} if self.result else {})

    def infer(self, *operands: Spec) -> Spec:
        """Return what the call gave."""
        if len(operands) != len(self.layouts):
            raise UsageError(f"{self.called} was called with {len(self.layouts)} tensors, not {len(operands)}")
        return Spec(self.shape, dtype_named(self.dtype))

    def forward(self, *operands: Array) -> Array:
        """Call PyTorch's kernel."""
        if self.call == ASSEMBLED:
            return assembled_from(self.arguments, operands, self.shape)
        if self.short_name in IS_EMPTY:
            return np.zeros(self.shape, dtype_named(self.dtype))
        torch = torch_for("a call of PyTorch is computed by its own kernel")
        overload = self._recorded or overload_of(torch, self.call)
        tensors = [tensor_with(torch, x, layout) for x, layout in zip(operands, self.layouts, strict=True)]
        args = [given(torch, each, tensors) for each in self.arguments]
        kwargs = {key: given(torch, each, tensors) for key, each in self.keywords if key != "generator"}
        if self._recorded is None:
            check_sizes(torch, _called, overload, args, kwargs, self.result, self.shape)
        seeded = dict(self.keywords).get("generator")
        if seeded is None:
            results = _called(overload, args, kwargs)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(tensors[seeded[1]])
                if any(each.name == "generator" for each in overload._schema.arguments):
                    kwargs["generator"] = torch.default_generator
                results = _called(overload, args, kwargs)
        found = np.array(array_of(torch, results[self.result]), order="C")
        if found.shape != self.shape or found.dtype != dtype_named(self.dtype):
            raise UsageError(
                f"{self.call} gives {found.shape} {found.dtype} with PyTorch {torch.__version__}, "
                f"and gave {self.shape} {self.dtype} when it was recorded"
            )
        return found


def _called(overload: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Return the results of a call, in order."""
    torch = torch_for("")
    with torch.enable_grad():
        found = overload(*args, **kwargs)
    return results_of(found, tensors_written(torch, overload, written_by(overload), args, kwargs))


def assembled_from(places: Sequence[Any], operands: Sequence[Array], shape: tuple[Any, ...]) -> Array:
    """Return part of a storage: of one operand that is all of it, with others written to parts of it."""
    wanted, *places = [_place(each, x) for each, x in zip(places, (None, *operands), strict=True)]
    flat = np.zeros(operands[0].size, operands[0].dtype)
    for (offset, sizes, strides), x in zip(places, operands, strict=True):
        _part(flat, offset, sizes, strides)[...] = x
    return _part(flat, *wanted).copy()


def _place(place: Any, of: Array | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    if type(place) is not tuple or place[0] != "geometry" or (of is not None and place[2] != of.shape):
        raise UsageError(f"{ASSEMBLED} does not take the place {place}")
    _, offset, sizes, strides = place
    return offset, sizes, strides


def _part(flat: Array, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    if offset < 0 or offset + extent(sizes, offset, strides) > flat.size:
        raise UsageError(f"a part at {offset} with strides {strides} is not in {flat.size:,} elements")
    return as_strided(flat[offset:], sizes, [step * flat.itemsize for step in strides])


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
