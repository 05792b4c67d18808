"""What a graph gives on every backend."""

import numpy as np
from places import present

import graphnn as gn

BACKENDS = ("interpreter", "numpy", *filter(present, ["native"]))
PLANS = BACKENDS[1:]


def equal_everywhere(fetches, feed):
    """Return the values, after checking that all backends give the same bits."""
    values = gn.run(fetches, feed)
    for backend in BACKENDS:
        step = gn.compile(fetches, backend=backend)
        for _ in range(1 if backend == "interpreter" else 3):
            planned = step(feed)
        for ours, theirs in zip(planned, values, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    return values
