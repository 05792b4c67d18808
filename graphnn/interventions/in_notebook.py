"""Circuits and effects in a notebook."""

from __future__ import annotations

from .._util.display import HTML
from ..errors import DrawingError, UsageError
from ..view.diagrams.draw import draw
from ..view.heatmap import heatmap
from ..view.notebook import MOST_BOXES, PATIENCE, code, framed, page
from .circuit import Circuit
from .effect_tables import Effects


@HTML.give(Circuit)
def circuit_as_html(circuit: Circuit) -> str:
    """Return a circuit as HTML: its diagram, alone, and what is printed of it."""
    try:
        svg = draw(circuit, alone=True, limit=MOST_BOXES, timeout=PATIENCE).svg()
    except DrawingError:
        svg = ""
    return page([*[framed(svg)] * bool(svg), code(str(circuit))])


@HTML.give(Effects)
def effects_as_html(effects: Effects) -> str:
    """Return effects as HTML: what is printed of them, and of parts along an axis a heatmap, such as layer by head."""
    try:
        grid = effects.grid()
    except UsageError:  # they are not of such parts
        return page([code(str(effects))])
    return page([code(str(effects)), heatmap(grid.values, grid.rows, grid.columns)])
