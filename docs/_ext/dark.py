"""The twin of a picture for the dark mode: each colour of the light theme is that of the dark one."""

import re

from graphnn.view.diagram.looks import PAPER, THEMES

_COLOUR = re.compile(r'(<text[^>]*fill="(?:#000000|#ffffff)")|(#[0-9a-f]{6}\b|(?<=")white(?="))', re.IGNORECASE)
_DARK = {
    "white": THEMES["dark"][PAPER].lower(),
    **{light.lower(): dark.lower() for light, dark in THEMES["dark"].items()},
}


def dark(svg: str) -> str:
    """Return a picture with the colours of the dark theme.

    Black and white text stands on the colours of a scale, and stays.
    """
    return _COLOUR.sub(lambda found: found[1] or _DARK.get(found[2].lower(), found[2]), svg)
