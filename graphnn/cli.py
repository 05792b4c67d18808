"""The command `graphnn`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import json
import math
import os
import shutil
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO
from urllib.parse import quote

import numpy as np

import graphnn as gn

from . import demo as demonstration
from .errors import DrawingError, GraphnnError, GraphnnWarning, MemoryBudgetError, near, restated
from .execute.compiled import Compiled
from .execute.interpreter import memory_budget
from .graph import Array, Graph, Node, flatten
from .graph.fetches import resolve
from .inspector.compare import compare
from .inspector.findings import listed
from .inspector.health import check_health
from .inspector.profile import profile
from .inspector.trace import Trace
from .terminal import Session, commands, folded, printable
from .text import counted
from .view import plots
from .view.crop import PHASES
from .view.inspect import records_table, trace_table
from .view.table import columns, ops_table, preview, statistics
from .view.text import visible

_USAGE, _FAILED, _INTERRUPTED = 2, 1, 130


class _Misuse(GraphnnError):
    """What the command line asks for cannot be: exit code 2."""


_Verb = Callable[[argparse.Namespace], "int | None"]
"""Takes the options; gives the exit code, if it is not 0."""


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
    parser, verbs = _parser()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and not given[0].startswith("-") and given[0] not in verbs:
        _complain(f'there is no verb "{given[0]}".{near(given[0], verbs)} graphnn --help tells what each does')
        return _USAGE
    options, unknown = parser.parse_known_args(given)
    if unknown:
        verb_parser = verbs[given[0]]
        hint = near(unknown[0], verb_parser._option_string_actions) if unknown[0].startswith("-") else ""
        verb_parser.error(f"{given[0]} takes no {' '.join(unknown)}.{hint}")
    verb: _Verb = options.verb
    folders = sys.path[:]
    code = None
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = verb(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except _Misuse as error:
        _complain(error)
        return _USAGE
    except GraphnnError as error:
        first, *rest = str(error).split("\n")
        hint = _NOT_FED if first.startswith("the feed lacks ") else ""
        _complain("\n".join([first + hint, *rest]))
        return _FAILED
    except BrokenPipeError:
        _mute()
    except OSError as error:
        _complain(f'"{error.filename}": {error.strerror}' if error.filename else error)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        sys.path[:] = folders
    return code or 0


def _print(text: object = "", coloured: bool = False) -> None:
    _print_to(sys.stdout, text, coloured)


def _note(text: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        _print_to(sys.stderr, text)


def _print_to(stream: TextIO | None, text: object, coloured: bool = False) -> None:
    """Print, with what would command the terminal, or what the stream cannot hold, written out; lines stay lines."""
    if stream is not None:  # as it is where the shell has closed it
        print(printable(text, getattr(stream, "encoding", None), coloured), file=stream)


def _show(found: Any, as_json: bool) -> None:
    """Print what was found; that a reader has seen enough of it leaves the exit code as it is."""
    try:
        if as_json:
            _print_json(_plain(found.to_dict()))
        else:
            _print(found)
    except BrokenPipeError:
        _mute()


def _mute() -> None:
    """Send what is still printed nowhere, also by Python's own exit: the reader (head, less) has seen enough."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _complain(error: object) -> None:
    text = f"graphnn: {error}"
    if _is_terminal(sys.stderr):
        text = folded(text, shutil.get_terminal_size().columns)
    _note(text)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    own = issubclass(category, GraphnnWarning)  # says by itself which node and which line of the user's it means
    text = f"graphnn: {message}" if own else warnings.formatwarning(message, category, filename, lineno, line)
    _print_to(file or sys.stderr, text.rstrip("\n"))


# What `draw` tells on the nodes of one run.
_OVERLAYS = ("values", "statistics", "gradients", "time", "bytes", "flops", "health")

