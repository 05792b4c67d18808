"""`graphnn playground`."""

from pathlib import Path
from typing import Any

import graphnn as gn
from graphnn import nn

from ... import cli
from .. import screen
from ..result_files import is_page
from ..targets import Target, named
from .replay import opened

_RATE = 0.01


def _step_of(target: Target) -> tuple[Any, str]:
    """Return the training step of a target, and what is to be said of it: one that has no updates gets an optimizer."""
    run: Any = target.run
    if isinstance(run, gn.Trace):
        raise cli.Misuse("a playground trains a network: name a function that builds one, not the file of a run")
    if isinstance(run, gn.Compiled):
        return run, ""
    if target.graph.updates:
        return gn.compile(run, updates=target.graph.updates), ""
    numbers = {name: node for name, node in named(run).items() if node.shape == ()}
    loss = numbers.get("loss", next(iter(numbers.values()), None))
    if loss is None:
        raise cli.Misuse("nothing here is one number, which training would make small: let the function return a loss")
    return gn.compile(
        loss, updates=nn.Adam(_RATE).updates(loss)
    ), f"it has no updates of its own: Adam({_RATE}) trains it"


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.output("FILE", "where the page goes (%(default)s)", default="play.html"),
    cli.switch("--open", "open the page in a browser"),
)
def playground(options: cli.Options) -> int | None:
    """Write a page that trains the network on data one can move."""
    file = options.output
    if not is_page(file):
        raise cli.Misuse(f"{file} is not the name of a page: one ends in .html")
    target, feed = cli.inspected(options.target, options.feed, False, options.size)
    step, note = _step_of(target)
    gn.playground(step, feed or {}, file)
    if note and not options.json:
        screen.note(f"graphnn: {note}")
    found = options.open and opened(file)
    if options.json:
        screen.say_json({"graph": step.graph.name, "files": [file], "opened": found})
    else:
        screen.say_files([Path(file)], [])
        if not options.open:
            screen.say(f"next: open {file} in a browser")
    return cli.FAILED if options.open and not found else None
