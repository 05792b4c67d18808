"""The debugger in a terminal: a loop that reads verbs, moves, and says where it stands."""

from . import asking, changing, looking, moving, rest, stopping  # noqa: F401 - where the verbs are declared
from .history import history_kept as history_kept
from .lines import commands as commands
from .lines import folded as folded
from .lines import printable as printable
from .session import Session as Session
from .typed import index_of as index_of
from .typed import literal_of as literal_of
from .verbs import VERBS as VERBS