_NOT_FED = "; --feed FILE.npz gives it, or a function that returns (fetches, feed)"
_PICTURES = (".svg", ".png", ".pdf", ".dot", ".mmd")
_TARGET = (
    "FILE.py:FUNCTION, a function that returns fetches, a compiled step, or either with its feed: (fetches, feed); "
    "or the file of a graph or a trace"
)


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """Return the parser, and the verbs."""
    parser = argparse.ArgumentParser(prog="graphnn", description="A computational-graph engine one can see through.")
    parser.add_argument("--version", action="version", version=f"graphnn {gn.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(name: str, action: _Verb, text: str, target: bool) -> Any:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(verb=action)
        if target:
            sub.add_argument("target", metavar="TARGET", help=_TARGET)
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
        "-o",
        "--output",
        metavar="FILE",
        help="svg, png, pdf, jpg, txt, mmd, json or dot by its ending; otherwise DOT to the screen",
    )
    sub.add_argument(
        "--detail",
        type=_detail,
        metavar="LEVEL",
        help="op, every operation; layer, a box a layer; or how many levels of scopes are open (op, unless that is too "
        "much for a picture)",
    )
    sub.add_argument("--repeats", action="store_true", help="blocks that differ in their parameters only are one box")
    sub.add_argument(
        "--focus",
        action="append",
        metavar="NAME",
        help="only what is near a node, scope, pattern or op; may be given again",
    )
    sub.add_argument("--radius", type=_from_1, default=2, metavar="N", help="how many edges near is (%(default)s)")
    sub.add_argument(
        "--phase", action="append", choices=PHASES, help="only a part of a training step; may be given again"
    )
    sub.add_argument("--overlay", choices=_OVERLAYS, help="evaluate, and tell this on the nodes")
    _feed_option(sub)
    sub.add_argument("--theme", choices=("light", "dark"), default="light", help="the paper (%(default)s)")
    sub.add_argument("--title", help="printed above the picture")
    sub.add_argument("--animate", action="store_true", help="an SVG in which boxes light up as they are evaluated")
    sub.add_argument("--engine", choices=("dot", "plain"), help="Graphviz, or graphnn itself (what there is)")
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--text", action="store_true", help="lines of text for the screen, instead of DOT")
    form.add_argument("--mermaid", action="store_true", help="Mermaid for a Markdown page, instead of DOT")

    sub = verb("debug", _debug, "step through a run: forwards, back, why, what if", target=True)
    _feed_option(sub)
    _updates_option(sub)
    sub.add_argument("-x", "--commands", metavar="FILE", help="do what its lines say, then what is typed in a terminal")
    sub.add_argument("--budget", type=_from_1, metavar="BYTES", help="memory that the values of the run may take")

    sub = verb("trace", _trace, "evaluate and print every node: shape, statistics, time", target=True)
    _feed_option(sub)
    _updates_option(sub)
    sub.add_argument("--select", metavar="PATTERN", help="only a node, a scope, a pattern (dense_*/add), an operation")
    sub.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="also keep the run: for debug and compare; as .html, a page that replays it",
    )

    sub = verb("profile", _profile, "say which operations take the time and the memory", target=True)
    _feed_option(sub)
    _updates_option(sub)
    sub.add_argument("--repeat", type=_from_1, default=10, metavar="N", help="how many runs are timed (%(default)s)")

    sub = verb("check", _check, "say where NaN, inf and overflow arise, why, and what to do about it", target=True)
    _feed_option(sub)
    _updates_option(sub)

    sub = verb("compare", _compare, "find the first node at which two runs part", target=True)
    sub.add_argument("other", metavar="OTHER", help="another one; or an .npz of arrays by the names of nodes")
    _feed_option(sub)
    _feed_option(sub, "--feed-b", "for OTHER, instead: ")
    _updates_option(sub)

    verb("summary", _summary, "print layers, shapes and parameters", target=True)
    verb("ops", _ops, "print the table of operations", target=False)
    return parser, verbs.choices


def _from_1(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 up")
    return number


def _updates_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--updates", action="store_true", help="the whole training step, with the updates of the graph")


def _feed_option(sub: argparse.ArgumentParser, option: str = "--feed", text: str = "") -> None:
    sub.add_argument(
        option,
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help=f"{text}an .npz of arrays by placeholder name, or NAME=FILE.npy for one; may be given again",
    )


# --- targets and feeds ----------------------------------------------------------------------------------------


_targets = count()


class _Target(NamedTuple):
    """What a target stands for."""

    graph: Graph
    fetches: Any
    feed: dict[Any, Any]
    run: Any
    """The fetches, a compiled step, or a trace, which holds its feed."""


def _target(text: str) -> _Target:
    """Return what is meant: a graph or a trace from a file, or what a function of a file returns."""
    file, colon, function = text.rpartition(":")
    if not (colon and file.endswith(".py")):
        if text.endswith(".py") or not (Path(text).is_file() or text.endswith((".gnn", ".trace"))):
            raise _Misuse(f'"{text}" is no target: say FILE.py:FUNCTION, FILE.gnn, or the file of a trace')
        return _target_of(gn.load(_existing(text)), {}, text)
    result, feed = _made(_existing(file), function, text), {}
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping) and _is_feed(result[1]):
        result, feed = result[0], dict(result[1])
    return _target_of(result, feed, text)


