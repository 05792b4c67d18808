"""Ten bugs reported for other engines, rebuilt here: the health check names the cause, and its remedy works."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphnn as gn
from graphnn import Finding, Health, nn
from graphnn.debugger.health import check_health


class Story(NamedTuple):
    """A bug, and words that its finding must contain."""

    check: Callable[[bool], Health]
    code: str
    node: str
    cause: tuple[str, ...]
    remedy: tuple[str, ...]


STORIES: list[Any] = []


def _story(code: str, node: str, cause: tuple[str, ...], remedy: tuple[str, ...]) -> Callable[[Any], Any]:
    def register(check: Callable[[bool], Health]) -> Callable[[bool], Health]:
        story = Story(check, code, node, cause, remedy)
        STORIES.append(pytest.param(story, id=check.__name__.strip("_")))
        return check

    return register


def _with_gradient(result: gn.Node, wrt: gn.Node, feed: dict[gn.Node, Any]) -> Health:
    return check_health({"result": result, "gradient": gn.grad(result, wrt)}, feed)


@_story(
    "zero-over-zero",
    "grad/divide",
    ("0 / 0", "x[0] = 0 in log", "the where", "hid it"),
    ("mask the input of log", "gn.log(gn.where("),
)
def _where_nan(fixed: bool) -> Health:
    """A `where` keeps log(0) out of the result, and not out of the gradient.

    https://github.com/pytorch/pytorch/issues/108618, https://github.com/jax-ml/jax/issues/5798 and
    https://github.com/tensorflow/tensorflow/issues/27684
    """
    x = gn.Graph().placeholder("x", shape=("n",))
    inside = gn.where(x > 0, x, 1.0) if fixed else x
    return _with_gradient(gn.sum(gn.where(x > 0, gn.log(inside), 0.0)), x, {x: [0.0, 2.0]})


@_story(
    "zero-times-inf",
    "grad/multiply_2",
    ("inf because", "= 0 in sqrt"),
    ("slope of sqrt is infinite at 0", "gn.norm"),
)
def _norm_written_out(fixed: bool) -> Health:
    """The gradient of a norm, written as the root of a sum of squares, is NaN where the vector is 0.

    https://github.com/pytorch/pytorch/issues/2421 and https://github.com/jax-ml/jax/issues/2377
    """
    x = gn.Graph().placeholder("x", shape=("n",))
    return _with_gradient(gn.norm(x) if fixed else gn.sqrt(gn.sum(x * x)), x, {x: [0.0, 0.0]})


@_story("log-of-zero", "log", ("log(0)", "underflow", "exp"), ("gn.log_softmax", "nn.softmax_crossentropy"))
def _log_of_softmax(fixed: bool) -> Health:
    """A cross-entropy written out takes the logarithm of a probability that was rounded to 0.

    https://github.com/tensorflow/models/pull/181
    """
    logits = gn.Graph().placeholder("logits", shape=("batch", 2))
    logs = gn.log_softmax(logits) if fixed else gn.log(gn.softmax(logits))
    return _with_gradient(-gn.mean(logs[:, 0]), logits, {logits: [[0.0, 1.0], [0.0, 800.0]]})


@_story("log-of-zero", "log_2", ("log(0)", "sigmoid[0] = 1"), ("log(1 - p)", "nn.sigmoid_crossentropy"))
def _binary_crossentropy_written_out(fixed: bool) -> Health:
    """A binary cross-entropy written out makes 0 * log(0) of a right answer that is rounded to 1.

    https://github.com/pytorch/pytorch/issues/24933
    """
    g = gn.Graph()
    z, y = g.placeholder("z", shape=("n",)), g.placeholder("y", shape=("n",))
    p = gn.sigmoid(z)
    loss = -gn.mean(y * gn.log(p) + (1.0 - y) * gn.log(1.0 - p))
    return _with_gradient(nn.sigmoid_crossentropy(z, y) if fixed else loss, z, {z: [40.0, 0.5], y: [1.0, 0.0]})


@_story(
    "overflow",
    "mean_squared_error_1/square",
    ("inf", "the largest float64 is 1.7977e+308"),
    ("training diverges", "lower the learning rate"),
)
def _exploding_learning_rate(fixed: bool) -> Health:
    """With too high a learning rate the loss goes to inf, then to NaN, after some steps.

    https://github.com/tensorflow/tensorflow/issues/38796
    """
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("batch", 3)), g.placeholder("y", shape=("batch", 1))
    rng = np.random.default_rng(0)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(x), y)
    updates = nn.SGD(learning_rate=0.1 if fixed else 30.0).updates(loss)
    step = gn.compile(loss, updates=updates, guard="finite")
    feed = {x: rng.normal(size=(20, 3)), y: rng.normal(size=(20, 1))}
    try:
        for _ in range(300):
            step(feed)
    except gn.ValueRangeError:
        assert not fixed
    return check_health(step, feed)


@_story("zero-times-inf", "grad/multiply_3", ("inf because", "= 0 in sqrt"), ("slope of sqrt", "gn.std"))
def _std_of_a_constant(fixed: bool) -> Health:
    """The gradient of a standard deviation, written as the root of a variance, is NaN where all numbers are alike.

    https://github.com/pytorch/pytorch/issues/4320 and https://github.com/jax-ml/jax/issues/11716
    """
    x = gn.Graph().placeholder("x", shape=("n",))
    written = gn.sqrt(gn.mean(gn.square(x - gn.mean(x))))
    return _with_gradient(gn.std(x) if fixed else written, x, {x: [3.0, 3.0, 3.0]})


@_story(
    "zero-times-inf",
    "multiply",
    ("0 * (-inf)", "mask[0] = 0", "-inf because x[0] = 0 in log"),
    ("gn.where(mask, x, 0) instead of multiplying",),
)
def _zero_times_inf_in_a_mask(fixed: bool) -> Health:
    """A mask of 0 does not take an infinite element away: 0 * inf is NaN.

    https://github.com/pytorch/pytorch/issues/45568
    """
    g = gn.Graph()
    x, mask = g.placeholder("x", shape=("n",)), g.placeholder("mask", shape=("n",))
    masked = gn.where(mask > 0, gn.log(gn.where(mask > 0, x, 1.0)), 0.0) if fixed else mask * gn.log(x)
    return _with_gradient(gn.sum(masked), x, {x: [0.0, 2.0], mask: [0.0, 1.0]})


@_story("overflow", "matmul", ("the largest float16 is 65504", "inf"), ("float32",))
def _float16_overflow(fixed: bool) -> Health:
    """Scores of an attention in half precision are larger than its largest number.

    https://github.com/pytorch/pytorch/issues/119131
    """
    g = gn.Graph(dtype=np.float16)
    q, k = g.placeholder("q", shape=("n", 4)), g.placeholder("k", shape=("n", 4))
    if fixed:
        scores = gn.cast(q, "float32") @ gn.cast(k, "float32").T
    else:
        scores = q @ k.T
    feed = {q: np.full((2, 4), 300.0, np.float16), k: np.full((2, 4), 250.0, np.float16)}
    return check_health(gn.softmax(scores), feed)


@_story("empty-count", "divide", ("0 / 0",), ("nothing to count", "gn.maximum(count, 1)"))
def _division_by_an_empty_count(fixed: bool) -> Health:
    """The mean of a loss over the labels that count is NaN where none does.

    https://github.com/pytorch/pytorch/issues/70348
    """
    g = gn.Graph()
    logits, labels = g.placeholder("logits", shape=("n", 3)), g.placeholder("labels", shape=("n",), dtype=np.int64)
    counts = gn.cast(labels >= 0, "float64")
    losses = nn.softmax_crossentropy(logits, gn.maximum(labels, 0), reduction="none")
    count = gn.sum(counts)
    mean = gn.sum(losses * counts) / (gn.maximum(count, 1.0) if fixed else count)
    return _with_gradient(mean, logits, {logits: np.ones((2, 3)), labels: [-100, -100]})


@_story(
    "label-out-of-range",
    "softmax_crossentropy_1/pick",
    ("label 3 at index", "labels[2] = 3"),
    ("from 0 to below the number of classes", "renumber"),
)
def _labels_out_of_range(fixed: bool) -> Health:
    """Labels that count from 1 made the loss NaN, and then the whole network.

    https://github.com/tensorflow/tensorflow/issues/8484 and https://github.com/tensorflow/tensorflow/issues/10268
    """
    g = gn.Graph()
    logits, labels = g.placeholder("logits", shape=("n", 3)), g.placeholder("labels", shape=("n",), dtype=np.int64)
    loss = nn.softmax_crossentropy(logits, labels)
    given = np.array([1, 2, 3])
    return _with_gradient(loss, logits, {logits: np.ones((3, 3)), labels: given - 1 if fixed else given})


def _finding_of(health: Health, story: Story) -> Finding:
    found = [each for each in health.errors if each.code == story.code and each.node.name == story.node]
    assert found, str(health)
    return found[0]


@pytest.mark.parametrize("story", STORIES)
def test_the_finding_names_the_cause_and_the_remedy(story: Story) -> None:
    health = story.check(False)
    assert not health.ok
    finding = _finding_of(health, story)
    for word in story.cause:
        assert word in finding.cause
    for word in story.remedy:
        assert word in finding.remedy
    assert finding.origin.file == __file__
    # The first finding is this one, or its cause.
    assert health.first is not None
    assert health.first.node in {finding.node, *[each.node for each in finding.chain]}


@pytest.mark.parametrize("story", STORIES)
def test_the_remedy_works(story: Story) -> None:
    health = story.check(True)
    assert health.ok, str(health)


def test_there_are_ten_of_them() -> None:
    assert len(STORIES) == 10
