"""fit on batches that come from elsewhere: loaders, generators, functions; callbacks, validation, resuming."""

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.io import container
from graphnn.nn import Run

X, Y = gn.datasets.spiral(20, classes=3, seed=0)
SIZES = (16, 3, 1, 40)  # uneven batches of the 60 rows
CUTS = [slice(sum(SIZES[:i]), sum(SIZES[: i + 1])) for i in range(len(SIZES))]


def again_from(path: Path) -> nn.Checkpoint:
    """Return what resumes from a file, and leaves it as it is."""
    return nn.Checkpoint(f"{path}.next", resume=path)


class Problem:
    """A small network with dropout."""

    def __init__(self) -> None:
        g = gn.Graph("spiral")
        self.graph = g
        self.x, self.y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        network = nn.Sequential(nn.Dense(4), nn.Tanh(), nn.Dropout(0.25), nn.Dense(3))
        self.scores = network(self.x, training=True)
        self.loss = nn.softmax_crossentropy(self.scores, self.y)
        self.accuracy = nn.accuracy(self.scores, self.y)
        self.step = gn.compile(self.loss, nn.Adam(0.05).updates(self.loss))

    def state(self) -> dict[str, bytes]:
        return {node.name: value.tobytes() for node, value in self.graph.state.items()}

    def stepped(self, cuts: list[slice]) -> list[float]:
        """Make the steps by hand; return their losses."""
        return [float(self.step({self.x: X[rows], self.y: Y[rows]})) for rows in cuts]


class Halved:
    """w goes halfway to the mean of each batch."""

    def __init__(self) -> None:
        g = gn.Graph("halved")
        self.x, self.w = g.placeholder("x", ("batch",)), g.parameter("w", 0.0)
        self.loss = gn.mean(gn.square(self.x - self.w)) / 2.0
        self.step = gn.compile(self.loss, nn.SGD(0.5).updates(self.loss))