def _target_of(result: Any, feed: dict[Any, Any], text: str) -> _Target:
    if isinstance(result, Graph):
        return _Target(result, _ends(result), feed, _ends(result))
    if isinstance(result, Compiled):
        return _Target(result.graph, result.fetches, feed, result)
    if isinstance(result, Trace):
        program, given = result.prepared.program, result.prepared.given
        return _Target(result.graph, result.fetches, {node: given[node] for node in program.placeholders}, result)
    if isinstance(result, tuple) and any(isinstance(part, Mapping) and part and _is_feed(part) for part in result):
        raise GraphnnError(
            f"{text} returned a feed amid {counted(len(result), 'thing')}: return (fetches, feed), and "
            "several fetches as a list, ([loss, accuracy], feed)"
        )
    leaves, _ = flatten(result)
    wrong = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, (Node, str))]
    if wrong or not leaves:
        what = type(result).__name__ if leaves == [result] else f"{type(result).__name__} of {(*wrong, 'nothing')[0]}"
        raise GraphnnError(
            f"{text} returned {what}, not fetches: nodes, or their names, in lists, tuples, dicts; or a compiled step"
        )
    try:
        graph, nodes, rebuild = resolve(result, others=feed)
    except GraphnnError as error:
        raise restated(error, f"what {text} returned: {error}") from None
    fetches = rebuild(nodes)
    return _Target(graph, fetches, feed, fetches)


def _made(path: Path, function: str, text: str) -> Any:
    """Return what a function of a file returns."""
    # Under a name of its own: a target may be called json.py. Its dataclasses and pickles look the name up.
    name = f"_graphnn_target_{next(_targets)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # for the files beside it; `main` takes it out again
    sys.modules[name] = module
    try:
        _users_own(str(path), spec.loader.exec_module, module)
        made = getattr(module, function, None)
        if not callable(made):
            known = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
            functions = [name for name in known if getattr(vars(module)[name], "__module__", "") == module.__name__]
            raise _Misuse(f'{path} has no function "{function}".{near(function, functions)}')
        try:
            inspect.signature(made).bind()
        except TypeError as error:
            raise _Misuse(
                f"{text} cannot be called without arguments, as a target is ({error}): write a function that calls it"
            ) from None
        except ValueError:
            pass  # nothing is known of its arguments
        return _users_own(text, made)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _ends(graph: Graph) -> Any:
    return dict(graph.outputs) or [node for node in graph if not node.users]


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.exists() or path.is_dir():  # a pipe will do
        raise _Misuse(f'there is no file "{file}"')
    return path


def _is_feed(mapping: Mapping[Any, Any]) -> bool:
    return not any(isinstance(value, (Node, str)) for value in mapping.values())


def _is_ours(file: str) -> bool:
    return file == __file__ or file.startswith("<frozen importlib")


def _users_own(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    arguments_of_ours = sys.argv
    try:
        # What it prints is no part of what is asked for, which may be JSON; and what we were given is not for it.
        sys.argv = [what if what.endswith(".py") else what.rpartition(":")[0]]
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)
    except GraphnnError:
        raise
    except (Exception, SystemExit) as error:
        frame = error.__traceback__
        while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
            frame = frame.tb_next
        _note("".join(traceback.format_exception(type(error), error, frame)).rstrip("\n"))
        raise GraphnnError(f"{what} raised {type(error).__name__}") from error
    finally:
        sys.argv = arguments_of_ours


def _arrays(feeds: Sequence[str], most: float) -> dict[str, Array]:
    """Return the arrays of files by placeholder name, of no more than `most` bytes in all."""
    arrays: dict[str, Array] = {}
    for text in feeds:
        name, equals, file = text.rpartition("=")
        loaded = _loaded(_existing(file), most - sum(array.nbytes for array in arrays.values()))
        if isinstance(loaded, np.ndarray):
            if not equals:
                raise _Misuse(f"{file} holds one array: say for which placeholder, --feed NAME={file}")
            arrays[name] = loaded
        elif equals:
            raise _Misuse(f"{file} holds arrays by name: say --feed {file}")
        else:
            arrays |= loaded
    return arrays


