"""The entry point: finds the command, parses its arguments, runs it, and turns what happens into an exit code."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import NoReturn

import graphnn as gn

from .._util.text import visible
from ..errors import GraphnnError, alike, near
from . import screen
from .command_registry import FAILED, INTERRUPTED, USAGE, Command, Misuse, find, names

_TO_TRY = """\
graphnn: a computational-graph engine one can see through.

Three commands to try, which work as they are:
  graphnn demo                              evaluate, train and draw a network
  graphnn replay graphnn.demo:build --open  see each number in a browser
  graphnn debug graphnn.demo:build          step through a run; type help there

With a file of your own, model.py, whose function build() returns a loss:
  graphnn summary model.py:build            its layers, shapes and parameters
  graphnn check model.py:build              where its numbers go wrong, and why

graphnn --help lists all commands, and graphnn draw --help describes one."""
_FEED_ADVICE = "; --feed FILE.npz gives it, or a function that returns (fetches, feed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        `sys.argv` without the program's name, unless given.

    Returns
    -------
    int
        The exit code: 0 if all went well, 1 if something failed, 2 if it was misused.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    folders = sys.path[:]
    code: int | None = None
    try:
        if not given:
            screen.say(_TO_TRY)
            return 0
        with warnings.catch_warnings():
            warnings.showwarning = screen.show_warning
            options = _parsed(given)
            code = options.command.action(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except Misuse as error:
        screen.complain(error)
        return USAGE
    except GraphnnError as error:
        if error.unfed:
            error.advice += _FEED_ADVICE
        screen.complain(error)
        return FAILED
    except BrokenPipeError:
        screen.mute()
    except OSError as error:
        screen.complain(f'"{error.filename}": {error.strerror}' if error.filename else error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        sys.path[:] = folders
    return code or 0


def _parsed(given: list[str]) -> argparse.Namespace:
    if given and not given[0].startswith("-"):
        name = given[0]
        found = find(name)
        if found is None:
            raise Misuse(f'there is no verb "{name}".{near(name, names())} graphnn --help lists them')
        parsers = _parsers([found])
    else:
        parsers = _parsers(_all())
    options, unknown = parsers[""].parse_known_args(given)
    if unknown:
        parser = parsers[options.command.name]
        known = [*parser._option_string_actions]
        hint = near(unknown[0], known) if alike(unknown[0], known) else f" {parser.prog} --help lists what it takes"
        parser.error(f"{options.command.name} takes no {' '.join(unknown)}.{hint}")
    return options


def _all() -> Iterable[Command]:
    """Yield every command; of one that does not load, that it does not."""
    for name in names():
        try:
            found = find(name)
        except GraphnnError as error:
            screen.note(f"graphnn: {error}")
        else:
            if found is not None:
                yield found


class _Parser(argparse.ArgumentParser):
    """Writes out what cannot be seen of the arguments that it complains of: they may command the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))


class _Help(argparse.HelpFormatter):
    """Lists verbs only, since the first line has the options: so all of the help fits a terminal."""

    def add_argument(self, action: argparse.Action) -> None:
        """Take the names of verbs for as long as they are: they stand two columns further in than argparse counts."""
        if action.metavar == "VERB":
            super().add_argument(action)
            self._action_max_length += self._indent_increment

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        return text.partition("\n")[2] if action.metavar == "VERB" else text


def _parsers(chosen: Iterable[Command]) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of the command line, as "", and those of some commands by name."""
    parser = _Parser(prog="graphnn", formatter_class=_Help)
    parser.add_argument("--version", action="version", version=f"graphnn {gn.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for each in chosen:
        sub = verbs.add_parser(each.name, help=each.text, description=each.text)
        sub.set_defaults(command=each)
        for argument in each.arguments:
            argument(sub)
        sub.add_argument("--json", action="store_true", help="print JSON instead of text")
        operands = (sub._get_formatter()._format_args(each, each.dest) for each in sub._get_positional_actions())
        sub.usage = " ".join(["%(prog)s", *operands, "[options]"])
    return {"": parser, **verbs.choices}
