"""What a DOT text says, as data: boxes with their lines, frames, edges and headings. It knows nothing of graphnn."""

import html
import re
from dataclasses import dataclass, field

_NODE, _EDGE = re.compile(r"(\w+) \[(.*)\]$"), re.compile(r"(\w+) -> (\w+)(?: \[(.*)\])?$")
_NAME, _VALUE = re.compile(r"(\w+)="), re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s\]]*)')
_BRACKET = re.compile("[<>]")


@dataclass
class Said:
    """A box, a reference, a name or a stub.

    Attributes
    ----------
    name : str
        As the DOT text calls it.
    lines : list of str
        What is written on it.
    tip : list of str
        The lines of its tooltip.
    look : dict of str to str
    cells : list of str
        The colours of its heatmap, row by row.
    inside : tuple of str
        The titles of the frames around it, outermost first.
    """

    name: str
    lines: list[str]
    tip: list[str]
    look: dict[str, str]
    cells: list[str]
    inside: tuple[str, ...]

    @property
    def title(self) -> str:
        return self.lines[0]


@dataclass
class Frame:
    """An open scope: its lines, its tooltip, and the names of all that is in it."""

    lines: list[str]
    tip: list[str]
    members: list[str] = field(default_factory=list)


@dataclass
class Told:
    """A whole DOT text."""

    boxes: dict[str, Said]
    edges: list[tuple[str, str, dict[str, str]]]
    frames: dict[tuple[str, ...], Frame]
    headings: list[str]
    shades: list[str]
    look: dict[str, str]

    def titled(self, title: str) -> Said:
        """Return the only box that has this title, or this line below it."""
        found = [box for box in self.boxes.values() if title in box.lines[:2]]
        assert len(found) == 1, f"{len(found)} boxes with {title!r}: {[box.lines for box in self.boxes.values()]}"
        return found[0]

    def lines(self) -> list[list[str]]:
        """Return what is written on each box, in order of making."""
        names = sorted((name for name in self.boxes if name.startswith("n")), key=lambda name: int(name[1:]))
        return [self.boxes[name].lines for name in names]


def told(source: str) -> Told:
    """Read a DOT text, a statement a line."""
    found = Told({}, [], {}, [], [], {})
    stack: list[list[str]] = []  # the title of each open frame; of a group without one, nothing
    waiting: list[Frame | None] = []
    for statement in map(str.strip, source.splitlines()):
        if statement.startswith("subgraph"):
            stack.append([])
            waiting.append(None)
        elif statement == "}" and stack:
            stack.pop()
            waiting.pop()
        elif statement.startswith("graph [") and stack:
            look = _attributes(statement)
            if lines := _lines(look.get("label", "")):
                stack[-1].append(lines[0])
                waiting[-1] = found.frames[_titles(stack)] = Frame(lines, _tip(look))
        elif statement.startswith("graph ["):
            found.look = _attributes(statement)
            found.headings, found.shades = _headings(found.look.get("label", ""))
        elif match := _EDGE.match(statement):
            if (look := _attributes(match[3] or "")).get("style") != "invis":  # else it only holds its ends in place
                found.edges.append((match[1], match[2], look))
        elif (match := _NODE.match(statement)) and match[1] not in ("node", "edge"):
            look = _attributes(match[2])
            label = look.pop("label")
            said = Said(match[1], _lines(label), _tip(look), look, _cells(label), _titles(stack))
            found.boxes[match[1]] = said
            for frame in waiting:
                if frame is not None:
                    frame.members.append(match[1])
    return found


def _titles(stack: list[list[str]]) -> tuple[str, ...]:
    return tuple(title for titles in stack for title in titles)


def _attributes(statement: str) -> dict[str, str]:
    """Return name=<markup>, name="text" and name=word; of markup, < and > are balanced."""
    found: dict[str, str] = {}
    at = 0
    while match := _NAME.search(statement, at):
        start = match.end()
        if statement.startswith("<", start):
            depth, brackets = 0, _BRACKET.finditer(statement, start)
            while bracket := next(brackets):
                depth += 1 if bracket[0] == "<" else -1
                if not depth:
                    break
            at = bracket.end()
            found[match[1]] = statement[start:at]
            continue
        value = _VALUE.match(statement, start)
        assert value is not None
        found[match[1]] = value[2] if value[1] is None else value[1].replace('\\"', '"')
        at = value.end()
    return found


def _lines(label: str) -> list[str]:
    """Return the lines of an HTML-like label."""
    parts = re.split(r"<br[^>]*/>|</tr>", label[1:-1] if label.startswith("<") else label)
    texts = [_literal(re.sub(r"<[^>]*>", "", part)).strip() for part in parts]
    return [text for text in texts if text]


def _literal(text: str) -> str:
    return html.unescape(text).replace("\\\\", "\\")


def _tip(look: dict[str, str]) -> list[str]:
    # What stands for the end of a line is no part of a name: there, & is written out.
    tip = look.pop("tooltip", "").replace("&#10;", "\n")
    return [html.unescape(line).replace(4 * "\\", "\\") for line in tip.split("\n")]


def _cells(label: str) -> list[str]:
    return re.findall(r'<td[^>]*bgcolor="(#[0-9A-Fa-f]{6})"', label)


def _headings(label: str) -> tuple[list[str], list[str]]:
    return [" ".join(line.split()) for line in _lines(label)], _cells(label)
