"""`graphnn summary`."""

import graphnn as gn

from ... import cli
from ...core.symbolic_shapes import names_in
from .. import screen
from ..command_registry import Value
from ..onnx_targets import MODEL


@cli.command(
    cli.TARGET,
    cli.option("--depth", type=cli.from_1, metavar="N", help="levels of layers inside layers; 1: the outermost only"),
)
def summary(options: cli.Options) -> None:
    """Print layers, shapes, parameters; at given sizes, memory, too."""
    # The sizes of a model are fixed when it is read; those of a graph are asked for.
    of_model = options.target.endswith(MODEL)
    values = [each for each in options.size if isinstance(each, Value)]
    asked = dict(each for each in options.size if each not in values)
    graph, fetches, _, _ = cli.target_of(options.target, options.size if of_model else values, of_model)
    left_open = of_model and names_in(dim for node in graph.placeholders for dim in node.spec.shape)
    sizes = None if not asked or left_open else {} if of_model else asked
    found = gn.summary(fetches, sizes=sizes, depth=options.depth, graph=graph)
    screen.show(found, options.json, lambda: found.table(screen.room()))
