"""`watch`: records the steps of an ordinary PyTorch program."""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..._util.text import quoted, short_repr
from ...core.attributes import whole
from ...debugger.traces.recording import checked_keep
from ...debugger.traces.value_statistics import KEEP
from ...errors import UsageError
from ...runtime.guard import checked_guard
from .recorder import STACK, Recorder
from .tensors import torch_for
from .watch_guard import Guard
from .watched_run import Run

_MODES = re.compile(r"BatchNorm|Dropout|InstanceNorm")
"""Modules that compute otherwise in evaluation mode."""
_REFUSED = {
    "OptimizedModule": "torch.compile has compiled it, and its calls are not seen: watch the module it was made of, or "
    'call torch.compiler.set_stance("force_eager") first',
    "FullyShardedDataParallel": "its parameters are in pieces on other processes: watch the module inside, in one "
    "process",
    "DataParallel": "it calls copies in other threads: watch model.module on one device",
}


@contextmanager
def watch(
    *watched: Any,
    steps: Any = "first",
    guard: str | None = None,
    keep: int | str = KEEP,
) -> Iterator[Run]:
    """Record the steps of an ordinary PyTorch program: each call that PyTorch makes becomes a node.

    Parameters
    ----------
    *watched : torch.nn.Module, torch.optim.Optimizer, or dict of str to Module
        Models, whose parameters and modules are named, and the optimizers whose ``step()`` ends a step. A dict gives
        names to several models. Without an optimizer, the block is one step.
    steps : {"first", "last", "all"}, int or function
        Which steps are recorded: the first; the last, for which each is recorded and one is kept; all; every n-th from
        the first; or those for whose number, from 0, a function returns True.
    guard : {None, "nan", "finite"}
        Check what each call gives, in every step, and stop where NaN (or with "finite" infinity, too) first arises.
    keep : int or "digests"
        As `trace` takes it: of a larger value only statistics, a preview and a hash are kept.

    Yields
    ------
    Run

    Raises
    ------
    UsageError
        When something else is watched, or cannot be; when the block calls nothing of PyTorch.
    ValueRangeError
        When `guard` finds what it looks for.

    Notes
    -----
    When a step ends:

    ========================  ==========================================================================
    in the block              a step ends
    ========================  ==========================================================================
    one optimizer             with its ``step()``; calls of ``backward()`` before it are all of this step
    several optimizers        when each of them has stepped at least once
    a closure (L-BFGS)        with the ``step()`` that calls the closure, however often it calls it
    a scaler that skips       with the next ``step()`` that is made
    no optimizer              with the block
    ========================  ==========================================================================

    What comes after the last ``step()`` is recorded only if no step was completed. A step that is not recorded costs
    nothing: PyTorch is not asked for its calls. An error in the block goes on its way, and the run has what led to it.

    Numbers are the same to the bit, watched or not. What Python reads from a tensor, as ``.item()`` does, is a node,
    and what Python makes of it is a number like any other.
    """
    torch = torch_for("gn.watch records PyTorch")
    watcher = _Watch(torch, watched, _chosen(steps), checked_guard(guard), checked_keep(keep))
    watcher.begin()
    try:
        yield watcher.run
    except BaseException as error:
        watcher.end(error)
        raise
    watcher.end(None)


def _chosen(steps: Any) -> Callable[[int], bool]:
    """Return what says whether a step is recorded."""
    if callable(steps):
        return lambda number: bool(steps(number))
    if isinstance(steps, str):
        if steps == "first":
            return lambda number: number == 0
        if steps in ("last", "all"):
            return _LAST if steps == "last" else lambda number: True
        raise UsageError(f'steps= is "first", "last", "all", an int or a function, not {short_repr(steps)}')
    every = whole("steps=", steps, 1)
    return lambda number: number % every == 0


def _LAST(number: int) -> bool:  # noqa: N802
    return True


