"""What a node can compute. Importing this registers every operation."""

# ruff: noqa: F401
from . import (
    activations,
    arranging,
    base,
    choosing,
    compose,
    convolution,
    elementwise,
    index,
    joining,
    labels,
    linalg,
    random,
    reduce,
    running,
    scattering,
    shape,
    solving,
    sorting,
    trigonometric,
    windows,
)
