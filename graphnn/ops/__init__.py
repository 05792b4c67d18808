"""What a node can compute. Importing this registers every operation, in the order in which tables list them."""

# ruff: noqa: F401, I001
from . import (
    activations,
    triangles_and_diagonals,
    base,
    comparison,
    softmax,
    convolution,
    elementwise,
    indexing,
    concatenation,
    class_labels,
    linalg,
    random,
    reductions,
    cumulative,
    scatter,
    shape,
    linear_solve,
    sorting,
    trigonometric,
    sliding_windows,
)