class _Watch:
    """Knows where steps begin and end, and records those that are chosen."""

    def __init__(
        self, torch: Any, watched: Sequence[Any], chosen: Callable[[int], bool], guard: str | None, keep: int | None
    ) -> None:
        self.torch, self.chosen, self.guard, self.keep = torch, chosen, guard, keep
        self.modules, self.optimizers = self._sorted(watched)
        self.paths: dict[int, str] = {}
        self.kinds: dict[str, str] = {}
        for prefix, module in self.modules.items():
            for path, inner in module.named_modules(prefix=prefix):
                self.paths.setdefault(id(inner), path)
                self.kinds.setdefault(path, type(inner).__name__)
        self.run = Run(" and ".join(dict.fromkeys(type(each).__name__ for each in self.modules.values())), self.kinds)
        self.number = 0
        self._recorder: Recorder | None = None
        self._mode: Any = None
        self._stepped: set[int] = set()
        self._hooks: list[Any] = []
        self._in_update = 0
        self._called_anything = False

    def _sorted(self, watched: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Return the models by their names, and the optimizers."""
        torch = self.torch
        modules: list[tuple[str, Any]] = []
        optimizers = []
        for each in watched:
            if isinstance(each, torch.nn.Module):
                modules.append(("", each))
            elif isinstance(each, torch.optim.Optimizer):
                optimizers.append(each)
            elif isinstance(each, Mapping) and all(isinstance(one, torch.nn.Module) for one in each.values()):
                modules.extend((str(name), one) for name, one in each.items())
            else:
                raise UsageError(
                    f"gn.watch takes modules and optimizers of PyTorch, not {type(each).__name__}: "
                    "gn.watch(model, optimizer)"
                )
        if not modules:
            raise UsageError("gn.watch takes the model, too: gn.watch(model, optimizer)")
        for _, module in modules:
            for path, inner in module.named_modules():
                why = _REFUSED.get(type(inner).__name__)
                if why is not None:
                    where = f" at {quoted(path)}" if path else ""
                    raise UsageError(f"gn.watch cannot watch {type(inner).__name__}{where}: {why}")
        if len(modules) == 1:
            return dict(modules), optimizers
        named: dict[str, Any] = {}
        for name, module in modules:
            base = name or type(module).__name__.lower()
            free = base
            count = 2
            while free in named:
                free, count = f"{base}_{count}", count + 1
            named[free] = module
        return named, optimizers

    # --- the block ---

    def begin(self) -> None:
        for optimizer in self.optimizers:
            self._hooks.append(optimizer.register_step_pre_hook(self._before))
            self._hooks.append(optimizer.register_step_post_hook(self._after))
        self._begin_step()

    def end(self, error: BaseException | None) -> None:
        for hook in self._hooks:
            hook.remove()
        recorder = self._recorder
        if recorder is not None and error is not None:
            recorder.error = "".join(traceback.format_exception_only(error)).strip()
        self._end_step(is_whole=not self.optimizers or error is not None)
        if error is None and not self.number and not self.run.steps and not self._called_anything:
            raise UsageError("the block of gn.watch calls nothing of PyTorch: put the training step inside it")

    def _begin_step(self) -> None:
        chosen = self.chosen(self.number)
        if not chosen and self.guard is None:
            return
        if chosen:
            self._recorder = self._new_recorder()
        self._mode = _mode(self.torch, self._called(), self)
        _enter_modules(self.torch, self.paths)
        self._mode.__enter__()

    def _new_recorder(self) -> Recorder:
        recorder = Recorder(self.torch, self._known(), self.paths, self.keep)
        recorder.in_update = self._in_update
        return recorder

    def _called(self) -> Callable[..., Any]:
        """Return what makes the calls of the step that begins."""
        if self.guard is None:
            assert self._recorder is not None
            return self._recorder.called
        return Guard(self.torch, self.guard, self._recorder, self._new_recorder, self._add_refused)

    def _add_refused(self, recorder: Recorder) -> Run:
        """Add the step in which a call was refused, and return the run."""
        self._recorder = None
        recorder.finish({})
        self.run.add(self.number, recorder, keep_one=self.chosen is _LAST)
        self.run.seen = self.number + 1
        return self.run

    def _end_step(self, is_whole: bool) -> None:
        """Leave a step, and keep what was recorded of it: if it is whole, or if there is nothing else."""
        recorder, self._recorder = self._recorder, None
        if self._mode is not None:
            mode, self._mode = self._mode, None
            mode.__exit__(None, None, None)
            _leave_modules(self.torch)
        if recorder is None:
            return
        self._called_anything |= bool(recorder.calls)
        if recorder.calls and (is_whole or not self.run.steps):
            recorder.facts = self._facts()
            recorder.finish(self._finals())
            self.run.add(self.number, recorder, keep_one=self.chosen is _LAST)
            self.run.seen = self.number + 1

    # --- hooks of optimizers ---

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._in_update += 1
        if self._recorder is not None:
            self._recorder.in_update = self._in_update

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._in_update -= 1
        if self._recorder is not None:
            self._recorder.in_update = self._in_update
        self._stepped.add(id(optimizer))
        if len(self._stepped) == len(self.optimizers):
            self._stepped.clear()
            self._end_step(is_whole=True)
            self.number += 1
            self.run.seen = self.number
            self._begin_step()

    # --- names ---

    def _named(self) -> Iterator[tuple[str, str, Any]]:
        """Yield name, kind and tensor of what the models and the optimizers hold."""
        names: dict[int, str] = {}
        for prefix, module in self.modules.items():
            for name, each in module.named_parameters(prefix=prefix):
                names.setdefault(id(each), name)
                yield name, "parameter" if each.requires_grad else "buffer", each
                if each.grad is not None:
                    yield f"{name}.grad", "gradient", each.grad
            for name, each in module.named_buffers(prefix=prefix):
                yield name, "buffer", each
        for place, optimizer in enumerate(self.optimizers):
            which = f"optimizer_{place + 1}" if len(self.optimizers) > 1 else "optimizer"
            others = 0
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    name = names.get(id(parameter))
                    if name is None:
                        others += 1
                        name = f"{which}.parameter_{others}"
                        yield name, "parameter", parameter
                    for key, each in dict(optimizer.state.get(parameter) or {}).items():
                        if isinstance(each, self.torch.Tensor):
                            yield f"{name}.{key}", "state", each

    def _facts(self) -> dict[str, Any]:
        """Return which modules are in evaluation mode, and which stand in several places."""
        places: dict[int, list[str]] = {}
        modes = []
        for prefix, module in self.modules.items():
            for path, each in module.named_modules(prefix=prefix, remove_duplicate=False):
                places.setdefault(id(each), []).append(path)
                frozen = getattr(each, "running_var", None)  # one that was trained may be kept as it is on purpose
                fresh = frozen is None or bool((frozen == 1).all())
                if not each.training and fresh and _MODES.search(type(each).__name__) and path not in modes:
                    modes.append(path)
        # Parts of a model may share one on purpose; a container that holds it twice was multiplied.
        within = [[each for each in found if _parent(each) == _parent(found[0])] for found in places.values()]
        shared = {first: others for first, *others in within if others and self._has_weights(first)}
        inner = {path for path in shared if any(path.startswith(f"{other}.") for other in shared)}
        return {"evaluating": modes, "shared": {path: each for path, each in shared.items() if path not in inner}}

    def _has_weights(self, path: str) -> bool:
        named = {path: each for prefix, m in self.modules.items() for path, each in m.named_modules(prefix=prefix)}
        return path in named and any(True for _ in named[path].parameters())

    def _known(self) -> dict[Any, tuple[str, str]]:
        known: dict[Any, tuple[str, str]] = {}
        for name, kind, each in self._named():
            if each.layout == self.torch.strided:
                key = each.untyped_storage()._cdata, each.storage_offset(), tuple(each.shape)
                known.setdefault(key, (name, kind))
        return known

    def _finals(self) -> dict[str, Any]:
        return {name: each for name, kind, each in self._named() if kind != "gradient"}


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


# --- the mode, and the module that is being called ----------------------------------------------------------------


def _mode(torch: Any, called: Callable[..., Any], watch: _Watch) -> Any:
    """Return the mode by which PyTorch tells of each call."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            watch._called_anything = True
            return called(func, args, kwargs or {})

    return Watching()


_lock = threading.RLock()
_watching: list[Mapping[int, str]] = []


def _enter_modules(torch: Any, paths: Mapping[int, str]) -> None:
    """Have each call of a module note its path, while a step is recorded.

    Hooks would do it, too; but PyTorch computes some modules otherwise when they have hooks.
    """
    with _lock:
        _watching.append(paths)
        if len(_watching) > 1:
            return
        original = torch.nn.Module.__call__

        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            path = next((found for each in _watching if (found := each.get(id(self))) is not None), None)
            if path is None:
                return original(self, *args, **kwargs)
            stack = STACK.__dict__.setdefault("paths", [])
            stack.append(path)
            try:
                return original(self, *args, **kwargs)
            finally:
                stack.pop()

        called.original = original  # type: ignore[attr-defined]
        torch.nn.Module.__call__ = called


def _leave_modules(torch: Any) -> None:
    with _lock:
        _watching.pop()
        if not _watching:
            torch.nn.Module.__call__ = torch.nn.Module.__call__.original
