"""Tests for gradients and for operations of one's own: `check_grads`, `check_op`, and what they draw from."""

from .._util.call_errors import explain_public
from .check_grads import GradientReport as GradientReport
from .check_grads import check_grads as check_grads
from .check_grads import check_op as check_op
from .random_samples import Draw as Draw

__all__ = [
    "Draw",
    "GradientReport",
    "check_grads",
    "check_op",
]

explain_public(globals(), ["Draw", "GradientReport", "check_grads", "check_op"])
