"""What makes a site of the pages in docs/, which are plain Markdown and can be read in a repository, too.

- Each operation, function and class gets a page, and so do the files beside docs/ that the start page links to. They
  are written to docs/reference/ before Sphinx reads.
- The headings and lists of the start page below ``<!-- contents -->`` are the tree of contents.
- Code that names something with a page, such as ``gn.softmax``, is a link to it.
- A picture that is drawn for light paper has a twin for the dark mode: one with the colours changed, or a file beside
  it whose name ends with "-dark".
- Replay pages are copied whole, and a picture that leads to one becomes the page itself where there is room.
- A link to a picture opens the picture.
"""

from __future__ import annotations

import html
import inspect
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reference
from dark import dark
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.inspect import stringify_signature

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CLASSES = ("class", "exception")
MADE = "reference"  # the folder in docs/
BESIDE = ("CHANGELOG.md", "SECURITY.md")  # files that become pages
PAGES, PICTURES = "replay/", "images/networks/"  # folders that links lead into
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s#]+)(#[^)]*)?\)")


# --- files ----------------------------------------------------------------------------------------------------


def write(app: Sphinx) -> None:
    """Write what is made from the code; of a page that is as before, nothing."""
    docs = Path(app.srcdir)
    made = {f"{name}.rst": text for name, text in reference.pages().items()}
    for name in BESIDE:
        text = (docs.parent / name).read_text(encoding="utf-8")
        made[name.lower()] = _LINK.sub(_from_reference, text)
    for path in sorted((docs / "images").rglob("*.svg")):
        text = path.read_text(encoding="utf-8")
        if dark(text) != text:
            made[f"dark/{path.relative_to(docs / 'images').as_posix()}"] = dark(text)
    folder = docs / MADE
    for path in folder.rglob("*.*"):
        if path.relative_to(folder).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _from_reference(found: re.Match[str]) -> str:
    """Return a link of a file beside docs/ as its page has it."""
    target, anchor = found[1], found[2] or ""
    path = f"../{target.removeprefix('docs/')}" if target.startswith("docs/") else f"../../{target}"
    return f"]({target.lower() if target in BESIDE else path}{anchor})"


def copy(app: Sphinx, error: Exception | None) -> None:
    """Copy the replay pages, and the pictures that links lead to, as they are."""
    if error is None and app.builder.format == "html":
        for name in (f"{PAGES}*.html", f"{PICTURES}*.svg"):
            for path in sorted(Path(app.srcdir).glob(name)):
                there = Path(app.outdir) / path.relative_to(app.srcdir)
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, there)


