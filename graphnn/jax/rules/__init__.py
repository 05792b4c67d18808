"""How JAX computes each operation: rules by the names of operations.

Gradients are nodes of the same graph, so there are rules for values only.
"""

from . import algebra, draws, elementwise, indices, loops, moves, reductions
from .registry import RULES as RULES
from .registry import lacking as lacking
from .registry import rule as rule

__all__ = ["RULES", "algebra", "draws", "elementwise", "indices", "lacking", "loops", "moves", "reductions", "rule"]
