"""Networks out of the graph's operations, and how they learn: layers, losses, metrics, optimizers, and `fit`."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._util.call_errors import explain_public as _explain_public
from .._util.hints import TABLE, attribute_error, instead
from .._util.lazy_loading import load as _load
from ..core import fn

summary: Callable[..., Any]

if TYPE_CHECKING:  # at run time, by the table below
    from . import init as init
    from . import schedules as schedules
    from .layers.attention import *  # noqa: F403
    from .layers.conv import *  # noqa: F403
    from .layers.dense_and_activations import *  # noqa: F403
    from .layers.dropout import Dropout as Dropout
    from .layers.embedding import *  # noqa: F403
    from .layers.layer import Layer as Layer
    from .layers.normalization import *  # noqa: F403
    from .layers.pooling import *  # noqa: F403
    from .layers.recurrent import *  # noqa: F403
    from .layers.sequential import Sequential as Sequential
    from .losses.classification_losses import *  # noqa: F403
    from .losses.regression_losses import *  # noqa: F403
    from .metrics.classification_metrics import *  # noqa: F403
    from .metrics.scores import *  # noqa: F403
    from .optim.adaptive_optimizers import *  # noqa: F403
    from .optim.ema import EMA as EMA
    from .optim.lbfgs import *  # noqa: F403
    from .optim.loss_scale import LossScale as LossScale
    from .optim.optimizer import Optimizer as Optimizer
    from .optim.sgd_and_adam import *  # noqa: F403
    from .training.callbacks import Callback as Callback
    from .training.checkpoint import Checkpoint as Checkpoint
    from .training.early_stopping import EarlyStopping as EarlyStopping
    from .training.evaluate import evaluate as evaluate
    from .training.fit import fit as fit
    from .training.history import History as History
    from .training.live_run import LivePage as LivePage
    from .training.live_run import Run as Run
    from .training.loader import Loader as Loader
    from .training.shards import Shards as Shards
    from .training.sklearn_estimators import Classifier as Classifier
    from .training.sklearn_estimators import Regressor as Regressor

# What loads when it is first asked for: names by the module that has them.
_LATER = {
    "layers.attention": "MultiHeadAttention Residual TransformerBlock",
    "layers.conv": "Conv1D Conv2D Conv3D ConvTranspose1D ConvTranspose2D ConvTranspose3D UpSample",
    "layers.dense_and_activations": "Dense ELU Flatten LeakyReLU PReLU ReLU Sigmoid Softmax Tanh",
    "layers.dropout": "Dropout",
    "layers.embedding": "Embedding PositionEmbedding SinusoidalEncoding",
    "layers.layer": "Layer",
    "layers.normalization": "BatchNorm GroupNorm InstanceNorm LayerNorm RMSNorm",
    "layers.pooling": " ".join(
        f"{kind}{axes}D"
        for kind in (f"{which}{what}Pool" for which in ("", "Global", "Adaptive") for what in ("Average", "Max"))
        for axes in (1, 2, 3)
    ),
    "layers.recurrent": "GRU LSTM RNN",
    "layers.sequential": "Sequential",
    "losses.classification_losses": "binary_crossentropy categorical_crossentropy kl_divergence l2 "
    "negative_log_likelihood sigmoid_crossentropy softmax_crossentropy",
    "losses.regression_losses": "cosine_embedding hinge huber margin_ranking mean_absolute_error mean_squared_error "
    "poisson_nll smooth_l1 triplet_margin",
    "metrics.classification_metrics": "accuracy confusion_matrix f1 precision recall top_k_accuracy",
    "metrics.scores": "r2 roc_auc root_mean_squared_error",
    "optim.adaptive_optimizers": "Adafactor Lion Nadam",
    "optim.ema": "EMA",
    "optim.lbfgs": "LBFGS",
    "optim.loss_scale": "LossScale",
    "optim.optimizer": "Optimizer",
    "optim.sgd_and_adam": "Adagrad Adam AdamW RMSProp SGD",
    "training.callbacks": "Callback",
    "training.checkpoint": "Checkpoint",
    "training.early_stopping": "EarlyStopping",
    "training.evaluate": "evaluate",
    "training.fit": "fit",
    "training.history": "History",
    "training.live_run": "LivePage Run",
    "training.loader": "Loader",
    "training.shards": "Shards",
    "training.sklearn_estimators": "Classifier Regressor",
}
_MODULES = ("init", "layers", "losses", "metrics", "optim", "schedules", "training")
_MODULE_OF = {name: module for module, names in _LATER.items() for name in names.split()}
__all__ = [*sorted({*_MODULE_OF} - {"Classifier", "Regressor"}), "init", "schedules", "summary"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    ours = sys.modules[__name__.rpartition(".")[0]]
    if name == "summary":  # made in a higher room: the package around this one hands it on
        return getattr(ours, name)
    if name in _MODULES:
        return _load(f"{__name__}.{name}")
    if name in _MODULE_OF:
        globals()[name] = getattr(_load(f"{__name__}.{_MODULE_OF[name]}"), name)
        _explain_public(globals(), [name])
        return globals()[name]
    parts = () if name.startswith("__") else ("schedules", "init")  # a tool asks for such a name, and does so often
    held = next((part for part in parts if name in _defined_in(part)), "")
    if name not in TABLE["gn"] and (name in dir(fn) or name in ours.__all__):
        hint = f" Write gn.{name}."
    elif held and name not in TABLE["gn"]:
        hint = f" Write nn.{held}.{name}."
    else:
        hint = instead("gn", name, __all__)
    raise attribute_error(f'there is no "nn.{name}".{hint}')


def _defined_in(part: str) -> set[str]:
    module = _load(f"{__name__}.{part}")
    return {name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__}


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *__all__})
