"""The debugger: step, go back, ask why, ask what if."""

from .debugger import Debugger as Debugger
from .debugger import debug as debug
from .spot import Spot as Spot
from .what_if import Change as Change
