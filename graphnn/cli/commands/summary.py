"""`graphnn summary`."""

import graphnn as gn

from ... import cli
from .. import screen
from ..models import MODEL


@cli.command(
    cli.TARGET,
    cli.option("--depth", type=cli.from_1, metavar="N", help="levels of layers inside layers; 1: the outermost only"),
)
def summary(options: cli.Options) -> None:
    """Print layers, shapes, parameters; at given sizes, memory, too."""
    # The sizes of a model are fixed when it is read; those of a graph are asked for.
    of_model = options.target.endswith(MODEL)
    graph, fetches, _, _ = cli.target_of(options.target, options.size if of_model else (), of_model)
    sizes = None if not options.size else {} if of_model else dict(options.size)
    found = gn.summary(fetches, sizes=sizes, depth=options.depth, graph=graph)
    screen.show(found, options.json, lambda: found.table(screen.room()))
