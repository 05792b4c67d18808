"""How a plan computes the operations of the library: a rule for each class of which that is more than one call."""

from . import elementwise, places, products, reductions, shapes
from .registry import Rule, rule, rule_of

__all__ = ["Rule", "elementwise", "places", "products", "reductions", "rule", "rule_of", "shapes"]