def name_level(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say of which level the headings of the menu are, for screen readers."""
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace('role="heading">', 'role="heading" aria-level="2">')


# --- text -----------------------------------------------------------------------------------------------------


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to files beside docs/ to their pages, and give the start page its tree of contents."""
    if page.startswith(MADE):
        return
    text = source[0]
    for name in BESIDE:
        text = text.replace(f"](../{name}", f"]({MADE}/{name.lower()}")
    if page == "index":
        text += contents(text.partition("<!-- contents -->")[2])
    source[0] = text


def contents(text: str) -> str:
    """Return hidden trees of contents: one for each heading, of the links below it."""
    trees = []
    for part in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        heading, _, below = part.partition("\n")
        pages = "\n".join(f"{link[1].removesuffix('.md')}" for link in _LINK.finditer(below))
        trees.append(f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{pages}\n```\n")
    return "".join(trees)


def escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let the bars of a formula be bars, not a substitution, and the first words of a property no type."""
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]  # napoleon takes what stands before a colon on the first line for a type
    for i, line in enumerate(lines):
        parts = re.split(r"(`+.*?`+)", line)  # every other one is code
        lines[i] = "".join(part if k % 2 else part.replace("|", "\\|") for k, part in enumerate(parts))


def sign(app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: Any) -> Any:
    """Return the signature of a class by its ``__init__``, where nothing else says what it takes."""
    if signature != "(*args, **kwargs)" or not isinstance(thing, type):
        return _defaults(signature) if signature else None, returns
    given = inspect.signature(thing.__init__)  # type: ignore[misc]
    own = given.replace(parameters=list(given.parameters.values())[1:])
    text = "()" if thing.__init__ is object.__init__ else stringify_signature(own, show_annotation=False)  # type: ignore[misc]
    return _defaults(text), None


def _defaults(signature: str) -> str:
    """Return a signature with what code would have for the defaults that Python shows in brackets or at length."""
    text = re.sub(r"<(?:function|class) '?([\w.]+)'?>", r"\1", signature)
    text = re.sub(r"=<factory>", "=...", text)
    return re.sub(r"=([A-Z]\w+)\((?:[^()]|\([^()]*\))*\)", r"=\1(...)", text)


def skip(app: Sphinx, what: str, name: str, thing: Any, left_out: bool, options: Any) -> bool | None:
    """Leave out the fields of a named tuple: the docstring of the class has said what they are."""
    return True if (getattr(thing, "__doc__", "") or "").startswith("Alias for field number") else None


def base(app: Sphinx, name: str, thing: Any, options: Any, bases: list[Any]) -> None:
    """Name only the bases of an error that users know."""
    bases[:] = [each for each in bases if each.__module__ in ("builtins", "graphnn.errors")]


# --- documents ------------------------------------------------------------------------------------------------


class Pictures(SphinxTransform):
    """Give pictures their twins, and replay pages and pictures the links that lead to them."""

    default_priority = 10

    def apply(self, **kwargs: Any) -> None:
        """Change the document."""
        for link in list(self.document.findall(addnodes.download_reference)):
            if link["reftarget"].startswith((PAGES, PICTURES)):
                self._lead_to(link)
        for picture in list(self.document.findall(nodes.image)):
            self._give_twin(picture)

    def _lead_to(self, link: Any) -> None:
        plain = nodes.reference("", "", *link.children, refuri=link["reftarget"], internal=True)
        pictures = list(plain.findall(nodes.image))
        if not pictures or link["reftarget"].startswith(PICTURES):
            link.replace_self(plain)
            return
        plain["classes"].append("replay-picture")
        title = html.escape(pictures[0].get("alt", "A replay page"))
        frame = f'<iframe class="replay" src="{link["reftarget"]}" title="{title}" loading="lazy"></iframe>'
        link.replace_self([plain, nodes.raw("", frame, format="html")])

    def _text(self, uri: str) -> str:
        path = Path(self.app.srcdir) / uri
        return path.read_text(encoding="utf-8") if path.suffix == ".svg" and path.is_file() else ""

    def _give_twin(self, picture: Any) -> None:
        name = picture["uri"].removeprefix("images/")
        size = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', self._text(picture["uri"]))
        if size and float(size[2]) > float(size[1]):
            picture["classes"].append("tall")
        made = f"{MADE}/dark/{name}", re.sub(r"\.png$", "-dark.png", picture["uri"])
        twins = [uri for uri in made if uri != picture["uri"] and (Path(self.app.srcdir) / uri).exists()]
        if not twins or self.env.docname.startswith(MADE):
            picture["classes"].append("card")
            return
        twin = picture.deepcopy()
        twin["uri"] = twins[0]
        twin["classes"].append("only-dark")
        picture["classes"].append("only-light")
        picture.parent.insert(picture.parent.index(picture) + 1, twin)


class Links(SphinxPostTransform):
    """Make links of code that names what has a page."""

    default_priority = 5
    _NAME = re.compile(r"(?:(gn|graphnn|nn)\.)?([A-Za-z_][\w.]*)(?:\((?:[^()]|\([^()]*\))*\))?")

    def run(self, **kwargs: Any) -> None:
        """Change the document."""
        self._pages = self.env.get_domain("py").objects
        for code in list(self.document.findall(nodes.literal)):
            target = self._target(code)
            if target in self._pages:
                code.replace_self(self._link(target, code.deepcopy()))
        classes = {name.rpartition(".")[2]: name for name, page in self._pages.items() if page.objtype in _CLASSES}
        words = re.compile(rf"\b({'|'.join(classes)})\b")
        for field in self.document.findall(nodes.field):
            for types in list(field.findall(nodes.emphasis)):  # what a parameter is: "Node or str"
                parts = words.split(types.astext())
                types.children = [nodes.Text(part) for part in parts]
                for i in range(1, len(parts), 2):
                    types[i] = self._link(classes[parts[i]], nodes.Text(parts[i]))

    def _target(self, code: Any) -> str:
        """Return the whole name of what a piece of code names, or ""."""
        name = self._NAME.fullmatch(code.astext())
        if name is None or _within(
            code, (nodes.reference, addnodes.pending_xref, nodes.title, addnodes.desc_signature)
        ):
            return ""
        package, rest = name.groups()
        if package is None and not (self.env.docname == "operations" and _is_first_cell(code.parent.parent)):
            return ""
        return f"graphnn.nn.{rest}" if package == "nn" else f"graphnn.{rest}"

    def _link(self, target: str, shown: Any) -> Any:
        there = self._pages[target]
        uri = self.app.builder.get_relative_uri(self.env.docname, there.docname) + f"#{there.node_id}"
        return nodes.reference("", "", shown, refuri=uri, internal=True, classes=["to-code"])


def _is_first_cell(node: Any) -> bool:
    return isinstance(node, nodes.entry) and node.parent.index(node) == 0


def _within(node: Any, kinds: tuple[type, ...]) -> bool:
    while node is not None:
        if isinstance(node, kinds):
            return True
        node = node.parent
    return False


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is above."""
    app.connect("builder-inited", write)
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-bases", base)
    app.connect("html-page-context", name_level, priority=900)  # after furo
    app.connect("build-finished", copy)
    app.add_transform(Pictures)
    app.add_post_transform(Links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