def _loaded(path: Path, most: float) -> Array | dict[str, Array]:
    """Return the array of an .npy or those of an .npz; what the file declares is checked before it is read."""
    with path.open("rb") as file:
        try:
            packed = file.read(2) == b"PK"
            file.seek(0)
            if not packed:
                return _array(file, os.fstat(file.fileno()).st_size, most)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_size(sum(member.file_size for member in members), most)
                arrays = {}
                for member in members:
                    # Never gives more bytes than the member declares.
                    with archive.open(member) as stream:
                        arrays[member.filename.removesuffix(".npy")] = _array(stream, member.file_size, most)
                return arrays
        except MemoryBudgetError as error:
            raise MemoryBudgetError(f"{path} {error}") from None
        except Exception as error:
            # A forged header or archive raises anything: SyntaxError, zlib.error, RuntimeError, …
            raise GraphnnError(f"{path} is no .npy or .npz of plain arrays: {error}") from error


def _array(stream: IO[bytes], size: int, most: float) -> Array:
    """Read an .npy of `size` bytes."""
    version = np.lib.format.read_magic(stream)
    if version > (2, 0):
        raise ValueError("its fields have names")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.kind not in "biufc":
        raise ValueError(f"it holds {dtype}, not numbers")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed > held or min(shape, default=0) < 0:
        raise ValueError(f"it declares an array {shape} of {needed:,} bytes and holds {held:,}")
    _check_size(needed, most)
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_size(size: int, most: float) -> None:
    if size > most:
        raise MemoryBudgetError(
            f"would take {size:,} bytes, where {max(int(most), 0):,} are left for feeds; "
            "graph.memory_budget sets another budget"
        )


def _given(options: argparse.Namespace) -> _Target:
    """Return the target of a command, fed with its feeds."""
    return _fed(_target(options.target), options.feed)


def _fed(target: _Target, feeds: Sequence[str]) -> _Target:
    graph, feed = target.graph, target.feed
    by_name = {key.name if isinstance(key, Node) and key.graph is graph else key: feed[key] for key in feed}
    return target._replace(feed=by_name | _arrays(feeds, memory_budget(graph)))


def _inspected(text: str, feeds: Sequence[str], updates: bool) -> tuple[_Target, dict[Any, Any] | None]:
    """Return a target of which `run` is to be inspected, and its feed: None of a trace, which holds one."""
    target = _target(text)
    if isinstance(target.run, Trace) and not feeds:
        return target, None
    target = _fed(target, feeds)
    if updates and not isinstance(target.run, (Compiled, Trace)):
        if not target.graph.updates:
            raise _Misuse(f"{text} has no updates: it is no graph of a training step")
        target = target._replace(run=gn.compile(target.fetches, updates=target.graph.updates))
    elif updates and not target.run.updates:
        raise _Misuse(f"{text} makes no updates: it is no step of training")
    if isinstance(target.run, list) and not target.run:
        raise GraphnnError(f"{text} holds no node to evaluate")
    return target, target.feed


def _named(fetches: Any) -> dict[str, Node]:
    """Return the fetches by the name they have among the outputs, in their own dict, or as nodes."""
    if isinstance(fetches, Mapping) and all(isinstance(value, Node) for value in fetches.values()):
        return {str(key): value for key, value in fetches.items()}
    names = {}
    for node in flatten(fetches)[0]:
        outputs = {output: name for name, output in node.graph.outputs.items()}
        names[outputs.get(node, node.name)] = node
    return names


# --- verbs ----------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return numbers as JSON has them; what JSON has not (NaN, infinities) as text."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(value: Array) -> dict[str, Any]:
    return {"shape": list(value.shape), "dtype": str(value.dtype), "value": _plain(value.tolist())}


def _print_json(data: Any) -> None:
    _print(json.dumps(data, allow_nan=False))


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
        _print(columns([], _STEP_HEADERS, least=least, right=(4, 5, 6), width=width))
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
            _print(columns([row], least=least, right=(4, 5, 6), width=width) + whole)
    return values, records


