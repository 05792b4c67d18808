"""How a plan computes the operations of the library: a rule for each class of which that is more than one call."""

from . import elementwise, joining, places, products, reductions, shapes
from .registry import Rule, rule, rule_of

__all__ = ["Rule", "elementwise", "joining", "places", "products", "reductions", "rule", "rule_of", "shapes"]
