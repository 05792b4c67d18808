"""`TorchCall`: one call of PyTorch as an operation, which PyTorch's own kernel computes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from ...core import Array, Op, Shape, Spec, dtype_named
from ...core.attributes import Count, DType, Name, Several, Text
from ...debugger.small_graphs import SmallGraph
from ...errors import NoRuleError, UsageError
from ...io.graph_columns import OPERATIONS
from .allowed_calls import check_sizes, overload_of
from .call_arguments import Argument, Keyword, Layout, given, shown
from .call_results import ASSEMBLED, IS_EMPTY, assembled_from, results_of, tensors_written, written_by
from .tensors import array_of, tensor_with, torch_for
from .translation import translated

_LAST: dict[int, tuple[Any, tuple[Array, ...], SmallGraph]] = {}
"""The last account, by thread, since elements are asked for one by one."""
_MOST_KEPT = 2**26
_CALL = Name()
_ARGUMENTS = Several(Argument())
_KEYWORDS = Several(Keyword())
_LAYOUTS = Several(Layout())


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

    def account(self, operands: Sequence[Array]) -> SmallGraph | None:
        """Return what tells how elements came about: the call by graphnn's own operations, None without a rule."""
        last = _LAST.get(threading.get_ident())
        if last is not None and last[0] is self and all(a is b for a, b in zip(last[1], operands, strict=True)):
            return last[2]
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


OPERATIONS.give(TorchCall.name)(TorchCall)
