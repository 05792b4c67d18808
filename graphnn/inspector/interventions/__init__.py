"""Interventions: networks in which a node, or what one reader sees of it, is another value."""

from . import patches as patches
from . import saliency as saliency
from .circuit import Circuit as Circuit
from .circuit import Kept as Kept
from .circuit import circuit as circuit
from .effects import effects as effects
from .measured import Effects as Effects
from .patched import patched as patched
from .places import Place as Place
from .places import places_in as places_in
