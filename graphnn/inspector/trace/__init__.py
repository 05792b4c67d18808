"""Recorded runs: `trace`, `recording`, and what a record knows of a value."""

from . import decoding as decoding
from .recorded import VERSION as VERSION
from .recorded import Beside as Beside
from .recorded import Record as Record
from .recorded import Trace as Trace
from .recorded import page_of as page_of
from .recording import Film as Film
from .recording import guard_of as guard_of
from .recording import kept_of as kept_of
from .recording import prepared_for as prepared_for
from .recording import recording as recording
from .recording import stopped_trace as stopped_trace
from .recording import trace as trace
from .values import KEEP as KEEP
from .values import SAMPLE as SAMPLE
from .values import SMALL as SMALL
from .values import Condensed as Condensed
from .values import Statistics as Statistics
from .values import Stats as Stats
from .values import digest_of as digest_of
from .values import in_short as in_short
from .values import norm_of as norm_of
from .values import owner_of as owner_of
from .values import preview_of as preview_of
from .values import stats_of as stats_of
from .values import steps_of as steps_of
