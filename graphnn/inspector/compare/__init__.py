"""Where two runs differ, and by how much."""

from .differences import Comparison as Comparison
from .differences import Counts as Counts
from .differences import Difference as Difference
from .differences import Digits as Digits
from .lockstep import compare as compare
