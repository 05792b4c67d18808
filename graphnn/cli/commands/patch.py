"""`graphnn patch`."""

import re
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn

from ... import cli
from ..._util.text import number
from ...view.formatting import visible
from .. import screen
from ..feed_files import existing, loaded_from, memory_budget
from ..targets import fed, named

_NAMED = ("zero", "mean", "resample")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)


@cli.command(
    cli.TARGET,
    cli.option(
        "patches",
        metavar="NODE[INDEX][->READER]=VALUE",
        nargs="+",
        help="a number, zero, mean, resample, FILE.npy or FILE.trace",
    ),
    cli.FEED,
    cli.several("--fetch", metavar="NAME", help="a node, scope or output instead of the fetches"),
    cli.output("FILE.gnn", "also write the patched graph to a file"),
)
def patch(options: cli.Options) -> None:
    """Give nodes other values, and print what follows."""
    if options.output and not options.output.endswith(".gnn"):
        raise cli.Misuse(f'the patched graph is written to a .gnn file; "{options.output}" does not end in .gnn')
    graph, fetches, feed, _ = fed(cli.target_of(options.target, options.size), options.feed)
    with cli.naming():
        wanted = {name: graph[name] for name in options.fetch} if options.fetch else named(fetches)
    if not wanted:
        raise gn.GraphnnError(f"{options.target} holds no node to evaluate")
    patches = dict(_read(text, graph) for text in options.patches)
    with cli.naming():
        other = gn.patched(wanted, patches)
    before, after = gn.run(wanted, feed), gn.run(other, feed)
    if options.output:
        patched = next(iter(other.values())).graph
        for name, node in other.items():
            taken = name in patched.scopes or (name in patched and patched[name] is not node)
            patched.outputs[node.name if taken else name] = node
        gn.save(patched, options.output)
    changes = {name: _change(before[name], after[name]) for name in wanted}
    if options.json:
        screen.say_json(
            {
                "patches": options.patches,
                "values": {
                    name: {
                        "before": screen.array_as_json(before[name]),
                        "after": screen.array_as_json(after[name]),
                        "largest_change": changes[name],
                    }
                    for name in wanted
                },
            }
            | ({"files": [options.output]} if options.output else {})
        )
        return
    rows = [(visible(name), _shown(before[name]), _shown(after[name]), number(changes[name])) for name in wanted]
    screen.say(gn.view.columns(rows, ("", "before", "after", "largest change"), width=screen.room()))
    if options.output:
        screen.say_files([Path(options.output)], [])


def _read(text: str, graph: gn.Graph) -> tuple[str, Any]:
    """Return the place and the value that a patch on the command line means."""
    where, equals, value = text.rpartition("=")
    if not equals or not where.strip() or not value.strip():
        raise cli.Misuse(f'"{text}" is not a patch: write NODE=VALUE, "NODE[:, 3]=VALUE" or "NODE->READER=VALUE"')
    key, value = where.strip(), value.strip()
    if value in _NAMED:
        return key, getattr(gn.patches, value)()
    if _NUMBER.fullmatch(value):
        return key, float(value) if set(".eE") & set(value) else int(value)
    if value.endswith(".npy"):
        return key, loaded_from(existing(value), memory_budget(graph))
    if value.endswith(".trace"):
        return key, gn.load(existing(value))
    raise cli.Misuse(f'"{value}" is not a value to patch with: a number, zero, mean, resample, FILE.npy or FILE.trace')


def _change(before: Any, after: Any) -> float:
    """Return the largest difference of two values."""
    gaps = np.abs(np.subtract(after, before, dtype=np.float64))
    return float(np.max(gaps, initial=0.0))


def _shown(value: Any) -> str:
    return str(gn.view.preview(value, 6))
