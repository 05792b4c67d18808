"""What one sees: diagrams, tables, heatmaps, and where a debugger is."""

from . import notebook as notebook  # registers how a notebook shows things
from . import plots as plots
from . import replay as replay  # registers how a run is replayed in a browser
from .diagram.diagram import Diagram, draw
from .heatmap import matrix, sparkline
from .terminal import plan as plan  # registers how an explanation is printed
from .terminal.inspect import listing, neighbourhood, screen, trace_table, where
from .terminal.table import Row, Summary, columns, ops_table, preview, statistics, summary

__all__ = [
    "Diagram",
    "Row",
    "Summary",
    "columns",
    "draw",
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
