"""`graphnn debug`."""

from __future__ import annotations  # so that help loads no debugger

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, TextIO

import numpy as np

import graphnn as gn

from ... import cli
from .. import screen
from ..feed_files import existing, loaded_from, memory_budget


def _lines(stream: TextIO | None) -> Iterator[str]:
    try:
        yield from stream or ()
    except UnicodeDecodeError as error:
        raise cli.Misuse(f"the commands are not text: {error}") from None


def _code(session: Any) -> int | None:
    return cli.INTERRUPTED if session.interrupted else cli.FAILED if session.failures else None


def _debug_in_json(dbg: gn.Debugger, load: Callable[[str], Any], script: Iterable[str]) -> int | None:
    """Print one object a command: what was said, and where the debugger stands."""
    said: list[str] = []
    session = gn.terminal.Session(dbg, lambda text, coloured: said.append(text), load)
    for line in gn.terminal.commands(script):
        said.clear()
        failures = session.failures
        ended = session.onecmd(line)
        screen.say_json(
            {
                "command": line,
                "ok": session.failures == failures,
                "said": "\n".join(said),
                "position": dbg.position,
                "operations": len(dbg.operations),
                "current": dbg.current.name if dbg.current is not None else None,
                "next": dbg.next.name if dbg.next is not None else None,
                "run": dbg.run,
                "error": dbg.error,
            }
        )
        if ended or session.interrupted:
            break
    return _code(session)


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.UPDATES,
    cli.option("-x", "--commands", metavar="FILE", help="run the commands in it, then those typed in a terminal"),
    cli.option("--at", metavar="NAME", help="iteration of a long loop to inspect, such as scan_1@5000"),
    cli.option("--budget", type=cli.from_1, metavar="BYTES", help="how much memory the values of the run may take"),
)
def debug(options: cli.Options) -> int | None:
    """Step through a run: forwards, back, why, what if."""
    script: Iterable[str] | None = None
    if options.commands:
        file = existing(options.commands)
        script = file.read_text(encoding="utf-8-sig", errors="backslashreplace").split("\n")
    target, feed = cli.inspected(options.target, options.feed, options.updates, options.size)
    with cli.naming() if options.at else nullcontext():
        dbg = gn.debug(target.run, feed, budget=options.budget, at=options.at or "", echo=None)

    def load(file: str) -> Any:
        loaded = loaded_from(existing(file), memory_budget(dbg.graph))
        if not isinstance(loaded, np.ndarray):
            raise cli.Misuse(f"{file} holds arrays by name: an .npy holds one")
        return loaded

    if options.json:
        return _debug_in_json(dbg, load, _lines(sys.stdin) if script is None else script)
    session = gn.terminal.Session(
        dbg,
        screen.say,
        load,
        width=screen.width,
        room=screen.room,
        colour=screen.colours(),
    )
    session.greet()
    typed = screen.is_terminal(sys.stdin)
    if script is None and not typed:
        script = _lines(sys.stdin)
    ended = script is not None and session.perform(script)
    code = _code(session)
    if typed and not ended:
        with gn.terminal.history_kept(os.environ):
            session.converse()  # whose failures were seen
        code = cli.FAILED if code else None
    return code
