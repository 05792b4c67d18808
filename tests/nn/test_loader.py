"""Loaders, and the other objects that fit takes; and what the errors of its old keywords say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

X, Y = gn.datasets.spiral(20, classes=3, seed=0)


class Problem:
    """A small network with dropout on the spiral's 60 points."""

    def __init__(self) -> None:
        self.graph = g = gn.Graph("spiral")
        self.x, self.y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        scores = nn.Sequential(nn.Dense(4), nn.Tanh(), nn.Dropout(0.25), nn.Dense(3))(self.x, training=True)
        self.loss, self.accuracy = nn.softmax_crossentropy(scores, self.y), nn.accuracy(scores, self.y)
        self.step = gn.compile(self.loss, nn.Adam(0.05).updates(self.loss))
        self.feed = {self.x: X, self.y: Y}

    def state(self) -> dict[str, bytes]:
        return {node.name: value.tobytes() for node, value in self.graph.state.items()}


# --- loaders --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 16, 60, 99, None])
def test_fit_is_the_loop_over_a_loader(size: int | None, shuffle: bool, drop_last: bool) -> None:
    if drop_last and size == 99:
        return
    ours, plain = Problem(), Problem()
    settings: dict[str, Any] = {"batch_size": size, "shuffle": shuffle, "drop_last": drop_last}
    history = nn.fit(ours.step, nn.Loader(ours.feed, **settings), epochs=3)
    loader, losses = nn.Loader(plain.feed, **settings), []
    for _ in range(3):
        found = [(float(plain.step(batch)), len(batch[plain.x])) for batch in loader]
        assert len(found) == len(loader)
        losses.append(np.average([loss for loss, _ in found], weights=[rows for _, rows in found]))
    assert ours.state() == plain.state()
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-14)


def test_each_pass_has_another_order_of_the_same_rows() -> None:
    g = gn.Graph()
    x, scale = g.placeholder("x", ("n",)), g.placeholder("scale")
    loader = nn.Loader({x: np.arange(10.0), "scale": 2.0}, batch_size=4, rng=np.random.default_rng(5))
    draw = np.random.default_rng(5)
    for _ in range(3):
        batches = list(loader)
        assert [len(batch[x]) for batch in batches] == [4, 4, 2]
        np.testing.assert_array_equal(np.concatenate([batch[x] for batch in batches]), draw.permutation(10))
        assert [batch[scale] for batch in batches] == [2.0] * 3
    first, second = iter(loader), iter(loader)  # one does not disturb the other
    one, other = [next(first)[x]], [next(second)[x]]
    one += [batch[x] for batch in first]
    other += [batch[x] for batch in second]
    assert sorted(np.concatenate(one)) == sorted(np.concatenate(other)) == list(range(10))


def test_a_loader_is_a_mapping_with_its_settings() -> None:
    one, other, third = Problem(), Problem(), Problem()
    rng = np.random.default_rng
    more: dict[str, Any] = {"epochs": 3, "metrics": {"accuracy": "accuracy_1"}}
    expected = nn.fit(one.step, one.feed, batch_size=16, rng=rng(3), validation=0.25, **more)
    loader = nn.Loader({"x": X, "y": Y}, batch_size=16, rng=rng(3))
    assert nn.fit(other.step, loader, validation=0.25, **more) == expected
    assert one.state() == other.state()
    found = nn.fit(
        third.step,
        nn.Loader({"x": X[:45], "y": Y[:45]}, batch_size=16, rng=rng(3)),
        validation=nn.Loader({"x": X[45:], "y": Y[45:]}, batch_size=16, drop_last=True),
        **more,
    )
    assert found == expected, "what validates does so with all rows"


def test_what_is_evaluated_are_all_rows_in_their_order() -> None:
    p = Problem()
    rng = np.random.default_rng(0)
    before = str(rng.bit_generator.state)
    loader = nn.Loader(p.feed, batch_size=16, drop_last=True, rng=rng)
    for fetch in (p.loss, [p.loss, "accuracy_1"]):
        assert nn.evaluate(fetch, loader) == nn.evaluate(fetch, p.feed, batch_size=16)
    assert nn.evaluate(gn.max(p.x), nn.Loader(p.feed, batch_size=None)) == X.max()
    assert str(rng.bit_generator.state) == before
    assert gn.check_health(p.step, loader).ok
    far = gn.sum(abs(p.x), axis=1)
    assert gn.compare(far, far * 1.0, data=nn.Loader({"x": X}, batch_size=1)).count == 60