def _folder(name: str) -> Path:
    """Return a folder that is there, and may be written to."""
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def _demo(options: argparse.Namespace) -> None:
    folder = _folder(options.output)
    fetches, feed = demonstration.build()
    graph = fetches["loss"].graph
    echo = not options.json
    if echo:
        _print("Dense → ReLU → Dense → Softmax → categorical cross-entropy, on 300 points of the spiral data\n")
        _print(f"{gn.summary(fetches['loss'])}\n")
        _print("The evaluation, one node at a time, in topological order:\n")
    values, records = _evaluated(fetches, feed, echo)
    loss = float(values[fetches["loss"]])
    written, missing = _pictures(fetches["loss"], feed, folder)
    written.append(demonstration.step_of(fetches["loss"], feed).to_html().save(folder / "replay.html"))
    if options.json:
        files = [str(path) for path in written]
        _print_json({"graph": graph.name, "steps": records, "loss": loss, "files": files, "missing": missing})
        return
    _print(f"\nloss = {loss:.6f}; ln 3 = {math.log(3):.6f}: the network has not learned yet, it is guessing.\n")
    _print_files(written, missing)


def _pictures(loss: Node, feed: Mapping[Any, Any], folder: Path) -> tuple[list[Path], list[str]]:
    written, missing = [], []
    for name, detail in (("network", "op"), ("layers", "layer")):
        written.append(gn.draw(loss, detail=detail).save(folder / f"{name}.svg"))
    try:
        plots.scatter(*feed.values(), title="The spiral data").savefig(folder / "spiral.svg")
    except DrawingError as error:
        missing.append(f"no scatter plot of the data: {error}")
        return written, missing
    return [*written, folder / "spiral.svg"], missing


def _train(options: argparse.Namespace) -> None:
    folder = _folder(options.output)
    step, history, probabilities, feed = demonstration.trained(options.epochs, progress=not options.json)
    gn.save(step.graph, folder / "spiral.gnn")
    (folder / "history.json").write_text(json.dumps(dict(history)) + "\n", encoding="utf-8")
    written, missing = [folder / "spiral.gnn", folder / "history.json"], []
    try:
        history.plot().savefig(folder / "history.svg")
        plots.boundary(probabilities, *feed.values()).savefig(folder / "boundary.svg")
        written += [folder / "history.svg", folder / "boundary.svg"]
    except DrawingError as error:
        missing.append(f"no plots: {error}")
    loss, accuracy = history["loss"][-1], history["accuracy"][-1]
    if options.json:
        files = [str(path) for path in written]
        _print_json({"loss": loss, "accuracy": accuracy, "epochs": history.epochs, "files": files, "missing": missing})
        return
    _print(f"{history!r}\n\nafter {history.epochs} epochs: loss {loss:.4f}, training accuracy {accuracy:.2%}\n")
    _print_files(written, missing)


def _print_files(written: Sequence[Path], missing: Sequence[str]) -> None:
    for path in written:
        _print(f"wrote {path}")
    for note in missing:
        _print(f"note: {note}")


def _run(options: argparse.Namespace) -> None:
    if options.output and not options.output.endswith(".npz"):
        raise _Misuse(f'the values are written to an .npz, and "{options.output}" is not called one')
    graph, fetches, feed, run = _given(options)
    if isinstance(run, Trace) and run.prepared.overridden:
        names = listed(list(run.prepared.overridden))
        raise _Misuse(f"{options.target} has what was set by hand ({names}): graphnn trace, or debug, shows that run")
    named = {name: graph[name] for name in options.fetch} if options.fetch else _named(fetches)
    if not named:
        raise GraphnnError(f"{options.target} holds no node to evaluate")
    if options.steps:
        values, records = _evaluated(list(named.values()), feed, not options.json)
        results = {name: values[node] for name, node in named.items()}
    else:
        results, records = gn.run(named, feed), []
    members = {name: _member(name) for name in results}
    if options.output:
        _write(options.output, {members[name]: value for name, value in results.items()})
    if options.json:
        shown: dict[str, Any] = {"values": {name: _as_json(value) for name, value in results.items()}}
        shown |= {"steps": records} if options.steps else {}
        _print_json(shown | ({"files": [options.output], "members": members} if options.output else {}))
        return
    if options.steps:
        _print()
    for name, value in results.items():
        name = visible(name)
        _print(f"{name} = {np.array2string(value, threshold=60, prefix=name + ' = ')}")
    if options.output:
        renamed = [
            f'"{visible(name)}" is called "{member}" in it' for name, member in members.items() if name != member
        ]
        _print_files([Path(options.output)], renamed)


