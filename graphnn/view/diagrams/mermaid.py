"""A picture as Mermaid text, which Markdown shows as a flowchart in many places."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..formatting import shortened, visible
from .picture import scope_path
from .shapes import USUAL, Drawing, paragraphs
from .style import ARROW, INK, MOST_BELOW, MOST_SHOWN, NODE

if TYPE_CHECKING:
    from .picture import Picture
    from .shapes import Arrow, Manner, Shape

_BRACKETS = {"ellipse": ("([", "])"), "cylinder": ("[(", ")]"), "plaintext": ("[", "]"), "octagon": ("{{", "}}")}
_BOX, _DOUBLE = ("(", ")"), ("[[", "]]")
_DASHES = {"dashed": "5 3", "dotted": "1 3"}
# All but letters, digits and harmless signs is written by its number: quotes would end a label, markup and Markdown
# would act, and a colon begins what Mermaid takes for a style.
_ACTING = re.compile(r"[^\w ,.()\[\]=+/?×·→↑−∂…-]|(?<![^\W_])_|_(?![^\W_])|\](?=\()")


def mermaid_source(seen: Picture, manner: Manner = USUAL) -> str:
    """Return a picture as Mermaid text, in order of making; what is in a frame stands together.

    For an overlay there are colours and texts, no heatmaps.

    Examples
    --------
    >>> from .boxes import picture
    >>> from ...core import Graph
    >>> g = Graph()
    >>> y = g.placeholder("x", shape="batch") * 2.0
    >>> print(mermaid_source(picture(y)))
    flowchart TB
    n0(["<b>x</b><br/>batch"])
    n1["<i>2</i>"]
    n2("<b>multiply</b>")
    n0 --> n2
    n1 --> n2
    classDef placeholder fill:#D6E8F5,stroke:#0072B2,color:#202124
    class n0 placeholder
    classDef constant fill:none,stroke:none,color:#5F6368
    class n1 constant
    classDef operation fill:#FFFFFF,stroke:#000000,color:#202124,stroke-width:2.2px
    class n2 operation
    <BLANKLINE>
    """
    drawn = Drawing(seen, manner)
    head = []
    if drawn.headings:
        title = visible(" · ".join(paragraphs(drawn.headings)))
        # Mermaid leaves out of a title what it takes for markup, and has no way to write that.
        head = ["---", f"title: {json.dumps(title.replace('<', '‹'), ensure_ascii=False)}", "---"]
    head.append(f"flowchart {'LR' if manner.sideways else 'TB'}")
    return "\n".join([*head, *_in_frames(drawn), *map(_arrow, drawn.arrows), *_looks(drawn), ""])


def _in_frames(drawn: Drawing) -> Iterator[str]:
    """Yield the shapes, those in a frame between its begin and its end."""
    inside: dict[str, list[str]] = {}
    for shape in drawn.shapes:
        inside.setdefault(scope_path(shape.around), []).append(_shape(shape))
    number_of = {frame.scope.path: number for number, frame in enumerate(drawn.frames)}
    yield from inside.get("", [])
    for frame, begins in drawn.nested():
        if begins:
            note = f" · {_literal(frame.note, MOST_BELOW)}" if frame.note else ""
            yield f'subgraph c{number_of[frame.scope.path]}["{_label(frame.title)}{note}"]'
            yield from inside.get(frame.scope.path, [])
        else:
            yield "end"


def _shape(shape: Shape) -> str:
    look = NODE | shape.look
    left, right = _BRACKETS.get(look["shape"], _DOUBLE if look.get("peripheries") == "2" else _BOX)
    label = f"<i>{_literal(shape.title, MOST_SHOWN)}</i>" if shape.small else ""
    return f'{shape.name}{left}"{label or _label(shape.title, shape.below, shape.said)}"{right}'


def _label(title: str, below: str = "", notes: Sequence[str] = ()) -> str:
    lines = [f"<b>{_literal(title, MOST_SHOWN)}</b>"]
    lines += [_literal(line, MOST_BELOW) for line in (below, *notes) if line]
    return "<br/>".join(lines)


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.look.get("style") == "dotted" else "-->"
    said = " · ".join(
        ([arrow.position] if arrow.position else []) + ([_literal(arrow.label, MOST_SHOWN)] if arrow.label else [])
    )
    return f'{arrow.tail} {line}|"{said}"| {arrow.head}' if said else f"{arrow.tail} {line} {arrow.head}"


def _looks(drawn: Drawing) -> Iterator[str]:
    """Yield the classes: one for each look, called after the kind of what has it."""
    looks: dict[tuple[str, str], list[str]] = {}
    for shape in drawn.shapes:
        looks.setdefault((shape.kind, _look_of_shape(shape, drawn)), []).append(shape.name)
    for number, frame in enumerate(drawn.frames):
        look = f"fill:{frame.look['fillcolor']},stroke:{frame.look['color']},color:{drawn.colour(INK)}"
        looks.setdefault((frame.scope.phase, look), []).append(f"c{number}")
    counts: Counter[str] = Counter()
    for (kind, look), names in looks.items():
        counts[kind] += 1
        called = kind if counts[kind] == 1 else f"{kind}{counts[kind]}"
        yield f"classDef {called} {look}"
        yield f"class {','.join(names)} {called}"
    numbers_of: dict[str, list[str]] = {}
    for number, arrow in enumerate(drawn.arrows):
        seen = drawn.look(ARROW) | arrow.look
        width = f",stroke-width:{seen['penwidth']}px" if seen["penwidth"] != ARROW["penwidth"] else ""
        if arrow.look:  # else it is drawn as Mermaid does
            numbers_of.setdefault(f"stroke:{seen['color']}{width}", []).append(str(number))
    for look, numbers in numbers_of.items():
        yield f"linkStyle {','.join(numbers)} {look}"


def _look_of_shape(shape: Shape, drawn: Drawing) -> str:
    look = drawn.look(NODE) | shape.look
    style = look["style"].split(",")
    fill = look["fillcolor"] if "filled" in style else "none"
    stroke = look["color"] if look["shape"] != "plaintext" else "none"
    parts = [f"fill:{fill}", f"stroke:{stroke}", f"color:{shape.soft if shape.small else look['fontcolor']}"]
    parts += [f"stroke-width:{look['penwidth']}px"] if "penwidth" in look else []
    parts += [f"stroke-dasharray:{dash}" for name, dash in _DASHES.items() if name in style]
    return ",".join(parts)


def _literal(text: str, most: int) -> str:
    # $$ would begin a formula, and :fa- name a symbol, however they are written: a blank of no width parts them.
    shown = re.sub(r"(?<=\$)(?=\$)|(?<=:)(?=fa-)", "\u200b", shortened(text, most))
    return _ACTING.sub(lambda found: f"#{ord(found[0])};", shown)