def test_a_checkpoint_keeps_the_state_of_a_loader(tmp_path: Path) -> None:
    class Stop(nn.Callback):
        def batch(self, run: nn.Run) -> None:
            if run.steps == 6:
                raise KeyboardInterrupt

    def trained(seed: int, **more: Any) -> Any:
        p = Problem()
        loader = nn.Loader(p.feed, batch_size=16, drop_last=True, rng=np.random.default_rng(seed))
        return nn.fit(p.step, loader, epochs=4, **more), p.state(), str(loader.rng.bit_generator.state)  # type: ignore[union-attr]

    straight = trained(3)
    assert trained(3, checkpoint=nn.Checkpoint(tmp_path / "c", every=2), callbacks=Stop())[0].interrupted
    assert trained(9, checkpoint=nn.Checkpoint(tmp_path / "c", resume=True)) == straight


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda p: nn.Loader(3), TypeError, "a Loader splits the rows of arrays, {placeholder: array}, not an int"),
        (lambda p: nn.Loader([(X, Y)]), TypeError, "not a list: give what yields batches to fit as it is"),
        (lambda p: nn.Loader(nn.Loader(p.feed)), TypeError, "not a Loader"),
        (lambda p: nn.Loader(X), TypeError, "not a ndarray"),
        (lambda p: nn.Loader(p.feed, batch_size=0), ValueError, "batch_size is an int of 1 or more, not 0"),
        (lambda p: nn.Loader(p.feed, shuffle=1), TypeError, "shuffle is True or False, not 1"),
        (lambda p: nn.Loader(p.feed, drop_last=None), TypeError, "drop_last is True or False, not NoneType"),
        (lambda p: nn.Loader(p.feed, rng=3), TypeError, "np.random.default_rng(3) makes one"),
        (lambda p: nn.Loader(p.feed, shuffle=False, rng=np.random.default_rng(0)), TypeError, "leave rng out"),
        (lambda p: iter(nn.Loader({"x": X, "y": Y})), TypeError, "give placeholders as keys, {x: X}"),
        (lambda p: len(nn.Loader({"x": X, "y": Y})), TypeError, "give placeholders as keys, {x: X}"),
        (lambda p: iter(nn.Loader({p.x: X, p.y: Y[1:]})), ValueError, "batch = 59"),
        (lambda p: len(nn.Loader(p.feed, batch_size=99, drop_last=True)), ValueError, "leaves nothing of 60 rows"),
        (lambda p: nn.fit(p.step, nn.Loader(p.feed), batch_size=32), TypeError, "write nn.Loader(data, batch_size=…)"),
        (
            lambda p: nn.fit(p.step, nn.Loader(p.feed), rng=np.random.default_rng(0)),
            TypeError,
            "the training set is a Loader, which has its own rng: write nn.Loader(data, rng=…)",
        ),
        (lambda p: nn.evaluate(p.loss, nn.Loader(p.feed), batch_size=8), TypeError, "the set is a Loader, which has"),
        (
            lambda p: nn.fit(p.step, nn.Loader(p.feed), batch_size=8, validation=0.5),
            TypeError,
            "which has its own batch_size",
        ),
    ],
)
def test_what_does_not_fit_a_loader_is_refused(call: Any, kind: type[Exception], words: str) -> None:
    p = Problem()
    with pytest.raises(kind, match=re.escape(words)):
        call(p)
    assert p.graph["adam_1/step"].value == 0
    nn.fit(p.step, nn.Loader(p.feed), batch_size=8, validation=p.feed)  # it splits the validation set
    assert repr(nn.Loader(p.feed)) == "Loader(a dict of 2 entries, batch_size=32, shuffle=True, drop_last=False)"


# --- checkpoints ----------------------------------------------------------------------------------------------


def test_a_script_that_is_started_again_goes_on(tmp_path: Path) -> None:
    straight = Problem()
    expected = nn.fit(straight.step, straight.feed, epochs=4)

    class Crash(nn.Callback):
        def __init__(self, at: int) -> None:
            self.at = at

        def batch(self, run: nn.Run) -> None:
            if run.steps == self.at:
                raise OSError("no power")

    def script(crash: int | None, epochs: int = 4) -> Any:
        p = Problem()
        checkpoint = nn.Checkpoint(tmp_path / "run.ckpt", every=2, resume=True)
        callbacks = [] if crash is None else [Crash(crash)]
        return nn.fit(p.step, p.feed, epochs=epochs, checkpoint=checkpoint, callbacks=callbacks), p

    for crash in (1, 3, 6):  # before there is a file, within an epoch, after one
        with pytest.raises(OSError, match="no power"):
            script(crash)
    for _ in range(2):  # what is done is done
        history, p = script(None)
        assert history == expected
        assert p.state() == straight.state()
    assert script(None, epochs=5)[0].epochs == 5


