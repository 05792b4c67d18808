"""What an assistant can ask of a graph: ten tools, each a question to the debugger, answered in text."""

from __future__ import annotations

import math
import os
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import counted, number
from ..control_flow.iteration_names import is_bundle
from ..core import is_float
from ..core.arrays import as_array
from ..core.symbolic_shapes import shown as shape_text
from ..debugger.diff import compare as compare_runs
from ..debugger.health import CHECKS, check_health
from ..debugger.node_selection import many
from ..debugger.traces import Trace, in_short, preview_of
from ..debugger.why import first_strange, split_index
from ..errors import GraphnnError, NotFoundError, UsageError, ValueRangeError
from ..view import draw, summary
from ..view.formatting import by_times
from .answers import Answer
from .arguments import fitted, index_in, literal_of, part_taken
from .files import ARRAYS, DATA, Folder, shown
from .models import Load, Models, Opened

if TYPE_CHECKING:
    from ..core import Array, Graph, Node
    from ..debugger.health.findings import Finding, Health
    from ..debugger.why import Read
    from ..view.tables.summary import Summary

_WIDTH = 110
_NODES, _NUMBERS, _READS = 30, 100, 12
"""Nodes of an answer, numbers of one, operands of one number."""
_RUNS, _DRAWN = 8, 200
"""How many what-ifs of a model are kept; how many nodes a picture writes values on."""
_LARGE = 1_000_000
"""Numbers of a value of which a line of a list tells only a sample."""
_PIXELS = 1_000_000
"""Bytes of a picture."""
_LONGEST_NAME = 140
_CODES = {  # what a check's sentence says of more than one fault
    "error": "is wrong",
    "warning": "may be wrong",
    "note": "may be intended",
}


class Refusal(Exception):
    """What a tool answers where it cannot do what is asked: one sentence, and how to go on."""


