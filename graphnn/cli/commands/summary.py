"""`graphnn summary`."""

import graphnn as gn

from ... import cli
from .. import screen


@cli.command(cli.TARGET)
def summary(options: cli.Options) -> None:
    """Print layers, shapes and parameters."""
    graph, fetches, _, _ = cli.target_of(options.target)
    screen.show(gn.summary(fetches, graph=graph), options.json)
