"""The code of a plan in functions of a bounded length.

For each line of what it compiles at once, Python's compiler takes some kilobytes. So a long plan is several functions,
which are compiled one by one. Each defines a function of its own for the lines that every call runs. They hand on to
each other what the later ones read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import Any, NamedTuple

_NAME = re.compile(r"(?<![\w.'])[A-Za-z_]\w*")
_ASSIGNED = re.compile(r"([A-Za-z_][\w, ]*?) *=(?!=)")
_DEFINED = re.compile(r"def (\w+)\(")


class Part(NamedTuple):
    """Lines that belong together.

    Attributes
    ----------
    made : list of str
        What is done once.
    body : list of str
        What each call does.
    """

    made: list[str]
    body: list[str]


def written_out(
    parts: Sequence[Part], imported: Iterable[str], arguments: Sequence[str], given: Sequence[str], returned: str
) -> list[str]:
    """Return the texts to compile, one after the other: together, they define ``plan(*arguments)``.

    Parameters
    ----------
    parts : sequence of Part
        The first begins with what is there for all. A line of one uses what the same one or those before it define.
    imported : iterable of str
        What is used of NumPy.
    arguments, given : sequence of str
        What `plan`, and the function that it returns, are called with.
    returned : str
        The expression that this function returns.
    """
    words = f"from numpy import {', '.join(imported)}\n\n\n"
    if len(parts) == 1:
        (part,) = parts
        return [words + _function("plan", arguments, part.made, given, [*part.body, f"return {returned}"], "step")]
    once = _Passed("made", arguments, [part.made for part in parts])
    each = _Passed("moved", given, [part.body for part in parts])
    for number, part in enumerate(parts):
        body = [*part.body, returned] if number == len(parts) - 1 else part.body
        once.read(number, [*part.made, *body])
        each.read(number, body)
    texts, made, called = [words], [], []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        body = [*each.unpacked(number), *part.body, f"return {returned if last else each.handed_on(number)}"]
        inner = f"step, {once.handed_on(number)}"
        lines = [*once.unpacked(number), *part.made]
        takes, moving = once.takes(number), each.takes(number)
        texts.append(_function(f"plan__{number}", takes, lines, moving, body, inner) + "\n\n")
        made.append(f"step__{number}, made__{number} = plan__{number}({', '.join(takes)})")
        call = f"step__{number}({', '.join(moving)})"
        called.append(f"return {call}" if last else f"moved__{number} = {call}")
    texts.append(_function("plan", arguments, made, given, called, "step"))
    return texts


def _function(
    name: str, takes: Iterable[str], made: Iterable[str], given: Iterable[str], body: Iterable[str], returned: str
) -> str:
    lines = [
        f"def {name}({', '.join(takes)}):",
        *[f"    {line}" for line in made],
        "",
        f"    def step({', '.join(given)}):",
        *[f"        {line}" for line in body],
        "",
        f"    return {returned}",
        "",
    ]
    return "\n".join(lines)


class _Passed:
    """What parts hand on to each other.

    Parameters
    ----------
    name : str
        What a part's tuple of it is called, up to a number.
    known : sequence of str
        What all parts can be given by name.
    lines : sequence of list of str
        For each part, the lines that define what it may hand on.
    """

    def __init__(self, name: str, known: Sequence[str], lines: Sequence[list[str]]) -> None:
        self._name = name
        self._known = dict.fromkeys(known, -1)
        self._defined = [dict.fromkeys(_defined(part)) for part in lines]
        self._given: list[list[str]] = []
        self._taken: list[dict[str, int]] = []
        self._places: list[dict[str, int]] = [{} for _ in lines]

    def read(self, number: int, lines: Iterable[str]) -> None:
        """Note what the lines of a part read of what is known before; parts come in order."""
        names = dict.fromkeys(name for line in lines for name in _NAME.findall(line))
        found = {name: self._known[name] for name in names if name in self._known}
        for name, source in found.items():
            if source >= 0:
                places = self._places[source]
                places.setdefault(name, len(places))
        self._taken.append(found)
        self._known.update(dict.fromkeys(self._defined[number], number))

    def takes(self, number: int) -> list[str]:
        """Return the parameters of a part: names that all know, and tuples of those before it."""
        found = self._taken[number]
        tuples = sorted({source for source in found.values() if source >= 0})
        return [name for name, source in found.items() if source < 0] + [f"{self._name}__{each}" for each in tuples]

    def unpacked(self, number: int) -> list[str]:
        """Return the lines that take from the tuples what a part reads."""
        found = self._taken[number].items()
        return [
            f"{name} = {self._name}__{source}[{self._places[source][name]}]" for name, source in found if source >= 0
        ]

    def handed_on(self, number: int) -> str:
        """Return the tuple of what later parts read of a part."""
        return f"({''.join(f'{name}, ' for name in self._places[number])})"


def _defined(lines: Iterable[str]) -> Iterator[str]:
    """Yield the names that lines define for those after them: neither within a loop, nor within a function."""
    for line in lines:
        if (found := _ASSIGNED.match(line)) is not None:
            yield from _NAME.findall(found[1])
        elif (found := _DEFINED.match(line)) is not None:
            yield found[1]


def compiled(texts: Iterable[str], file: str) -> Iterator[CodeType]:
    """Yield the code of texts that stand in a file one after the other: its lines are those of the file."""
    lines = 0
    for text in texts:
        yield _moved(compile(text, file, "exec"), lines)
        lines += text.count("\n")


def _moved(code: CodeType, lines: int) -> CodeType:
    """Return code that begins so many lines further down, as do the functions in it."""
    if not lines:
        return code
    constants = tuple([_moved(each, lines) if isinstance(each, CodeType) else each for each in code.co_consts])
    return code.replace(co_firstlineno=code.co_firstlineno + lines, co_consts=constants)


def defined(codes: Iterable[CodeType]) -> Callable[..., Any]:
    """Return the function `plan` that codes define."""
    space: dict[str, Any] = {}
    for code in codes:
        exec(code, space)  # noqa: S102 - written here, and of nothing but numbers and names
    plan: Callable[..., Any] = space.pop("plan")  # so that it is gone as soon as nobody refers to it
    return plan
