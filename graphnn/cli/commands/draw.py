"""`graphnn draw`."""

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import graphnn as gn

from ... import cli
from ...core.scopes import PHASES
from .. import screen

_OVERLAYS = ("values", "statistics", "gradients", "time", "bytes", "flops", "health")


def _detail(text: str) -> Any:
    if text.isdecimal():
        return int(text)
    if text not in ("op", "layer", "leaf"):
        raise argparse.ArgumentTypeError(f"{text} is not op, layer, leaf or a number of levels")
    return text


_ARGUMENTS = (
    cli.TARGET,
    cli.FEED,
    cli.output("FILE", ".svg .png .pdf .jpg .txt .mmd .json .dot (prints DOT)"),
    cli.option(
        "--detail",
        type=_detail,
        metavar="LEVEL",
        help="op: every operation; layer, leaf: a box for each layer, or innermost layer; N: so many levels open (op)",
    ),
    cli.switch("--repeats", "one box for blocks that differ in parameters alone"),
    cli.several("--focus", metavar="NAME", help="only what is near a node, scope or op; repeatable"),
    cli.option("--radius", type=cli.from_1, metavar="N", help="maximum distance in edges (2)"),
    cli.several("--phase", choices=PHASES, metavar="PHASE", help=f"only {', '.join(PHASES)}; repeatable"),
    cli.several(
        "--overlay",
        choices=_OVERLAYS,
        metavar="WHAT",
        help=f"evaluate, and write on the boxes {', '.join(_OVERLAYS)}; repeatable",
    ),
    cli.option("--theme", choices=("light", "dark"), default="light", help="the background (%(default)s)"),
    cli.option("--title", help="printed above the picture"),
    cli.switch("--animate", "an SVG in which boxes light up as they are evaluated"),
    cli.option("--engine", choices=("dot", "plain"), help="Graphviz, or graphnn itself (what suits the size)"),
    cli.either(
        cli.switch("--text", "lines of text for the screen, instead of DOT"),
        cli.switch("--mermaid", "Mermaid for a Markdown page, instead of DOT"),
    ),
)


@cli.command(*_ARGUMENTS)
def draw(options: cli.Options) -> None:
    """Draw a graph."""
    source, feed, overlays = None, None, list[Any](options.overlay or ())
    if options.radius and not options.focus:
        raise cli.Misuse("--radius says how far --focus goes, and there is no --focus")
    if not overlays:
        if options.feed:
            raise cli.Misuse("only an overlay evaluates what is fed: --overlay values")
        target = cli.target_of(options.target, options.size)
    else:
        target, feed = cli.inspected(options.target, options.feed, False, options.size)
        if "health" in overlays:
            health = gn.check_health(target.run, feed)
            overlays = [health if overlay == "health" else overlay for overlay in overlays]
        if isinstance(target.run, gn.Trace) and feed is None:
            source = target.run
        if not any(isinstance(overlay, str) for overlay in overlays):
            source = feed = None  # it has all been evaluated
    with cli.naming() if options.focus else nullcontext():
        diagram = gn.draw(
            target.run if isinstance(target.run, gn.Compiled) else target.fetches,
            options.detail,
            feed=feed,
            overlay=overlays or None,
            trace=source,
            repeats=options.repeats,
            focus=options.focus,
            radius=options.radius or 2,
            phases=options.phase,
            theme=options.theme,
            title=options.title,
            graph=target.graph,
            engine=options.engine,
        )
    if options.output is None:
        if options.animate:
            raise cli.Misuse("an animation is written to a file: -o FILE.svg")
        if options.text:
            said = {"text": diagram.text(screen.width(), ascii=not screen.holds("│●→"))}
        else:
            said = {"mermaid": diagram.mermaid()} if options.mermaid else {"source": diagram.source}
        if options.json:
            screen.say_json(said)
        else:
            screen.say("\n".join(said.values()))
        return
    if options.text or options.mermaid:
        raise cli.Misuse("the ending of the file name sets the format: -o FILE.txt for text, -o FILE.mmd for Mermaid")
    try:
        diagram.save(options.output, animate=options.animate)
    except gn.UsageError as error:  # the ending of the name
        raise cli.Misuse(error.reason) from None
    if options.json:
        screen.say_json({"files": [options.output], "note": diagram.note})
    else:
        screen.say_files([Path(options.output)], [diagram.note] if diagram.note else [])