class Tensor:
    """What has an array, as those of other libraries."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


class Loader:
    """Batches as a loader of PyTorch gives them, with a length or without."""

    def __init__(self, length: Any = None) -> None:
        self.length, self.passes = length, 0

    def __len__(self) -> int:
        if isinstance(self.length, int):
            return self.length
        raise self.length or TypeError("has no len()")

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return (([Tensor(X[rows]), Tensor(Y[rows])]) for rows in CUTS)


def generated() -> Iterator[Any]:
    for rows in CUTS:
        yield X[rows], Y[rows]


# --- where batches come from ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        lambda p: [{p.x: X[rows], "y": Y[rows].tolist()} for rows in CUTS],
        lambda p: generated,
        lambda p: Loader(),
        lambda p: Loader(4),
        lambda p: Loader(NotImplementedError()),
        lambda p: itertools.cycle(generated()),
    ],
    ids=["list", "function", "loader", "length", "no length", "endless"],
)
def test_it_is_the_loop_one_would_write(data: Any) -> None:
    p, plain = Problem(), Problem()
    given = data(p)
    more = {"steps_per_epoch": 4} if isinstance(given, Iterator) else {}
    history = nn.fit(p.step, given, epochs=3, **more)
    expected = [np.average(plain.stepped(CUTS), weights=SIZES) for _ in range(3)]
    assert p.state() == plain.state()
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-14)
    assert not history.exhausted


def test_a_generator_is_gone_through_once() -> None:
    p, plain = Problem(), Problem()
    history = nn.fit(p.step, generated())
    np.testing.assert_allclose(history["loss"], [np.average(plain.stepped(CUTS), weights=SIZES)], rtol=1e-14)
    assert p.state() == plain.state()
    assert not history.exhausted
    with pytest.raises(gn.UsageError, match=r"only once, and there are 2 epochs: .*not batches\(\).* steps_per_epoch="):
        nn.fit(p.step, generated(), epochs=2)
    assert p.state() == plain.state()


@pytest.mark.parametrize(("steps", "losses"), [(3, [3, 1]), (2, [2, 2]), (4, [4])])
def test_a_generator_that_ends_ends_the_training(steps: int, losses: list[int]) -> None:
    p, plain = Problem(), Problem()
    seen: list[int] = []
    history = nn.fit(p.step, generated(), epochs=9, steps_per_epoch=steps, callbacks=lambda h: seen.append(h.epochs))
    cuts = iter(CUTS)
    expected = []
    for many in losses:
        taken = list(itertools.islice(cuts, many))
        weights = [rows.stop - rows.start for rows in taken]
        expected.append(np.average(plain.stepped(taken), weights=weights))
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-14)
    assert p.state() == plain.state()
    assert history.exhausted
    assert not history.interrupted
    assert repr(history).endswith("\nthe data ended")
    assert seen == [*range(1, len(losses) + 1)]


def test_a_generator_goes_on_where_it_was_left() -> None:
    p, left = Halved(), iter(range(100))
    numbers = (np.array([float(n)]) for n in left)
    nn.fit(p.step, numbers, epochs=2, steps_per_epoch=3)
    assert next(left) == 6
    assert next(numbers)[0] == 7.0, "it is not closed"


def test_epochs_of_so_many_steps_go_round_and_round() -> None:
    p, seen = Halved(), []

    class See(nn.Callback):
        def batch(self, run: Run) -> None:
            seen.append((run.epoch, run.batch, *run.feed[p.x].tolist()))

    nn.fit(p.step, lambda: ([n] for n in ([0.0], [1.0], [2.0])), epochs=2, steps_per_epoch=4, callbacks=See())
    assert seen == [(1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 0), (2, 1, 1), (2, 2, 2), (2, 3, 0), (2, 4, 1)]
    seen.clear()
    data = nn.Loader({"x": np.arange(3.0)}, batch_size=1, shuffle=False)
    nn.fit(p.step, data, epochs=2, steps_per_epoch=2, callbacks=[See()])
    assert seen == [(1, 1, 0), (1, 2, 1), (2, 1, 2), (2, 2, 0)]


def test_one_array_is_fed_to_the_only_placeholder() -> None:
    p = Halved()
    nn.fit(p.step, [np.array([2.0]), Tensor([1.0])])
    assert p.w.value == 1.0
    assert nn.evaluate(p.loss, (x for x in [Tensor([2.0, 2.0, 2.0]), np.array([1.0])])) == 0.375


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (3, TypeError, "the training set is a feed {placeholder: array}, an iterable of batches such as a loader, or"),
        (X, TypeError, "or a function that returns one, not ndarray"),
        ([], ValueError, "the training set is empty: a list yielded no batch"),
        (iter(()), ValueError, "is empty: a tuple_iterator yielded no batch"),
        (lambda: 3, TypeError, "the function for the training set returns an iterator of batches, not int"),
        (list, ValueError, "yielded no batch"),
        ([(X, Y), 3], TypeError, 'a tuple or list of the arrays for "x", "y", not int'),
        ([(X, Y), (X, Y, Y)], TypeError, 'the batch has 3 arrays, and 2 placeholders are to be fed: "x", "y", in this'),
        ([X], TypeError, "the batch has 1 array, and 2 placeholders"),
        ((X, Y), TypeError, "if the training set is not in batches yet, give arrays of all rows: {placeholder: array}"),
        ([(X, Y), {"x": X}], KeyError, 'the feed lacks "y"'),
        ([(X, Y), (X[:0], Y[:0])], ValueError, 'the batch is empty: no rows for "x", "y"'),
        ([(X, Y), (Y, X)], ValueError, "expected (batch, 2)"),
        ([(X, Y), (X, Y[1:])], ValueError, "batch = 59"),
        ([(X, Y), {"x": X, "z": Y}], KeyError, 'the feed names "z"'),
    ],
)
def test_what_is_no_batch_is_refused(data: Any, kind: type[Exception], words: str) -> None:
    p = Problem()
    with pytest.raises(kind, match=re.escape(words)) as raised:
        nn.fit(p.step, data)
    assert p.graph["adam_1/step"].value == (1 if isinstance(data, list) and len(data) == 2 else 0)
    if isinstance(data, list) and len(data) == 2:
        assert raised.value.__notes__[0].startswith("in epoch 1, batch 2 of 2")


def test_what_is_for_arrays_is_refused_for_batches() -> None:
    p = Problem()
    for settings, words in [
        (
            {"batch_size": 8},
            "batch_size is for arrays that are split; the batches of the training set come as they are",
        ),
        ({"batch_size": 32}, "batch_size is for arrays"),
        ({"batch_size": None}, "batch_size is for arrays"),
        ({"validation": 0.2}, "validation=0.2 takes the last rows of arrays"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is an int of 1 or more, not 0"),
    ]:
        with pytest.raises(gn.GraphnnError, match=words):
            nn.fit(p.step, generated, **settings)
    nn.fit(p.step, generated, batch_size=8, validation={p.x: X, p.y: Y})  # it cuts the validation set
    for size in (8, 32, None):
        with pytest.raises(gn.UsageError, match="batch_size is for arrays that are split; the batches of the set come"):
            nn.evaluate(p.loss, generated, batch_size=size)
    assert nn.evaluate(p.loss, generated) == pytest.approx(nn.evaluate(p.loss, {p.x: X, p.y: Y}), rel=1e-14)


# --- what goes wrong ------------------------------------------------------------------------------------------


class Spilt(Exception):
    """An error of the user's own."""


