"""Check the documentation that was built: its search finds what people look for, and its pages have what they show.

    python tests/built/check_site.py docs/_build/html

`make docs` builds the site and runs this.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

# What is typed into the search, and the page that must come first.
NAMES = {
    "softmax": "operations/softmax",
    "matmul": "operations/matmul",
    "einsum": "operations/einsum",
    "where": "operations/where",
    "Dense": "classes/nn.Dense",
    "Adam": "classes/nn.Adam",
    "grad": "functions/grad",
    "trace": "functions/trace",
    "draw": "functions/draw",
    "check_health": "functions/check_health",
    "fit": "functions/nn.fit",
    "Debugger": "classes/Debugger",
    "ShapeError": "classes/ShapeError",
}


def found(index: dict[str, Any], query: str) -> list[str]:
    """Return the pages of objects with a name, as Sphinx's search looks them up: letters of either size are one."""
    pages = []
    for entries in index["objects"].values():
        pages += [index["docnames"][entry[0]] for entry in entries if entry[4].lower() == query.lower()]
    return pages


def check(site: Path) -> None:
    """Raise an AssertionError with what is wrong, if anything is."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    titles = dict(zip(index["docnames"], index["titles"], strict=True))
    for query, page in NAMES.items():
        name = f"reference/{page}"
        assert name in found(index, query), f'the search for "{query}" does not find {page}: {found(index, query)}'
        last = titles[name].rpartition(".")[2]
        assert last == query, f"{page} has the title {titles[name]}"
        assert (site / f"{name}.html").exists()
    start = (site / "index.html").read_text(encoding="utf-8")
    pages = re.findall(r'<iframe class="replay" src="([^"]+)"', start)
    assert pages, "there is no replay page on the start page"
    assert all((site / page).exists() for page in pages), pages
    networks = (site / "networks.html").read_text(encoding="utf-8")
    pictures = set(re.findall(r'<a class="[^"]*internal" href="(images/networks/[^"]+)"', networks))
    assert len(pictures) > 80, f"{len(pictures)} links to pictures of networks"
    assert all((site / picture).exists() for picture in pictures), pictures
    for title in ("Tour", "The command line", "Changelog", "Security"):
        assert re.search(rf'<a class="reference internal" href="[^"]+">{title}</a>', start), f"no {title} in the menu"
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        light, dark = (len(re.findall(rf'<img [^>]*class="only-{mode}', html)) for mode in ("light", "dark"))
        assert light == dark, f"{page.name}: {light} pictures for light paper, {dark} for dark"


if __name__ == "__main__":
    check(Path(sys.argv[1]))
    sys.stdout.write(f"The search finds {', '.join(NAMES)}.\n")
