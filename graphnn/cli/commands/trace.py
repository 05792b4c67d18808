"""`graphnn trace`."""

from pathlib import Path

import graphnn as gn

from ... import cli
from .. import screen
from ..result_files import is_page, recorded

_PICTURES = (".svg", ".png", ".pdf", ".dot", ".mmd")


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.UPDATES,
    cli.option("--select", metavar="PATTERN", help="only a node, a scope, a pattern (dense_*/add), an operation"),
    cli.switch("--digests", "keep of each value no more than statistics, a hash and a few elements: for compare"),
    cli.output("FILE", "also keep the run: for debug and compare; as .html, a page that replays it"),
)
def trace(options: cli.Options) -> int | None:
    """Evaluate and print every node: shape, statistics, time."""
    if options.output and options.output.lower().endswith(_PICTURES):
        raise cli.Misuse(
            f"a run is kept for graphnn (-o run.trace), or as a page (-o run.html); a picture of it is drawn by "
            f"graphnn draw {options.target} --overlay values -o {options.output}"
        )
    target, feed = cli.inspected(options.target, options.feed, options.updates, options.size)
    trace = recorded(target, feed, options.output, options.digests)
    with cli.naming():
        records = trace.select(options.select)
    if options.output and is_page(options.output):
        trace.to_html(options.output)
    elif options.output:
        trace.save(options.output)
    failed = None if trace.stopped is None else cli.FAILED
    if options.json:
        told = {"graph": trace.graph.name, "time": trace.time, "stopped": trace.stopped, "error": trace.error}
        told["records"] = [record.to_dict() for record in records]
        screen.say_json(told | ({"files": [options.output]} if options.output else {}))
        return failed
    room, colour = screen.room(), screen.colours()
    table = gn.view.records_table(records, room, colour) if options.select else gn.view.trace_table(trace, room, colour)
    screen.say(table, coloured=True)
    if options.output:
        screen.say_files([Path(options.output)], [])
    return failed
