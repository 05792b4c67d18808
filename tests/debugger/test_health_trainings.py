"""Faults of trainings that make no NaN: each is found by its code, and sound trainings have no finding."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_trainings import FAULTY

import graphnn as gn
from graphnn import nn

LOOK = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "health_trainings.py"))


@pytest.mark.parametrize("what", FAULTY)
def test_a_faulty_training_has_findings_of_its_code_only(what: str) -> None:
    code, make = FAULTY[what]
    assert not [missed for seed in range(3) if (missed := LOOK["missed"](make, code, seed))]


@pytest.mark.parametrize("seed", range(18))
def test_a_sound_training_has_no_finding(seed: int) -> None:
    assert not LOOK["false_alarms"](seed, steps=4)


def cause_of(what: str, seed: int) -> str:
    setting = FAULTY[what][1](seed)
    finding = gn.check_health(setting.step, setting.feed).first
    assert finding is not None
    assert finding.remedy
    return re.sub(r" \(\S+:\d+\)", "", finding.cause)


def test_the_causes_of_faulty_trainings() -> None:
    assert re.match(
        r"the loss subtract\S* = \S+ decreases as the parameters grow, because it subtracts \S+ = \S+$",
        cause_of("weight decay of the wrong sign", 0),
    )
    assert re.match(
        r"the step changes dense_\S+ .* so little that the loss does not decrease; \w+/learning_rate = 0$",
        cause_of("a rate that moves nothing", 0),
    )
    assert re.match(
        r"the step at \w+/learning_rate = \S+ changes dense_\S+ by \S+, but its values are about \S+ \(RMS\); "
        r"\S+ is \S+ before it and \S+ after it$",
        cause_of("a rate far too large", 0),
    )
    assert re.match(
        r"labels, the labels of a loss, equal x, the network's input$",
        cause_of("labels that equal their inputs", 1),
    )
    assert re.match(
        r"labels, the labels of a loss, equal x\[:, \d+\], a column of the network's input$",
        cause_of("labels that equal their inputs", 2),
    )
    assert re.match(
        r"softmax_1/divide sums to 1 over axis \d, but \w+ sums it over axis \d$",
        cause_of("a softmax over another axis than the sum", 0),
    )
    assert re.match(
        r"\S+ is computed from dense_\d+/weight, .*, but the step trains dense_1/weight, ",
        cause_of("a metric of other parameters", 1),
    )


def test_a_learning_rate_far_too_high_is_one_finding_without_notes() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 4)), g.placeholder("y", shape=("batch", 1))
    rng = np.random.default_rng(0)
    h = x
    for _ in range(6):
        h = gn.tanh(nn.Dense(16, rng=rng)(h))
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(h), y)
    step = gn.compile(loss, nn.Adam(100.0).updates(loss))
    feed = {x: rng.normal(size=(40, 4)), y: rng.normal(size=(40, 1))}
    with gn.recording(step) as film:
        for _ in range(5):
            step(feed)
    health = gn.check_health(film)
    assert [each.code for each in health] == ["large-update"]
    assert (health.call, health.notes) == (0, ())


def test_a_rate_of_0_from_a_schedule_is_only_a_note() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 4)), g.placeholder("y", shape=("batch", 1))
    rng = np.random.default_rng(0)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(x), y)
    feed = {x: rng.normal(size=(40, 4)), y: rng.normal(size=(40, 1))}
    step = gn.compile(loss, nn.SGD(nn.schedules.cosine(0.05, 2)).updates(loss))
    with gn.recording(step) as film:
        for _ in range(6):
            step(feed)
    health = gn.check_health(film)
    assert health.ok, str(health)
    assert [note.code for note in health.notes] == ["not-moved"]


def test_a_bounded_penalty_may_be_subtracted() -> None:
    g = gn.Graph()
    x, y, w = g.placeholder("x", ("n", 2)), g.placeholder("y", ("n", 2)), g.parameter("w", [[1.0, 0.5], [0.3, 2.0]])
    feed = {x: np.eye(2).repeat(5, axis=0), y: np.ones((10, 2))}
    terms: list[tuple[gn.Node, bool]] = [
        (gn.mean(gn.square(gn.tanh(w))), False),
        (gn.sum(gn.log(gn.softplus(w))), False),
        (gn.mean(gn.square(x @ w)), False),
        (gn.sum(w * w), True),
        (gn.norm(w), True),
    ]
    for term, wrong in terms:
        loss = nn.mean_squared_error(x @ w, y) - 0.01 * term
        health = gn.check_health(gn.compile(loss, nn.SGD(0.01).updates(loss)), feed)
        assert [each.code for each in health] == ["negative-penalty"] * wrong, str(health)


@pytest.mark.parametrize(
    "make",
    [
        lambda soft, v: soft @ v,
        lambda soft, v: gn.einsum("ij,jk->ik", soft, v),
        lambda soft, v: gn.sum(gn.expand_dims(soft, 2) * gn.expand_dims(v, 0), axis=1),
        lambda soft, v: gn.transpose(v) @ gn.transpose(soft),
    ],
)
def test_a_softmax_over_another_axis_than_the_sum(make: Callable[..., gn.Node]) -> None:
    rng = np.random.default_rng(0)
    for axis, wrong in ((1, False), (0, True)):
        g = gn.Graph()
        s, v = g.placeholder("s", (4, 4)), g.placeholder("v", (4, 3))
        health = gn.check_health(make(gn.softmax(s, axis=axis), v), {s: rng.normal(size=(4, 4)), v: np.ones((4, 3))})
        turned = make(s, v).inputs[0].op.name == "transpose"  # it is not followed there
        assert [each.code for each in health] == ["softmax-axis"] * (wrong and not turned), str(health)


def test_few_or_equal_labels_match_the_input_by_chance() -> None:
    for points in (np.eye(4)[:, :2], np.ones((20, 2))):
        g = gn.Graph()
        x, y = g.placeholder("x", ("n", 2)), g.placeholder("y", ("n", 1))
        loss = nn.mean_squared_error(nn.Dense(1, rng=np.random.default_rng(0))(x), y)
        feed: dict[gn.Node, Any] = {x: points, y: points[:, :1]}
        assert gn.check_health(gn.compile(loss, nn.SGD(0.01).updates(loss)), feed).ok
