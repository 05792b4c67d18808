"""Where the numbers of a run go wrong, why, and what to do about it."""

from .doctor import check_health as check_health
from .findings import Culprit as Culprit
from .findings import Element as Element
from .findings import Finding as Finding
from .findings import Health as Health
from .hazards import CODES as CODES
