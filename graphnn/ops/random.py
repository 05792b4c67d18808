"""Random numbers as a pure operation: the same seed, stream and counter give the same bits."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from ..core import Array, Count, DtypeName, Node, Op, Shape, Spec, Whole, composition, fn
from ..core.symbolic_shapes import concrete
from ..errors import DtypeError, ShapeError, ValueRangeError
from .base import into


class Random(Op, abstract=True):
    """Base of the random numbers: a pure function of seed, stream and counter.

    Notes
    -----
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): the Philox generator, whose
    n-th block is a function of key and n. `seed` and `stream` are the key, the counter picks the block.
    """

    is_random = True
    shape: Shape
    seed: Annotated[int, Whole(0, 2**64 - 1)] = 0
    stream: Annotated[int, Whole(0, 2**64 - 1)] = 0
    dtype: Annotated[str, DtypeName("f")] = "float64"
    differentiable = False
    method: ClassVar[str]
    """Of NumPy's generator, for a shape."""

    def infer(self, counter: Spec) -> Spec:
        """Return the given shape; the counter is one integer."""
        if counter.dtype.kind not in "iu":
            raise DtypeError(f"{self.name}: the counter is an integer, not {counter.dtype}")
        if counter.shape != ():
            raise ShapeError(f"{self.name}: the counter is one integer, not of shape {counter.shape}")
        return Spec(self.shape, np.dtype(self.dtype))

    def forward(self, counter: Array, out: Array | None = None) -> Any:
        """Draw them from the block of the counter."""
        if counter < 0:
            raise ValueRangeError(f"{self.name}: the counter is 0 or more, not {counter}")
        key, block = np.array([self.seed, self.stream], np.uint64), np.array([0, 0, 0, int(counter)], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=block))
        return into(out, np.asarray(getattr(generator, self.method)(concrete(self.shape, {}))).astype(self.dtype))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw a shape, a key and a counter."""
        return cls(draw.shape(), draw.integer(0, 9), draw.integer(0, 9)), (draw.integers((), 0, 9),)


class RandomUniform(Random):
    """Uniform numbers from 0 to below 1, a pure function of seed, stream and counter."""

    formula = "random({0})"
    method = "random"

    def forward(self, counter: Array, out: Array | None = None) -> Any:
        """Draw them; where the dtype would round them to 1, they are the number before it."""
        drawn = super().forward(counter)
        return into(out, drawn if self.dtype == "float64" else np.minimum(drawn, 1 - np.finfo(self.dtype).epsneg))


class RandomNormal(Random):
    """Numbers of the standard normal distribution, a pure function of seed, stream and counter."""

    formula = "random normal({0})"
    method = "standard_normal"


@composition
def categorical(counter: Any, logits: Any, axis: int = -1, seed: Count = 0, stream: Count = 0) -> Node:
    """Return random classes, each with the probability that the softmax of the logits gives it.

    Parameters
    ----------
    counter : Node
        As in random_uniform: the same counter, seed and stream give the same classes.
    logits : Node
        Logarithms of probabilities, up to a number that is added to all of them; -inf for what never comes.
    axis : int
        That of the classes.
    seed, stream : int

    Returns
    -------
    Node
        Indices along the axis, in the shape of the logits without it.

    Notes
    -----
    The class is that with the largest logit after a number of the Gumbel distribution, -log(-log(u)), is added to each.
    """
    logits = logits if isinstance(logits, Node) else counter.graph.constant(logits)
    noise = fn.log(-fn.log(RandomUniform(logits.shape, seed, stream)(counter, graph=logits.graph)))
    return fn.argmax(logits - noise, axis)
