"""`graphnn check`."""

import graphnn as gn

from ... import cli
from ...view.tables.terminal_colors import headed
from .. import screen


@cli.command(cli.TARGET, cli.FEED, cli.UPDATES)
def check(options: cli.Options) -> int | None:
    """Say where NaN, inf and overflow arise, why, and what helps."""
    target, feed = cli.inspected(options.target, options.feed, options.updates, options.size)
    health = gn.check_health(target.run, feed)
    screen.show(health, options.json, lambda: headed(health.text(screen.room()), screen.colours()))
    return cli.FAILED if health.errors else None
