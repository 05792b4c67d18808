"""The twin of a picture for the dark mode: each colour of the light theme is that of the dark one."""

import re

import numpy as np

from graphnn.view.diagrams.style import PAPER, THEMES
from graphnn.view.heatmap import ALIKE, Scale, in_hex, ink_on

_COLOUR = re.compile(r'(<text[^>]*fill="(?:#000000|#ffffff)")|(#[0-9a-f]{6}\b|(?<=")white(?="))', re.IGNORECASE)
_STEPS = 200_001  # so many that each colour of the scale is among them
_LIGHT, _DARK_SCALE = (
    Scale(-1, 1, signed=True, theme=theme).colours(np.linspace(0, 1, _STEPS)) for theme in ("light", "dark")
)
_, _FIRST, _COUNTS = np.unique(_LIGHT, axis=0, return_index=True, return_counts=True)
_PLACES = _FIRST + _COUNTS // 2  # the middle of where a colour is, for others are rounded to it
_SCALE = {in_hex(_LIGHT[place]).lower(): in_hex(_DARK_SCALE[place]).lower() for place in _PLACES}
_DARK = {
    "white": THEMES["dark"][PAPER].lower(),
    **_SCALE,
    ALIKE["light"].lower(): ALIKE["dark"].lower(),
    **{light.lower(): dark.lower() for light, dark in THEMES["dark"].items()},
}
_BOX = re.compile(r'<g data-name="n\d+".*?</g>', re.DOTALL)
_FILL = re.compile(r'fill="(#[0-9a-f]{6})"', re.IGNORECASE)
_RECTANGLE = re.compile(
    r'<rect x="[-\d.]+" y="([-\d.]+)" width="[\d.]+" height="([\d.]+)"[^>]*fill="(#[0-9a-fA-F]{6})"'
)
_INK = re.compile(r'(<text x="[-\d.]+" y="([-\d.]+)"[^>]* fill=")#(?:000000|FFFFFF)"')


def dark(svg: str) -> str:
    """Return a picture with the colours of the dark theme.

    Black and white text stands on the colours of a scale: it is what is read better on their counterparts.
    """
    return _COLOUR.sub(lambda found: found[1] or _dark(found[2]), _BOX.sub(_inked, svg))


def _dark(colour: str) -> str:
    return _DARK.get(colour.lower(), colour)


def _inked(found: re.Match[str]) -> str:
    """Return a box with its black and white text as it is to be on dark colours."""
    box = found[0]
    whole = _FILL.search(box)
    parts = [(float(top), float(top) + float(height), fill) for top, height, fill in _RECTANGLE.findall(box)]

    def ink(text: re.Match[str]) -> str:
        back = [fill for top, bottom, fill in parts if top <= float(text[2]) <= bottom]
        colour = _dark(back[-1] if back else whole[1] if whole else "white")
        return f'{text[1]}{in_hex(ink_on(int(colour[i : i + 2], 16) for i in (1, 3, 5)))}"'

    return _INK.sub(ink, box)
