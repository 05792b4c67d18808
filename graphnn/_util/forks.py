"""What a forked process does first."""

import os
from collections.abc import Callable


def in_forked(function: Callable[[], object]) -> None:
    """Have a function called in each process that is forked, by the one thread that it has."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
