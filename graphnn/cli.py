"""The command `graphnn`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn

from . import demo as demonstration
from .errors import DrawingError, GraphnnError, near
from .graph import Array, Node, flatten
from .view.table import columns, ops_table, preview, statistics

_USAGE, _FAILED, _INTERRUPTED = 2, 1, 130


class _Misuse(Exception):
    """What the command line asks for cannot be: exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        `sys.argv` without the program's name, unless given.

    Returns
    -------
    int
        The exit code: 0 if all went well, 1 if something failed, 2 if it was misused.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    verb: Callable[[argparse.Namespace], None] = options.verb
    try:
        verb(options)
        sys.stdout.flush()
    except _Misuse as error:
        print(f"graphnn: {error}", file=sys.stderr)
        return _USAGE
    except GraphnnError as error:
        print(f"graphnn: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing is left to say, also not by Python's own exit.
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphnn", description="A computational-graph engine one can see through.")
    parser.add_argument("--version", action="version", version=f"graphnn {gn.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, action: Callable[[argparse.Namespace], None], text: str, target: bool) -> Any:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=action)
        if target:
            sub.add_argument(
                "target",
                metavar="TARGET",
                help="FILE.py:FUNCTION, a function that returns fetches, or (fetches, feed); or a saved FILE.gnn",
            )
        sub.add_argument("--json", action="store_true", help="print JSON instead of text")
        return sub

    sub = verb("demo", _demo, "build, evaluate and draw a network on the spiral data", target=False)
    sub.add_argument("-o", "--output", default="graphnn-demo", metavar="FOLDER", help="where pictures go (%(default)s)")

    sub = verb("train", _train, "train a network on the spiral data, and keep what it learned", target=False)
    sub.add_argument("-o", "--output", default="graphnn-spiral", metavar="FOLDER", help="where files go (%(default)s)")
    sub.add_argument("--epochs", type=_from_1, default=200, help="how often to go through the 300 points (%(default)s)")

    sub = verb("run", _run, "evaluate a graph and print what it gives", target=True)
    _feed_option(sub)
    sub.add_argument("--fetch", action="append", metavar="NAME", help="a node, scope or output instead of the fetches")
    sub.add_argument("--steps", action="store_true", help="print every node as it is evaluated")
    sub.add_argument("-o", "--output", metavar="FILE.npz", help="also write the values to a file")

    sub = verb("draw", _draw, "draw a graph", target=True)
    sub.add_argument(
        "-o", "--output", metavar="FILE", help="svg, png, pdf or dot by its ending; DOT to the screen if not given"
    )
    sub.add_argument(
        "--detail", choices=("op", "layer"), default="op", help="every operation, or a box a layer (%(default)s)"
    )
    sub.add_argument("--title", help="printed above the picture")

    verb("summary", _summary, "print layers, shapes and parameters", target=True)
    verb("ops", _ops, "print the table of operations", target=False)
    return parser


def _from_1(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def _feed_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="an .npz of arrays by placeholder name, or NAME=FILE.npy for one; may be given again",
    )


# --- targets and feeds ----------------------------------------------------------------------------------------


def _target(text: str) -> tuple[Any, dict[Any, Any]]:
    """Return the fetches and the feed that a target stands for."""
    if text.endswith(".gnn"):
        graph = gn.load(_existing(text))
        return dict(graph.outputs) or [node for node in graph if not node.users], {}
    file, colon, function = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise _Misuse(f'"{text}" is no target: say FILE.py:FUNCTION or FILE.gnn')
    path = _existing(file)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = module
    _users_own(file, spec.loader.exec_module, module)
    made = getattr(module, function, None)
    if not callable(made):
        functions = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
        raise _Misuse(f'{file} has no function "{function}".{near(function, functions)}')
    result = _users_own(text, made)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping) and _is_feed(result[1]):
        return result[0], dict(result[1])
    return result, {}


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.is_file():
        raise _Misuse(f'there is no file "{file}"')
    return path


def _is_feed(mapping: Mapping[Any, Any]) -> bool:
    return not any(isinstance(value, Node) for value in mapping.values())


def _users_own(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except GraphnnError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise GraphnnError(f"{what} raised {type(error).__name__}") from error


def _arrays(feeds: Sequence[str]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for text in feeds:
        name, equals, file = text.rpartition("=")
        try:
            loaded = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            raise _Misuse(f'there is no file "{file}"') from None
        except (ValueError, OSError, EOFError) as error:
            raise GraphnnError(f"{file} is no .npy or .npz of plain arrays: {error}") from None
        if isinstance(loaded, np.ndarray):
            if not equals:
                raise _Misuse(f"{file} holds one array: say for which placeholder, --feed NAME={file}")
            arrays[name] = loaded
        elif equals:
            raise _Misuse(f"{file} holds arrays by name: say --feed {file}")
        else:
            arrays |= dict(loaded.items())
    return arrays


def _given(options: argparse.Namespace) -> tuple[Any, dict[Any, Any]]:
    fetches, feed = _target(options.target)
    by_name = {key.name if isinstance(key, Node) else key: value for key, value in feed.items()}
    return fetches, by_name | _arrays(options.feed)


def _named(fetches: Any) -> dict[str, Node]:
    """Return the fetches by the name they have among the outputs, in their own dict, or as nodes."""
    leaves, _ = flatten(fetches)
    if isinstance(fetches, Mapping) and all(isinstance(value, Node) for value in fetches.values()):
        return {str(key): value for key, value in fetches.items()}
    names = {}
    for node in leaves:
        if isinstance(node, Node):
            outputs = {output: name for name, output in node.graph.outputs.items()}
            names[outputs.get(node, node.name)] = node
        else:
            raise GraphnnError(f"the target returned {type(node).__name__}, not fetches: nodes in lists, tuples, dicts")
    return names


# --- verbs ----------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return numbers as JSON has them; what JSON has not (NaN, infinities) as text."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(value: Array) -> dict[str, Any]:
    return {"shape": list(value.shape), "dtype": str(value.dtype), "value": _plain(value.tolist())}


def _print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, allow_nan=False))


_STEP_HEADERS = ("", "node", "op", "shape", "min", "mean", "max")
_SMALL = 9
"""The most elements of a value that is printed whole beside its statistics."""


def _evaluated(fetches: Any, feed: Mapping[Any, Any], echo: bool) -> tuple[dict[Node, Array], list[dict[str, Any]]]:
    """Evaluate step by step; return every value and a record a step, printing each as it comes."""
    order = gn.schedule(fetches)
    least = (
        len(str(len(order))),
        min(max(len(node.name) for node in order), 36),
        min(max(len(node.op.name) for node in order), 16),
        *(9, 9, 9, 9),
    )
    width = sum(least) + 2 * len(least)
    values: dict[Node, Array] = {}
    records = []
    if echo:
        print(columns([], _STEP_HEADERS, least=least, right=(4, 5, 6), width=width))
    for step in gn.steps(fetches, feed):
        lowest, mean, highest = statistics(step.value)
        values[step.node] = step.value
        shape = " × ".join(map(str, step.value.shape)) or "scalar"
        records.append(
            {
                "index": step.index,
                "node": step.node.name,
                "op": step.node.op.name,
                "shape": list(step.value.shape),
                "min": _plain(lowest),
                "mean": _plain(mean),
                "max": _plain(highest),
            }
        )
        if echo:
            row = (step.index, step.node.name, step.node.op.name, shape, lowest, mean, highest)
            whole = "  " + preview(step.value, _SMALL) if 1 < step.value.size <= _SMALL else ""
            print(columns([row], least=least, right=(4, 5, 6), width=width) + whole)
    return values, records


def _demo(options: argparse.Namespace) -> None:
    fetches, feed = demonstration.build()
    graph = fetches["loss"].graph
    echo = not options.json
    if echo:
        print("Dense → ReLU → Dense → Softmax → categorical cross-entropy, on 300 points of the spiral data\n")
        print(gn.summary(fetches["loss"]), "\n")
        print("The evaluation, one node at a time, in topological order:\n")
    values, records = _evaluated(fetches, feed, echo)
    loss = float(values[fetches["loss"]])
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    written, missing = _pictures(fetches["loss"], feed, folder)
    if options.json:
        files = [str(path) for path in written]
        _print_json({"graph": graph.name, "steps": records, "loss": loss, "files": files, "missing": missing})
        return
    print(f"\nloss = {loss:.6f}; ln 3 = {math.log(3):.6f}: the network has not learned yet, it is guessing.\n")
    _print_files(written, missing)


def _pictures(loss: Node, feed: Mapping[Any, Any], folder: Path) -> tuple[list[Path], list[str]]:
    written, missing = [], []
    for name, detail in (("network", "op"), ("layers", "layer")):
        diagram = gn.draw(loss, detail=detail)
        try:
            path = folder / f"{name}.svg"
            diagram.save(path)
        except DrawingError as error:
            path = folder / f"{name}.dot"
            path.write_text(diagram.source, encoding="utf-8")
            missing.append(f"{path} holds DOT text instead of a picture: {error}")
        written.append(path)
    try:
        figure, _ = _scatter(*feed.values())
    except ImportError:
        missing.append("no scatter plot of the data: it needs matplotlib (pip install 'graphnn[plot]')")
        return written, missing
    figure.savefig(folder / "spiral.svg")
    return [*written, folder / "spiral.svg"], missing


def _train(options: argparse.Namespace) -> None:
    step, history, probabilities, feed = demonstration.trained(options.epochs, progress=not options.json)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    gn.save(step.graph, folder / "spiral.gnn")
    (folder / "history.json").write_text(json.dumps(dict(history)) + "\n", encoding="utf-8")
    written, missing = [folder / "spiral.gnn", folder / "history.json"], []
    try:
        history.plot().savefig(folder / "history.svg")
        _boundary(probabilities, *feed.values()).savefig(folder / "boundary.svg")
        written += [folder / "history.svg", folder / "boundary.svg"]
    except DrawingError as error:
        missing.append(f"no plots: {error}")
    loss, accuracy = history["loss"][-1], history["accuracy"][-1]
    if options.json:
        files = [str(path) for path in written]
        _print_json({"loss": loss, "accuracy": accuracy, "epochs": history.epochs, "files": files, "missing": missing})
        return
    print(f"{history!r}\n\nafter {history.epochs} epochs: loss {loss:.4f}, training accuracy {accuracy:.2%}\n")
    _print_files(written, missing)


def _print_files(written: Sequence[Path], missing: Sequence[str]) -> None:
    for path in written:
        print(f"wrote {path}")
    for note in missing:
        print(f"note: {note}")


_COLOURS = ("#0072B2", "#9C5B00", "#8E3B6E")


def _boundary(probabilities: Node, points: Array, labels: Array) -> Any:
    """Return a picture of which class the network sees where."""
    from matplotlib.colors import ListedColormap

    ticks = np.linspace(-1.2, 1.2, 241)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    seen = gn.run(gn.argmax(probabilities, axis=1), {"x": grid}).reshape(len(ticks), len(ticks))
    figure, axes = _scatter(points, labels)
    axes.pcolormesh(ticks, ticks, seen, cmap=ListedColormap(_COLOURS), alpha=0.25, zorder=0, rasterized=True)
    axes.set(title="What the network sees")
    return figure


def _scatter(points: Array, labels: Array) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    for kind, (colour, marker) in enumerate(zip(_COLOURS, "o^s", strict=True)):
        chosen = points[labels == kind]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=14, c=colour, marker=marker, label=f"class {kind}", linewidths=0)
    axes.set(aspect="equal", title="The spiral data", xlabel="x[:, 0]", ylabel="x[:, 1]")
    axes.legend(frameon=False)
    return figure, axes


