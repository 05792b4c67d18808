"""Colours in a terminal, each with a meaning: what failed, what may fail, where a run is, and its phases.

No meaning is told by a colour alone, and no name sets one.
"""

from __future__ import annotations

from ..formatting import visible

INKS = {
    "failed": "1;38;5;196",
    "warning": "38;5;136",
    "current": "1",
    "faint": "2",
    "backward": "38;5;133",
    "update": "38;5;29",
}
"""Codes of the terminal by meaning; the colours can be read on white and on black."""

_STATES = {"current": "current", "overridden": "current", "stale": "faint", "waiting": "faint", "fed": "faint"}
_HEADS = {"error": "failed", "stopped": "failed", "warning": "warning", "note": "faint"}


def inked(text: str, *meanings: str, colour: object = True) -> str:
    r"""Return lines in the colours of what they mean, and whatever else they hold made visible.

    Parameters
    ----------
    text : str
    *meanings : str
        Keys of `INKS`; any other word means nothing.
    colour : bool or 256
        Whether the terminal has colours.

    Examples
    --------
    >>> inked("relu_1", "current", "backward"), inked("relu_1", "current", colour=False), inked("\x1b[2J", "done")
    ('\x1b[1;38;5;133mrelu_1\x1b[0m', 'relu_1', '\\x1b[2J')
    """
    codes = ";".join(INKS[meaning] for meaning in meanings if meaning in INKS) if colour else ""
    lines = [visible(line) if line else "" for line in text.split("\n")]
    return "\n".join(f"\x1b[{codes}m{line}\x1b[0m" if codes and line else line for line in lines)


def meanings_of(state: str, phase: str, strange: bool = False) -> tuple[str, ...]:
    """Return what the line of a node means.

    Parameters
    ----------
    state : str
        Of a node in a debugger, or ``"failed"``.
    phase : str
    strange : bool
        Whether its value holds NaN or infinities.

    Examples
    --------
    >>> meanings_of("current", "backward"), meanings_of("current", "forward", strange=True)
    (('current', 'backward'), ('current', 'failed'))
    >>> meanings_of("waiting", "backward")
    ('faint',)
    """
    meaning = _STATES.get(state, "")
    if strange or state == "failed":
        return meaning, "failed"
    # A faint colour could not be read.
    return (meaning,) if meaning == "faint" else (meaning, phase)


def headed(text: str, colour: object = True, head: str = "") -> str:
    r"""Return lines of which those that begin with ``error:``, ``warning:`` or the like do so in its colour.

    Parameters
    ----------
    text : str
    colour : bool or 256
    head : str
        What the first word of all means, whatever it is.

    Examples
    --------
    >>> headed("error: there is none; warning: not here", colour=True)
    '\x1b[1;38;5;196merror:\x1b[0m there is none; warning: not here'
    """
    lines: list[str] = []
    for line in text.split("\n"):
        word, colon, _ = line.partition(":")
        meaning = head if head and not lines else _HEADS.get(word, "")
        cut = len(word) + 1 if colon and meaning else 0
        lines.append(inked(line[:cut], meaning, colour=colour) + inked(line[cut:]))
    return "\n".join(lines)


def judged(text: str, good: bool, colour: object = True) -> str:
    r"""Return lines of which the first, the verdict, is red unless it is good; so are those that it goes on in.

    Examples
    --------
    >>> judged("they differ\n1 node", good=False), judged("they are equal", good=True)
    ('\x1b[1;38;5;196mthey differ\x1b[0m\n1 node', 'they are equal')
    """
    lines = text.split("\n")
    count = next((i for i, line in enumerate(lines) if i and not line.startswith(" ")), len(lines))
    verdict = inked("\n".join(lines[:count]), "" if good else "failed", colour=colour)
    return "\n".join([verdict, *map(inked, lines[count:])])
