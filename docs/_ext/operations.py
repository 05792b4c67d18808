"""Directives that put what is made from the code into a page when the docs are built.

``{operations}`` is the reference of operations, ``{classes} module`` a list of the classes that a module defines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference import classes, reference
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class Operations(SphinxDirective):
    """Put the reference where it stands."""

    def run(self) -> list[nodes.Node]:
        """Return the reference, parsed."""
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


class Classes(SphinxDirective):
    """Put the classes of a module where it stands."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return them, parsed."""
        return self.parse_text_to_nodes(classes(self.arguments[0]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("operations", Operations)
    app.add_directive("classes", Classes)
    return {"parallel_read_safe": True}
