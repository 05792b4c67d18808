"""`graphnn run`."""

from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn

from ... import cli
from ...view.formatting import visible
from .. import screen
from ..result_files import evaluated, member_of, write
from ..targets import fed, named


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.several("--fetch", metavar="NAME", help="a node, scope or output instead of the fetches"),
    cli.switch("--steps", "print every node as it is evaluated"),
    cli.output("FILE.npz", "also write the values to a file"),
)
def run(options: cli.Options) -> None:
    """Evaluate a graph and print what it gives."""
    if options.output and not options.output.endswith(".npz"):
        raise cli.Misuse(f'the values are written to an .npz file; "{options.output}" does not end in .npz')
    graph, fetches, feed, run = fed(cli.target_of(options.target, options.size), options.feed)
    if isinstance(run, gn.Trace) and run.prepared.overridden:
        names = ", ".join(node.name for node in run.prepared.overridden)
        raise cli.Misuse(
            f"{options.target} holds values set by hand ({names}): graphnn trace, or debug, shows that run"
        )
    with cli.naming():
        wanted = {name: graph[name] for name in options.fetch} if options.fetch else named(fetches)
    if not wanted:
        raise gn.GraphnnError(f"{options.target} holds no node to evaluate")
    if options.steps:
        values, records = evaluated(list(wanted.values()), feed, not options.json)
        results = {name: values[node] for name, node in wanted.items()}
    else:
        results, records = gn.run(wanted, feed), []
    members = {name: member_of(name) for name in results}
    if options.output:
        write(options.output, {members[name]: value for name, value in results.items()})
    if options.json:
        shown: dict[str, Any] = {"values": {name: screen.array_as_json(value) for name, value in results.items()}}
        shown |= {"steps": records} if options.steps else {}
        screen.say_json(shown | ({"files": [options.output], "members": members} if options.output else {}))
        return
    if options.steps:
        screen.say()
    for name, value in results.items():
        name = visible(name)
        screen.say(f"{name} = {np.array2string(value, threshold=60, prefix=name + ' = ')}")
    if options.output:
        renamed = [
            f'"{visible(name)}" is called "{member}" in it' for name, member in members.items() if name != member
        ]
        screen.say_files([Path(options.output)], renamed)