def test_what_the_data_raise_comes_out_with_its_place() -> None:
    p, plain, ended = Problem(), Problem(), []
    error, left = Spilt("milk"), [6]

    def failing() -> Iterator[Any]:
        try:
            for batch in generated():
                left[0] -= 1
                if not left[0]:
                    raise error
                yield batch
        finally:
            ended.append("closed")

    with pytest.raises(Spilt) as raised:
        nn.fit(p.step, failing, epochs=3, validation={p.x: X, p.y: Y})
    assert raised.value is error
    assert error.__notes__ == ["in epoch 2, batch 2 of 4: the data raised this, and no step was made"]
    plain.stepped([*CUTS, CUTS[0]])
    assert p.state() == plain.state()
    history: Any = error.history  # type: ignore[attr-defined]
    assert (history.epochs, [len(values) for values in history.values()]) == (1, [1, 1])
    assert ended == ["closed", "closed"]


def test_a_step_that_fails_closes_the_generator() -> None:
    p, ended = Problem(), []

    def wrong() -> Iterator[Any]:
        try:
            yield X, Y
            yield X, Y + 9
        finally:
            ended.append(1)

    for data in (wrong, wrong()):
        with pytest.raises(gn.LabelError, match="label") as raised:
            nn.fit(p.step, data)
        assert raised.value.__notes__ == ["in epoch 1, batch 2"]
    assert ended == [1, 1]


def test_a_loader_that_does_not_begin_anew_is_told() -> None:
    class Spent:
        def __init__(self) -> None:
            self.batches = generated()

        def __iter__(self) -> Iterator[Any]:
            return self.batches

    p = Problem()
    with pytest.raises(gn.ValueRangeError, match="the training set is empty: a Spent yielded no batch") as raised:
        nn.fit(p.step, Spent(), epochs=2)
    assert raised.value.__notes__[0].startswith("in epoch 2, batch 1")
    assert p.graph["adam_1/step"].value == 4


@pytest.mark.parametrize("where", ["data", "callback"])
@pytest.mark.parametrize("once", [True, False])
def test_ctrl_c_keeps_whole_steps_and_closes_the_generator(where: str, once: bool) -> None:
    p, plain, ended, drawn = Problem(), Problem(), [], itertools.count(1)

    def batches() -> Iterator[Any]:
        try:
            for batch in itertools.cycle(generated()):
                if next(drawn) == 7 and where == "data":
                    raise KeyboardInterrupt
                yield batch
        finally:
            ended.append(1)

    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 6 and where == "callback":
                raise KeyboardInterrupt

    data = batches() if once else batches
    history = nn.fit(p.step, data, epochs=9, steps_per_epoch=4, callbacks=Stop(), metrics={"accuracy": p.accuracy})
    assert history.interrupted
    assert (history.epochs, len(history["accuracy"])) == (1, 1)
    plain.stepped([*CUTS, *CUTS[:2]])
    assert p.state() == plain.state()
    assert ended == [1]


# --- callbacks ------------------------------------------------------------------------------------------------


