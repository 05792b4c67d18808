"""`fit`: trains with a compiled step, in batches, epoch after epoch."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from ..._util.text import quoted, short_repr
from ...compiler.compile import Compiled
from ...core import Node, is_float
from ...core.attributes import whole
from ...core.fetches import resolve
from ...errors import UsageError
from ...runtime.batches import (
    USUAL_SIZE,
    Batches,
    Data,
    Rows,
    Split,
    batches_of,
    check_applies,
    checked_size,
    needed_placeholders,
    splits,
)
from ...runtime.feed import prepare
from ..argument_validation import checked_number
from ..init import Rng, checked_rng
from .callbacks import Callbacks, checked_callbacks
from .checkpoint import Checkpoint, checked_checkpoint, resume
from .epochs import Passes
from .live_run import LivePage, checked_page
from .loader import Loader
from .shards import Shards, computed
from .training_run import Figures, Training

if TYPE_CHECKING:
    from ...core import Graph
    from ...io.paths import StrPath
    from .history import History


def fit(
    step: Compiled,
    data: Data,
    *,
    epochs: int = 1,
    batch_size: int | None = USUAL_SIZE,
    rng: Rng | None = None,
    steps_per_epoch: int | None = None,
    validation: Data | float | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Callbacks = (),
    checkpoint: Checkpoint | StrPath | None = None,
    progress: Any = False,
    page: LivePage | StrPath | None = None,
    shards: Shards | int | None = None,
    client: Any = None,
) -> History:
    """Train a network: call a compiled step with one batch after another, for some epochs.

    Parameters
    ----------
    step : Compiled
        From ``gn.compile(loss, updates)``. Its first fetch is the loss, a scalar.
    data : mapping of Node or str to array_like, Loader, iterable of batches, or function
        The training set. A mapping is split as a `Loader` does, which also takes what does not fit into memory.
        Batches, each a mapping, or a tuple in the order of the placeholders, come from a list or other iterable, from a
        generator, or from a function that returns one.
    epochs : int
        How often to go through the training set, including the epochs before a checkpoint that is resumed.
    batch_size : int or None
        Rows per batch of a mapping, of the training or the validation set. None: all rows in one batch.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws one permutation per epoch of a mapping; by default, ``np.random.default_rng(0)``. Where `data` yields the
        batches, this is what they are drawn with, if anything: checkpoints keep its state.
    steps_per_epoch : int, optional
        How many steps make an epoch. Each begins where the last one ended; the data begin again when they end.
    validation : float, or as `data`, but no iterator, optional
        What is evaluated after each epoch, without updates: another set; or the share of the rows of `data`, the last
        ones, that is not trained on. The history has the loss as ``val_loss``, a metric as ``val_accuracy`` and so on.
    metrics : mapping of str to Node or str, optional
        Evaluated after each epoch on the training set, and on the validation set if there is one, as by `evaluate`.
        Where `data` yields the batches, each is evaluated just before its step.
    callbacks : callable, Callback, or iterable of them
        Functions are called with the history after each epoch, a `Callback` after each step or epoch. If one returns
        True, the training ends. An `EarlyStopping` is one.
    checkpoint : Checkpoint, str or path-like, optional
        A file for everything that is needed to resume, written after each epoch; or a `Checkpoint`, to resume from it.
    progress : bool, stream or callable
        True: curves in a notebook, a bar in a terminal, else lines of text. A stream or callable is given each line.
    page : str, path-like or LivePage, optional
        A file of HTML that shows the training while it goes on. A `LivePage` shows several runs over each other.
    shards : int or Shards, optional
        Split each batch into so many shards, which are computed one by one, or by the workers of a `client`.
    client : distributed.Client, optional
        A Dask client, whose workers compute the shards. The bits are those of the same `shards` without a client.

    Returns
    -------
    History
        A dict of lists. ``loss`` is the mean over the steps of an epoch, weighted by the size of the batches. Ctrl-C
        ends the training after the last whole step: then ``history.interrupted`` is True.

    Raises
    ------
    UsageError
        When the step makes no updates, or its loss is not a scalar; when `metrics`, `data` and the other arguments do
        not fit together; when a figure would be random in evaluation, or a node of `shards` mixes rows.
    GraphnnError
        When data do not fit the graph, a step fails, as in `graphnn.run`, or a checkpoint does not fit.
    OSError
        When a file cannot be read or written. This is found before training begins.

    Notes
    -----
    Metrics and the validation loss are computed without dropout and what else is only for training, by the entries of
    ``graph.evaluation``; ``loss`` is that of the training steps. Whatever error ends a training run, the parameters are
    those after the last whole step, ``error.history`` has the whole epochs, and a note names epoch and batch.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> g = gn.Graph("xor")
    >>> x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
    >>> scores = nn.Sequential(nn.Dense(8), nn.Tanh(), nn.Dense(2))(x)
    >>> loss = nn.softmax_crossentropy(scores, y)
    >>> step = gn.compile(loss, nn.Adam(0.1).updates(loss))
    >>> X, Y = gn.datasets.gates("xor")
    >>> history = nn.fit(step, {x: X, y: Y}, epochs=50, batch_size=2, metrics={"accuracy": nn.accuracy(scores, y)})
    >>> history.epochs, history["accuracy"][-1]
    (50, 1.0)
    """
    graph = _checked_step(step).graph
    whole("epochs", epochs, 1)
    size = checked_size(batch_size)
    if steps_per_epoch is not None:
        whole("steps_per_epoch", steps_per_epoch, 1)
    kept = checked_checkpoint(checkpoint)
    given, shown_on = checked_rng(rng, "fit"), checked_page(page)
    measured, called = _checked_metrics(graph, metrics), checked_callbacks(callbacks)
    needed = needed_placeholders(graph, [*step.fetches, *step.updates.values(), *measured.values()])
    batches = batches_of(graph, data, needed, "the training set", size)
    given_size = batch_size is not USUAL_SIZE and not splits(validation)
    given_rng = isinstance(data, Loader) and given is not None
    check_applies("the training set", data, batch_size=given_size, rng=given_rng)
    batches, apart = _with_validation(graph, batches, validation, needed, size)
    figures = Figures(step, batches, measured, apart)
    if isinstance(batches, Split):
        prepare(graph, step.fetches, next(batches.opened())[1])
        loader = data if isinstance(data, Loader) else Loader(data, batch_size=size, rng=given)
        batches, given = batches.for_training(loader.rng, loader.drop_last), loader.rng
    passes = Passes(batches, given, steps_per_epoch)
    with computed(step, shards, client) as made:
        training = Training(step, passes, figures, called, epochs, made)
        if kept is not None:
            resume(training, kept)
        history = training.run(kept, progress, shown_on)
        if not isinstance(made, Compiled):
            history.workers = made.workers
        return history


def _with_validation(
    graph: Graph, data: Batches, validation: Any, needed: list[Node], batch_size: int | None
) -> tuple[Batches, Batches | None]:
    """Return what to train on, and what to validate with, if anything."""
    if validation is None:
        return data, None
    if isinstance(validation, Real):
        share = checked_number("validation, as a share of the rows,", validation, 0, 1, strictly=True)
        if not isinstance(data, Rows):
            raise UsageError(
                f"validation={share:g} takes the last rows of arrays, and these data come batch by batch: give other "
                "batches as validation="
            )
        return data.split(share)
    found = batches_of(graph, validation, needed, "the validation set", batch_size)
    if found.once:
        raise UsageError(
            "a generator or iterator can be gone through only once, and validation= after each epoch: give the "
            "function that makes it, or a list or a loader"
        )
    return data, found


# --- checks ---------------------------------------------------------------------------------------------------


def _checked_step(step: Any) -> Compiled:
    if not isinstance(step, Compiled):
        raise UsageError(f"fit trains what gn.compile(loss, updates) returns, not {type(step).__name__}")
    if not step.updates:
        raise UsageError(
            "the step makes no updates: gn.compile(loss, updates=optimizer.updates(loss)) makes one that does"
        )
    if not step.fetches:
        raise UsageError("the step has no fetches; the first is the loss: gn.compile(loss, updates)")
    loss = step.fetches[0]
    if loss.shape != () or not is_float(loss.dtype):
        raise UsageError(f'the first fetch of the step is the loss, a float scalar; "{loss.name}" is {loss.spec}')
    return step


def _checked_metrics(graph: Graph, metrics: Any) -> dict[str, Node]:
    such = 'metrics are {name: node}, such as {"accuracy": nn.accuracy(scores, labels)}'
    if isinstance(metrics, Node) or not isinstance(metrics or {}, Mapping):
        raise UsageError(f"{such}, not {type(metrics).__name__}")
    for name, metric in (metrics or {}).items():
        if not isinstance(name, str):
            raise UsageError(f"{such}; the name {short_repr(name)} is not text")
        if callable(metric) and not isinstance(metric, Node):
            raise UsageError(f"{such}; {quoted(name)} is a function, and not the node that it returns")
    if not metrics:
        return {}
    if "loss" in metrics:
        raise UsageError('"loss" is what the step returns: rename the metric')
    return dict(zip(metrics, resolve(list(metrics.values()), graph)[1], strict=True))