def _member(name: str) -> str:
    """Return the name of a value in an .npz: its own, with %XX, as in a URL, for what is not safe in a file's name.

    The ``/`` of scopes stays, unless the parts around it lead elsewhere; no two names become one.
    """
    safe = "".join(
        c if c.isprintable() and c not in "%\\:" else quote(c, safe="", errors="surrogatepass") for c in name
    )
    if safe.endswith(".npy") or not {"", ".", ".."}.isdisjoint(safe.split("/")):
        safe = safe.replace("/", "%2F").replace(".", "%2E")
    return safe


def _write(file: str, arrays: Mapping[str, Array]) -> None:
    """Write an .npz: as np.savez, which takes some names for its own parameters."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _detail(text: str) -> Any:
    return int(text) if text.isdecimal() else text


def _draw(options: argparse.Namespace) -> None:
    source: Any = None
    if options.overlay is None:
        if options.feed:
            raise _Misuse("only an overlay evaluates what is fed: --overlay values")
        target = _target(options.target)
    else:
        target, feed = _inspected(options.target, options.feed, updates=False)
        if options.overlay == "health":
            source = check_health(target.run, feed)
        else:
            source = target.run if isinstance(target.run, Trace) and feed is None else gn.trace(target.run, feed)
    diagram = gn.draw(
        target.run if isinstance(target.run, Compiled) else target.fetches,
        options.detail,
        overlay=options.overlay,
        trace=source,
        repeats=options.repeats,
        focus=options.focus,
        radius=options.radius,
        phases=options.phase,
        theme=options.theme,
        title=options.title,
        graph=target.graph,
        engine=options.engine,
    )
    if options.output is None:
        if options.animate:
            raise _Misuse("what moves is written to a file: -o FILE.svg")
        if options.text:
            said = {"text": diagram.text(_width(), ascii=not _holds("│●→"))}
        else:
            said = {"mermaid": diagram.mermaid()} if options.mermaid else {"source": diagram.source}
        if options.json:
            _print_json(said)
        else:
            _print("\n".join(said.values()))
        return
    if options.text or options.mermaid:
        raise _Misuse("the ending of the file says its form: -o FILE.txt for text, -o FILE.mmd for Mermaid")
    diagram.save(options.output, animate=options.animate)
    if options.json:
        _print_json({"files": [options.output], "note": diagram.note})
    else:
        _print_files([Path(options.output)], [diagram.note] if diagram.note else [])


# --- the inspector --------------------------------------------------------------------------------------------


def _debug(options: argparse.Namespace) -> int | None:
    script: Iterable[str] | None = None
    if options.commands:
        file = _existing(options.commands)
        script = file.read_text(encoding="utf-8-sig", errors="backslashreplace").split("\n")
    target, feed = _inspected(options.target, options.feed, options.updates)
    dbg = gn.debug(target.run, feed, budget=options.budget, echo=None)

    def load(file: str) -> Array:
        loaded = _loaded(_existing(file), memory_budget(dbg.graph))
        if not isinstance(loaded, np.ndarray):
            raise _Misuse(f"{file} holds arrays by name: an .npy holds one")
        return loaded

    if options.json:
        return _debug_in_json(dbg, load, _lines(sys.stdin) if script is None else script)
    session = Session(dbg, _print, load, width=_width, colour=_colours())
    session.greet()
    typed = _is_terminal(sys.stdin)
    if script is None and not typed:
        script = _lines(sys.stdin)
    if script is not None and session.perform(script):
        return _FAILED if session.failures else None
    failed = session.failures
    if typed:
        session.converse()
        return _FAILED if failed else None
    return _INTERRUPTED if session.interrupted else _FAILED if session.failures else None


def _holds(text: str) -> bool:
    """Return whether the screen can show a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _width() -> int:
    return shutil.get_terminal_size().columns if _is_terminal(sys.stdout) else 80


def _colours() -> bool | int:
    """Return whether the screen has colours: True with 24 bits each, or 256."""
    if not _is_terminal(sys.stdout) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return os.environ.get("COLORTERM") in ("truecolor", "24bit") or 256