def test_to_resume_from_another_file_leaves_it_as_it_is(tmp_path: Path) -> None:
    p = Problem()
    nn.fit(p.step, p.feed, epochs=2, checkpoint=tmp_path / "old")
    before = (tmp_path / "old").read_bytes()
    q = Problem()
    assert (
        nn.fit(q.step, q.feed, epochs=3, checkpoint=nn.Checkpoint(tmp_path / "new", resume=tmp_path / "old")).epochs
        == 3
    )
    assert (tmp_path / "old").read_bytes() == before
    r = Problem()
    assert nn.fit(r.step, r.feed, epochs=3, checkpoint=nn.Checkpoint(tmp_path / "new", resume=np.True_)).epochs == 3
    assert r.state() == q.state()


def test_what_is_there_and_damaged_is_no_new_beginning(tmp_path: Path) -> None:
    p, path = Problem(), tmp_path / "c"
    nn.fit(p.step, p.feed, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-50])
    before = p.state()
    with pytest.raises(gn.FileFormatError):
        nn.fit(p.step, p.feed, checkpoint=nn.Checkpoint(path, resume=True))
    assert p.state() == before
    nn.fit(p.step, p.feed, checkpoint=nn.Checkpoint(path, resume=np.False_))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"every": 0}, ValueError, "every is an int of 1 or more, not 0"),
        ({"every": 1.5}, TypeError, "every is an int of 1 or more, not 1.5"),
        ({"path": 3}, TypeError, "a path is text or a pathlib.Path, not int"),
        ({"resume": 3}, TypeError, "a path is text or a pathlib.Path, not int"),
        ({"resume": None}, TypeError, "a path is text or a pathlib.Path, not NoneType"),
    ],
)
def test_bad_checkpoints(settings: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        nn.Checkpoint(**{"path": "c", **settings})


def test_a_file_to_resume_from_that_is_missing_is_an_error(tmp_path: Path) -> None:
    p = Problem()
    with pytest.raises(FileNotFoundError, match="No such file"):
        nn.fit(p.step, p.feed, checkpoint=nn.Checkpoint(tmp_path / "new", resume=tmp_path / "none"))
    assert p.graph["adam_1/step"].value == 0
    assert list(tmp_path.iterdir()) == []


# --- early stopping -------------------------------------------------------------------------------------------


def test_early_stopping_stands_among_other_callbacks_and_serves_several_runs() -> None:
    stopping, seen = nn.EarlyStopping("loss", patience=1, min_delta=100.0), []
    for _ in range(2):
        p = Problem()
        history = nn.fit(p.step, p.feed, epochs=9, callbacks=[lambda h: seen.append(h.best), stopping])
        assert (history.epochs, history.best) == (2, 1)
    assert seen == [1, 1, 1, 1], "it looks before the callbacks do"


# --- the old keywords -----------------------------------------------------------------------------------------

OLD: dict[str, Any] = {
    "shuffle": False,
    "drop_last": True,
    "validation_split": 0.2,
    "validation_loss": "loss",
    "early_stopping": nn.EarlyStopping("loss"),
    "checkpoint_every": 3,
    "resume": "run.ckpt",
    "statistics": "shard",
    "exact": False,
}
NEEDS_A_SATELLITE = {"statistics": "shards", "exact": "client"}


def told(name: str) -> tuple[str, str]:
    """Return what the error of an old keyword says, and the line of it."""
    p = Problem()
    with pytest.raises(TypeError) as raised:
        nn.fit(p.step, p.feed, **{name: OLD[name]})
    said = str(raised.value) + "\n".join(getattr(raised.value, "__notes__", ()))
    begin = said.index("nn.fit(")
    end, depth = begin, 0
    for end in range(begin, len(said)):
        depth += {"(": 1, ")": -1}.get(said[end], 0)
        if depth == 0 and said[end] == ")":
            break
    return said, said[begin : end + 1]


@pytest.mark.parametrize("name", OLD)
def test_the_error_of_an_old_keyword_shows_the_line_to_write(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, line = told(name)
    assert name in said
    assert "Write nn.fit(step, " in said
    assert "…" not in line
    if name in NEEDS_A_SATELLITE:
        return  # tests/satellites/distributed
    monkeypatch.chdir(tmp_path)
    p = Problem()
    given = {"nn": nn, "step": p.step, "data": p.feed, "other": p.feed, "node": p.accuracy}
    history = eval(line, given)  # noqa: S307 - a line of ours
    assert history.epochs == 1
    if name == "validation_loss":
        assert {"plain", "val_plain"} < {*history}
