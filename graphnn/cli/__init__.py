"""The command `graphnn`.

A command is one module in `graphnn.cli.commands`. Other packages declare theirs with `command`, and name them by entry
points of the group ``graphnn.commands``.
"""

from . import screen as screen
from .entry import main as main
from .registry import *  # noqa: F403 - what declares a command
from .targets import inspected as inspected
from .targets import target_of as target_of
