"""`graphnn dap`."""

from __future__ import annotations  # so that help loads no debugger

import argparse
import os
import sys
from typing import Any

import graphnn as gn

from ... import cli
from .. import screen


def _texts(arguments: dict[str, Any], name: str) -> list[str]:
    """Return a text or a list of them among the arguments of a launch."""
    given = arguments.get(name)
    listed = [given] if isinstance(given, str) else [] if given is None else given
    if isinstance(listed, dict):
        listed = [f"{key}={file}" for key, file in listed.items()]
    if not (isinstance(listed, list) and all(isinstance(each, str) for each in listed)):
        raise cli.Misuse(f'"{name}" is a text or a list of texts')
    if any("\0" in each for each in listed):
        raise cli.Misuse(f'"{name}" holds a character that no name of a file has')
    return listed


def _text(arguments: dict[str, Any], name: str) -> str:
    given = _texts(arguments, name)
    if len(given) > 1:
        raise cli.Misuse(f'"{name}" is one text')
    return given[0] if given else ""


def _load(arguments: dict[str, Any]) -> Any:
    """Open the debugger of a launch."""
    sizes = arguments.get("sizes") or {}
    if not (isinstance(sizes, dict) and all(isinstance(size, int) and 0 <= size < 2**31 for size in sizes.values())):
        raise cli.Misuse('"sizes" is an object of sizes by name, {"batch": 4}')
    step, budget = arguments.get("step", False), arguments.get("budget")
    if not isinstance(step, bool):
        raise cli.Misuse('"step" is true or false')
    if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 1):
        raise cli.Misuse('"budget" is a number of bytes from 1 on')
    text, at, folder = (_text(arguments, name) for name in ("target", "at", "cwd"))
    if folder:
        os.chdir(folder)
    target, feed = cli.inspected(text, _texts(arguments, "data"), step, list(sizes.items()))
    return gn.debug(target.run, feed, budget=budget, at=at, echo=None)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text} is not a port: write a number from 0 to 65535")
    return int(text)


@cli.command(
    cli.option("--port", type=_port, metavar="N", help="listen on this port of 127.0.0.1, not on the standard input"),
)
def dap(options: cli.Options) -> int | None:
    """Serve an editor's debugger (Debug Adapter Protocol): steps, forwards and back."""

    def listening(host: str, port: int) -> None:
        if options.json:
            screen.say_json({"host": host, "port": port})
            sys.stdout.flush()
        else:
            screen.note(f"listening on {host}:{port}")

    gn.dap.serve(_load, options.port, listening)
    return None