def _run(options: argparse.Namespace) -> None:
    fetches, feed = _given(options)
    named = _named(fetches)
    if options.fetch:
        graph = next(iter(named.values())).graph
        named = {name: graph[name] for name in options.fetch}
    if options.steps:
        values, records = _evaluated(list(named.values()), feed, not options.json)
        results = {name: values[node] for name, node in named.items()}
    else:
        results, records = gn.run(named, feed), []
    if options.output:
        np.savez(options.output, allow_pickle=False, **results)
    if options.json:
        shown: dict[str, Any] = {"values": {name: _as_json(value) for name, value in results.items()}}
        _print_json(shown | ({"steps": records} if options.steps else {}))
        return
    if options.steps:
        print()
    for name, value in results.items():
        print(f"{name} = {np.array2string(value, threshold=60, prefix=name + ' = ')}")
    if options.output:
        print(f"wrote {options.output}")


def _draw(options: argparse.Namespace) -> None:
    fetches, _ = _target(options.target)
    diagram = gn.draw(fetches, detail=options.detail, title=options.title)
    if options.output is None:
        if options.json:
            _print_json({"source": diagram.source})
        else:
            print(diagram.source)
        return
    diagram.save(options.output)
    if options.json:
        _print_json({"files": [options.output]})
    else:
        print(f"wrote {options.output}")


def _summary(options: argparse.Namespace) -> None:
    fetches, _ = _target(options.target)
    summary = gn.summary(fetches)
    if options.json:
        _print_json(summary.to_dict())
    else:
        print(summary)


def _ops(options: argparse.Namespace) -> None:
    rows = ops_table()
    if options.json:
        _print_json(rows)
        return
    shown = [(row["name"], row["call"], row["summary"]) for row in rows]
    print(columns(shown, ("op", "call", "what it computes")))
