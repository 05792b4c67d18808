"""How a command is declared: its name, its help, its arguments and what it does, in one place."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from .._util.lazy_loading import is_there
from ..errors import AxisError, GraphnnError, NotFoundError, UsageError

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes."""
GROUP = "graphnn.commands"
"""The group of entry points by which other packages add commands."""


class Misuse(GraphnnError):
    """The command line asks for something impossible: exit code 2."""


@contextmanager
def naming() -> Iterator[None]:
    """Look up what the command line names: if it is not there, the command was misused.

    An error of a run is not about names, and is raised as it is.
    """
    try:
        yield
    except (AxisError, NotFoundError, UsageError) as error:
        if error.unfed or error.stopped is not None:
            raise
        raise Misuse(error.account + error.advice) from None


Options = argparse.Namespace
Action = Callable[[Options], "int | None"]
"""Takes the options; returns the exit code, if it is not 0."""
Argument = Callable[[Any], object]
"""Adds itself to a parser."""


class Command(NamedTuple):
    """What follows ``graphnn`` on the command line.

    Attributes
    ----------
    name : str
    text : str
        What it does, for ``--help``.
    arguments : tuple of callable
        Made by `option` and `either`.
    action : callable
    """

    name: str
    text: str
    arguments: tuple[Argument, ...]
    action: Action


_COMMANDS: dict[str, Command] = {}


def command(*arguments: Argument) -> Callable[[Action], Action]:
    """Declare the decorated function as the command of its name.

    The first line of its docstring is its help. Each command takes ``--json`` besides its arguments.
    """

    def register(action: Action) -> Action:
        text = inspect.getdoc(action) or ""
        text = text.partition("\n")[0].rstrip(".")
        _COMMANDS[action.__name__] = Command(action.__name__, text[:1].lower() + text[1:], arguments, action)
        return action

    return register


def option(*flags: str, **settings: Any) -> Argument:
    """Return an argument of a command, as `argparse.ArgumentParser.add_argument` takes it."""
    return lambda parser: parser.add_argument(*flags, **settings)


several = partial(option, action="append")
"""An option that may be given again."""


def switch(flag: str, text: str) -> Argument:
    """Return an option that takes no value."""
    return option(flag, action="store_true", help=text)


def output(what: str, text: str, **settings: Any) -> Argument:
    """Return the option that says where files go."""
    return option("-o", "--output", metavar=what, help=text, **settings)


def either(*options: Argument) -> Argument:
    """Return options that exclude each other."""

    def add(parser: Any) -> None:
        group = parser.add_mutually_exclusive_group()
        for each in options:
            each(group)

    return add


def from_1(text: str) -> int:
    """Return the positive integer that an option is given."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return number


def feed_option(*flags: str, text: str = "") -> Argument:
    """Return the option that names files with arrays."""
    return several(
        *flags,
        default=[],
        metavar="[NAME=]FILE",
        help=f"{text}arrays by name, .npz; or NAME=FILE.npy; repeatable",
    )


def size(text: str) -> tuple[str, int]:
    """Return the name and the number that ``--size NAME=N`` gives."""
    name, _, number = text.rpartition("=")
    if not name or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not NAME=N, such as batch=32")
    return name, int(number)


class Value(NamedTuple):
    """What an input of a model always is."""

    name: str
    number: int | float


def value(text: str) -> Value:
    """Return what ``--value NAME=NUMBER`` says."""
    name, _, number = text.rpartition("=")
    for kind in (int, float):
        with suppress(ValueError):
            if name:
                return Value(name, kind(number))
    raise argparse.ArgumentTypeError(f"{text} is not NAME=NUMBER, such as sr=16000")


def together(*arguments: Argument) -> Argument:
    """Return several arguments as one."""

    def add(parser: Any) -> None:
        for each in arguments:
            each(parser)

    return add


TARGET = together(
    option(
        "target",
        metavar="TARGET",
        help="FILE.py:FUNCTION or MODULE:FUNCTION that returns fetches, a compiled step, or (fetches, feed); "
        "or the file of a graph, trace or ONNX model",
    ),
    several(
        "--size",
        type=size,
        default=[],
        metavar="NAME=N",
        help="ONNX dimension size; --value NAME=N: value of an input",
    ),
    several("--value", dest="size", type=value, default=[], help=argparse.SUPPRESS),
)
# --input is another word for it; like --value, it has no line of its own in the help, which fits a screen.
FEED = together(feed_option("--feed"), several("--input", dest="feed", default=[], help=argparse.SUPPRESS))
UPDATES = switch("--updates", "the whole training step, with the updates of the graph")


# --- which commands there are ---------------------------------------------------------------------------------


_NEEDS = {
    "convert": "onnx",
    "dap": "dap",
    "debug": "terminal",
    "effects": "interventions",
    "patch": "interventions",
    "playground": "pages",
    "replay": "pages",
}
"""The commands that need a folder of the package that may not be installed."""


def _own() -> list[str]:
    own = (module.name for module in pkgutil.iter_modules([str(Path(__file__).with_name("commands"))]))
    return [name for name in own if is_there(_NEEDS.get(name, "cli"))]


def names() -> list[str]:
    """Return the names of all commands: graphnn's own, then those of other packages."""
    return list(dict.fromkeys([*_own(), *_COMMANDS, *(point.name for point in entry_points(group=GROUP))]))


def find(name: str) -> Command | None:
    """Return the command of a name, if there is one; its module is loaded only now.

    Raises
    ------
    GraphnnError
        When the package that brings the command does not load.
    """
    if name not in _COMMANDS:
        if not is_there(room := _NEEDS.get(name, "cli")):
            raise GraphnnError(f'the command "{name}" needs graphnn/{room}, which is not installed')
        if name in _own():
            importlib.import_module(f"{__package__}.commands.{name}")
        else:
            for point in entry_points(group=GROUP, name=name):
                try:
                    point.load()
                except Exception as error:
                    raise GraphnnError(f'the command "{name}" ({point.value}) does not load: {error!r}') from error
                if name not in _COMMANDS:
                    raise GraphnnError(f'{point.value} does not declare the command "{name}": see graphnn.cli.command')
    return _COMMANDS.get(name)
