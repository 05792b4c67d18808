"""`graphnn effects`."""

from typing import Any

import graphnn as gn

from ... import cli
from ...ops.indexing import Getitem
from .. import screen
from ..command_registry import from_1
from ..targets import Target, fed, named


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.feed_option("--corrupted", text="the other run, FILE.trace or what differs in it: "),
    cli.option("--metric", metavar="NAME[INDEX]", help="what is measured, instead of the fetch: one number"),
    cli.several(
        "--over",
        metavar="PLACE",
        help="nodes (the default), edges, or a node, scope, NODE->READER or part, NODE[INDEX]",
    ),
    cli.several("--parts", nargs=2, metavar=("NODE", "AXIS"), help="each part along an axis: heads, positions"),
    cli.option("--direction", choices=("denoise", "noise"), default="denoise", help="which run is patched"),
    cli.option("--method", choices=("exact", "attribution"), default="exact", help="how (%(default)s)"),
    cli.option("--steps", type=from_1, metavar="N", help="points of integrated gradients, by attribution"),
    cli.option("--keep", metavar="FILE", help="go on from this file, and keep exact effects in it"),
    cli.switch("--all", "print all places, not the ten largest"),
)
def effects(options: cli.Options) -> None:
    """Say which nodes or edges move a number from one run to another."""
    target = fed(cli.target_of(options.target, options.size), options.feed)
    if not options.corrupted:
        raise cli.Misuse("say what differs in the other run: --corrupted NAME=FILE.npy, or FILE.trace")
    if options.steps and options.method == "exact":
        raise cli.Misuse("--steps are those of integrated gradients: they go with --method attribution")
    wanted = named(target.fetches)
    if options.metric is None and len(wanted) != 1:
        raise cli.Misuse(f"say which number is measured, --metric NAME: {options.target} has {', '.join(wanted)}")
    over: list[Any] = [*(options.over or ())]
    with cli.naming():
        over += [gn.patches.each(target.graph[node], _axis(axis)) for node, axis in options.parts or ()]
        found = gn.effects(
            _measured(target.graph, wanted, options.metric or next(iter(wanted))),
            target.feed,
            _other(target, options.corrupted),
            over if len(over) > 1 else (over or ["nodes"])[0],
            options.direction,
            options.method,
            steps=options.steps,
            path=options.keep,
        )
    screen.show(found, options.json, lambda: found.table(None if options.all else screen.room()))


def _measured(graph: gn.Graph, wanted: dict[str, gn.Node], name: str) -> gn.Node:
    """Return the node of a name, or of one element of it; it is made in the graph, which nobody else has."""
    if name in wanted or name in graph:
        return wanted[name] if name in wanted else graph[name]
    called, _, index = name.partition("[")
    node = wanted.get(called.strip())
    place, *more = gn.interventions.places_in(list(graph), graph, name if node is None else f"{node.name}[{index}")
    if more or place.reader is not None:
        raise cli.Misuse(f'"{name}" is not one number: --metric takes NAME, or one element of it, NAME[INDEX]')
    if place.index is None:
        whole: gn.Node = place.node
        return whole
    return Getitem(place.index)(place.node, name=graph.free_name(place.name))


def _axis(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise cli.Misuse(f"the axis of --parts NODE AXIS is a whole number, not {text}") from None


def _other(target: Target, given: list[str]) -> dict[Any, Any]:
    """Return the feed of the other run: that of a trace, or the first one with what is given instead."""
    if not given[0].endswith(".trace"):
        return fed(target, given).feed
    if len(given) > 1:
        raise cli.Misuse("the other run is one trace, or arrays; not both")
    recorded = cli.target_of(given[0])
    if not isinstance(recorded.run, gn.Trace) or not recorded.feed:
        raise cli.Misuse(f"{given[0]} is not a trace that holds a feed")
    return {node.name: value for node, value in recorded.feed.items()}
