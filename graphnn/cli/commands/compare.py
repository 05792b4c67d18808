"""`graphnn compare`."""

from typing import Any

import graphnn as gn

from ... import cli
from ...view.terminal.ink import judged
from .. import screen
from ..feeds import existing, loaded_from, memory_budget


@cli.command(
    cli.TARGET,
    cli.option("other", metavar="OTHER", help="another one; or an .npz of arrays by the names of nodes"),
    cli.FEED,
    cli.feed_option("--feed-b", "for OTHER, instead: "),
    cli.UPDATES,
)
def compare(options: cli.Options) -> int | None:
    """Find the first node at which two runs differ."""
    target, feed = cli.inspected(options.target, options.feed, options.updates)
    if options.other.endswith(".npz"):
        if options.feed_b:
            raise cli.Misuse("--feed-b is for a second run: the arrays of a file are compared as they are")
        other: Any = loaded_from(existing(options.other), memory_budget(target.graph))
        found = gn.compare(target.run, other, feed)
    else:
        second, feed_b = cli.inspected(options.other, [*options.feed, *options.feed_b], options.updates)
        # Fed by the function of one of them, they are fed alike; a trace holds its feed.
        fed = feed if feed is None else feed or feed_b
        alike = options.target == options.other
        names = None if alike and options.feed_b else (options.target, options.other + ", again" * alike)
        found = gn.compare(target.run, second.run, fed, feed_b or None, names=names)
    screen.show(found, options.json, lambda: judged(found.text(screen.room()), found.equal, screen.colours()))
    return None if found.equal else cli.FAILED
