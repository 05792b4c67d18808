"""Where two runs differ, and by how much."""

from .comparing import compare as compare
from .differences import Agreement as Agreement
from .differences import Comparison as Comparison
from .differences import Counts as Counts
from .differences import Difference as Difference
from .differences import Digits as Digits
from .runtimes import Runtime as Runtime
from .runtimes import runtime as runtime
from .samples import Sample as Sample
from .samples import Samples as Samples
