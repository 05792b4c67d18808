"""`graphnn mcp`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import graphnn as gn

from ... import cli
from ...errors import GraphnnError


def load(target: str, feeds: Sequence[str]) -> tuple[Any, Any]:
    """Return what is run of a target, and its feed; of a graph with updates the whole step, where all is fed."""
    path = list(sys.path)
    try:
        made, feed = cli.inspected(target, feeds, False)
    finally:
        sys.path[:] = path
    if ".py:" not in target:
        made.graph.memory_budget = None  # a file does not say how much memory may be taken here
    if isinstance(made.run, (gn.Trace, gn.Compiled)) or feed is None or not made.graph.updates:
        return made.run, feed
    fed = {str(getattr(key, "name", key)) for key in feed}
    whole = all(node.name in fed for node in made.graph.placeholders)
    return (gn.compile(made.fetches, updates=made.graph.updates) if whole else made.run), feed


@cli.command(
    cli.option("--folder", required=True, metavar="DIR", help="only files below it are opened"),
    cli.switch("--allow-code", "functions in Python files of the folder may be called"),
)
def mcp(options: cli.Options) -> int | None:
    """Answer an assistant's questions about models (MCP)."""
    if options.json:
        raise cli.Misuse("this command speaks a protocol: --json is not for it")
    try:
        gn.mcp.serve(options.folder, load, options.allow_code)
    except GraphnnError as error:
        raise cli.Misuse(error.account) from None
    return None
