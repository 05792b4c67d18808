"""Random numbers as a pure operation: the same seed, stream and counter give the same bits."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from ..errors import DtypeError, ShapeError, ValueRangeError
from ..graph import Array, DtypeName, Op, Shape, Spec, Whole
from ..graph.dimensions import concrete
from .base import into


class RandomUniform(Op):
    """Uniform numbers from 0 to 1, a pure function of seed, stream and counter.

    Notes
    -----
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): the Philox generator, whose
    n-th block is a function of key and n. `seed` and `stream` are the key, the counter picks the block.
    """

    shape: Shape
    seed: Annotated[int, Whole(0, 2**64 - 1)] = 0
    stream: Annotated[int, Whole(0, 2**64 - 1)] = 0
    dtype: Annotated[str, DtypeName("f")] = "float64"
    differentiable = False
    formula = "random({0})"

    def infer(self, counter: Spec) -> Spec:
        """Return the given shape; the counter is one integer."""
        if counter.dtype.kind not in "iu":
            raise DtypeError(f"random_uniform: the counter is an integer, not {counter.dtype}")
        if counter.shape != ():
            raise ShapeError(f"random_uniform: the counter is one integer, not of shape {counter.shape}")
        return Spec(self.shape, np.dtype(self.dtype))

    def forward(self, counter: Array, out: Array | None = None) -> Any:
        if counter < 0:
            raise ValueRangeError(f"random_uniform: the counter is 0 or more, not {counter}")
        block = np.array([0, 0, 0, int(counter)], np.uint64)
        key = np.array([self.seed, self.stream], np.uint64)
        numbers = np.random.Generator(np.random.Philox(key=key, counter=block)).random(concrete(self.shape, {}))
        return into(out, numbers.astype(self.dtype))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.shape(), draw.integer(0, 9), draw.integer(0, 9)), (draw.integers((), 0, 9),)
