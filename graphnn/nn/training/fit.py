"""`fit`: trains with a compiled step, in batches, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..._util.missing import needed
from ..._util.ports import Port
from ..._util.text import quoted, short_repr
from ...compiler.compile import Compiled
from ...core import Node
from ...core.attributes import whole
from ...core.fetches import resolve
from ...errors import UsageError
from ...io.atomic_file import replacing
from ...io.paths import StrPath, path_of
from ...runtime.batches import (
    USUAL_SIZE,
    Batches,
    Data,
    Rows,
    Split,
    batches_of,
    check_not_cut,
    checked_size,
    needed_placeholders,
)
from ...runtime.cluster_port import check_exact
from ...runtime.feed import Feed, prepare
from ..argument_validation import checked_flag, checked_number
from ..init import Rng, checked_rng
from .callbacks import Callbacks, checked_callbacks
from .checkpoint import resume as resumed
from .checkpoint import save
from .epochs import Passes
from .live_run import LivePage, checked_page
from .training_run import Figures, Training

if TYPE_CHECKING:
    from ...core import Graph
    from .early_stopping import EarlyStopping
    from .history import History, WorkerReport


class Sharded(Protocol):
    """What makes a step by shards of a batch, called as the step is."""

    def __call__(self, batch: Feed) -> Any: ...

    @property
    def workers(self) -> dict[str, WorkerReport]:
        """What each worker did, by its address."""


SHARDED: Port[Callable[[Compiled, int, str, Any, bool], AbstractContextManager[Sharded]]] = Port("shards")
"""What gives a step by shards; it takes the step, and what `fit` takes: shards, statistics, client and exact."""


def fit(
    step: Compiled,
    data: Data,
    *,
    epochs: int = 1,
    batch_size: int | None = USUAL_SIZE,
    shuffle: bool | None = None,
    rng: Rng | None = None,
    drop_last: bool = False,
    steps_per_epoch: int | None = None,
    validation: Data | None = None,
    validation_split: float = 0.0,
    validation_loss: Node | str | None = None,
    metrics: Mapping[str, Any] | None = None,
    callbacks: Callbacks = (),
    early_stopping: EarlyStopping | None = None,
    checkpoint: StrPath | None = None,
    checkpoint_every: int | None = None,
    resume: StrPath | None = None,
    progress: Any = False,
    page: LivePage | StrPath | None = None,
    shards: int | None = None,
    statistics: str = "all",
    client: Any = None,
    exact: bool = True,
) -> History:
    """Train a network: call a compiled step with one batch after another, for some epochs.

    Ctrl-C ends the training cleanly: the current step is discarded, all earlier steps are kept, and
    ``history.interrupted`` is True.

    Parameters
    ----------
    step : Compiled
        From ``gn.compile(loss, updates)``. Its first fetch is the loss, a scalar.
    data : mapping of Node or str to array_like, iterable of batches, or function
        The training set. For a mapping, arrays whose placeholder has a name as its first dimension are split into
        batches, all with the same permutation. The others are passed whole. Or something that yields the batches:

        - an iterable, such as a list or a loader: each epoch iterates over it again;
        - a function without arguments, such as a generator function, that returns an iterator for an epoch;
        - an iterator, such as a generator. It can be gone through only once: for one epoch, or for several of
          `steps_per_epoch` steps. It is closed if training fails or is interrupted.

        For data that do not fit into memory, one chunk at a time is loaded, and no batch has rows of two chunks: a
        mapping with arrays of Dask, or with columns of one dataframe of Dask; such a dataframe, whose columns are
        called like the placeholders; or a list of delayed shards, each a mapping or a tuple as below. An epoch takes
        the chunks, and the rows within each, in an order that `rng` draws.

        A batch is a mapping as above. It can also be a tuple or list of arrays, for the placeholders that the loss and
        the metrics need, in the order in which they were made; or one array, for the only one. Batches may have
        different sizes.
    epochs : int
        How often to go through the training set, including the epochs before a `resume`.
    batch_size : int or None
        Rows per batch of a mapping, of the training or the validation set. None: all rows in one batch;
        then arrays may have different lengths.
    shuffle : bool, optional
        Whether each epoch uses another order of the rows of a mapping. By default, it does.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws one permutation per epoch of a mapping, if it is to `shuffle`. By default, ``np.random.default_rng(0)``.
        Where `data` yields the batches, this is what they are drawn with, if anything: checkpoints keep its state.
    drop_last : bool
        Whether to leave out the last batch of a mapping if it is smaller than `batch_size`.
    steps_per_epoch : int, optional
        How many steps make an epoch. Each epoch begins where the last one ended in the data, which begin again when
        they end. If an iterator ends, so does the training; the epoch counts, with the steps that it had, and
        ``history.exhausted`` is True. By default, an epoch goes through the data once.
    validation : as `data`, but no iterator, optional
        Another set, which is evaluated after each epoch, without updates. The history has its loss as ``val_loss``, a
        metric as ``val_accuracy`` and so on, in the evaluation form (see Notes). If the loss is a sum over the batch,
        the sums of the batches are added.
    validation_split : float
        The share of the rows of a mapping, the last ones, to validate with and not to train on.
    validation_loss : Node or str, optional
        What to record as ``val_loss``, a scalar. By default, the loss.
    metrics : mapping of str to Node or str, optional
        Evaluated on the whole training set after each epoch, as by `evaluate`. Where `data` yields the batches, each
        is evaluated just before its step.
    callbacks : callable, Callback, or iterable of them
        Functions are called with the history after each epoch. A `Callback` is called after each step, after each
        epoch, or both. If one returns True (of Python or NumPy), the training ends.
    early_stopping : EarlyStopping, optional
    checkpoint : str or path-like, optional
        A file for everything that is needed to resume: graph, state, random generator, position and history. It is
        written after each epoch, completely or not at all.
    checkpoint_every : int, optional
        Write the checkpoint after this many steps instead of after each epoch, and at the end.
    resume : str or path-like, optional
        A checkpoint from which to continue, with the same arguments. The results are the same, to the bit, as without
        the interruption, if `data` yields the same batches. Those that were used are passed over; an iterator just
        goes on, and so cannot resume within an epoch. It sets the state of the graph, and that of `rng`.
    progress : bool, stream or callable
        True: curves below the cell in a notebook; a progress bar and curves if standard error is a terminal and rich is
        installed; else lines of text on standard error, on a terminal with the curve of the loss. All tell steps per
        second, and the time left as far as the number of steps is known. A stream gets the lines written to it. A
        callable is called with each line.
    page : str, path-like or LivePage, optional
        A file of HTML to open in a browser, which shows the training while it goes on and reloads itself until it ends:
        losses and metrics, the norms of gradients, weights and updates, how activations spread, the learning rate, and
        the first step at which `graphnn.check_health` finds something. It is written every few seconds, completely or
        not at all. For its figures a step is evaluated again now and then, so seldom that it takes less than 2 % of the
        time. Random nodes draw in it as in the next step. A `LivePage` shows several training runs over each other.
    shards : int, optional
        Split each batch into so many shards, whose sizes differ by one row at most. What has rows is computed by
        shards, the sums over rows are added two by two, means are divided by the number of all rows, and what follows
        runs once. So the function is the same, up to rounding, but for random numbers, of which each shard draws its
        own.
    statistics : {"all", "shard"}
        Over which rows `BatchNorm` takes mean and variance in training: over all rows, for which the shards meet
        several times in a step; or over those of each shard, as if it were a batch. Then its running statistics move
        by the mean over the shards, weighted by their rows.
    client : distributed.Client, optional
        A Dask client, whose workers compute the shards: each takes consecutive ones and returns their sum. The update
        is made here. The bits are those of the same `shards` without a client, however many workers there are, and
        whichever of them are lost. ``history.workers`` tells what each of them did.
    exact : bool
        Whether to refuse workers that may compute other bits, because versions or processors differ. Else only warn.

    Returns
    -------
    History
        A dict of lists. ``loss`` is the mean over the steps of an epoch, weighted by the size of the batches.

    Raises
    ------
    UsageError
        When the step makes no updates, its loss is not a scalar, or a metric is a sum over the batch or similar; when
        `shards` are asked for, and a node mixes rows, such as a sort along the batch; when
        a figure would be random in evaluation; when an iterator would have to be gone through twice; when
        `batch_size`, `shuffle` or `drop_last` is given, and `data` yields the batches.
    ValueRangeError
        When the training set is empty, or `drop_last` leaves no batch.
    ShapeError
        When the arrays to split have different lengths.
    NotFoundError
        When a feed is missing, or early stopping monitors an unknown figure.
    FileFormatError
        When `resume` is not a checkpoint of this graph.
    GraphnnError
        When a step fails, as in `graphnn.run`. A note names the epoch and the rows of the batch.
    OSError
        When `resume` cannot be read, or `checkpoint` or `page` cannot be written. All are found before training begins.

    Notes
    -----
    The validation loss and all metrics are computed with the evaluation form of the network, without dropout, even if
    they were made from the result of ``network(x, training=True)``. For this, each node that is only for training is
    replaced by its entry in ``graph.evaluation``, in a copy of the graph that uses the current state. The ``loss`` of
    the history is that of the training steps, with dropout.

    What `data` raises comes out as it is, with a note that names epoch and batch. Whatever error ends a training run,
    the parameters are those after the last whole step, and ``error.history`` has the whole epochs.

    The first loss that is NaN is warned of, and the training goes on. A step with ``gn.compile(…, guard="nan")`` stops
    there, with the parameters from before.

    Examples
    --------
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

    Batches that a function yields, here with new points each time:

    >>> rng = np.random.default_rng(0)
    >>> def batches():
    ...     for _ in range(10):
    ...         points = rng.integers(0, 2, (8, 2))
    ...         yield points + rng.normal(0.0, 0.1, (8, 2)), points[:, 0] ^ points[:, 1]
    >>> history = nn.fit(step, batches, epochs=3, rng=rng, validation={x: X, y: Y})
    >>> list(history), history.epochs
    (['loss', 'val_loss'], 3)
    """
    graph = _checked_step(step).graph
    whole("epochs", epochs, 1)
    size = checked_size(batch_size)
    if steps_per_epoch is not None:
        whole("steps_per_epoch", steps_per_epoch, 1)
    _check_checkpoint(checkpoint, checkpoint_every)
    given, shown_on = checked_rng(rng, "fit"), checked_page(page)
    shuffled, drop_last = checked_flag("shuffle", shuffle is None or shuffle), checked_flag("drop_last", drop_last)
    measured, called = _checked_metrics(graph, metrics), checked_callbacks(callbacks)
    needed = needed_placeholders(graph, [*step.fetches, *step.updates.values(), *measured.values()])
    kept = batches_of(graph, data, needed, "the training set", size)
    kept, apart = _with_validation(graph, kept, validation, validation_split, needed, size)
    figures = Figures(step, kept, measured, apart, _checked_validation_loss(graph, validation_loss, apart))
    if isinstance(kept, Split):
        prepare(graph, step.fetches, next(kept.opened())[1])
        order = (given or np.random.default_rng(0)) if shuffled else None
        passes = Passes(kept.for_training(order, drop_last), order, steps_per_epoch)
    else:
        given_size = batch_size is not USUAL_SIZE and not isinstance(apart, Split)
        check_not_cut("the training set", batch_size=given_size, shuffle=shuffle is not None, drop_last=drop_last)
        passes = Passes(kept, given, steps_per_epoch)
    keep = None if checkpoint is None else partial(save, path=checkpoint)
    with _computed(step, shards, statistics, client, exact) as made:
        training = Training(step, passes, figures, early_stopping, epochs, made)
        if resume is not None:
            resumed(training, resume)
        history = training.run(called, keep, checkpoint_every, progress, shown_on)
        if not isinstance(made, Compiled):
            history.workers = made.workers
        return history


def _with_validation(
    graph: Graph, data: Batches, validation: Any, share: Any, needed: list[Node], batch_size: int | None
) -> tuple[Batches, Batches | None]:
    """Return what to train on, and what to validate with, if anything."""
    share = checked_number("validation_split", share, 0, 1)
    if validation is None and not share:
        return data, None
    if share:
        if validation is not None:
            raise UsageError("validation= and validation_split= exclude each other")
        if not isinstance(data, Rows):
            raise UsageError(
                "validation_split takes the last rows of arrays, and these batches come one by one: give other batches "
                "as validation="
            )
        return data.split(share, batch_size)
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
    if loss.shape != () or loss.dtype.kind != "f":
        raise UsageError(f'the first fetch of the step is the loss, a float scalar; "{loss.name}" is {loss.spec}')
    return step


def _computed(
    step: Compiled, shards: Any, statistics: Any, client: Any, exact: Any
) -> AbstractContextManager[Compiled | Sharded]:
    """Return a block that gives what makes a step: itself, or shards of it."""
    if statistics not in ("all", "shard"):
        raise UsageError(f'statistics= must be those of "all" rows or of each "shard", not {short_repr(statistics)}')
    check_exact(client, exact)
    if shards is not None:
        return needed(SHARDED, "shards=")(step, whole("shards", shards, 1), statistics, client, exact)
    for name, is_given in (("statistics", statistics != "all"), ("client", client is not None)):
        if is_given:
            raise UsageError(
                f"{name}= needs shards=, into how many a batch is split; any number of workers will do, but the "
                "results depend on shards= to the bit"
            )
    return nullcontext(step)


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


def _checked_validation_loss(graph: Graph, given: Any, validation: Batches | None) -> Node | None:
    if given is None:
        return None
    if validation is None:
        raise UsageError("validation_loss needs something to validate with: validation= or validation_split=")
    loss = resolve([given], graph)[1][0]
    if loss.shape != () or loss.dtype.kind != "f":
        raise UsageError(f'validation_loss is a float scalar; "{loss.name}" is {loss.spec}')
    return loss


def _check_checkpoint(path: Any, every: Any) -> None:
    if every is not None:
        whole("checkpoint_every", every, 1)
        if path is None:
            raise UsageError("checkpoint_every needs checkpoint=, the file to write")
    if path is not None:
        _check_writable(path)  # an error now, and not after the first epoch


class _OnlyTried(Exception):
    """Raised to stop `_check_writable` before anything is written."""


def _check_writable(path: Any) -> None:
    """Raise the error that writing a checkpoint there would raise."""
    with suppress(_OnlyTried), replacing(path_of(path)):
        raise _OnlyTried
