"""What a checkpoint keeps of callbacks and early stopping, and what is refused of one that does not go on as it was."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.io import container
from graphnn.nn import Run


def again_from(path: Path) -> nn.Checkpoint:
    """Return what resumes from a file, and leaves it as it is."""
    return nn.Checkpoint(f"{path}.next", resume=path)


class Falling:
    """w goes halfway to the mean of each batch."""

    def __init__(self) -> None:
        g = gn.Graph("falling")
        self.x, self.w = g.placeholder("x", ("batch",)), g.parameter("w", 0.0)
        self.loss = gn.mean(gn.square(self.x - self.w)) / 2.0
        self.step = gn.compile(self.loss, nn.SGD(0.5).updates(self.loss))
        self.metrics = {"far": gn.mean(abs(self.x - self.w))}

    def fit(self, epochs: int, data: Any = None, **more: Any) -> nn.History:
        data = {self.x: [4.0, 2.0]} if data is None else data
        return nn.fit(self.step, data, epochs=epochs, metrics=self.metrics, **more)


def amid(p: Falling, path: Path, **more: Any) -> None:
    """Write a checkpoint after the first of two batches of the second epoch."""

    class Stop(nn.Callback):
        def batch(self, run: Run) -> None:
            if run.steps == 4:
                raise KeyboardInterrupt

    data = [{p.x: [4.0]}, {p.x: [2.0]}]
    assert p.fit(3, data, checkpoint=nn.Checkpoint(path, every=3), callbacks=[Stop()], **more).interrupted


def forged(path: Path, change: Callable[[Any, dict[str, Any]], None]) -> None:
    data, arrays = container.read(path, "checkpoint", version=3)
    change(data, arrays)
    container.write(path, "checkpoint", data, arrays, version=3)


# --- what callbacks add ---------------------------------------------------------------------------------------


def noted(history: nn.History) -> None:
    history.setdefault("rate", []).append(np.float64(0.5) / history.epochs)
    if history.epochs > 1:
        history.setdefault("counts", []).append(np.arange(history.epochs))


class EachStep(nn.Callback):
    def batch(self, run: Run) -> None:
        run.history.setdefault("steps", []).append(run.steps)


def test_a_column_that_a_callback_added_goes_on(tmp_path: Path) -> None:
    path, callbacks = tmp_path / "c", [EachStep(), noted]
    data = nn.Loader({"x": [4.0, 2.0]}, batch_size=1, shuffle=False)
    straight = Falling().fit(3, data, callbacks=callbacks)
    Falling().fit(2, data, callbacks=callbacks, checkpoint=path)
    again = Falling().fit(3, data, callbacks=callbacks, checkpoint=again_from(path))
    assert again["rate"] == straight["rate"] == [0.5, 0.25, 0.5 / 3]
    assert again["steps"] == [1, 2, 3, 4, 5, 6]
    assert [list(each) for each in again["counts"]] == [[0, 1], [0, 1, 2]]
    assert (again["loss"], again.epochs) == (straight["loss"], 3)


def test_a_column_from_within_the_first_epoch_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "c"

    class Stop(EachStep):
        def batch(self, run: Run) -> None:
            super().batch(run)
            if run.steps == 2:
                raise KeyboardInterrupt

    data = {"x": [4.0, 2.0, 1.0]}
    found = Falling().fit(1, data, batch_size=1, checkpoint=nn.Checkpoint(path, every=1), callbacks=Stop())
    assert (found["steps"], found.epochs) == ([1, 2], 0)
    assert Falling().fit(1, data, batch_size=1, checkpoint=again_from(path), callbacks=EachStep())["steps"] == [1, 2, 3]


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    def told(history: nn.History) -> None:
        history["note"] = "good"  # type: ignore[assignment]

    with pytest.raises(gn.UsageError, match='a history has lists, and "note" is a str'):
        Falling().fit(1, checkpoint=tmp_path / "c", callbacks=told)
    Falling().fit(1, checkpoint=tmp_path / "c", callbacks=noted)
    forged(tmp_path / "c", lambda data, arrays: data["history"].update(rate="good"))
    with pytest.raises(gn.FileFormatError, match='its figures "rate" are not valid'):
        Falling().fit(2, checkpoint=again_from(tmp_path / "c"))


def test_a_history_with_columns_of_any_length_prints_and_plots() -> None:
    history = nn.History({"loss": [0.5, 0.25]})
    history.update({"late": [1.0], "steps": [7, 8, 9], "\x1b[2J": ["\x1b[0m", "b"]})
    assert str(history).split() == [
        *("epoch", "loss", "late", "steps", "\\x1b[2J"),
        *("1", "0.5", "1", "7", "\\x1b[0m", "2", "0.25", "8", "b"),
    ]
    history["none"] = 3  # type: ignore[assignment]
    assert str(history).splitlines()[0].split()[-1] == "none"
    drawn = [[line.get_label() for line in axes.lines] for axes in history.plot().axes]
    assert drawn == [["loss"], ["steps"]]


# --- early stopping -------------------------------------------------------------------------------------------


def test_early_stopping_must_monitor_the_same(tmp_path: Path) -> None:
    path, p = tmp_path / "c", Falling()
    p.fit(2, checkpoint=path, callbacks=nn.EarlyStopping("loss"))
    for stopping, words in [
        (nn.EarlyStopping("far", mode="min"), 'monitors "loss" (mode="min"), but that of this call "far" (mode="min")'),
        (nn.EarlyStopping("loss", mode="max"), 'but that of this call "loss" (mode="max"): resume with the same'),
    ]:
        with pytest.raises(gn.UsageError, match=re.escape(words)):
            Falling().fit(3, checkpoint=again_from(path), callbacks=stopping)
    Falling().fit(
        3, checkpoint=again_from(path), callbacks=nn.EarlyStopping("loss", mode="min", patience=9, min_delta=0.1)
    )


def test_restore_best_without_the_best_values(tmp_path: Path) -> None:
    path = tmp_path / "c"
    Falling().fit(2, checkpoint=path, callbacks=nn.EarlyStopping("loss", restore_best=False))
    words = r"made with restore_best=False, and has no values of the best epoch, 2: resume with EarlyStopping\(restore"
    with pytest.raises(gn.UsageError, match=words):
        Falling().fit(3, checkpoint=again_from(path), callbacks=nn.EarlyStopping("loss"))
    Falling().fit(2, checkpoint=path, callbacks=nn.EarlyStopping("loss"))
    Falling().fit(3, checkpoint=again_from(path), callbacks=nn.EarlyStopping("loss", restore_best=False))
    forged(path, lambda data, arrays: arrays.update({"best/other": arrays.pop("best/w")}))
    with pytest.raises(gn.FileFormatError):
        Falling().fit(3, checkpoint=again_from(path), callbacks=nn.EarlyStopping("loss"))


# --- forged ones ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [{"loss": math.nan}, {"loss": 1.0}, {"steps": 10**30}, {"steps": 2**63}])
def test_a_position_that_cannot_be_is_refused(tmp_path: Path, position: dict[str, Any]) -> None:
    path = tmp_path / "c"
    Falling().fit(2, checkpoint=path)
    forged(path, lambda data, arrays: data["position"].update(position))
    with pytest.raises(gn.FileFormatError):
        Falling().fit(3, checkpoint=again_from(path))


def test_a_loss_that_was_nan_within_an_epoch_goes_on(tmp_path: Path) -> None:
    path, p = tmp_path / "c", Falling()
    amid(p, path)
    forged(path, lambda data, arrays: data["position"].update(loss=math.nan))
    assert math.isnan(Falling().fit(2, [{"x": [4.0]}, {"x": [2.0]}], checkpoint=again_from(path))["loss"][-1])


@pytest.mark.parametrize("name", ["metrics/1/0", "metrics/0/1", "metrics/00/0", "metrics/"])
def test_arrays_of_metrics_that_there_are_not_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c"
    amid(Falling(), path)
    assert Falling().fit(2, [{"x": [4.0]}, {"x": [2.0]}], checkpoint=again_from(path)).epochs == 2
    forged(path, lambda data, arrays: arrays.update({name: np.ones(3)}))
    with pytest.raises(gn.FileFormatError, match=f"its array '{name}' belongs to no parameter"):
        Falling().fit(2, [{"x": [4.0]}, {"x": [2.0]}], checkpoint=again_from(path))
