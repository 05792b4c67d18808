"""`graphnn ops`."""

from ... import cli
from ...view.terminal.table import columns, ops_table
from .. import screen


@cli.command()
def ops(options: cli.Options) -> None:
    """Print the table of operations."""
    rows = ops_table()
    if options.json:
        screen.say_json(rows)
        return
    shown = [(row["name"], row["call"], row["summary"]) for row in rows]
    screen.say(columns(shown, ("op", "call", "what it computes")))
