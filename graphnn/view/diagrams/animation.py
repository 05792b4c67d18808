"""The evaluation as a moving picture: an SVG in which boxes light up in the order of the schedule, again and again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .picture import Picture

# Seconds: before the first box, from one to the next, for all of them at most, and after the last.
_LEAD, _BEAT, _MOST, _REST = 0.6, 0.45, 24.0, 3.0
_DIM, _CURRENT, _PALE = 0.25, "#D55E00", "#C4C9D1"
_ANY_GROUP = re.compile(r'<g data-name="[^"]*">')
# Of stills: seconds that one is seen at least, and how many there are at most.
_LEAST_BEAT, _MOST_STILLS = 0.12, 120
_FILL, _COLOUR = re.compile(r'fill="(#[0-9A-Fa-f]{6})"'), re.compile(r'stroke="#[0-9A-Fa-f]{6}"')
_TOLD, _LINE = (
    re.compile(r'<g class="told">.*?</g>', re.DOTALL),
    re.compile(r' stroke="#[0-9A-Fa-f]{6}" stroke-width="[\d.]+"'),
)
_TEXT_FILL = re.compile(r'(<text [^>]*?)fill="#[0-9A-Fa-f]{6}"')
_SHAPE_FILL = re.compile(r'(<(?!text)\w+ [^>]*?)fill="#[0-9A-Fa-f]{6}"')
_INK = re.compile(r'<text [^>]*fill="(#[0-9A-Fa-f]{6})"')
# The groups of boxes, of references and names, and of arrows, as `plain_svg` calls them.
_GROUP = re.compile(r'<g data-name="(?:(?P<tail>\w+)-&gt;)?(?P<name>[ntr]\d+(?:_\d+)?)">')


def animated(svg: str, seen: Picture, ink: str = "") -> str:
    """Return a plain SVG with what makes it move: rules of style, and no script.

    What is given is there from the beginning. Then box after box lights up with the arrows that lead to it; the one
    that has just been computed has an orange line. A box that is still to be computed is empty: it has neither a colour
    nor what the run says of it. Nothing moves where the system is set to reduced motion, or on paper.

    Parameters
    ----------
    svg : str
        As `plain_svg` returns it.
    seen : Picture
        What is drawn in it.
    ink : str
        If it shows what is known of a run: the colour of a title in a box that is empty.

    Returns
    -------
    str
    """
    computed = _computed(seen)
    beat_of = _beats(svg, computed)
    beat = min(_BEAT, _MOST / max(len(computed), 1))
    whole = _LEAD + beat * len(computed) + _REST

    def group(found: re.Match[str]) -> str:
        number = beat_of.get(found["name"])
        if number is None:
            return found[0]
        is_box = found["tail"] is None and found["name"].startswith("n")
        when = f' style="--at:{_LEAD + beat * number:.2f}s{_ink_of(svg, found.end()) if ink else ""}"' if is_box else ""
        return f'{found[0][:-1]} class="b{number}{" box" if is_box else ""}"{when}>'

    rules = [_frame(number, _LEAD + beat * number, whole, ink) for number in range(len(computed))]
    moving = _GROUP.sub(group, svg)
    begin = moving.index(">", moving.index("<svg")) + 1
    return f"{moving[:begin]}\n<style>\n{_common(beat, whole)}\n{chr(10).join(rules)}\n</style>{moving[begin:]}"


def stills(svg: str, seen: Picture) -> Iterator[tuple[str, float]]:
    """Yield the evaluation as pictures, each with how many seconds it is seen: box after box is filled.

    A box that is still to be computed is empty, and pale, as are the arrows that lead to it.

    Parameters
    ----------
    svg : str
        As `plain_svg` returns it.
    seen : Picture
        What is drawn in it.
    """
    computed = _computed(seen)
    beat_of = _beats(svg, computed)
    beat = max(min(_BEAT, _MOST / max(len(computed), 1)), _LEAST_BEAT)
    paper, groups = _FILL.search(svg), list(_ANY_GROUP.finditer(svg))
    blank = paper[1] if paper else "#FFFFFF"
    begins = [0, *(found.start() for found in groups), len(svg)]
    parts = [svg[begin:end] for begin, end in pairwise(begins)]
    names = [match["name"] if (match := _GROUP.match(found[0])) else "" for found in groups]
    at_of = [-1, *(beat_of.get(name, -1) for name in names)]
    step = max(1, math.ceil(len(computed) / _MOST_STILLS))
    for number in [-1, *range(step - 1, len(computed), step)]:
        drawn = [
            _pending(part, blank) if at > number else _current(part) if at == number >= 0 else part
            for part, at in zip(parts, at_of, strict=True)
        ]
        yield "".join(drawn), _LEAD if number < 0 else beat * step
    yield svg, _REST


def _pending(group: str, blank: str) -> str:
    """Return a group that says nothing of a run, in pale colours."""
    bare = _COLOUR.sub(f'stroke="{_PALE}"', _TOLD.sub("", group))
    return _TEXT_FILL.sub(rf'\1fill="{_PALE}"', _SHAPE_FILL.sub(rf'\1fill="{blank}"', bare))


def _current(group: str) -> str:
    """Return a box whose line is that of what has just been computed; an arrow as it is."""
    return group if "-&gt;" in group[:40] else _LINE.sub(f' stroke="{_CURRENT}" stroke-width="3"', group, count=1)


def _computed(seen: Picture) -> list[int]:
    """Return the places of the boxes that are computed, in the order of the schedule."""
    return [box.place for box in seen.boxes if box.scope is not None or box.node.inputs]


def _beats(svg: str, computed: Sequence[int]) -> dict[str, int]:
    """Return with which box each of them lights up, and each name and reference, by the names in the picture."""
    beat_of = {f"n{place}": beat for beat, place in enumerate(computed)}
    for found in _GROUP.finditer(svg):
        name, tail = found["name"], found["tail"]
        if name.startswith("t") and tail in beat_of:  # a name lights up with the box that has it
            beat_of[name] = beat_of[tail]
        elif name.startswith("r") and (reader := f"n{name.partition('_')[2]}") in beat_of:
            beat_of[name] = beat_of[reader]
    return beat_of


def _ink_of(svg: str, begin: int) -> str:
    """Return the colour of the first text after a place, as a property."""
    found = _INK.search(svg, begin)
    return f";--ink:{found[1]}" if found else ""


def _common(beat: float, whole: float) -> str:
    """Return the rules that all boxes share."""
    line = f"stroke:{_CURRENT};stroke-width:3px"
    # From its own beat to the end of the round, the line is again as it was: step-start leaps to the end at once.
    now = f"@keyframes now{{0%{{{line}}}{100 * beat / whole:.2f}%{{{line};animation-timing-function:step-start}}}}"
    shape = f".box>:nth-child(2){{animation:now {whole:.2f}s var(--at) infinite}}"
    still = "@media print,(prefers-reduced-motion:reduce){*{animation:none!important}}"
    return "\n".join((now, shape, still))


def _frame(number: int, at: float, whole: float, ink: str) -> str:
    """Return the rules of what lights up at a time, and goes out when the round ends."""
    lit, end = 100 * at / whole, 100 - 50 / whole

    def turn(name: str, dim: str, bright: str) -> str:
        lasts = f"{lit + 10 / whole:.2f}%,{end:.2f}%"
        return f"@keyframes {name}{number}{{0%,{lit:.2f}%,100%{{{dim}}}{lasts}{{{bright}}}}}"

    run = f"{whole:.2f}s infinite"
    rules = f"{turn('k', f'opacity:{_DIM}', 'opacity:1')}.b{number}{{animation:k{number} {run}}}"
    if not ink:
        return rules
    # What is in a box is not known before: neither the values nor the colour that stands for them.
    filled = turn("f", "fill-opacity:0", "fill-opacity:1")
    filled += f".b{number}.box>:nth-child(2){{animation:f{number} {run},now {whole:.2f}s var(--at) infinite}}"
    titled = turn("i", f"fill:{ink}", "fill:var(--ink)") + f".b{number}.box>text{{animation:i{number} {run}}}"
    return f"{rules}{filled}{titled}{turn('v', 'opacity:0', 'opacity:1')}.b{number} .told{{animation:v{number} {run}}}"
