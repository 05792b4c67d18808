"""`graphnn profile`."""

import graphnn as gn

from ... import cli
from ...view.formatting import printable
from .. import screen


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.UPDATES,
    cli.option("--repeat", type=cli.from_1, default=10, metavar="N", help="how many runs are timed (%(default)s)"),
)
def profile(options: cli.Options) -> None:
    """Say which operations take the time and the memory."""
    target, feed = cli.inspected(options.target, options.feed, options.updates, options.size)
    found = gn.profile(target.run, feed, repeat=options.repeat)
    screen.show(found, options.json, lambda: printable(found.table(screen.room())))
