"""Where the numbers of a run go wrong, why, and what to do about it."""

from .checks import CHECKS as CHECKS
from .checks import Check as Check
from .checks import check as check
from .doctor import check_health as check_health
from .evaluation import Evaluation as Evaluation
from .findings import Culprit as Culprit
from .findings import Element as Element
from .findings import Finding as Finding
from .findings import Health as Health
