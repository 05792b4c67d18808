"""The debugger in a terminal: a loop that reads verbs, moves, and says where it stands."""

from . import (  # noqa: F401 - where the verbs are declared
    breakpoint_verbs,
    other_verbs,
    show_verbs,
    step_verbs,
    what_if_verbs,
    why_verbs,
)
from .input_history import history_kept as history_kept
from .session import Session as Session
from .terminal_text import commands as commands
from .terminal_text import folded as folded
from .terminal_text import printable as printable
from .typed_values import index_of as index_of
from .typed_values import literal_of as literal_of
from .verb_registry import VERBS as VERBS
