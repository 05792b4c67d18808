"""PyTorch is the oracle here: where it is not installed, nothing is collected (`make torch` installs it)."""

import os
from importlib.metadata import PackageNotFoundError, version

try:
    version("torch")  # a folder of this name is a package to Python, too
    collect_ignore_glob = []
except PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
os.environ.setdefault("OMP_NUM_THREADS", "1")
