"""The operations of ATen, written with graphnn's."""

from functools import cache
from importlib import import_module

_MODULES = (
    *("elementwise", "reductions", "shapes", "indexing", "products", "convolutions", "normalization", "losses"),
    *("making", "attention", "recurrence", "randomness", "sorting", "images", "fourier"),
    *("backward", "updates"),
)


@cache
def load_rules() -> None:
    """Import the modules that register the rules."""
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
