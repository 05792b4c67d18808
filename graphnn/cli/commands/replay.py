"""`graphnn replay`."""

import webbrowser
from pathlib import Path

import graphnn as gn

from ... import cli
from .. import screen
from ..result_files import is_page, recorded


def opened(file: str) -> bool:
    """Open a page in the user's browser; return whether there is one."""
    found = webbrowser.open(Path(file).resolve().as_uri())
    if not found:
        screen.note(f"graphnn: there is no browser to open here; open {file} in one yourself")
    return found


@cli.command(
    cli.TARGET,
    cli.FEED,
    cli.UPDATES,
    cli.output("FILE", "where the page goes (%(default)s)", default="replay.html"),
    cli.switch("--open", "open the page in a browser"),
)
def replay(options: cli.Options) -> int | None:
    """Evaluate, and write a page that replays the run in a browser."""
    file = options.output
    if not is_page(file):
        raise cli.Misuse(f"{file} is not the name of a page: one ends in .html. graphnn trace -o keeps a run")
    target, feed = cli.inspected(options.target, options.feed, options.updates, options.size)
    try:
        trace = recorded(target, feed, file)
    except gn.GraphnnError as error:
        if options.open and error.stopped is not None:
            opened(file)
        raise
    trace.to_html(file)
    found = options.open and opened(file)
    if options.json:
        screen.say_json({"graph": trace.graph.name, "files": [file], "opened": found})
    else:
        screen.say_files([Path(file)], [])
        if not options.open:
            screen.say(f"next: open {file} in a browser")
    return cli.FAILED if options.open and not found else None