def _lines(stream: TextIO | None) -> Iterator[str]:
    try:
        yield from stream or ()
    except UnicodeDecodeError as error:
        raise _Misuse(f"the commands are no text: {error}") from None


def _debug_in_json(dbg: gn.Debugger, load: Callable[[str], Array], script: Iterable[str]) -> int | None:
    """Print one object a command: what was said, and where the debugger stands."""
    said: list[str] = []
    session = Session(dbg, lambda text, coloured: said.append(text), load)
    for line in commands(script):
        said.clear()
        failures = session.failures
        ended = session.onecmd(line)
        _print_json(
            {
                "command": line,
                "ok": session.failures == failures,
                "said": "\n".join(said),
                "position": dbg.position,
                "operations": len(dbg.operations),
                "current": dbg.current.name if dbg.current is not None else None,
                "next": dbg.next.name if dbg.next is not None else None,
                "run": dbg.run,
                "error": dbg.error,
            }
        )
        if ended or session.interrupted:
            break
    return _INTERRUPTED if session.interrupted else _FAILED if session.failures else None


def _trace(options: argparse.Namespace) -> int | None:
    if options.output and options.output.lower().endswith(_PICTURES):
        raise _Misuse(
            f"a run is kept for graphnn (-o run.trace), or as a page (-o run.html); a picture of it is drawn by "
            f"graphnn draw {options.target} --overlay values -o {options.output}"
        )
    target, feed = _inspected(options.target, options.feed, options.updates)
    try:
        trace = target.run if isinstance(target.run, Trace) and feed is None else gn.trace(target.run, feed)
        records = trace.select(options.select)
    except GraphnnError as error:
        if options.output and error.stopped is not None:
            if _is_page(options.output):
                error.debug().to_html(options.output)
                opens = "a browser"
            else:
                error.save(options.output)
                opens = f"graphnn debug {options.output}"
            _note(f"wrote {options.output}: what ran before it; {opens} opens it")
        raise
    if options.output and _is_page(options.output):
        trace.to_html(options.output)
    elif options.output:
        trace.save(options.output)
    failed = None if trace.stopped is None else _FAILED
    if options.json:
        told = {"graph": trace.graph.name, "time": trace.time, "stopped": trace.stopped, "error": trace.error}
        told["records"] = [record.to_dict() for record in records]
        _print_json(_plain(told | ({"files": [options.output]} if options.output else {})))
        return failed
    _print(records_table(records, _width()) if options.select else trace_table(trace, _width()))
    if options.output:
        _print_files([Path(options.output)], [])
    return failed


def _is_page(file: str) -> bool:
    return file.lower().endswith((".html", ".htm"))


def _check(options: argparse.Namespace) -> int | None:
    target, feed = _inspected(options.target, options.feed, options.updates)
    health = check_health(target.run, feed)
    _show(health, options.json)
    return _FAILED if health.errors else None


def _profile(options: argparse.Namespace) -> None:
    target, feed = _inspected(options.target, options.feed, options.updates)
    _show(profile(target.run, feed, repeat=options.repeat), options.json)


def _compare(options: argparse.Namespace) -> int | None:
    target, feed = _inspected(options.target, options.feed, options.updates)
    if options.other.endswith(".npz"):
        if options.feed_b:
            raise _Misuse("--feed-b is for a second run: the arrays of a file are compared as they are")
        other: Any = _loaded(_existing(options.other), memory_budget(target.graph))
        found = compare(target.run, other, feed)
    else:
        second, feed_b = _inspected(options.other, [*options.feed, *options.feed_b], options.updates)
        # Fed by the function of one of them, they are fed alike; a trace holds its feed.
        fed = feed if feed is None else feed or feed_b
        alike = options.target == options.other
        names = None if alike and options.feed_b else (options.target, options.other + ", again" * alike)
        found = compare(target.run, second.run, fed, feed_b or None, names=names)
    _show(found, options.json)
    return None if found.equal else _FAILED


def _summary(options: argparse.Namespace) -> None:
    graph, fetches, _, _ = _target(options.target)
    _show(gn.summary(fetches, graph=graph), options.json)


def _ops(options: argparse.Namespace) -> None:
    rows = ops_table()
    if options.json:
        _print_json(rows)
        return
    shown = [(row["name"], row["call"], row["summary"]) for row in rows]
    _print(columns(shown, ("op", "call", "what it computes")))
