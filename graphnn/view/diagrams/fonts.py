"""How wide text is in the font of pictures, and how it keeps to that width where another font is shown."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from .svg_elements import n

# Arial is as wide as Helvetica. Where there is neither, many systems show DejaVu Sans, of which this is less wide.
FAMILIES = "Helvetica,Arial,DejaVu Sans Condensed,sans-serif"
_OF_GRAPHVIZ = re.compile(r'font-family="Helvetica[^"]*"')
_TEXT = re.compile(r"(<text [^>]*)(>[^<]*)(?=</text>)")
_SIZE = re.compile(r'font-size="([\d.]+)"')

# How wide characters are in Helvetica, in thousandths of the size: from the blank to the tilde, and some others.
_WIDTHS = """
    278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 278 584
    584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 667 944 667 667
    611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 556 333 500 278 556 500
    722 500 500 500 334 260 334 584
"""
_BOLD_WIDTHS = """
    278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 333 333 584
    584 584 611 975 722 722 722 722 667 611 778 722 278 556 722 611 833 722 778 667 778 722 667 611 722 667 944 667 667
    611 333 278 333 584 556 333 556 611 556 611 556 333 611 611 278 278 556 278 889 611 611 611 611 389 556 333 611 556
    778 556 556 500 389 280 389 584
"""
_OTHERS = {"\xa0": 278, "…": 1000, "→": 1000, "×": 584, "·": 333, "−": 584, "∂": 494, "µ": 576, "↑": 600}
_WIDTH_OF, _BOLD_WIDTH_OF = (
    {chr(32 + place): int(width) for place, width in enumerate(table.split())} | _OTHERS
    for table in (_WIDTHS, _BOLD_WIDTHS)
)


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return how wide a text is in Helvetica; a little too much of what is in no table.

    Examples
    --------
    >>> round(text_width("batch × 64", 8.0), 1)
    37.6
    """
    known = _BOLD_WIDTH_OF if bold else _WIDTH_OF
    return sum(known.get(character) or _unusual(character) for character in text) * size / 1000


@lru_cache
def _unusual(character: str) -> int:
    return _BOLD_WIDTH_OF.get(_base(character), 0 if unicodedata.combining(character) else 1000)


def _base(character: str) -> str:
    return unicodedata.normalize("NFD", character)[0]


def _is_known(character: str) -> bool:
    return _base(character) in _WIDTH_OF or unicodedata.combining(character) > 0


def fitted(svg: str) -> str:
    """Return a picture in which text is as wide as in Helvetica, whatever the font, so that it stays in its box.

    Text with characters of unknown width is as the font has it: the boxes allow for more than most of them take.

    Examples
    --------
    >>> fitted('<text x="2" y="8" font-size="11">relu</text>')
    '<text x="2" y="8" font-size="11" textLength="18.34" lengthAdjust="spacingAndGlyphs">relu</text>'
    """
    return _TEXT.sub(_at_its_width, _OF_GRAPHVIZ.sub(f'font-family="{FAMILIES}"', svg))


def _at_its_width(found: re.Match[str]) -> str:
    begin, end = found.groups()
    text, size = html.unescape(end[1:]), _SIZE.search(begin)
    if size is None or not text.strip() or not all(map(_is_known, text)):
        return found[0]
    width = n(text_width(text, float(size[1]), 'font-weight="bold"' in begin))
    return f'{begin} textLength="{width}" lengthAdjust="spacingAndGlyphs"{end}'
