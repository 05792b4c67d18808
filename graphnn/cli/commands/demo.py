"""`graphnn demo`."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import graphnn as gn
from graphnn import nn

from ... import cli
from .. import screen
from ..result_files import evaluated, folder_for
from .replay import opened


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


def _pages(film: gn.Recording, folder: Path) -> tuple[list[Path], list[str]]:
    """Write the page of the training, and one that begins it anew."""
    fetches, feed = gn.demo.build()
    step = gn.compile(fetches["loss"], updates=nn.Adam(0.02).updates(fetches["loss"]))
    try:
        replayed = film.to_html().save(folder / "replay.html")
        return [replayed, gn.playground(step, feed, None).save(folder / "play.html")], []
    except gn.UsageError as error:
        return [], [f"no pages: {error.reason}"]


@cli.command(
    cli.output("FOLDER", "where the pages and the pictures go (%(default)s)", default="graphnn-demo"),
    cli.switch("--open", "open the playground in a browser"),
)
def demo(options: cli.Options) -> int | None:
    """Evaluate, train, draw, replay and play with a network."""
    folder = folder_for(options.output)
    fetches, feed = gn.demo.build()
    graph = fetches["loss"].graph
    say = (lambda text: None) if options.json else screen.say
    say("Dense → ReLU → Dense → Softmax → categorical cross-entropy, on 300 points of the spiral data\n")
    say(f"{gn.summary(fetches['loss'])}\n")
    say("The evaluation, one node at a time, in topological order:\n")
    values, records = evaluated(fetches, feed, echo=not options.json)
    loss = float(values[fetches["loss"]])
    say(f"\nloss = {loss:.6f}; ln 3 = {math.log(3):.6f}: the network has not learned yet, it is guessing.\n")
    steps = 1750
    say(f"Training it for {steps:,} steps: this takes about a second ...")
    began = time.perf_counter()
    film, accuracy = gn.demo.filmed(fetches, feed, steps)
    first, last = (float(shot["loss"].value) for shot in (film[0], film[-1]))
    took = time.perf_counter() - began
    say(f"  {took:.1f} s: loss {first:.3f} → {last:.3f}, {accuracy:.1%} of the points are right\n")
    say("Writing the pages and drawing the pictures: this takes a few seconds ...")
    began = time.perf_counter()
    written, missing = _pictures(fetches["loss"], feed, folder)
    pages, lacking = _pages(film, folder)
    written, missing = [*written, *pages], [*missing, *lacking]
    found = options.open and bool(pages) and opened(str(pages[-1]))
    if options.json:
        told: dict[str, Any] = {"graph": graph.name, "steps": records, "loss": loss}
        told["training"] = {"steps": steps, "loss": last, "accuracy": accuracy}
        screen.say_json(told | {"files": [str(path) for path in written], "missing": missing, "opened": found})
        return cli.FAILED if options.open and not found else None
    say(f"  {time.perf_counter() - began:.1f} s")
    screen.say_files(written, missing)
    if pages:
        replayed, played = pages
        begin = f"Opened {played}" if found else f"Next: open {played} in a browser"
        say(f"\n{begin}. Press Train, drag a point, type a number.")
        say(f"{replayed} replays the training above, number by number.")
    return cli.FAILED if options.open and not found else None
