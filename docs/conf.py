import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

_here = Path(__file__).parent
sys.path.insert(0, str(_here / "_ext"))

project = "graphnn"
author = "the graphnn authors"
copyright = author
_pyproject = tomllib.loads((_here.parent / "pyproject.toml").read_text(encoding="utf-8"))
version = release = _pyproject["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "graphnn_site"]
exclude_patterns = ["_build", "_ext", "replay"]
nitpicky = True  # a reference that leads nowhere is a warning, and `make docs` makes warnings errors

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3

default_role = "code"  # `name` in a docstring is code
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what goes in and out, in words
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # listed as parameters are, not as members

html_theme = "furo"
pygments_dark_style = "github-dark"  # the default underlines names as if they were links
html_title = f"graphnn {version}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_scaled_image_link = False  # thumbnails are links already
html_theme_options = {  # the blue of what is given, as in pictures
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#0066A1"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#6CBDEB"},
}


def _resolve(app: "Sphinx", env: Any, node: Any, contnode: "nodes.Element") -> "nodes.Node | None":
    """Lead a type that a docstring names to what is documented under its short name, or leave it as text."""
    target = node["reftarget"].rpartition(".")[2]
    if node.get("refdomain") != "py" or node.get("reftype") not in ("class", "exc", "obj"):
        return None
    domain = env.get_domain("py")
    found = [name for name in domain.objects if name.rpartition(".")[2] == target and name.startswith("graphnn.")]
    if len(found) == 1:
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", found[0], node, contnode
        )  # fmt: skip
    return contnode if "." not in node["reftarget"] else None


def setup(app: "Sphinx") -> None:
    """Register what is above."""
    app.connect("missing-reference", _resolve)
