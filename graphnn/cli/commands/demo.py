"""`graphnn demo`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import graphnn as gn

from ... import cli
from .. import screen
from ..results import evaluated, folder_for


def _pictures(loss: gn.Node, feed: Mapping[Any, Any], folder: Path) -> tuple[list[Path], list[str]]:
    written, missing = [], []
    for name, detail in (("network", "op"), ("layers", "layer")):
        written.append(gn.draw(loss, detail=detail).save(folder / f"{name}.svg"))
    try:
        gn.view.plots.scatter(*feed.values(), title="The spiral data").savefig(folder / "spiral.svg")
    except gn.DrawingError as error:
        missing.append(f"no scatter plot of the data: {error.reason}")
        return written, missing
    return [*written, folder / "spiral.svg"], missing


@cli.command(
    cli.output("FOLDER", "where pictures go (%(default)s)", default="graphnn-demo"),
)
def demo(options: cli.Options) -> None:
    """Build, evaluate and draw a network on the spiral data."""
    folder = folder_for(options.output)
    fetches, feed = gn.demo.build()
    graph = fetches["loss"].graph
    echo = not options.json
    if echo:
        screen.say("Dense → ReLU → Dense → Softmax → categorical cross-entropy, on 300 points of the spiral data\n")
        screen.say(f"{gn.summary(fetches['loss'])}\n")
        screen.say("The evaluation, one node at a time, in topological order:\n")
    values, records = evaluated(fetches, feed, echo)
    loss = float(values[fetches["loss"]])
    written, missing = _pictures(fetches["loss"], feed, folder)
    written.append(gn.demo.step_of(fetches["loss"], feed).to_html().save(folder / "replay.html"))
    if options.json:
        files = [str(path) for path in written]
        screen.say_json({"graph": graph.name, "steps": records, "loss": loss, "files": files, "missing": missing})
        return
    screen.say(f"\nloss = {loss:.6f}; ln 3 = {math.log(3):.6f}: the network has not learned yet, it is guessing.\n")
    screen.say_files(written, missing)
