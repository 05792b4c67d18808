"""How a picture looks: the visual language.

The visual language stands in one table, `LOOK`: kinds differ by shape, dash and double border as well as
by colour, so that a print in grey says the same. It is written in Graphviz's words; `dot` hands them on, and `plain`
draws them itself.
"""

from __future__ import annotations

from collections.abc import Sequence

INK, GREY, PLUM, _GREEN = "#3C4043", "#5F6368", "#8E3B6E", "#00664B"

# What all boxes and all arrows have, unless more is said. Lengths are in inches, as Graphviz counts them.
NODE = {
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "#FFFFFF",
    "color": INK,
    "fontname": "Helvetica",
    "fontsize": "11",
    "fontcolor": "#202124",
    "margin": "0.10,0.045",
    "height": "0.32",
    "width": "0.4",
}
ARROW = {
    "color": GREY,
    "penwidth": "0.9",
    "arrowsize": "0.55",
    "fontname": "Helvetica",
    "fontsize": "8",
    "fontcolor": GREY,
    "labelfontsize": "7",
    "labeldistance": "1.1",
}
NAME = {"shape": "plaintext", "style": "", "margin": "0.03,0.02", "height": "0.2", "width": "0.2"}
_STATE = {"shape": "cylinder", "style": "filled", "margin": "0.10,0.02", "color": "#9C5B00"}
LOOK: dict[str, dict[str, str]] = {
    "placeholder": {"shape": "ellipse", "fillcolor": "#D6E8F5", "color": "#0072B2", "margin": "0.04,0.02"},
    "parameter": _STATE | {"fillcolor": "#FBE3C0"},
    "frozen": _STATE,
    "constant": NAME,
    "operation": {},
    "input": {"shape": "ellipse", "margin": "0.04,0.02"},
    "layer": {"fillcolor": "#FBE3C0", "color": "#9C5B00"},
    "gradient": {"style": "rounded,filled,dashed", "fillcolor": "#F6E4EE", "color": PLUM},
    "update": {"fillcolor": "#D5EFE3", "color": _GREEN, "peripheries": "2"},
}
FETCHED = {"color": "#000000", "penwidth": "2.2"}
REFERENCE = {"style": "rounded,dotted", "color": "#80868B", "margin": "0.05,0.02", "height": "0.2", "width": "0.2"}
_ALARM = {"shape": "octagon", "style": "filled", "margin": "0,0"}
_NOT_RUN = {"style": "rounded,filled,dotted", "fillcolor": "#FFFFFF", "color": "#80868B", "fontcolor": "#80868B"}
# What sets a box apart from others of its kind, the strongest first; and what is said on it, unless more is known.
HIGHLIGHTS: dict[str, tuple[dict[str, str], str]] = {
    "failed": (_ALARM | {"fillcolor": "#FCE8E6", "color": "#B3261E", "penwidth": "2.5"}, "failed"),
    "current": ({"peripheries": "2", "color": "#D55E00", "penwidth": "2.5"}, "current"),
    "overridden": ({"color": "#D55E00", "penwidth": "1.8"}, "overridden"),
    "warning": (_ALARM | {"fillcolor": "#FEF3CD", "color": "#9C5B00", "penwidth": "1.8"}, "warning"),
    "way": ({"color": "#D55E00", "penwidth": "3"}, ""),
    "stale": (_NOT_RUN, "stale"),
    "outside": ({"fillcolor": "#FFFFFF", "color": "#C4C9D1", "fontcolor": "#80868B"}, ""),
    "done": ({}, ""),
    "waiting": (_NOT_RUN, ""),
    "fed": ({}, ""),
}
FRAME_OF_PHASE = {
    "forward": {"fillcolor": "#F4F5F7", "color": "#C4C9D1"},
    "backward": {"fillcolor": "#FBF3F7", "color": "#D9B8CB"},
    "update": {"fillcolor": "#F1FAF6", "color": "#A9CFC0"},
}
ARROW_OF_PHASE = {"forward": {}, "backward": {"color": PLUM}, "update": {"color": _GREEN}}
# What goes back to the begin of a frame does not say what is above what.
BACK = {"style": "dashed", "weight": "0", "constraint": "false"}
LENT = {"style": "dotted", "color": "#80868B", "weight": "0", "arrowsize": "0.45"}

WAY = {"color": "#D55E00", "penwidth": "2.6", "arrowsize": "0.7"}
PALE = {"color": "#C4C9D1", "arrowsize": "0.45"}
UP, DOWN = "#D55E00", "#0072B2"  # of lines that stand for numbers
TO_CUT = {"style": "dotted", "color": "#80868B", "arrowsize": "0.45"}

# On dark paper: another colour for each.
PAPER = "#FFFFFF"
THEMES: dict[str, dict[str, str]] = {
    "light": {},
    "dark": {
        PAPER: "#202226",
        INK: "#C4C7CC",
        GREY: "#A6ABB2",
        "#202124": "#ECEEF1",
        "#000000": "#FFFFFF",
        "#80868B": "#8A9097",
        "#D6E8F5": "#173A52",
        "#0072B2": "#56B4E9",
        "#FBE3C0": "#4D3711",
        "#9C5B00": "#E6A23C",
        "#F6E4EE": "#44293C",
        PLUM: "#D08BB4",
        "#D5EFE3": "#14432F",
        _GREEN: "#4DC19B",
        "#FCE8E6": "#57201B",
        "#B3261E": "#F28B82",
        "#FEF3CD": "#4A3C0C",
        "#D55E00": "#FF9147",
        "#F4F5F7": "#2A2C31",
        "#C4C9D1": "#4C5058",
        "#FBF3F7": "#302730",
        "#D9B8CB": "#6E5064",
        "#F1FAF6": "#222E2A",
        "#A9CFC0": "#456B5C",
    },
}

MOST_SHOWN, MOST_BELOW, MOST_SAID, MOST_INLINE, MOST_ABOVE = 32, 48, 1000, 6, 96

WIDTH_OF_SHADE = 2.0  # of a scale, one colour
# Of heatmaps: width and height at most, and of a cell.
_MOST_OF_CELLS, _MOST_OF_CELL = (64.0, 36.0), (10.0, 6.0)
_MOST_OF_IMAGE = (96.0, 72.0)
KIND_OF_PHASE = {"backward": "gradient", "update": "update"}


Highlight = str | tuple[str, ...]
"""A key of `HIGHLIGHTS`; or that and the lines that are said on the box instead."""


def cell_size(cells: Sequence[Sequence[str]], square: bool = False) -> tuple[float, float]:
    """Return how wide and high a cell of a heatmap is, in points; those of an image are square."""
    if square:
        side = min(_MOST_OF_IMAGE[0] / len(cells[0]), _MOST_OF_IMAGE[1] / len(cells), _MOST_OF_CELL[1])
        return max(side, 1.0), max(side, 1.0)
    width, height = (
        max(1.0, min(most // count, of_one))
        for most, count, of_one in zip(_MOST_OF_CELLS, (len(cells[0]), len(cells)), _MOST_OF_CELL, strict=True)
    )
    return width, height
