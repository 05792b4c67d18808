"""How a plan computes the operations of the library: a rule for each class of which that is more than one call."""

from . import class_labels, concatenation, elementwise, linalg, reductions, shape
from .registry import Rule, rule, rule_of

__all__ = ["Rule", "elementwise", "class_labels", "concatenation", "linalg", "reductions", "rule", "rule_of", "shape"]
