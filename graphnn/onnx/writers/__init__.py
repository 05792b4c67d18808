"""How each operation is written in ONNX: one small function each. Importing this registers all of them."""

# ruff: noqa: F401
from . import (
    activations,
    arithmetic,
    bits,
    comparison,
    concatenation,
    functions,
    indexing,
    loops,
    products,
    randoms,
    reductions,
    shapes,
    sliding,
    solving,
    sorting,
)
