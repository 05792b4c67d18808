"""The recorder: takes each call that PyTorch dispatches, with its operands and what it gave.

It sees calls below autograd: those of forward and backward passes, of optimizers, of recomputation. Whatever shares
memory is one storage with versions: a call that writes makes a new version, and a view that is read later than the
write is put together anew. So what is recorded is a graph without cycles.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.source_location import NOWHERE, Origin
from ...debugger.traces.value_digests import row_of
from ...debugger.traces.value_statistics import Condensed
from .call_results import ASSEMBLED, IS_EMPTY, results_of, tensors_written, written_by
from .tensors import array_of, name_of

if TYPE_CHECKING:
    from ...core import Array

_PLAIN = frozenset({int, float, bool, str, type(None)})
_WHOLE_LISTS = ("_amp_foreach_non_finite_check_and_unscale_",)
"""Calls on lists whose tensors depend on each other."""
_MOST_WRITES = 8
"""From so many writes to parts of a storage on, all of it is put together."""


class Value:
    """A value: what a call gave, or what was there before.

    Attributes
    ----------
    call, result : int
        The call that made it, -1 where none did, and which of its results it is.
    kept : ndarray, Condensed or bytes
        The value, what is left of it, or a row of a trace of digests.
    shape, dtype
        Of the array.
    as_dtype : str
        The dtype in PyTorch where NumPy has none like it.
    kind, name : str
        Of what was there before.
    phase, path : str
        Those of its call; for what was there before, the path of the module that owns it.
    """

    __slots__ = ("as_dtype", "call", "dtype", "kept", "kind", "name", "origin", "path", "phase", "result", "shape")

    def __init__(self, call: int, result: int, kept: Any, array: Array, as_dtype: str, phase: str) -> None:
        self.call, self.result, self.kept, self.as_dtype, self.phase = call, result, kept, as_dtype, phase
        self.shape, self.dtype = array.shape, array.dtype
        self.kind = self.name = self.path = ""
        self.origin = NOWHERE


class RecordedCall:
    """One call.

    Attributes
    ----------
    name : str
        As `TorchCall.call` has it.
    func : OpOverload
        What was called.
    arguments, keywords, layouts : tuple
        As `TorchCall` has them.
    operands, results : list of int
        Numbers of values.
    origin : Origin
    path : str
        Of the module in which it was made.
    phase : {"forward", "backward", "update"}
    twin : int or None
        The call whose backward it is; ``-1 - value`` of a parameter whose gradient it adds up.
    time : float
        Seconds.
    """

    __slots__ = (
        *("arguments", "func", "keywords", "layouts", "name", "operands", "origin", "path", "phase", "results", "time"),
        "twin",
    )

    def __init__(
        self, name: str, func: Any, arguments: Any, keywords: Any, operands: list[int], layouts: list[Any]
    ) -> None:
        self.name, self.func, self.arguments, self.keywords = name, func, arguments, keywords
        self.operands, self.layouts = operands, layouts
        self.results: list[int] = []
        self.origin, self.path, self.phase = NOWHERE, "", "forward"
        self.twin: int | None = None
        self.time = 0.0


class _Storage:
    """Memory that tensors share, and which value each of them is."""

    __slots__ = ("first", "known", "version", "weak", "whole", "writes")

    def __init__(self, weak: Any, first: int) -> None:
        self.first = first
        self.weak = weak  # while it lives, no other storage gets this address
        self.version = 0
        self.known: dict[Any, tuple[int, int, Any]] = {}
        """{geometry, and identity of a tensor: (value, version, geometry)}."""
        self.whole: tuple[int, int, Any] | None = None
        """A value that covers all, the version it is of, its geometry."""
        self.writes: list[tuple[int, Any]] = []
        """What was written to parts since."""


class CallPlan:
    """What is known of a function of PyTorch."""

    __slots__ = ("each", "func", "is_empty", "is_random", "makes_no_numbers", "name", "skip", "written")

    def __init__(self, torch: Any, func: Any) -> None:
        schema = func._schema
        space, _, short = schema.name.partition("::")
        self.func = func
        self.name = schema.name + (f".{schema.overload_name}" if schema.overload_name else "")
        self.skip = space in ("profiler", "prim")
        self.written = written_by(func)
        self.is_random = torch.Tag.nondeterministic_seeded in func.tags
        self.is_empty = space == "aten" and short in IS_EMPTY
        self.each = short.startswith(("_foreach_", "_fused_")) and short not in _WHOLE_LISTS
        self.makes_no_numbers = self.skip or self.is_empty or (func.is_view and not self.written)

    def tensors_written(self, torch: Any, args: Any, kwargs: Any) -> list[Any]:
        """Return the tensors that a call may write to."""
        return [*tensors_written(torch, self.func, self.written, args, kwargs)] if self.written else []


class Recorder:
    """Records one step.

    Parameters
    ----------
    torch : module
    known : mapping
        {(storage, offset, shape): (name, kind)} of parameters, buffers and the state of optimizers.
    paths : mapping of int to str
        Of modules, by their identities.
    keep : int or None
        Bytes up to which a value is kept; None for digests.
    """

    def __init__(
        self, torch: Any, known: Mapping[Any, tuple[str, str]], paths: Mapping[int, str], keep: int | None
    ) -> None:
        self.torch, self.known, self.keep, self.paths = torch, known, keep, paths
        self.values: list[Value] = []
        self.calls: list[RecordedCall] = []
        self.losses: list[int] = []
        """What ``backward()`` was called on."""
        self.in_update = 0
        self.error = ""
        self.facts: dict[str, Any] = {}
        """What the script has set: modules in evaluation mode, and those that stand in several places."""
        self.finals: dict[str, int] = {}
        """What parameters, buffers and states have come to, by name."""
        self._storages: dict[int, _Storage] = {}
        self._unstored: dict[int, tuple[Any, int]] = {}
        self._twins: dict[int, int] = {}
        self._plans: dict[Any, CallPlan] = {}
        self._in_backward = False
        self._given: list[Any] = []
        self._is_fresh = False
        self._backward_code = torch.autograd.backward.__code__
        self._grad_code = torch.autograd.grad.__code__
        self._sequence: Callable[[], int] = torch.autograd._get_sequence_nr
        self._autograd_node: Callable[[], Any] = torch._C._current_autograd_node
        self._lock = threading.RLock()
        self._tensor = torch.Tensor

    # --- a call ---

    def called(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call, and record it."""
        plan = self._plans.get(func)
        if plan is None:
            plan = self._plans[func] = CallPlan(self.torch, func)
        if plan.skip:
            return func(*args, **kwargs)
        with self._lock:
            if plan.each and args and type(args[0]) in (list, tuple) and args[0]:
                return self._each(plan, func, args, kwargs)
            self._given = []
            self._is_fresh = plan.name.startswith("aten::lift_fresh")
            call = self._begun(plan, args, kwargs)
            given = self._given
            written = plan.tensors_written(self.torch, args, kwargs)
            before = self._generator_state(args, kwargs) if plan.is_random else None
            start = perf_counter()
            found = func(*args, **kwargs)
            call.time = perf_counter() - start
            if before is not None:
                self._drew(call, before, args, kwargs)
            self._placed(call, given)
            self._finished(call, results_of(found, written), written, plan)
        return found

    def _begun(self, plan: CallPlan, args: Any, kwargs: Any) -> RecordedCall:
        operands: list[int] = []
        layouts: list[Any] = []
        arguments = tuple([self._taken(each, operands, layouts) for each in args])
        keywords = [(key, self._taken(each, operands, layouts)) for key, each in kwargs.items() if key != "generator"]
        return RecordedCall(plan.name, plan.func, arguments, tuple(keywords), operands, layouts)

    def alone(
        self, plan: CallPlan, func: Any, args: Any, kwargs: Any, found: Any, written: Sequence[Any]
    ) -> RecordedCall:
        """Record a call that has been made; what it was given is as it was before."""
        self._given = []
        call = self._begun(plan, args, kwargs)
        self._placed(call, self._given)
        self._finished(call, results_of(found, written), written, plan)
        return call

    def _finished(
        self, call: RecordedCall, results: Sequence[Any], written: Sequence[Any], plan: CallPlan | None
    ) -> None:
        storages = {_key_of(each) for each in written}
        number = len(self.calls)
        self.calls.append(call)
        for i, each in enumerate(results):
            if each is None:
                continue
            value = self._entered(each, number, i, call.phase, empty=plan is not None and plan.is_empty)
            self.values[value].path, self.values[value].origin = call.path, call.origin
            call.results.append(value)
            if isinstance(each, self._tensor):
                self._known_as(each, value, _key_of(each) in storages)

    def _each(self, plan: CallPlan, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call on lists, and record it as a call for each of their tensors."""
        count = len(args[0])

        def alone(given: Any, i: int) -> Any:
            return [given[i]] if type(given) in (list, tuple) and len(given) == count else given

        parts = [
            ([alone(each, i) for each in args], {key: alone(each, i) for key, each in kwargs.items()})
            for i in range(count)
        ]
        calls = [self._begun(plan, *part) for part in parts]
        writes = [plan.tensors_written(self.torch, *part) for part in parts]
        start = perf_counter()
        found = func(*args, **kwargs)
        took = (perf_counter() - start) / count
        self._placed(calls[0])
        for i, (call, written) in enumerate(zip(calls, writes, strict=True)):
            call.origin, call.phase = calls[0].origin, calls[0].phase
            call.path = self._path_of(call) if call.phase == "update" else calls[0].path
            call.time = took
            given = [found[i]] if isinstance(found, (list, tuple)) and len(found) == count else found
            self._finished(call, results_of(given, written), written, plan)
        return found

    # --- what it was called with ---

    def _taken(self, value: Any, operands: list[int], layouts: list[Any]) -> Any:
        """Return an argument as `TorchCall` has it."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        torch = self.torch
        if isinstance(value, self._tensor):
            self._given.append(value)
            operands.append(self.value_of(value))
            layouts.append(_layout_of(torch, value))
            return ("tensor", len(operands) - 1)
        if isinstance(value, (list, tuple)):
            return ("list", *[self._taken(each, operands, layouts) for each in value])
        for name in ("dtype", "layout", "memory_format"):
            if kind is getattr(torch, name):
                return (name, str(value).removeprefix("torch."))
        if kind is torch.device:
            return ("device", str(value))
        if kind is complex:
            return ("complex", value.real, value.imag)
        if isinstance(value, (bool, int, float)):
            return value
        return ("other", f"{kind.__module__}.{kind.__qualname__}"[:200])

    def _generator_state(self, args: Any, kwargs: Any) -> Any:
        """Return the state of the generator that a call may draw from."""
        torch = self.torch
        generator = kwargs.get("generator")
        if generator is not None:
            return generator.get_state()
        device = next((each.device for each in args if isinstance(each, self._tensor)), None) or kwargs.get("device")
        is_cuda = device is not None and torch.device(device).type == "cuda"
        return torch.cuda.get_rng_state(device) if is_cuda else torch.get_rng_state()

    def _drew(self, call: RecordedCall, before: Any, args: Any, kwargs: Any) -> None:
        """Give a call that has drawn numbers the state of the generator before that."""
        if self.torch.equal(before, self._generator_state(args, kwargs)):
            return
        call.keywords = (*call.keywords, ("generator", ("generator", len(call.operands))))
        value = self._entered(before, -1, 0, "forward")
        self.values[value].kind, self.values[value].name = "generator", "generator_state"
        call.operands.append(value)
        call.layouts.append(None)

    # --- values ---

    def value_of(self, tensor: Any) -> int:
        """Return the value that a tensor has now."""
        key = _key_of(tensor)
        if key is None:
            known = self._unstored.get(id(tensor))
            if known is not None:
                return known[1]
            value = self._leaf(tensor)
            self._unstored[id(tensor)] = tensor, value
            return value
        storage = self._storages.get(key)
        geometry = _geometry_of(tensor)
        if storage is not None:
            now = storage.version, geometry
            entry = storage.known.get(id(tensor))
            if entry is not None and entry[1:] == now:
                return entry[0]
            # Another object that shows the same elements; what detach() gave is another value.
            entry = storage.known.get(geometry)
            if entry is not None and entry[1:] == now:
                if not self._is_another_input(tensor, self.values[entry[0]]):
                    return entry[0]
                value = self._leaf(tensor)
                self._known_as(tensor, value, False)
                return value
            value = self._assembled(storage, tensor, geometry)
        else:
            value = self._leaf(tensor)
        self._known_as(tensor, value, False)
        return value

    def _is_another_input(self, tensor: Any, value: Value) -> bool:
        """Return whether a tensor is another variable of the user's that shows the same elements as an input does."""
        return value.kind == "input" and _variable_of(sys._getframe(1), tensor) not in ("input", value.name)

    def _leaf(self, tensor: Any) -> int:
        """Enter the value of a tensor that was there before."""
        number = self._entered(tensor, -1, 0, "forward")
        value = self.values[number]
        frame = sys._getframe(1)
        key = _key_of(tensor)
        known = None
        if key is not None:
            known = self.known.get((key, tensor.storage_offset(), tuple(tensor.shape)))
        value.origin = origin_at(frame)
        if known is None and isinstance(tensor, self.torch.nn.Parameter):
            known = "unregistered", "unregistered"
        if known is None:
            known = ("constant", "constant") if self._is_fresh else (_variable_of(frame, tensor), "input")
        value.name, value.kind = known
        value.path = owner_of(value.name, value.kind)
        return number

    def _entered(self, tensor: Any, call: int, result: int, phase: str, empty: bool = False) -> int:
        """Enter a value with what is kept of it."""
        array = array_of(self.torch, tensor)
        if empty:
            array = np.broadcast_to(np.zeros((), array.dtype), array.shape)
        kept: Any
        if self.keep is None:
            kept = row_of(array)
        elif array.nbytes > self.keep and call >= 0:
            kept = Condensed.of(array)
        else:
            kept = array.copy()  # in C order
            kept.setflags(write=False)
        as_dtype = name_of(tensor.dtype) if isinstance(tensor, self._tensor) else ""
        self.values.append(Value(call, result, kept, array, as_dtype, phase))
        return len(self.values) - 1

    def _known_as(self, tensor: Any, value: int, is_written: bool) -> None:
        """Remember which value a tensor is."""
        key = _key_of(tensor)
        if key is None:
            self._unstored[id(tensor)] = tensor, value
            return
        storage = self._storages.get(key)
        if storage is None:
            storage = self._storages[key] = _Storage(_Weak(tensor.untyped_storage()), value)
        geometry = _geometry_of(tensor)
        storage.version += is_written
        entry = value, storage.version, geometry
        storage.known[id(tensor)] = entry
        known = storage.known.get(geometry)
        if known is None or known[1] != storage.version:
            storage.known[geometry] = entry  # else what was there first
        if _covers(tensor):
            storage.whole = value, storage.version, geometry
            storage.writes.clear()
        elif is_written:
            storage.writes.append((value, geometry))

    def _assembled(self, storage: _Storage, tensor: Any, geometry: Any) -> int:
        """Enter a tensor whose memory was written to since it was last read, or that was not read before."""
        whole = storage.whole
        dtypes = {geometry[3], *(each[3] for _, each in storage.writes), *([whole[2][3]] if whole else [])}
        if whole is None or len(dtypes) > 1 or name_of(tensor.dtype):
            return self._leaf(tensor)
        if len(storage.writes) > _MOST_WRITES and not _covers(tensor):
            count = tensor.untyped_storage().nbytes() // tensor.element_size()
            flat = self.torch.as_strided(tensor.detach(), (count,), (1,), 0)
            self._known_as(flat, self._assembled(storage, flat, _geometry_of(flat)), False)
            whole = storage.whole
            assert whole is not None
        values = [whole[0], *(value for value, _ in storage.writes)]
        places = [whole[2], *(each for _, each in storage.writes)]
        arguments = tuple(("geometry", *each[:3]) for each in (geometry, *places))
        call = RecordedCall(ASSEMBLED, None, arguments, (), values, [None] * len(values))
        self._placed(call)
        self._finished(call, [], (), None)
        value = self._entered(tensor, len(self.calls) - 1, 0, call.phase)
        self.values[value].path, self.values[value].origin = call.path, call.origin
        call.results.append(value)
        return value

    # --- where it stands ---

    def _placed(self, call: RecordedCall, given: Sequence[Any] = ()) -> None:
        """Tell phase, line, module and twin of a call."""
        node = self._autograd_node()
        if node is not None:
            call.phase = "backward"
            if not self._in_backward:
                self._in_backward = True
                self._note_loss()
            self._placed_backward(call, node)
        else:
            self._in_backward = False
            stack = getattr(STACK, "paths", None)
            call.path = stack[-1] if stack else ""
            call.origin = origin_at(sys._getframe(1))
            differentiated = self.torch.is_grad_enabled()
            # A gradient that is differentiated again is part of the forward pass; one that is clipped is not.
            is_again = differentiated and any(each.requires_grad for each in given)
            follows = any(self.values[each].phase != "forward" for each in call.operands)
            if (self.in_update and not differentiated) or (follows and not is_again):
                call.phase = "update"
            if call.phase == "update":
                call.path = self._path_of(call)
            if call.name == "aten::ones_like":
                self._note_loss()
        if self.torch.is_grad_enabled():
            self._twins.setdefault(self._sequence() - 1, len(self.calls))

    def _path_of(self, call: RecordedCall) -> str:
        """Return the module whose parameters a call of an update is about, "" where there are several."""
        paths = {self.values[each].path for each in call.operands if self.values[each].kind != "constant"}
        return paths.pop() if len(paths) == 1 else ""

    def _placed_backward(self, call: RecordedCall, node: Any) -> None:
        if node.name() == "torch::autograd::AccumulateGrad":
            parameter = self.value_of(node.variable)
            storage = self._storages.get(_key_of(node.variable) or 0)
            if storage is not None and self.values[storage.first].call < 0:
                parameter = storage.first  # before any update of it in this step
            call.twin = -1 - parameter
            call.path = self.values[parameter].path
            call.origin = self.values[parameter].origin
            return
        call.twin = self._twins.get(node._sequence_nr())
        if call.twin is None:
            call.origin = origin_at(sys._getframe(2))
        else:
            twin = self.calls[call.twin]
            call.origin, call.path = twin.origin, twin.path

    def _note_loss(self) -> None:
        """Note what ``backward()`` is called on, if its call is on the stack."""
        frame: Any = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            if code is self._grad_code:
                return
            if code is self._backward_code:
                tensors = frame.f_locals.get("tensors")
                for each in tensors if isinstance(tensors, (list, tuple)) else [tensors]:
                    if isinstance(each, self._tensor) and (value := self.value_of(each)) not in self.losses:
                        self.losses.append(value)
                return
            frame = frame.f_back

    def finish(self, finals: Mapping[str, Any]) -> None:
        """Note what tensors have come to at the end of the step, by name, and forget PyTorch's memory."""
        for name, tensor in finals.items():
            key = _key_of(tensor)
            if key is None or key not in self._storages:
                continue
            self.finals[name] = self.value_of(tensor)
        self._storages.clear()
        self._unstored.clear()
        self._twins.clear()
        self.paths = {}


class _Weak:
    """A weak reference to a storage, which keeps its address from being used again."""

    __slots__ = ("_freed", "_weak")

    def __init__(self, storage: Any) -> None:
        self._weak = storage._weak_ref()
        self._freed = type(storage)._free_weak_ref

    def __del__(self) -> None:
        self._freed(self._weak)


STACK = threading.local()
"""``paths``: those of the modules that are being called in this thread, from the outermost to the innermost."""


def owner_of(name: str, kind: str) -> str:
    """Return the path of the module that owns what has a name: "0.weight", or "0.weight.exp_avg" of an optimizer."""
    owner = name.rpartition(".")[0]
    return owner.rpartition(".")[0] if kind in ("state", "gradient") else owner


def _key_of(tensor: Any) -> int | None:
    """Return what tells the storage of a tensor; None where it has none."""
    try:
        return tensor.untyped_storage()._cdata  # type: ignore[no-any-return]
    except (NotImplementedError, RuntimeError):
        return None


def _geometry_of(tensor: Any) -> tuple[Any, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.is_conj()


def _covers(tensor: Any) -> bool:
    """Return whether a tensor is all of its storage, each element once."""
    if tensor.numel() * tensor.element_size() != tensor.untyped_storage().nbytes():
        return False
    if tensor.is_contiguous():
        return True
    expected = 1
    for step, n in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if n != 1:
            if step != expected:
                return False
            expected *= n
    return True


def _layout_of(torch: Any, tensor: Any) -> Any:
    """Return the layout of an operand, as `TorchCall` has it."""
    dtype = name_of(tensor.dtype)
    if tensor.layout != torch.strided:
        return (dtype,) if dtype else None
    offset = tensor.storage_offset()
    if not offset and tensor.is_contiguous():
        return (dtype,) if dtype else None
    layout = (offset, *tensor.stride())
    return (dtype, *layout) if dtype else layout


_SKIPPED: dict[str, bool] = {}
_ORIGINS: dict[tuple[str, int], Origin] = {}


def _is_skipped(file: str) -> bool:
    known = _SKIPPED.get(file)
    if known is None:
        torch: Any = sys.modules["torch"]
        own = (f"{Path(torch.__file__).parent}{os.sep}", _PACKAGE)
        known = file.startswith((*own, "<")) and not file.startswith(("<stdin>", "<ipython", "<string>", "<doctest"))
        known = known or Path(file).name in ("contextlib.py", "functools.py", "threading.py")
        _SKIPPED[file] = known
    return known


_PACKAGE = f"{Path(__file__).resolve().parents[2]}{os.sep}"


def origin_at(frame: Any) -> Origin:
    """Return the innermost line on the stack that is neither PyTorch's nor ours."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not _is_skipped(file):
            key = file, frame.f_lineno
            return _ORIGINS.get(key) or _ORIGINS.setdefault(key, Origin(*key))
        frame = frame.f_back
    return NOWHERE


def _variable_of(frame: Any, tensor: Any) -> str:
    """Return the user's outermost variable that is a tensor, else "input"."""
    found = ""
    while frame is not None:
        if not _is_skipped(frame.f_code.co_filename):
            for name, thing in frame.f_locals.items():
                if thing is tensor and name.isidentifier() and not name.startswith("_"):
                    found = name
                    break
        frame = frame.f_back
    return found or "input"