def test_callbacks_see_the_run() -> None:
    p, seen = Halved(), []
    step = gn.compile([p.loss, p.w], p.step.updates)

    class See(nn.Callback):
        def batch(self, run: Run) -> Any:
            seen.append((run.epoch, run.batch, run.steps, run.per_epoch, run.loss, float(run.results[1])))

        def epoch(self, run: Run) -> Any:
            seen.append((run.epoch, run.batch, run.history["loss"][-1]))

    nn.fit(step, [([4.0],), ([4.0],)], epochs=2, callbacks=[See(), lambda h: seen.append(h.epochs)])
    assert seen == [
        *((1, 1, 1, 2, 8.0, 0.0), (1, 2, 2, 2, 2.0, 2.0), (1, 2, 5.0), 1),
        *((2, 1, 3, 2, 0.5, 3.0), (2, 2, 4, 2, 0.125, 3.5), (2, 2, 0.3125), 2),
    ]


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_ends_the_training_within_an_epoch(true: Any, tmp_path: Path) -> None:
    class Stop(nn.Callback):
        def batch(self, run: Run) -> Any:
            return true if run.steps == 6 else None

    p, plain = Problem(), Problem()
    history = nn.fit(p.step, generated, epochs=9, callbacks=[Stop()], checkpoint=tmp_path / "c")
    losses = plain.stepped([*CUTS, *CUTS[:2]])
    assert p.state() == plain.state()
    assert history["loss"] == pytest.approx(
        [np.average(losses[:4], weights=SIZES), np.average(losses[4:], weights=SIZES[:2])]
    )
    assert not history.exhausted
    # The epoch counts: a resumed training begins the next one.
    again = nn.fit(p.step, generated, epochs=3, checkpoint=again_from(tmp_path / "c"))
    plain.stepped(CUTS)
    assert again.epochs == 3
    assert p.state() == plain.state()


def test_a_class_is_no_callback() -> None:
    with pytest.raises(gn.UsageError, match="not the class Callback"):
        nn.fit(Problem().step, generated, callbacks=[nn.Callback])


class NoRun(nn.Callback):
    def epoch(self) -> None:  # type: ignore[override]
        """Lacks the run."""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p(callbacks=lambda: None), "a callback is called with one argument, the history, and takes none"),
        (lambda p: p(callbacks=[lambda epoch, logs: 0]), "one argument, the history, and takes (epoch, logs)"),
        (lambda p: p(callbacks=NoRun()), "NoRun.epoch is called with one argument, the run, and takes none"),
        (lambda p: p(lambda epoch: generated()), "the training set is called with no argument, and takes (epoch)"),
        (lambda p: p(validation=lambda n: generated()), "the function for the validation set is called with no"),
        (lambda p: p(progress=lambda: None), "progress is called with one argument, a line, and takes none"),
        (
            lambda p: nn.EMA(lambda: 0.9),
            "EMA: decay is called with one argument, the number of updates, and takes none",
        ),
        (lambda p: nn.Adam(lambda: 0.9), "Adam: the learning rate is called with one argument, the number of steps"),
        (lambda p: nn.schedules.warmup(3, lambda: 0.9), "warmup: then is called with one argument"),
        (lambda p: nn.schedules.piecewise([lambda a, b: a, 0.1], [2]), "a schedule of piecewise is called with one"),
        (lambda p: p(metrics={1: "accuracy_1"}), "metrics are {name: node}, such as"),
        (lambda p: p(metrics={1: "accuracy_1"}), "; the name 1 is not text"),
        (lambda p: p(metrics={"accuracy": nn.accuracy}), '"accuracy" is a function, and not the node that it returns'),
    ],
)
def test_a_function_that_takes_something_else_is_refused_before_it_is_called(call: Any, words: str) -> None:
    p = Problem()

    def fitted(data: Any = generated, **more: Any) -> nn.History:
        return nn.fit(p.step, data, **more)

    with pytest.raises(gn.UsageError, match=re.escape(words)):
        call(fitted)
    assert p.graph["adam_1/step"].value == 0


