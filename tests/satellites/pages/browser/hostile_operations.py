"""Operations of those who mean harm: their settings are text, and their equations name what every object has."""

import numpy as np

import graphnn as gn
from graphnn.core import registry
from graphnn.ops.elementwise import Elementwise


class HostileOperation(Elementwise):
    """x, with texts."""

    text: str = "a"
    constructor: str = "b"
    factor: float = 2.0
    like = np.exp
    formula = "{0} {text} {constructor} {toString} {valueOf} </script><b>"

    def forward(self, x: gn.core.Array, out: gn.core.Array | None = None) -> gn.core.Array:
        return np.multiply(x, 1.0, out=out)


del registry[HostileOperation.name]  # or the tests that walk the registry would try it, too
