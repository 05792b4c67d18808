"""What one sees: diagrams, formulas, tables, heatmaps, and where a debugger is."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:  # at run time, by the table below
    from . import plots
    from .diagrams.draw import Diagram, draw
    from .formulas.latex import Formulas, latex
    from .heatmap import matrix, sparkline
    from .tables.summary import Row, Summary, summary
    from .tables.table import columns, ops_table, preview, statistics
    from .tables.trace_table import listing, neighbourhood, screen, trace_table, where
    from .tables.trace_table import records_table as records_table

__all__ = [
    "Diagram",
    "Formulas",
    "Row",
    "Summary",
    "columns",
    "draw",
    "latex",
    "listing",
    "matrix",
    "neighbourhood",
    "ops_table",
    "plots",
    "preview",
    "screen",
    "sparkline",
    "statistics",
    "summary",
    "trace_table",
    "where",
]

# A command that draws nothing loads no room of this floor.
_MODULE_OF = {
    name: module
    for module, names in {
        "diagrams.draw": ("Diagram", "draw"),
        "formulas.latex": ("Formulas", "latex"),
        "heatmap": ("matrix", "sparkline"),
        "tables.trace_table": ("listing", "neighbourhood", "records_table", "screen", "trace_table", "where"),
        "tables.summary": ("Row", "Summary", "summary"),
        "tables.table": ("columns", "ops_table", "preview", "statistics"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> _Any:
    """Load what is first used now."""
    if name in _MODULE_OF:
        found = globals()[name] = getattr(_import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return found
    if not name.startswith("_"):
        try:
            return _import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
