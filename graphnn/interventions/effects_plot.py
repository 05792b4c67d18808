"""Effects of parts along an axis as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.call_errors import explain_misuse
from ..errors import UsageError
from ..view.plots import PLOT, in_colours, plain
from .effect_tables import Effects

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@PLOT.give("effects")
@explain_misuse
def effects(found: Effects, *, title: str | None = None) -> Figure:
    """Return effects of parts along an axis as a table in colours: layer by head, layer by position.

    Parameters
    ----------
    found : Effects
        Of places as `gn.patches.each` gives them, for one node or several.
    title : str, optional
        The name of the metric, unless given.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each node, a column for each index. As in heatmaps, orange is above 0 and blue is below. The numbers
        are written where there are few.

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    UsageError
        When there are places that are not such parts.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", (2, 3))
    >>> total = gn.sum(x * [0.0, 1.0, 2.0])
    >>> found = gn.effects(total, {x: [[1.0] * 3] * 2}, {x: [[0.0] * 3] * 2}, over=gn.patches.each(x, 1))
    >>> [label.get_text() for label in effects(found).axes[0].get_yticklabels()]
    ['x']
    """
    if not isinstance(found, Effects):
        raise UsageError(f"effects draws what gn.effects gives, not {type(found).__name__}")
    grid = found.grid()
    return in_colours(grid.values, grid.rows, grid.columns, title or f"Effects on {plain(found.metric.title)}")
