"""Random numbers as a pure operation: the same seed, stream and counter give the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError, ValueRangeError
from ..graph import Array, Op, Shape, Spec
from ..graph.dimensions import concrete, shape_of
from .base import dtype_of, into


class RandomUniform(Op):
    """Uniform numbers from 0 to 1, a pure function of seed, stream and counter.

    Notes
    -----
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): the Philox generator, whose
    n-th block is a function of key and n. `seed` and `stream` are the key, the counter picks the block.
    """

    shape: Shape
    seed: int = 0
    stream: int = 0
    dtype: str = "float64"
    sized = ("shape",)
    differentiable = False
    formula = "random({0})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", shape_of(self.shape))
        super().__post_init__()
        for name in ("seed", "stream"):
            number = getattr(self, name)
            if type(number) is not int or not 0 <= number < 2**64:
                raise ValueRangeError(f"random_uniform: the {name} is an integer from 0 to 2**64 - 1, not {number!r}")
        if dtype_of(self.name, self.dtype).kind != "f":
            raise DtypeError(f"random_uniform gives floats, not {self.dtype}")

    def infer(self, counter: Spec) -> Spec:
        """Give the shape that was asked for; the counter is one integer."""
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
