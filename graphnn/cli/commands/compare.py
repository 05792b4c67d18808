"""`graphnn compare`."""

from typing import Any
from urllib.parse import unquote

import graphnn as gn

from ... import cli
from ...debugger.diff.runtime_port import checked_runtime
from ...view.tables.terminal_colors import judged
from .. import screen
from ..feed_files import existing, loaded_from, memory_budget
from ..onnx_targets import MODEL


@cli.command(
    cli.TARGET,
    cli.option("other", metavar="OTHER", nargs="?", help="another one; or an .npz of arrays by the names of nodes"),
    cli.FEED,
    cli.feed_option("--feed-b", text="for OTHER, instead: "),
    cli.UPDATES,
    cli.option("--runtime", metavar="NAME", help="instead of OTHER: what this runtime computes of the same model"),
    cli.switch("--table", "also how each node agrees, in the order of the schedule"),
)
def compare(options: cli.Options) -> int | None:
    """Find the first node at which two runs differ."""
    if (options.other is None) is (options.runtime is None):
        raise cli.Misuse("say what to compare with: either OTHER or --runtime NAME")
    sizes = options.size if options.target.endswith(MODEL) or not (options.other or "").endswith(MODEL) else ()
    target, feed = cli.inspected(options.target, options.feed, options.updates, sizes)
    if options.runtime is not None:
        if options.feed_b:
            raise cli.Misuse("--feed-b is for OTHER: a runtime gets the same feed")
        with cli.naming():
            checked_runtime(options.runtime)
        found = gn.compare(target.run, feed=feed, runtime=options.runtime)
    elif options.other.endswith(".npz"):
        if options.feed_b:
            raise cli.Misuse("--feed-b is for a second run: the arrays of a file are compared as they are")
        loaded: Any = loaded_from(existing(options.other), memory_budget(target.graph))
        if isinstance(loaded, dict):
            loaded = {_node_name(name, target.graph): array for name, array in loaded.items()}
        found = gn.compare(target.run, loaded, feed)
    else:
        sizes = options.size if options.other.endswith(MODEL) else ()
        second, feed_b = cli.inspected(options.other, [*options.feed, *options.feed_b], options.updates, sizes)
        if options.feed and feed is None is feed_b:
            raise cli.Misuse("both are recorded: there is nothing to feed")
        # Fed by the function of one of them, they are fed alike; a trace holds its feed.
        fed = feed if feed is None else feed or feed_b
        alike = options.target == options.other
        names = None if alike and options.feed_b else (options.target, options.other + (", again" if alike else ""))
        found = gn.compare(target.run, second.run, fed, feed_b or None, names=names)
    table = f"\n\n{found.table(screen.room())}" if options.table else ""
    screen.show(
        found,
        options.json,
        lambda: judged(found.text(screen.room()), found.equal, screen.colours()) + table,
    )
    return None if found.equal else cli.FAILED


def _node_name(name: str, graph: gn.Graph) -> str:
    """Return the name of the node whose array `graphnn run -o` wrote, where a file cannot hold that name."""
    known = name in graph or name in graph.outputs or name in graph.scopes
    return name if known else unquote(name, errors="surrogatepass")
