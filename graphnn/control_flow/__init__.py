"""Loops and branches: operations with a graph inside."""

from . import loop_batching, loop_lowering
from .cond import cond
from .fixed_point import fixed_point
from .scan import scan
from .while_loop import while_loop

__all__ = ["cond", "fixed_point", "loop_batching", "loop_lowering", "scan", "while_loop"]