def test_functions_of_more_arguments_that_have_defaults_and_of_c_are_called() -> None:
    p, seen = Problem(), []
    callbacks = [lambda history, verbose=True: seen.append(verbose), seen.append]
    nn.fit(p.step, generated, callbacks=callbacks, progress=seen.append)
    assert seen[0] is True
    assert len(seen) == 3
    nn.SGD(np.sqrt)


# --- validation and metrics -----------------------------------------------------------------------------------


def test_the_last_rows_validate() -> None:
    p, q = Problem(), Problem()
    rng = np.random.default_rng
    history = nn.fit(p.step, {p.x: X, p.y: Y}, epochs=2, validation=0.3, rng=rng(1), batch_size=8)
    kept = {"x": X[:42], "y": Y[:42]}
    assert history == nn.fit(q.step, kept, epochs=2, validation={"x": X[42:], "y": Y[42:]}, rng=rng(1), batch_size=8)
    assert p.state() == q.state()


def test_bad_shares() -> None:
    p = Problem()
    feed = {p.x: X, p.y: Y}
    for share, kind, words in [
        (1.0, ValueError, "validation, as a share of the rows, is more than 0, and less than 1, not 1"),
        (-0.1, ValueError, "validation, as a share of the rows, is more than 0"),
        (0, ValueError, "and less than 1, not 0"),
        (True, ValueError, "and less than 1, not 1"),
        ("half", TypeError, "a batch is a feed"),
        (0.999, ValueError, "validation=0.999 of 60 rows leaves nothing to train on"),
    ]:
        with pytest.raises(kind, match=words):
            nn.fit(p.step, feed, validation=share)  # type: ignore[arg-type]


def test_validation_by_a_loader_with_another_loss() -> None:
    p, q = Problem(), Problem()
    wrong = 1.0 - p.accuracy
    history = nn.fit(p.step, generated, epochs=2, validation=Loader(), metrics={"accuracy": p.accuracy, "wrong": wrong})
    assert list(history) == ["loss", "accuracy", "wrong", "val_loss", "val_accuracy", "val_wrong"]
    assert history["val_wrong"] == pytest.approx([1 - found for found in history["val_accuracy"]])
    plain = nn.evaluate(p.accuracy, {p.x: X, p.y: Y})
    assert history["val_accuracy"][-1] == plain == nn.evaluate(p.accuracy, generated())
    nn.fit(q.step, generated, epochs=2)
    assert p.state() == q.state(), "looking changes nothing"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"validation": generated()}, "only once, and validation= after each epoch"),
        ({"validation": []}, "the validation set is empty: a list yielded no batch"),
        ({"validation": [(Y, X)]}, "expected (batch, 2)"),
        ({"metrics": {"worst": "worst"}}, "take the mean over the rows (gn.mean)"),
    ],
)
def test_bad_validation(settings: dict[str, Any], words: str) -> None:
    p = Problem()
    gn.max(p.x[:, 0], name="worst")
    with pytest.raises(gn.GraphnnError, match=re.escape(words)):
        nn.fit(p.step, generated, **settings)
    assert p.graph["adam_1/step"].value == 0


def test_metrics_are_those_of_each_batch_before_its_step() -> None:
    p, q = Problem(), Problem()
    f1 = nn.f1(p.scores, p.y, average=None)
    history = nn.fit(p.step, generated(), metrics={"accuracy": p.accuracy, "f1": f1, "mean": gn.mean(p.x)})
    plain = gn.replace(q.scores, q.graph.evaluation)
    guesses = []
    for rows in CUTS:
        guesses.append(gn.run(plain, {"x": X[rows]}).argmax(axis=1))
        q.stepped([rows])
        plain = gn.replace(q.scores, q.graph.evaluation)
    guessed = np.concatenate(guesses)
    assert history["accuracy"] == [np.mean(guessed == Y)]
    each = [2 * np.sum((guessed == k) & (k == Y)) / (np.sum(guessed == k) + np.sum(k == Y)) for k in range(3)]
    np.testing.assert_allclose(history["f1"], [each], rtol=1e-12)
    np.testing.assert_allclose(history["mean"], X.mean(), rtol=1e-12)


# --- checkpoints ----------------------------------------------------------------------------------------------


