"""PyTorch is the oracle here: where it is not installed, nothing is collected (`make torch` installs it)."""

import os
from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
os.environ.setdefault("OMP_NUM_THREADS", "1")
