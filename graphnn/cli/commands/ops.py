"""`graphnn ops`."""

import graphnn as gn

from ... import cli
from .. import screen


@cli.command()
def ops(options: cli.Options) -> None:
    """Print the table of operations."""
    rows = gn.view.ops_table()
    if options.json:
        screen.say_json(rows)
        return
    shown = [(row["name"], row["call"], row["summary"]) for row in rows]
    screen.say(gn.view.columns(shown, ("op", "call", "what it computes"), width=screen.room()))
