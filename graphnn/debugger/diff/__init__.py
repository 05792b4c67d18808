"""Where two runs differ, and by how much."""

from .bisect import Bisection as Bisection
from .bisect import bisect as bisect
from .compare import compare as compare
from .differences import Agreement as Agreement
from .differences import Comparison as Comparison
from .differences import Counts as Counts
from .differences import Difference as Difference
from .differences import Digits as Digits
from .runtime_port import Runtime as Runtime
from .runtime_port import runtime as runtime
from .sample_diff import Sample as Sample
from .sample_diff import Samples as Samples
