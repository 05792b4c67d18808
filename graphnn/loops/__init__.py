"""Loops and branches: operations with a graph inside."""

from . import rules
from .cond import cond
from .scan import scan

__all__ = ["cond", "rules", "scan"]
