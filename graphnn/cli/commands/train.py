"""`graphnn train`."""

import json

import graphnn as gn

from ... import cli
from .. import screen
from ..result_files import folder_for


@cli.command(
    cli.output("FOLDER", "where files go (%(default)s)", default="graphnn-spiral"),
    cli.option("--epochs", type=cli.from_1, default=200, help="passes through the 300 points (%(default)s)"),
)
def train(options: cli.Options) -> None:
    """Train a network on the spiral data, and keep what it learned."""
    folder = folder_for(options.output)
    step, history, probabilities, feed = gn.demo.trained(options.epochs, progress=not options.json)
    gn.save(step.graph, folder / "spiral.gnn")
    (folder / "history.json").write_text(json.dumps(dict(history)) + "\n", encoding="utf-8")
    written, missing = [folder / "spiral.gnn", folder / "history.json"], []
    try:
        history.plot().savefig(folder / "history.svg")
        gn.view.plots.boundary(probabilities, *feed.values()).savefig(folder / "boundary.svg")
        written += [folder / "history.svg", folder / "boundary.svg"]
    except gn.DrawingError as error:
        missing.append(f"no plots: {error.reason}")
    loss, accuracy = history["loss"][-1], history["accuracy"][-1]
    if options.json:
        files = [str(path) for path in written]
        screen.say_json(
            {"loss": loss, "accuracy": accuracy, "epochs": history.epochs, "files": files, "missing": missing}
        )
        return
    screen.say(f"{history!r}\n\nafter {history.epochs} epochs: loss {loss:.4f}, training accuracy {accuracy:.2%}\n")
    screen.say_files(written, missing)
