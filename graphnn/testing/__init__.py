"""Tests for gradients and for operations of one's own: `check_grads`, `check_op`, and what they draw from."""

from ..calls import explain_public
from .checks import GradientReport as GradientReport
from .checks import check_grads as check_grads
from .checks import check_op as check_op
from .draw import Draw as Draw

explain_public(globals(), ["Draw", "GradientReport", "check_grads", "check_op"])
