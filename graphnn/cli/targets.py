"""What a command is about: a graph, a compiled step or a trace, with its feed."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import graphnn as gn

from .._util.missing import needed
from .._util.program_functions import public_functions
from .._util.text import counted
from ..core import Graph, Node, flatten
from ..core.fetches import resolve, results_of
from ..debugger.traces import SCRIPTS
from ..errors import GraphnnError, near
from ..runtime.feed import checked_feed
from .command_registry import Misuse, Value, naming
from .feed_files import arrays_of, existing, memory_budget
from .onnx_targets import MODEL, model_of, with_inputs
from .screen import note

_targets = count()
_MOST_OFFERED = 8
"""How many functions of a file a message names."""
_MODULE = re.compile(r"\w+(\.\w+)*:\w+")


class Target(NamedTuple):
    """What a target stands for."""

    graph: Graph
    fetches: Any
    feed: dict[Any, Any]
    run: Any
    """The fetches, a compiled step, or a trace, which holds its feed."""


def target_of(text: str, sizes: Sequence[tuple[str, int] | Value] = (), trainable: bool = False) -> Target:
    """Return what a text stands for: a graph or a trace in a file, or what a function in a file returns."""
    if text.endswith(MODEL):
        return _meant_by(model_of(text, sizes, trainable), {}, text)
    if trainable:
        raise Misuse(f"--trainable is for an ONNX model; the parameters of {text} are what they are")
    if sizes:
        raise Misuse(f"--size and --value are for an ONNX model; the sizes of {text} are those of what it is fed")
    file, colon, function = text.rpartition(":")
    if colon and file.endswith(".py") and not function:
        text = file
    if text.endswith(".py"):
        raise _without_function(existing(text), text)
    if colon and file.endswith(".py"):
        result: Any = _made(existing(file), function, text)
    elif _MODULE.fullmatch(text) and not Path(text).is_file():
        result = _of_module(file, function, text)
    elif not (Path(text).is_file() or text.endswith((".gnn", ".trace", ".gnt"))):
        raise Misuse(
            f'"{text}" is not a target: write FILE.py:FUNCTION, MODULE:FUNCTION, FILE.gnn, MODEL.onnx, or the file of '
            "a trace"
        )
    else:
        return _meant_by(gn.load(existing(text)), {}, text)
    feed: dict[Any, Any] = {}
    if isinstance(result, tuple) and result and _is_torch_module(result[0]):
        note(f"{text} is a model of PyTorch: one step of a copy of it is watched")
        result = needed(SCRIPTS, "a script of PyTorch")(result)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping) and _is_feed(result[1]):
        result, feed = result[0], dict(result[1])
    return _meant_by(result, feed, text)


def _without_function(path: Path, text: str) -> Misuse:
    """Return the error of a file in the place of a target: it names the functions in it, which it does not run."""
    functions, callable_alone = public_functions(path)
    targets = [f"{text}:{name}" for name in dict.fromkeys(callable_alone)]
    if functions and not targets:
        return Misuse(f"{text} is a file, and a target is a function in it without arguments: it has none, yet")
    more = f", and {len(targets) - _MOST_OFFERED} more" if len(targets) > _MOST_OFFERED else ""
    written = ", ".join(targets[:_MOST_OFFERED]) or f"{text}:build, say"
    return Misuse(f"{text} is a file, and a target is a function in it: {written}{more}")


def _is_torch_module(thing: Any) -> bool:
    """Return whether a thing is a module of PyTorch, which only then has been imported."""
    modules = getattr(sys.modules.get("torch"), "nn", None)  # a folder of this name is a package to Python, too
    return modules is not None and isinstance(thing, modules.Module)


def _meant_by(result: Any, feed: dict[Any, Any], text: str) -> Target:
    if hasattr(type(result), "as_trace"):
        return Target(result.graph, result.as_trace().fetches, {}, result)
    if isinstance(result, Graph):
        results = results_of(result)
        return Target(result, results, feed, results)
    if isinstance(result, gn.Compiled):
        return Target(result.graph, result.fetches, feed, result)
    if isinstance(result, gn.Trace):
        program, given = result.prepared.program, result.prepared.given
        feed = {node: given[node] for node in program.placeholders} if result.has_values else {}
        return Target(result.graph, result.fetches, feed, result)
    if isinstance(result, tuple) and any(isinstance(part, Mapping) and part and _is_feed(part) for part in result):
        raise GraphnnError(
            f"{text} returned a feed among {counted(len(result), 'thing')}: return (fetches, feed), and "
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
        raise error.within(f"what {text} returned: ") from None
    fetches = rebuild(nodes)
    return Target(graph, fetches, feed, fetches)


def _made(path: Path, function: str, text: str) -> Any:
    """Return what a function of a file returns."""
    # A target may be called json.py, so it gets a name of its own, which its dataclasses and pickles look up.
    name = f"_graphnn_target_{next(_targets)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # for the files beside it; `main` takes it out again
    sys.modules[name] = module
    try:
        _users_own(str(path), spec.loader.exec_module, module)
        return _called(module, str(path), function, text)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _of_module(module: str, function: str, text: str) -> Any:
    """Return what a function of an installed module returns."""
    try:
        found = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the package around it is not there, or is none
        found = False
    if not found:
        raise Misuse(f'there is no module "{module}" for {text}; of a file, write FILE.py:FUNCTION')
    return _called(_users_own(text, importlib.import_module, module), module, function, text)


def _called(module: Any, place: str, function: str, text: str) -> Any:
    """Return what a function of a module returns, called without arguments."""
    made = getattr(module, function, None)
    if not callable(made):
        known = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
        functions = [name for name in known if getattr(vars(module)[name], "__module__", "") == module.__name__]
        raise Misuse(f'{place} has no function "{function}".{near(function, functions)}')
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise Misuse(
            f"{text} cannot be called without arguments, as a target is ({error}): write a function that calls it"
        ) from None
    except ValueError:
        pass  # nothing is known of its arguments
    return _users_own(text, made)


def _is_feed(mapping: Mapping[Any, Any]) -> bool:
    return not any(isinstance(value, (Node, str)) for value in mapping.values())


def _is_ours(file: str) -> bool:
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def _users_own(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    arguments_of_ours = sys.argv
    try:
        # It prints to the standard error, as the result may be JSON; and our arguments are not for it.
        sys.argv = [what if what.endswith(".py") else what.rpartition(":")[0]]
        with contextlib.redirect_stdout(sys.stderr):
            return function(*arguments)
    except GraphnnError:
        raise
    except (Exception, SystemExit) as error:
        frame = error.__traceback__
        while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
            frame = frame.tb_next
        note("".join(traceback.format_exception(type(error), error, frame)).rstrip("\n"))
        raise GraphnnError(f"{what} raised {type(error).__name__}") from error
    finally:
        sys.argv = arguments_of_ours


def fed(target: Target, feeds: Sequence[str]) -> Target:
    """Return a target with what files give it added to its feed."""
    graph, feed = target.graph, target.feed
    by_name = {key.name if isinstance(key, Node) and key.graph is graph else key: feed[key] for key in feed}
    given = arrays_of(feeds, memory_budget(graph))
    with naming():
        checked_feed(graph, given)
    return target._replace(feed=with_inputs(graph, by_name | given))


def inspected(
    text: str, feeds: Sequence[str], updates: bool, sizes: Sequence[tuple[str, int] | Value] = ()
) -> tuple[Target, dict[Any, Any] | None]:
    """Return a target whose `run` is inspected, and its feed: None for a trace, which holds one or takes none."""
    target = target_of(text, sizes)
    recorded = target.run.as_trace() if hasattr(type(target.run), "as_trace") else target.run
    if isinstance(recorded, gn.Trace) and not (feeds and recorded.has_values):
        return target, None
    target = fed(target, feeds)
    if updates and not isinstance(target.run, (gn.Compiled, gn.Trace)):
        if not target.graph.updates:
            raise Misuse(f"{text} has no updates: it is not the graph of a training step")
        target = target._replace(run=gn.compile(target.fetches, updates=target.graph.updates))
    elif updates and not target.run.updates:
        raise Misuse(f"{text} makes no updates: it is not a training step")
    if isinstance(target.run, dict) and not target.run:
        raise GraphnnError(f"{text} holds no node to evaluate")
    return target, target.feed


def named(fetches: Any) -> dict[str, Node]:
    """Return the fetches by name: that in their dict, that of the output, or that of the node."""
    if isinstance(fetches, Mapping) and all(isinstance(value, Node) for value in fetches.values()):
        return {str(key): value for key, value in fetches.items()}
    names = {}
    for node in flatten(fetches)[0]:
        outputs = {output: name for name, output in node.graph.outputs.items()}
        names[outputs.get(node, node.name)] = node
    return names