def drawing(rng: np.random.Generator) -> Any:
    """Return a function whose batches are drawn as they come."""

    def batches() -> Iterator[Any]:
        for _ in range(int(rng.integers(3, 6))):
            rows = rng.integers(0, 60, rng.integers(2, 9))
            yield X[rows] + rng.normal(0.0, 0.1, (len(rows), 2)), Y[rows]

    return batches


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("every", [None, 1, 5])
def test_resumed_equals_straight_to_the_bit(steps: int | None, every: int | None, tmp_path: Path) -> None:
    def trained(epochs: int, stop: int | None = None, **more: Any) -> Any:
        p, rng = Problem(), np.random.default_rng(7)

        class Stop(nn.Callback):
            def batch(self, run: Run) -> None:
                if run.steps == stop:
                    raise KeyboardInterrupt

        metrics = {"accuracy": p.accuracy, "f1": nn.f1(p.scores, p.y, average=None), "mean": gn.mean(p.x)}
        history = nn.fit(
            p.step,
            drawing(rng),
            epochs=epochs,
            rng=rng,
            metrics=metrics,
            steps_per_epoch=steps,
            callbacks=Stop(),
            **more,
        )
        return history, p.state(), rng.bit_generator.state

    straight = trained(4)
    path = tmp_path / "c"
    assert trained(4, stop=9, checkpoint=nn.Checkpoint(path, every=every))[0].interrupted
    assert trained(4, checkpoint=nn.Checkpoint(path, resume=True)) == straight


def test_within_the_first_epoch_metrics_must_be_the_same_too(tmp_path: Path) -> None:
    p, path = Problem(), tmp_path / "c"
    batches = [(X[i : i + 20], Y[i : i + 20]) for i in (0, 20, 40)]
    a, b = gn.mean(p.x), p.accuracy

    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 2:
                raise KeyboardInterrupt

    nn.fit(p.step, batches, metrics={"a": a, "b": b}, callbacks=Stop(), checkpoint=nn.Checkpoint(path, every=1))
    for metrics in ({"b": b, "a": a}, {"b": a, "a": b}, {"a": a}, {}, {"a": a, "b": b, "c": a}):
        with pytest.raises(gn.UsageError, match="the checkpoint records loss, a, b, but this call loss"):
            nn.fit(p.step, batches, metrics=metrics, checkpoint=again_from(path))
    history = nn.fit(p.step, batches, metrics={"a": a, "b": b}, checkpoint=again_from(path))
    assert history["a"][0] == pytest.approx(X[:60].mean())


def test_a_generator_resumes_after_an_epoch_but_not_within(tmp_path: Path) -> None:
    p, plain = Problem(), Problem()
    endless = itertools.cycle(generated())
    whole, within = tmp_path / "whole", tmp_path / "within"
    nn.fit(p.step, endless, epochs=2, steps_per_epoch=3, checkpoint=whole)
    history = nn.fit(p.step, endless, epochs=3, steps_per_epoch=3, checkpoint=again_from(whole))
    plain.stepped([*CUTS, *CUTS, CUTS[0]])
    assert p.state() == plain.state()
    assert history.epochs == 3

    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 5:
                raise KeyboardInterrupt

    p = Problem()
    settings: dict[str, Any] = {"epochs": 3, "steps_per_epoch": 3}
    checkpoint = nn.Checkpoint(within, every=4)
    nn.fit(p.step, itertools.cycle(generated()), checkpoint=checkpoint, callbacks=Stop(), **settings)
    before = p.state()
    with pytest.raises(
        gn.ValueRangeError, match="written within an epoch, after 1 steps of it, and which batch of a generator"
    ):
        nn.fit(p.step, itertools.cycle(generated()), checkpoint=again_from(within), **settings)
    assert p.state() == before
    # The function that makes it passes over what was used.
    nn.fit(p.step, lambda: itertools.cycle(generated()), checkpoint=again_from(within), **settings)
    assert p.state() == plain.state()


