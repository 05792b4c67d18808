"""The directive ``{operations}``, which puts the reference of operations into a page when the docs are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference import reference
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class Operations(SphinxDirective):
    """Put the reference where it stands."""

    def run(self) -> list[nodes.Node]:
        """Return the reference, parsed."""
        return self.parse_text_to_nodes(reference(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("operations", Operations)
    return {"parallel_read_safe": True}
