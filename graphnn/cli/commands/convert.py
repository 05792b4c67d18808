"""`graphnn convert`."""

from pathlib import Path

import graphnn as gn

from ... import cli
from .. import screen
from ..onnx_targets import MODEL


@cli.command(
    cli.TARGET,
    cli.option("output", metavar="OUTPUT", help="MODEL.onnx, or FILE.gnn for a graph"),
    cli.switch("--trainable", "make the weights of a model parameters"),
)
def convert(options: cli.Options) -> None:
    """Write an ONNX model as a graph, or a graph as an ONNX model."""
    target = cli.target_of(options.target, options.size, options.trainable)
    if options.output.endswith(MODEL):
        gn.to_onnx(target.fetches, options.output, graph=target.graph)
    elif options.output.endswith(".gnn"):
        gn.save(target.graph, options.output)
    else:
        raise cli.Misuse(f'"{options.output}" ends neither in .onnx nor in .gnn')
    if options.json:
        screen.say_json({"files": [options.output]})
    else:
        screen.say_files([Path(options.output)], [])
