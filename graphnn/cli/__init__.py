"""The command `graphnn`.

A command is one module in `graphnn.cli.commands`. Other packages declare theirs with `command`, and name them by entry
points of the group ``graphnn.commands``.
"""

from . import screen as screen
from .command_registry import *  # noqa: F403 - what declares a command
from .entry_point import main as main
from .targets import inspected as inspected
from .targets import target_of as target_of
