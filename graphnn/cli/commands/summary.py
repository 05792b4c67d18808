"""`graphnn summary`."""

import argparse

import graphnn as gn

from ... import cli
from .. import screen


def _size(text: str) -> tuple[str, int]:
    name, equals, size = text.rpartition("=")
    if not (equals and name and size.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=N, such as batch=32")
    return name, int(size)


@cli.command(
    cli.TARGET,
    cli.several(
        "--size", type=_size, metavar="NAME=N", help="the size of a dimension, for flops and memory; repeatable"
    ),
    cli.option("--depth", type=cli.from_1, metavar="N", help="levels of layers inside layers; 1: the outermost only"),
)
def summary(options: cli.Options) -> None:
    """Print layers, shapes and parameters; at given sizes, operations and memory, too."""
    graph, fetches, _, _ = cli.target_of(options.target)
    sizes = dict(options.size) if options.size else None
    found = gn.summary(fetches, sizes=sizes, depth=options.depth, graph=graph)
    screen.show(found, options.json, lambda: found.table(screen.room()))