def test_what_does_not_go_on_as_before_is_refused(tmp_path: Path) -> None:
    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 4:
                raise KeyboardInterrupt

    path = tmp_path / "c"
    p = Problem()
    more: dict[str, Any] = {"metrics": {"accuracy": p.accuracy}}
    nn.fit(p.step, generated, checkpoint=nn.Checkpoint(path, every=3), callbacks=Stop(), **more)
    words = "with batches that are not split from arrays, but this call has rows = 60, batch_size = 32"
    with pytest.raises(gn.ValueRangeError, match=words):
        nn.fit(p.step, nn.Loader({p.x: X, p.y: Y}, shuffle=False), checkpoint=again_from(path), **more)
    with pytest.raises(
        gn.ValueRangeError, match=r"but this call has batches that are not split .*, steps_per_epoch = 5"
    ):
        nn.fit(p.step, generated, checkpoint=again_from(path), steps_per_epoch=5, **more)
    with pytest.raises(gn.ValueRangeError, match="made with rng=None"):
        nn.fit(p.step, generated, checkpoint=again_from(path), rng=np.random.default_rng(0), **more)
    with pytest.raises(gn.ValueRangeError, match="after 3 batches of the training set, which yields only 1 now"):
        nn.fit(p.step, [(X, Y)], checkpoint=again_from(path), **more)

    data, arrays = container.read(path, "checkpoint", version=3)
    assert sorted(name for name in arrays if name.startswith("metrics/")) == ["metrics/0/0"]
    forged = [{**arrays, "metrics/0/0": np.ones(3)}, {**arrays, "metric/0/1": np.ones(())}]
    forged.append({name: array for name, array in arrays.items() if name != "metrics/0/0"})
    before = p.state()
    for changed in forged:
        container.write(path, "checkpoint", data, changed, version=3)
        with pytest.raises(gn.FileFormatError):
            nn.fit(p.step, generated, checkpoint=again_from(path), **more)
    for position in ({"drawn": 2}, {"seen": 0}, {"steps_per_epoch": "?"}, {"drawn": -1}):
        forged_data = {**data, "position": {**data["position"], **position}}
        container.write(path, "checkpoint", forged_data, arrays, version=3)
        with pytest.raises(gn.FileFormatError):
            nn.fit(p.step, generated, checkpoint=again_from(path), **more)
    assert p.state() == before


# --- progress -------------------------------------------------------------------------------------------------


def test_lines_tell_how_it_goes_where_the_length_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(
        sys.modules["graphnn.nn.training.progress"], "time", SimpleNamespace(perf_counter=lambda: now[0])
    )

    def slow() -> Iterator[Any]:
        for _ in range(6):
            now[0] += 4.0
            yield [2.0]

    p, lines = Halved(), []
    nn.fit(p.step, lambda: ((x,) for x in slow()), epochs=2, progress=lines.append)
    assert lines == [
        "epoch 1/2  step 3  loss 0.125  4 s/step",
        "epoch 1/2  step 6  loss 0.001953  4 s/step",
        "epoch 1/2  loss 0.4443  4 s/step, 0:24 left",
        "epoch 2/2  step 3/6  loss 3.052e-05  4 s/step, 0:12 left",
        "epoch 2/2  step 6/6  loss 4.768e-07  4 s/step",
        "epoch 2/2  loss 0.0001085  4 s/step, 0:48 in all",
    ]


def test_where_a_step_is_among_uneven_epochs() -> None:
    run = Run(Problem().step, nn.History(), 4, None, 0, ends=[4, 12], steps=15)
    assert [run.epoch_at(step) for step in (0, 2, 4, 8, 12, 15)] == [0, 0.5, 1, 1.5, 2, 3]
    assert run.left is None
    run.per_epoch, run.history.epochs, run.batch = 6, 2, 3
    assert (run.epoch_at(15), run.left) == (2.5, 9)


@pytest.mark.parametrize(
    ("rows", "share", "trained"), [(10, 0.9, 1), (5, 0.8, 1), (10, 0.8, 2), (60, 0.3, 42), (7, 0.5, 3)]
)
def test_a_share_is_not_rounded_by_the_error_of_a_float(rows: int, share: float, trained: int) -> None:
    p = Problem()
    seen: list[int] = []

    class Count(nn.Callback):
        def batch(self, run: Run) -> None:
            seen.append(len(run.feed[p.x]))

    nn.fit(p.step, {p.x: X[:rows], p.y: Y[:rows]}, validation=share, batch_size=None, callbacks=Count())
    assert seen == [trained]
