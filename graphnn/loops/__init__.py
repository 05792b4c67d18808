"""Loops: operations with a graph inside."""

from . import rules
from .scan import scan

__all__ = ["rules", "scan"]
