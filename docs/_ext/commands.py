"""The reference of the command line, made from its parsers."""

from __future__ import annotations

import argparse

from reference import inline, table

from graphnn.cli import entry_point
from graphnn.cli.command_registry import _own as own_names
from graphnn.cli.command_registry import find


def commands() -> str:
    """Return the reference of the command line as Markdown: a section for each verb."""
    parsers = entry_point._parsers(each for each in map(find, own_names()) if each is not None)
    del parsers[""]
    rows = [(f"[`graphnn {name}`](#graphnn-{name})", inline(p.description or "")) for name, p in parsers.items()]
    parts = [table(("verb", "what it does"), rows)]
    for name, parser in parsers.items():
        text = inline(parser.description or "")
        options = [each for each in parser._actions if each.option_strings]
        others = [each for each in parser._actions if not each.option_strings]
        usage = " ".join(["graphnn", name, *(_operand(each) for each in others)])
        rows = [
            _argument(each) for each in (*others, *options) if each.help != argparse.SUPPRESS and each.dest != "help"
        ]
        head = f"## graphnn {name}\n\n{text[:1].upper()}{text[1:]}.\n\n```text\n{usage} [options]\n```\n"
        parts.append(f"{head}\n{table(('argument', 'meaning'), rows)}")
    return "\n".join(parts)


def _operand(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return f"[{name}]" if action.nargs in ("?", "*") else name


def _argument(action: argparse.Action) -> tuple[str, str]:
    given = action.metavar or action.dest.upper()
    value = "" if action.nargs == 0 else given if isinstance(given, str) else " ".join(given)
    if action.choices is not None and action.metavar is None:
        value = "{" + ", ".join(map(str, action.choices)) + "}"
    names = [f"{flag} {value}".rstrip() for flag in action.option_strings] or [_operand(action)]
    meaning = (action.help or "") % {**vars(action), "prog": "graphnn"}
    return ", ".join(f"`{name}`" for name in names), inline(meaning)
