"""What a node can compute. Importing this registers every operation."""

from . import base, compose, elementwise, index, linalg, random, reduce, shape

__all__ = ["base", "compose", "elementwise", "index", "linalg", "random", "reduce", "shape"]
