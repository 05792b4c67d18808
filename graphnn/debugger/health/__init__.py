"""Where the numbers of a run go wrong, why, and what to do about it."""

from .check_health import check_health as check_health
from .check_registry import CHECKS as CHECKS
from .check_registry import Check as Check
from .check_registry import check as check
from .evaluation import Evaluation as Evaluation
from .findings import Culprit as Culprit
from .findings import Element as Element
from .findings import Finding as Finding
from .findings import Health as Health
