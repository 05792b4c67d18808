"""An integer that a caller gives is checked by one function, wherever it is taken."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.view import sparkline

g = gn.Graph()
x = g.placeholder("x", shape=("batch", 2))
y = gn.sum(x * g.parameter("w", [1.0, 2.0]))
feed = {"x": [[1.0, 2.0]]}

TAKERS: dict[str, tuple[int, Callable[[Any], object]]] = {
    "threads=": (1, lambda n: gn.compile(y, threads=n)),
    "limit=": (1, lambda n: gn.draw(y, limit=n)),
    "radius=": (0, lambda n: gn.draw(y, focus=y, radius=n)),
    "bins=": (1, lambda n: sparkline([1.0, 2.0], n)),
    "keep=": (0, lambda n: gn.trace(y, feed, keep=n)),
    "repeat=": (1, lambda n: gn.profile(y, feed, repeat=n)),
    "Dense: units": (1, lambda n: nn.Dense(n)),
    "steps": (1, lambda n: nn.schedules.cosine(0.1, steps=n)),
    "EarlyStopping: patience": (1, lambda n: nn.EarlyStopping(patience=n)),
    "order=": (1, lambda n: gn.testing.check_grads(y, feed, order=n)),
    "examples=": (1, lambda n: gn.testing.check_op(type(y.op), examples=n)),
    "a number of operations": (1, lambda n: gn.debug(y, feed, echo=None).step(n)),
}


@pytest.mark.parametrize("what", TAKERS)
def test_integers_of_numpy_are_taken_everywhere_and_others_refused_in_the_same_words(what: str) -> None:
    least, take = TAKERS[what]
    take(np.int64(max(least, 1)))
    with pytest.raises(gn.ValueRangeError, match=f"{what} is an int of {least} or more, not {least - 1}"):
        take(np.int32(least - 1))
    for wrong, shown in ((True, "True"), (1.0, "1.0"), ("2", "'2'"), ([1], r"\[1\]")):
        with pytest.raises(gn.UsageError, match=f"{what} is an int of {least} or more, not {shown}"):
            take(wrong)
