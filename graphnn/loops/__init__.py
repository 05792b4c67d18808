"""Loops and branches: operations with a graph inside."""

from . import batched, rules
from .cond import cond
from .fixed_point import fixed_point
from .scan import scan
from .while_loop import while_loop

__all__ = ["batched", "cond", "fixed_point", "rules", "scan", "while_loop"]
