"""`check_torch`: the health of a PyTorch model and a batch, by one step of a copy."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...debugger.traces import SCRIPTS
from ...errors import UsageError
from .tensors import torch_for
from .watch import watch

if TYPE_CHECKING:
    from ...debugger.health import Health
    from .watched_run import Run

_RATE = 0.01
_NO_OPTIMIZER = "no optimizer was given: those of plain SGD were made"


def check_torch(model: Any, x: Any, y: Any = None, loss: Any = None, optimizer: Any = None) -> Health:
    """Train a copy of a PyTorch model for one step, and report what is wrong with it.

    Parameters
    ----------
    model : torch.nn.Module
        As it stands, in training or in evaluation mode.
    x : Tensor, or tuple, list or dict of them
        A batch: what the model is called with.
    y : Tensor, optional
        The labels of the batch.
    loss : callable, optional
        Called as ``loss(model(x), y)``, or ``loss(model(x))`` without `y`; by default
        ``torch.nn.functional.cross_entropy``.
    optimizer : torch.optim.Optimizer, optional
        That of the model. Without it, the gradients are checked, and the updates are not.

    Returns
    -------
    Health
        As `check_health` gives it for a run of `watch`. It says what was checked and what was not.

    Raises
    ------
    UsageError
        When `model` is no module, or cannot be copied.

    Notes
    -----
    Model and optimizer stay as they are, and so do buffers, gradients and PyTorch's random numbers: the step is that of
    copies. It begins with ``zero_grad()``.

    Examples
    --------
    ::

        print(gn.check_torch(model, x, y, loss=F.cross_entropy))
    """
    run = watched_step(model, x, y, loss, optimizer)
    health = run.check_health()
    if optimizer is None:
        health.checked.pop("updates", None)
        health.checked.pop("direction of the updates", None)
        health.unchecked["updates"] = _NO_OPTIMIZER
    return health


def watched_step(model: Any, x: Any, y: Any = None, loss: Any = None, optimizer: Any = None) -> Run:
    """Return one step of copies of a model and its optimizer, as `watch` records it."""
    torch = torch_for("gn.check_torch trains a model of PyTorch")
    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"check_torch takes a module of PyTorch, not {type(model).__name__}")
    if optimizer is not None and not isinstance(optimizer, torch.optim.Optimizer):
        raise UsageError(f"optimizer= is an optimizer of PyTorch, not {type(optimizer).__name__}")
    if loss is not None and not callable(loss):
        raise UsageError(f"loss= is a function such as F.cross_entropy, not {type(loss).__name__}")
    loss = loss or torch.nn.functional.cross_entropy
    try:
        own, stepper = copy.deepcopy((model, optimizer))
    except Exception as error:
        raise UsageError(
            f"{type(model).__name__} cannot be copied, and check_torch trains a copy: {error}; gn.watch records the "
            "model itself"
        ) from error
    trained = [each for each in own.parameters() if each.requires_grad]
    if stepper is None and trained:
        stepper = torch.optim.SGD(trained, lr=_RATE)
    devices = [each.device for each in own.parameters() if each.device.type == "cuda"]
    watched = [own] if stepper is None else [own, stepper]
    unchanged = torch.random.fork_rng(devices=list(dict.fromkeys(devices)))
    with unchanged, torch.enable_grad(), watch(*watched) as run:
        if stepper is not None:
            stepper.zero_grad()
        found = _called(own, x)
        total = loss(found) if y is None else loss(found, y)
        if stepper is not None:
            total.backward()
            stepper.step()
    return run


def _called(model: Any, x: Any) -> Any:
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, (tuple, list)) else model(x)


@SCRIPTS.give()
def of_script(made: Any) -> Any:
    """Return the run of what a script's function gave: a model with a batch and a loss, say; None of others."""
    torch = torch_for("the script gives a module of PyTorch")
    model, *others = made
    named = [each for each in others if isinstance(each, torch.optim.Optimizer)]
    functions = [each for each in others if callable(each) and not isinstance(each, torch.Tensor)]
    data = [each for each in others if not any(each is one for one in (*named, *functions))]
    if not 1 <= len(data) <= 2 or len(named) > 1 or len(functions) > 1:
        raise UsageError(
            "a script's function gives (model, x), (model, x, y) or (model, x, y, loss), and perhaps the optimizer, "
            f"not {len(made)} things"
        )
    x, y = (*data, None)[:2]
    return watched_step(model, x, y, (*functions, None)[0], (*named, None)[0])