class Tools:
    """Answers what is asked of the models in one folder. One question is answered at a time.

    Parameters
    ----------
    folder : Folder
    load : callable
        Takes a target as the command line has it, and names of files with arrays; returns what is run, and its feed.
    """

    def __init__(self, folder: Folder, load: Load) -> None:
        self._folder = folder
        self._models = Models(folder, load)
        self._lock = Lock()

    def call(self, tool: str, /, **arguments: Any) -> str:
        """Return the answer of a tool.

        Raises
        ------
        Refusal
            When it cannot be given; the text says why.
        """
        with self._lock:
            try:
                with np.errstate(all="ignore"):
                    answer: str = getattr(self, tool)(**arguments)
            except GraphnnError as error:
                raise Refusal(self._refused(tool, error, arguments)) from None
            except OSError as error:
                raise Refusal(f"error: {type(error).__name__}: {error.strerror or 'a file cannot be read'}") from None
            except (MemoryError, RecursionError) as error:
                raise Refusal(f"error: {type(error).__name__}: that is too large") from None
            return answer

    def _refused(self, tool: str, error: GraphnnError, arguments: dict[str, Any]) -> str:
        answer = Answer("summary")
        answer.say("error:")
        answer.data(self._inside(error.account))
        if isinstance(error.__cause__, Exception):  # of the user's program
            for line in traceback.format_exception_only(error.__cause__):
                answer.data(self._inside(line.rstrip()[:1000]))
            for frame in reversed(traceback.extract_tb(error.__cause__.__traceback__)):
                if Path(frame.filename).is_relative_to(self._folder.root):
                    answer.data(f"  at {self._inside(frame.filename)}:{frame.lineno}: {frame.line}")
                    break
        model = str(arguments.get("model") or "")
        if isinstance(error, NotFoundError) and model and (arguments.get("node") or arguments.get("to")):
            answer.next("find_nodes", model=model)
        elif tool == "step" and arguments.get("to"):
            answer.next("back", model=model, to=arguments["to"])
        elif error.unfed:
            for file in self._folder.listing(ARRAYS[:1])[:2]:
                answer.next("summary", model=model, feed=file)
        else:
            answer.next("summary", **({"model": model} if tool != "summary" and self._is_there(model) else {}))
        return answer.text()

    def _inside(self, text: str) -> str:
        """Return a text with the paths in it as a client has them: where the folder lies is not said."""
        return text.replace(f"{self._folder.root}{os.sep}", "")

    def _is_there(self, model: str) -> bool:
        try:
            return bool(self._folder.model(model))
        except UsageError:
            return False

    # --- looking ----------------------------------------------------------------------------------------------

    def summary(self, model: str = "", feed: str = "", page: int = 1) -> str:
        """Return the layers of a model, its inputs and how its run ended; without a model, the files there are."""
        answer = Answer("summary", model=model)
        if not model:
            return self._files(answer, page)
        if feed:
            self._models.feed(model, feed)
        try:
            opened = self._models.opened(model)
        except GraphnnError as error:
            if not error.unfed:
                raise
            return self._unfed(answer, error, page)
        dbg = opened.dbg
        about = _summary_of(opened.run, opened.graph)
        self._stand(answer, opened)
        answer.say("inputs:" if self._models.is_fed(model) else "inputs, of which those that no file gives are random:")
        for node in dbg.order:
            if node.op.is_placeholder:
                answer.data(self._line(opened, node))
        answer.say("layers:")
        answer.data(about.table(_WIDTH))
        answer.next("check", model=model)
        answer.next("find_nodes", model=model)
        return answer.text(page)

    def _unfed(self, answer: Answer, error: GraphnnError, page: int) -> str:
        """Return the layers of a model that cannot be run, and how to feed it."""
        model = answer.model
        answer.say("it has not run:")
        answer.data(error.account)
        answer.say('an .npz in the folder, with arrays by these names, feeds it: summary takes its name as "feed"')
        answer.say("layers:")
        answer.data(_summary_of(self._models.read(model)[0]).table(_WIDTH))
        files = self._folder.listing(ARRAYS[:1])
        for file in files[:2]:
            answer.next("summary", model=model, feed=file)
        if not files:
            answer.next("summary")
        return answer.text(page)

    def _files(self, answer: Answer, page: int) -> str:
        names = self._folder.listing(DATA)
        programs = self._folder.functions()
        arrays = self._folder.listing(ARRAYS)
        answer.say(f"{counted(len(names), 'model')} in files below the folder of the server:")
        answer.data("\n".join(map(shown, names)) or "none")
        if programs:
            answer.say("functions of Python files; one that builds a network is a model, too:")
            answer.data("\n".join(map(shown, programs)))
        if arrays:
            answer.say('files of arrays, which summary takes as "feed":')
            answer.data("\n".join(map(shown, arrays)))
        for name in [*names, *programs][:2]:
            answer.next("summary", model=name)
        if not names and not programs:
            answer.say("put a model there, and call summary again")
        return answer.text(page)

    def find_nodes(
        self, model: str, pattern: str = "", op: str = "", scope: str = "", bad: bool = False, page: int = 1
    ) -> str:
        """Return nodes by name, pattern, operation, scope or line; or those that hold NaN or infinity."""
        opened = self._models.opened(model)
        dbg = opened.dbg
        nodes = many(dbg.order, dbg.graph, pattern or None, op=op or None, scope=scope or None)
        if bad:
            nodes = [node for node in nodes if self._strange(opened, node) is not None]
        first = (page - 1) * _NODES
        if page < 1 or (first >= len(nodes) and page > 1):
            raise ValueRangeError(f"page {page} is asked for, and there are {max(-(-len(nodes) // _NODES), 1)}")
        answer = Answer("find_nodes", model=model)
        answer.say(f"{counted(len(nodes), 'node')}{' with NaN or inf' if bad else ''}, in the order of the run:")
        for node in nodes[first : first + _NODES]:
            answer.data(self._line(opened, node))
        if first + _NODES < len(nodes):
            more = {"pattern": pattern, "op": op, "scope": scope, "bad": bad}
            asked = {key: value for key, value in more.items() if value}
            answer.next("find_nodes", model=model, **asked, page=page + 1)
        shown_now = nodes[first : first + _NODES]
        strange = next(((node, at) for node in shown_now if (at := self._strange(opened, node)) is not None), None)
        if strange is not None:
            answer.next("why", model=model, node=self._element(opened, *strange))
        elif nodes:
            answer.next("value", model=model, node=self._name(opened, nodes[first]))
        else:
            answer.next("check", model=model)
        return answer.text()

    def value(self, model: str, node: str, page: int = 1) -> str:
        """Return statistics of a node's value, and its numbers, so many to a page."""
        opened = self._models.opened(model)
        asked, index = self._part(opened, node)
        if not opened.dbg[asked].known:
            return self._waits(opened, asked)
        whole = opened.dbg[asked].value
        value = whole if index is None else part_taken(whole, index)
        answer = Answer("value", model=model, node=node)
        answer.data(self._line(opened, asked))
        if value.size > 1:
            answer.say(_statistics(opened, asked, value, index is None))
        self._numbers(answer, asked, value, index, page)
        last = -(-value.size // _NUMBERS)
        if page < last:
            answer.next("value", model=model, node=node, page=page + 1)
        at = first_strange(whole)
        if at is not None:
            answer.next("why", model=model, node=self._element(opened, asked, at))
        elif index is not None:
            answer.next("value", model=model, node=self._name(opened, asked))
        elif whole.size and not is_bundle(asked):
            answer.next("why", model=model, node=self._element(opened, asked, (0,) * whole.ndim))
        return answer.text()

    def _numbers(self, answer: Answer, node: Node, value: Array, index: Any, page: int) -> None:
        pages = max(-(-value.size // _NUMBERS), 1)
        if not 1 <= page <= pages:
            raise ValueRangeError(f"page {page} is asked for, and there are {pages}")
        first = (page - 1) * _NUMBERS
        count = min(_NUMBERS, value.size - first)
        cells = np.unravel_index(np.arange(first, first + count), value.shape) if value.ndim else ()
        numbers = value[cells] if value.ndim else value.reshape(1)
        what = "numbers" if index is None else "numbers of that part, counted from its own beginning"
        answer.say(f"{what} {first} to {first + count - 1} of {value.size:,}, row by row:" if value.size else "empty")
        row: list[str] = []
        begins = 0
        for k, one in enumerate(numbers):
            row.append(number(one))
            ends = value.ndim > 0 and (first + k + 1) % value.shape[-1] == 0
            if ends or len(row) == 10 or k + 1 == count:
                at = np.unravel_index(first + begins, value.shape) if value.ndim else ()
                lead = f"[{', '.join(map(str, at))}] " if value.ndim > 0 else ""
                answer.say(f"  {lead}{', '.join(row)}")
                row, begins = [], k + 1

    def picture(self, model: str, node: str = "", radius: int = 2, form: str = "text", page: int = 1) -> str:
        """Return the graph around a node, or its layers: as text or as Mermaid."""
        drawn = self._drawn(model, node, radius)
        answer = Answer("picture", model=model, node=node, radius=radius if node else None, form=form)
        if form not in ("text", "mermaid"):
            raise UsageError(f'form is "text", "mermaid" or "png", not {shown(form)}')
        answer.data(drawn.text(_WIDTH) if form == "text" else drawn.mermaid())
        if node:
            answer.next("value", model=model, node=node)
            answer.next("picture", model=model, node=node, radius=radius + 2)
        else:
            answer.next("find_nodes", model=model)
        return answer.text(page)

    def png(self, model: str, node: str = "", radius: int = 2) -> bytes:
        """Return the same as a bitmap.

        Raises
        ------
        Refusal
            When it cannot be drawn, or is too large.
        """
        with self._lock, tempfile.TemporaryDirectory() as folder:
            try:
                file = self._drawn(model, node, radius).save(Path(folder, "picture.png"))
                data = Path(file).read_bytes()
            except GraphnnError as error:
                raise Refusal(self._refused("picture", error, {"model": model, "node": node})) from None
        if len(data) > _PIXELS:
            raise Refusal('error: that picture is too large: name a node, or ask with form "text"')
        return data

    def _drawn(self, model: str, node: str, radius: int) -> Any:
        opened = self._models.opened(model)
        if not 0 <= radius <= 20:
            raise ValueRangeError(f"radius is 0 to 20, not {radius}")
        fetches = opened.dbg.fetches
        if not node:
            return draw(fetches, "layer", graph=opened.graph)
        focus = self._part(opened, node)[0]
        values = {
            near: _short(opened.dbg[near].value)
            for near in _around(opened, focus, radius)
            if opened.dbg[near].known and not is_bundle(near)
        }
        return draw(fetches, focus=focus, radius=radius, overlay=values or None)

    # --- asking -----------------------------------------------------------------------------------------------

    def why(self, model: str, node: str = "", page: int = 1) -> str:
        """Return which numbers and which formula gave one number; without an index, its first NaN or infinity."""
        opened = self._models.opened(model)
        dbg = opened.dbg
        failed = dbg.failed
        asked, index = self._part(opened, node) if node else (failed or self._worst(opened), None)
        if asked is failed:
            return self._failure(opened, failed, page)
        if not dbg[asked].known:
            return self._waits(opened, asked)
        told = dbg.why(asked, index if index is not None else _first(dbg[asked].value))
        answer = Answer("why", model=model, node=node)
        answer.data(told.equation)
        for step in told.steps:
            answer.data(f"  where {step}")
        for read in list(dict.fromkeys(told.reads))[:_READS]:
            answer.data(f"  {str(read)[:1200]}")
        if told.origin.file:
            answer.data(f"  at {Path(told.origin.file).name}:{told.origin.line}: {(told.source or '').strip()}")
        bad = is_float(asked.dtype) and not math.isfinite(told.value)
        likely = _likeliest(told.reads, bad)
        if bad and (likely is None or math.isfinite(likely[2])):
            answer.say("cause: the number is not finite and what it was computed from is: it arose here")
            self._name_cause(answer, opened, asked)
        if likely is not None:
            answer.next("why", model=model, node=self._element(opened, likely[0], likely[1]))
        elif not told.reads:
            answer.say("it was given, not computed: look where it is made, or try another value with what_if")
        answer.next("value", model=model, node=self._name(opened, asked))
        return answer.text(page)

    def _name_cause(self, answer: Answer, opened: Opened, node: Node) -> None:
        if not opened.dbg.fits_memory:
            return
        for finding in check_health(opened.dbg.trace()).findings:
            if finding.node is node:
                self._say_finding(answer, finding)

    def _worst(self, opened: Opened) -> Node:
        """Return the first node that holds NaN or infinity; where none does, the first result."""
        bad = (node for node in opened.dbg.order if self._strange(opened, node) is not None)
        return next(bad, opened.dbg.fetches[0])

    def _failure(self, opened: Opened, node: Node, page: int) -> str:
        answer = Answer("why", model=opened.name)
        answer.say("that operation failed, so it has no value:")
        answer.data(opened.dbg.error)
        for operand in node.inputs:
            answer.data(self._line(opened, operand))
        answer.next("check", model=opened.name)
        return answer.text(page)

    def check(self, model: str, thorough: bool = False, page: int = 1) -> str:
        """Return what is wrong with the numbers of the run, why, and what to do."""
        opened = self._models.opened(model)
        health = check_health(opened.dbg.trace(), thorough=thorough)
        answer = Answer("check", model=model, thorough=thorough or None)
        findings = [*health.findings, *health.notes]
        answer.say(
            f"{counted(len(health.errors), 'error')}, {counted(len(health.warnings), 'warning')}, "
            f"{counted(len(health.notes), 'note')} in {counted(health.count, 'node')}"
        )
        for finding in findings:
            self._say_finding(answer, finding)
        self._say_coverage(answer, health)
        for finding in health.findings[:2]:
            node, spot = finding.node, opened.dbg[finding.node]
            if spot.known and finding.index is None and spot.value.size != 1:
                answer.next("value", model=model, node=self._name(opened, node))
            else:
                answer.next("why", model=model, node=self._element(opened, node, finding.index or ()))
        if not findings:
            if not thorough:
                answer.next("check", model=model, thorough=True)
            answer.next("summary", model=model)
        return answer.text(page)

    def _say_finding(self, answer: Answer, finding: Finding) -> None:
        """Say a fault in our own words, then with the names and numbers of the run."""
        says = CHECKS[finding.code].says if finding.code in CHECKS else _CODES[finding.severity]
        answer.say(f"cause: {finding.severity} {finding.code}: {says}")
        where = f"{Path(finding.origin.file).name}:{finding.origin.line}" if finding.origin.file else ""
        answer.data(f"  {finding.place}{f'  at {where}' if where else ''}")
        answer.data(f"  {finding.cause}")
        if finding.remedy:
            answer.data(f"  → {finding.remedy}")
        if finding.leads_to:
            first, more = finding.leads_to[0], len(finding.leads_to) - 1
            answer.data(f"  leads to {first.code} in {first.place}{f', and {more} more' if more else ''}")

    def _say_coverage(self, answer: Answer, health: Health) -> None:
        if health.checked:
            answer.say(f"checked: {', '.join(health.checked)}")
        for name, reason in health.unchecked.items():
            answer.data(f"not checked: {name} ({reason})")

    def compare(self, model: str, other: str = "", run: str = "", page: int = 1) -> str:
        """Return the first node at which two runs differ: of two models, or a what-if and the run before it."""
        opened = self._models.opened(model)
        dbg = opened.dbg
        answer = Answer("compare", model=model, other=other, run=run)
        if other:
            second = self._models.opened(other)
            fed = opened.feed or second.feed
            feed = None if isinstance(opened.run, Trace) and isinstance(second.run, Trace) else fed
            compared = compare_runs(opened.run, second.run, feed, second.feed or None, names=("a", "b"))
            answer.say(f"a is {shown(model)}, b is {shown(other)}")
        else:
            names = [name for name in dbg.runs if name != dbg.run]
            if not names:
                raise UsageError("there is one run of this model: name another model, or begin a what-if first")
            compared = dbg.compare(run or names[-1 if run else 0])
        answer.say("the runs agree" if compared.equal else "the runs differ")
        answer.data(compared.text(_WIDTH))
        first = compared.beyond_rounding or compared.first
        if first is not None and first.node in dbg.order and dbg[first.node].known:
            answer.next("why", model=model, node=self._element(opened, first.node, first.element or ()))
        answer.next("check", model=other or model)
        return answer.text(page)

    # --- moving -----------------------------------------------------------------------------------------------

    def step(self, model: str, count: int = 1, to: str = "") -> str:
        """Run operations: so many, or up to a node, to the next NaN or infinity ("nan"), or to the "end"."""
        opened = self._models.opened(model)
        dbg = opened.dbg
        if dbg.finished:
            raise UsageError("all operations have run: back goes back, by a count, to a node, or to the start")
        if not to:
            dbg.step(count)
        elif to == "end" and to not in dbg.graph:
            dbg.resume()
        elif to == "nan" and to not in dbg.graph:
            while not dbg.finished:
                dbg.step()
                if dbg.current is not None and self._strange(opened, dbg.current) is not None:
                    break
        else:
            dbg.until(self._part(opened, to)[0])
        return self._moved(opened, "step")

    def back(self, model: str, count: int = 1, to: str = "") -> str:
        """Go back: by so many operations, to just after a node, or to the "start"."""
        opened = self._models.opened(model)
        if not to:
            opened.dbg.back(count)
        elif to == "start" and to not in opened.graph:
            opened.dbg.goto(0)
        else:
            opened.dbg.goto(self._part(opened, to)[0])
        return self._moved(opened, "back")

    def _moved(self, opened: Opened, tool: str) -> str:
        dbg = opened.dbg
        answer = Answer(tool, model=opened.name)
        self._stand(answer, opened)
        current = dbg.current
        if current is not None:
            answer.data(self._line(opened, current))
            for operand in current.inputs[:_READS]:
                answer.data(f"  of {self._line(opened, operand)}")
            strange = self._strange(opened, current)
            if strange is not None:
                answer.next("why", model=opened.name, node=self._element(opened, current, strange))
        if dbg.next is not None:
            answer.data(f"next is {self._line(opened, dbg.next)}")
            answer.next("step", model=opened.name)
        answer.next("back", model=opened.name)
        return answer.text()

    def what_if(
        self,
        model: str,
        node: str = "",
        value: float | str | list[Any] | None = None,
        attribute: str = "",
        run: str = "",
    ) -> str:
        """Give a node, one of its numbers or an attribute another value, and run what depends on it anew.

        The file stays as it is. Without a node, go to a run that was kept: "run" is the first.
        """
        opened = self._models.opened(model)
        dbg = opened.dbg
        if not node:
            dbg.use(run or "run")
            return self._moved(opened, "what_if")
        if value is None:
            raise UsageError("a what-if needs a value: a number, or nested lists of numbers")
        asked, index = self._part(opened, node)
        ends = [end for end in dbg.fetches if end not in dbg.updates.values()] or dbg.fetches
        before = {end: in_short(dbg[end].value) for end in ends[:4] if dbg[end].known}
        opened.heard.clear()
        if attribute:
            dbg.what_if(asked, **{attribute: literal_of(value)})
        elif index is not None:
            dbg[asked][index] = as_array(literal_of(value), "the value")
        else:
            dbg.what_if(asked, fitted(asked, literal_of(value)))
        self._forget_runs(opened)
        answer = Answer("what_if", model=model)
        answer.data("\n".join(opened.heard))
        for end, was in before.items():
            now = in_short(dbg[end].value) if dbg[end].known else "not computed yet"
            answer.data(f"{self._called(opened, end)}: {was} before, {now} now")
        answer.say('the run before is kept: what_if with run "run" and no node goes back to it')
        answer.next("compare", model=model)
        answer.next("check", model=model)
        answer.next("what_if", model=model, run="run")
        return answer.text()

    def _forget_runs(self, opened: Opened) -> None:
        kept = [name for name in opened.dbg.runs if name not in ("run", opened.dbg.run)]
        for name in kept[: max(len(kept) - _RUNS, 0)]:
            opened.dbg.drop(name)

    # --- what answers are made of -----------------------------------------------------------------------------

    def _stand(self, answer: Answer, opened: Opened) -> None:
        dbg = opened.dbg
        count = len(dbg.operations)
        ran = f"all {count} operations have run" if dbg.finished else f"{dbg.position} of {count} operations have run"
        answer.say(f"model {shown(opened.name)}, graph {shown(opened.graph.name)}: {ran}; run {shown(dbg.run)}")
        if dbg.error:
            answer.say("it stopped:")
            answer.data(dbg.error)
        if opened.heard:
            answer.data("\n".join(opened.heard[-8:]))
            opened.heard.clear()

    def _waits(self, opened: Opened, node: Node) -> str:
        answer = Answer("value", model=opened.name)
        answer.data(self._line(opened, node))
        answer.say("it has no value yet")
        if opened.dbg.error:
            answer.say("the run stopped before it:")
            answer.data(opened.dbg.error)
            answer.next("check", model=opened.name)
        else:
            answer.next("step", model=opened.name, to=self._name(opened, node))
        return answer.text()

    def _line(self, opened: Opened, node: Node) -> str:
        """Return a node on one line: its name, what it is, its value in short."""
        spot = opened.dbg[node]
        at = f" at {Path(node.origin.file).name}:{node.origin.line}" if node.origin.file else ""
        if not spot.known:
            what = f"{shape_text(node.shape)} {node.dtype}: {spot.state}"
        elif is_bundle(node):
            what = "several values"
        else:
            what = f"{by_times(spot.value.shape)} {spot.value.dtype} = {_short(spot.value)}"
        return f"{self._called(opened, node)} {node.op.name} {what}{at}"

    def _called(self, opened: Opened, node: Node) -> str:
        name = self._name(opened, node)
        return shown(node.name) if name == node.name else f"{shown(node.name)} ({name})"

    def _name(self, opened: Opened, node: Node) -> str:
        """Return by what a client names a node: its name; its number, where that is long or cannot be seen."""
        name = node.name
        if len(name) <= _LONGEST_NAME and name.isprintable():
            return name
        return f"#{opened.places[node]}"

    def _element(self, opened: Opened, node: Node, index: Sequence[int]) -> str:
        name = self._name(opened, node)
        return f"{name}[{', '.join(map(str, index))}]" if len(index) else name

    def _part(self, opened: Opened, text: str) -> tuple[Node, Any]:
        """Return the node that a text names, and the index in it, or None."""
        dbg = opened.dbg
        name, inside = text, ""
        if text.endswith("]") and text not in dbg.graph:
            name, inside = split_index(text, dbg.graph)
            if not name:
                name, bracket, rest = text.partition("[")
                inside = rest[:-1] if bracket else ""
        if name.startswith("#") and name[1:].isdecimal() and name not in dbg.graph:
            rank = int(name[1:9])
            if rank >= len(dbg.order):
                raise NotFoundError(f"nodes are #0 to #{len(dbg.order) - 1}, not {shown(name)}")
            node = dbg.order[rank]
        else:
            node = dbg.node(name)
        return node, (index_in(inside) if inside.strip() else None)

    def _strange(self, opened: Opened, node: Node) -> tuple[int, ...] | None:
        """Return where a node's value is NaN or infinite; None where it is not, or is not known."""
        spot = opened.dbg[node]
        return first_strange(spot.value) if spot.known and not is_bundle(node) else None


def _summary_of(run: Any, graph: Graph | None = None) -> Summary:
    return summary(run.fetches if isinstance(run, Trace) else run, graph=graph)


def _around(opened: Opened, node: Node, radius: int) -> list[Node]:
    """Return the nodes of a run that are at most so many edges from one, the nearest first; of many, the first."""
    near = {node: None}
    edge = [node]
    for _ in range(radius):
        others = [other for one in edge for other in (*one.inputs, *opened.dbg.users(one)) if other in opened.places]
        edge = [other for other in dict.fromkeys(others) if other not in near][: _DRAWN - len(near)]
        near.update(dict.fromkeys(edge))
    return list(near)


def _short(value: Array) -> str:
    """Return a value in short; of a large one, what a sample of it is like."""
    return in_short(value) if value.size <= _LARGE else f"{in_short(preview_of(value, _LARGE // 10))} (of a sample)"


def _statistics(opened: Opened, node: Node, value: Array, whole: bool) -> str:
    if value.dtype.kind == "c":
        return in_short(value)
    stats = opened.dbg[node].stats if whole else None
    if stats is None:
        return in_short(value)
    kinds = {"zeros": stats.zeros, "NaN": stats.nans, "inf": stats.posinfs, "-inf": stats.neginfs}
    counts = ", ".join(f"{count:,} {name}" for name, count in kinds.items() if count)
    spread = f"min {number(stats.min)}, mean {number(stats.mean)}, max {number(stats.max)}, std {number(stats.std)}"
    return f"{spread}; {stats.size:,} numbers{f', of which {counts}' if counts else ''}"


def _first(value: Array) -> tuple[int, ...]:
    """Return the element that is meant where none is named: the first that is not finite, or else the first."""
    strange = first_strange(value)
    return (0,) * value.ndim if strange is None else strange


def _likeliest(reads: Sequence[Read], bad: bool) -> tuple[Node, tuple[int, ...], float] | None:
    """Return the number to ask about next: the first NaN, the first infinity, else the first that was computed."""
    cells = [
        (read, at, float(value))
        for read in reads
        for at, value in zip(read.indices, read.values, strict=False)
        if not isinstance(value, complex)
    ]
    for kind in (math.isnan, math.isinf) if bad else ():
        strange = next(((read.node, at, value) for read, at, value in cells if kind(value)), None)
        if strange is not None:
            return strange
    return next(((read.node, at, value) for read, at, value in cells if not read.given), None)
