"""`graphnn summary`."""

import graphnn as gn

from ... import cli
from .. import screen


@cli.command(
    cli.TARGET,
    cli.option("--depth", type=cli.from_1, metavar="N", help="levels of layers inside layers; 1: the outermost only"),
)
def summary(options: cli.Options) -> None:
    """Print layers, shapes and parameters."""
    graph, fetches, _, _ = cli.target_of(options.target)
    found = gn.summary(fetches, depth=options.depth, graph=graph)
    screen.show(found, options.json, lambda: found.table(screen.room()))
