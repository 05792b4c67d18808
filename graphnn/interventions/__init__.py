"""Interventions: networks in which a node, or what one reader sees of it, is another value."""

from . import patches as patches
from . import saliency as saliency
from .circuit import Circuit as Circuit
from .circuit import Kept as Kept
from .circuit import circuit as circuit
from .effect_tables import Effects as Effects
from .effects import effects as effects
from .patch_places import Place as Place
from .patch_places import places_in as places_in
from .patched import patched as patched
