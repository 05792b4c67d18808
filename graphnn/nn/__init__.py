"""Networks out of the graph's operations, and how they learn: layers, losses, metrics, optimizers, and `fit`.

What the modules of layers, `losses`, `metrics` and `optimizers` define under a public name is public here: there is no
list of it.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..calls import explain_public as _explain_public
from ..graph import fn
from ..habits import ELSEWHERE, attribute_error, instead
from . import estimators, init, schedules
from .callbacks import Callback
from .dropout import Dropout
from .ema import EMA
from .evaluating import evaluate
from .fit import fit
from .history import History
from .layer import Layer
from .live import LivePage, Run
from .loss_scale import LossScale
from .sequential import Sequential
from .stopping import EarlyStopping

summary: Callable[..., Any]

if TYPE_CHECKING:  # at run time, by `_defined`
    from .adaptive import *  # noqa: F403
    from .attention import *  # noqa: F403
    from .convolution import *  # noqa: F403
    from .distances import *  # noqa: F403
    from .embedding import *  # noqa: F403
    from .estimators import Classifier as Classifier
    from .estimators import Regressor as Regressor
    from .layers import *  # noqa: F403
    from .lbfgs import *  # noqa: F403
    from .losses import *  # noqa: F403
    from .metrics import *  # noqa: F403
    from .normalization import *  # noqa: F403
    from .optimizer import Optimizer as Optimizer
    from .optimizers import *  # noqa: F403
    from .pooling import *  # noqa: F403
    from .recurrent import *  # noqa: F403
    from .scoring import *  # noqa: F403


def _defined(module: ModuleType) -> dict[str, Any]:
    """Return the public classes and functions that a module defines itself."""
    names = [name for name in vars(module) if not name.startswith("_")]
    found = {name: getattr(module, name) for name in names}
    return {name: value for name, value in found.items() if getattr(value, "__module__", "") == module.__name__}


_FOUND: dict[str, Any] = {}
_LAYERS = ("layers", "convolution", "pooling", "normalization", "embedding", "recurrent", "attention")
for _module in (*_LAYERS, "losses", "distances", "metrics", "scoring", "optimizer", "optimizers", "adaptive", "lbfgs"):
    _FOUND.update(_defined(import_module(f"{__name__}.{_module}")))
globals().update(_FOUND)

__all__ = [
    "Callback",
    "EMA",
    "Dropout",
    "EarlyStopping",
    "History",
    "Layer",
    "LivePage",
    "LossScale",
    "Run",
    "Sequential",
    "evaluate",
    "fit",
    "init",
    "schedules",
    "summary",
]
__all__.extend(sorted(_FOUND))
_explain_public(globals(), __all__)
_explain_public(vars(schedules))


def __getattr__(name: str) -> Any:
    if name == "summary":  # made on a higher floor: the package around this one hands it on
        return getattr(sys.modules[__name__.rpartition(".")[0]], name)
    if name in estimators.NAMES:
        return getattr(estimators, name)
    package = sys.modules[__name__.rpartition(".")[0]]
    held = next((part for part in ("schedules", "init") if name in _defined(globals()[part])), "")
    if name in dir(fn) or name in package.__all__:
        hint = f" Write gn.{name}."
    elif held and name not in ELSEWHERE["nn"]:
        hint = f" Write nn.{held}.{name}."
    else:
        hint = instead("nn", name, __all__)
    raise attribute_error(f'there is no "nn.{name}".{hint}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *estimators.NAMES})
