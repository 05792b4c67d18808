"""What one sees: diagrams, tables."""

from .diagram import Diagram, draw
from .table import Row, Summary, columns, ops_table, preview, statistics, summary

__all__ = ["Diagram", "Row", "Summary", "columns", "draw", "ops_table", "preview", "statistics", "summary"]
