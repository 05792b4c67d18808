"""The page: what it knows of a run, as data, and the one file that template, script and style make with it."""

from __future__ import annotations

import base64
import html
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import GraphnnError
from ...execute.interpreter import evaluate, prepare
from ...graph import Array, Constant, Node, Op, Parameter, Placeholder
from ...inspector.compare import Comparison, compare
from ...inspector.health import check_health
from ...inspector.trace import Beside, Film, Trace
from ...show import Shown, show_as
from ..fold import Detail, picture
from ..plain import plain_svg
from ..text import by_times, counted, in_bytes, number, visible
from .keeping import ROOM, ROOM_A_NODE, Values, axes_kept, tier_for
from .reading import Reader, Rule

_PHASES = ("forward", "backward", "update")
MOST_BOXES = 3500
"""What is more is drawn folded only."""
_MOST_FOLDED = 5000
_MOST_FINDINGS = 200
_FRAME = "width:100%;height:760px;border:1px solid #80868b;border-radius:4px"
_GRID, _MOST_CLASSES = 24, 12


class Page(Shown):
    """A run to be replayed in a browser: one file of HTML, which asks for nothing and sends nothing.

    Made by ``trace.to_html()``, ``film.to_html()`` and ``dbg.to_html()``. A notebook shows it in a frame of its own.

    Attributes
    ----------
    data : dict
        What the page knows, but for the arrays.
    """

    def __init__(self, title: str, data: dict[str, Any], block: bytes) -> None:
        self.title = title
        self.data = data
        self._block = block

    @cached_property
    def html(self) -> str:
        """The text of the file."""
        text = json.dumps(self.data, allow_nan=False, separators=(",", ":"), ensure_ascii=True).encode()
        text += b" " * (-(len(text) + 8) % 8)
        packed = zlib.compress(len(text).to_bytes(8, "little") + text + self._block, 6)
        return _filled(
            _part("template.html"),
            {
                "title": html.escape(f"{visible(self.title)} — replay"),
                "policy": _policy(),
                "style": _part("style.css"),
                "script": _part("script.js"),
                "data": base64.b64encode(packed).decode(),
            },
        )

    def save(self, path: str | Path) -> Path:
        """Write the file.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
        """
        path = Path(path)
        path.write_text(self.html, encoding="utf-8", newline="\n")
        return path

    def __repr__(self) -> str:
        nodes, runs = len(self.data["nodes"]["name"]), len(self.data["runs"])
        of_runs = f", {runs} runs" * (runs > 1)
        return f'<Page of "{visible(self.title)}": {counted(nodes, "node")}{of_runs}, {in_bytes(len(self.html))}>'


@show_as(Page, "text/html")
def _in_a_frame(page: Page) -> str:
    # Without allow-same-origin: what runs in it can reach nothing of the notebook.
    title = html.escape(f"Replay of {visible(page.title)}")
    return (
        f'<iframe sandbox="allow-scripts" title="{title}" style="{_FRAME}" srcdoc="{html.escape(page.html)}"></iframe>'
    )


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _policy() -> str:
    """Return the page's policy: nothing is loaded from anywhere, and what runs is the script of this package."""
    script, style = (
        f"'sha256-{base64.b64encode(sha256(_part(name).encode()).digest()).decode()}'"
        for name in ("script.js", "style.css")
    )
    return f"default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'"


def _filled(template: str, parts: Mapping[str, str]) -> str:
    pieces = template.split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


# --- what is shown ------------------------------------------------------------------------------------------------


@show_as(Trace, "replay")
def page_of_trace(trace: Trace) -> Page:
    """Return the page of one run."""
    maker = _Maker(trace, [trace], [""])
    return maker.page("run")


@show_as(Film, "replay")
def page_of_film(film: Film) -> Page:
    """Return the page of several steps of training, with a slider over them.

    Raises
    ------
    UsageError
        When nothing was recorded.
    """
    traces = list(film)
    maker = _Maker(traces[0], traces, [f"call {call}" for call in film.calls])
    maker.data["boundary"] = _boundary(traces)
    return maker.page("film")


@show_as(Beside, "replay")
def page_of_pair(pair: Beside) -> Page:
    """Return the page of two runs, side by side."""
    found = compare(pair.a, pair.b)
    partner = {node: other for node, other in found.pairs if other is not None}
    names = [f"{letter} ({name})" for letter, name in zip("ab", pair.names, strict=True)]  # as `compare` calls them
    maker = _Maker(pair.a, [pair.a, pair.b], names, partner)
    maker.data["pair"] = _told(found, pair, maker)
    return maker.page("pair")


class _Maker:
    """Gathers what a page knows."""

    def __init__(
        self, first: Trace, traces: Sequence[Trace], labels: Sequence[str], partner: Mapping[Node, Node] | None = None
    ) -> None:
        self.first, self.traces, self.labels, self.partner = first, traces, labels, partner
        self.place_of = {node: place for place, node in enumerate(first.order)}
        self.values = Values()
        self.reader = Reader(self.values.store)
        self.dim = _batch_dimension(first)
        self.data: dict[str, Any] = {}
        self._rules: dict[str, int] = {}
        self._rule_texts: list[list[Rule]] = []

    def page(self, kind: str) -> Page:
        first = self.first
        self.data |= {
            "kind": kind,
            "graph": visible(first.graph.name),
            "nodes": self._nodes(),
            "files": [[visible(_short(file)), lines] for file, lines in self._files().items()],
            "dim": self.dim,
            "outputs": self._outputs(),
            "views": _views(first),
        }
        self.data["runs"] = self._runs()
        self.data["findings"] = _findings(self)
        self.data["opening"] = _opening(self)
        self.data |= {"rules": self._rule_texts, "values": self.values.told, "arrays": self.values.arrays}
        return Page(first.graph.name, self.data, bytes(self.values.block))

    # --- the graph --------------------------------------------------------------------------------------------

    def _nodes(self) -> dict[str, list[Any]]:
        files = {file: number for number, file in enumerate(self._files())}
        place, sizes = self.place_of, self.first.prepared.sizes
        gradients = _gradients(self.first)
        columns: dict[str, list[Any]] = {
            key: []
            for key in (
                "name",
                "op",
                "inputs",
                "shape",
                "dtype",
                "phase",
                "kind",
                "settings",
                "formula",
                "file",
                "line",
                "where",
                "twin",
                "gradient",
            )
        }
        for node in self.first.order:
            op = self.first.prepared.altered.get(node, node.op)
            row = {
                "name": visible(node.name),
                "op": visible(node.op.name),
                "inputs": [place[operand] for operand in node.inputs],
                "shape": [str(dim) for dim in node.shape],
                "dtype": node.dtype.name,
                "phase": _PHASES.index(node.phase),
                "kind": _kind(node),
                "settings": _settings(op, sizes),
                "formula": op.formula if op.equation is None else op.equation,
                "file": files.get(node.origin.file, -1),
                "line": node.origin.line,
                "where": visible(str(node.origin)) if node.origin.file else "",
                "twin": place.get(node.twin, -1) if node.twin is not None else -1,
                "gradient": place.get(gradients[node], -1) if node in gradients else -1,
            }
            for key, column in columns.items():
                column.append(row[key])
        return columns

    def _files(self) -> dict[str, dict[int, str]]:
        return {
            file: {line: visible(text.expandtabs(4)) for line, text in lines.items()}
            for file, lines in self.first.sources.items()
        }

    def _outputs(self) -> list[list[Any]]:
        """Return what was asked for, with its names."""
        named: dict[Node, str] = {node: name for name, node in self.first.graph.outputs.items()}
        asked = dict.fromkeys([*named, *self.first.fetches])
        return [[visible(named.get(node, node.name)), self.place_of[node]] for node in asked if node in self.place_of]

    # --- the runs ---------------------------------------------------------------------------------------------

    def _runs(self) -> list[dict[str, Any]]:
        matched = [[self._record(trace, node, i) for node in self.first.order] for i, trace in enumerate(self.traces)]
        sizes = {}
        for records in matched:
            for record in records:
                if record is not None:
                    kept = record.value if record.kept else record.preview
                    sizes[id(kept)] = (kept.size, kept.itemsize)
        room = max(ROOM, ROOM_A_NODE * len(self.first.order))
        self.tier = tier_for(list(sizes.values()), room)
        return [
            self._run(i, trace, records) for i, (trace, records) in enumerate(zip(self.traces, matched, strict=True))
        ]

    def _record(self, trace: Trace, node: Node, i: int) -> Any:
        if i and self.partner is not None:
            other = self.partner.get(node)
            return trace[other] if other is not None else None
        place = self.place_of[node]
        return trace.records[place] if place < len(trace) else None

    def _run(self, i: int, trace: Trace, records: Sequence[Any]) -> dict[str, Any]:
        values = [-1 if record is None else self.values.add(record, self._axes(record)) for record in records]
        rules = [self._rules_of(trace, record, value) for record, value in zip(records, values, strict=True)]
        failed = trace.order[trace.stopped] if trace.stopped is not None else None
        return {
            "label": visible(self.labels[i]),
            "values": values,
            "rules": rules,
            "times": [0 if record is None else round(record.time * 1e9) for record in records],
            "stopped": self.place_of.get(failed, -1) if failed is not None else -1,
            "error": visible(trace.error),
            "set": self._set(trace, i),
        }

    def _axes(self, record: Any) -> list[list[int]] | None:
        node = record.node
        batch = node.shape.index(self.dim) if self.dim is not None and self.dim in node.shape else None
        return axes_kept(record.shape, batch, self.tier)

    def _set(self, trace: Trace, i: int) -> dict[str, Any]:
        """Return what was set by hand in a run: nodes with a value not their own, or with other settings."""
        found: dict[str, Any] = {}
        prepared = trace.prepared
        for place, node in enumerate(self.first.order):
            own = node if not i or self.partner is None else self.partner.get(node, node)
            if own.inputs and own in prepared.given:
                found[str(place)] = {"given": visible(f"set in {self.labels[i] or 'this run'}")}
            elif own in prepared.altered:
                op = prepared.altered[own]
                found[str(place)] = {"settings": _settings(op, prepared.sizes)}
        return found

    def _rules_of(self, trace: Trace, record: Any, value: int) -> int:
        if record is None or _kind(record.node) or record.node in trace.prepared.given:
            return -1
        operands = [trace.records[trace._places[operand]] for operand in record.node.inputs]
        if not all(operand.kept for operand in operands):
            return -1
        prepared = trace.prepared
        op = prepared.altered.get(record.node, record.node.op).bound(prepared.sizes)
        rules = self.reader.rules(
            op, record.shape, [operand.value for operand in operands], lambda: self.values.places(value)
        )
        text = json.dumps(rules)
        if text not in self._rules:
            self._rules[text] = len(self._rule_texts)
            self._rule_texts.append(rules)
        return self._rules[text]


def _settings(op: Op, sizes: Mapping[str, int]) -> dict[str, str]:
    return {key: visible(str(value)) for key, value in op.bound(sizes).attributes.items()}


def _kind(node: Node) -> str:
    """Return what a node is whose value is not computed."""
    if isinstance(node.op, Placeholder):
        return "fed"
    return {Parameter: "a parameter", Constant: "a constant"}.get(type(node.op), "")


def _short(file: str) -> str:
    """Return the name of a file without its folders: a page may be sent to anyone."""
    return Path(file.replace("\\", "/")).name


def _batch_dimension(trace: Trace) -> str | None:
    """Return the name of the dimension along which samples lie: the first one of what is fed."""
    for node in trace.prepared.program.placeholders:
        if node.shape and isinstance(node.shape[0], str):
            return node.shape[0]
    return None


def _gradients(trace: Trace) -> dict[Node, Node]:
    """Return the cotangent of each node that has one in this run, as far as the graph remembers."""
    order = set(trace.order)
    found: dict[Node, Node] = {}
    for memory in trace.graph.caches.get("grad", {}).values():
        found |= {node: whole for node, whole in memory.whole.items() if node in order and whole in order}
    return found


# --- the picture --------------------------------------------------------------------------------------------------


def _views(trace: Trace) -> list[dict[str, Any]]:
    """Return the picture, with the layers folded and with every operation, as far as it is quickly shown."""
    place_of = {node: place for place, node in enumerate(trace.order)}
    views: list[dict[str, Any]] = []
    details: list[tuple[str, Detail]] = [("operations", "op"), ("layers", "layer")]
    for label, detail in details:
        seen = picture(trace.fetches, detail)
        if len(seen.boxes) > (MOST_BOXES if detail == "op" else _MOST_FOLDED):
            continue
        if views and len(seen.boxes) == len(views[-1]["boxes"]):
            continue  # nothing is folded
        boxes = [[place_of[node] for node in box.nodes] for box in seen.boxes]
        svg = plain_svg(seen, None, sideways=False)
        titles = [visible(box.scope.path if box.scope is not None else box.node.name) for box in seen.boxes]
        views.append({"label": label, "boxes": boxes, "titles": titles, "svg": svg[svg.index("<svg") :]})
    return views[::-1]


# --- findings, and what it opens on -------------------------------------------------------------------------------


def _findings(maker: _Maker) -> list[dict[str, Any]]:
    """Return what the health check finds in the first run."""
    try:
        health = check_health(maker.first)
    except GraphnnError:
        return []  # an operation that is not defined here: it can be looked at, and not computed
    found = []
    for finding in list(health)[:_MOST_FINDINGS]:
        shape = maker.first.prepared.shape_of(finding.node)
        place = int(np.ravel_multi_index(finding.index, shape)) if finding.index else 0
        found.append(
            {
                "place": maker.place_of[finding.node],
                "cell": place if finding.index is not None else -1,
                "severity": finding.severity,
                "code": finding.code,
                "says": visible(finding.sentence),
            }
        )
    return found


def _opening(maker: _Maker) -> dict[str, Any]:
    """Return where the page opens, and what it says."""
    trace, findings, pair = maker.first, maker.data["findings"], maker.data.get("pair")
    if pair is not None and pair["first"] >= 0:
        return {"place": pair["first"], "cell": pair["cell"], "says": pair["says"]}
    if findings:
        first = findings[0]
        name = visible(trace.order[first["place"]].name)
        return {"place": first["place"], "cell": first["cell"], "says": f"{name}: {first['says']}"}
    outputs = [(name, place) for name, place in maker.data["outputs"] if 0 <= place < len(trace)]
    if not outputs:
        said = visible(trace.error.partition("\n")[0]) or f"{counted(len(trace), 'node')} ran."
        return {"place": max(len(trace) - 1, 0), "cell": -1, "says": said}
    scalars = [each for each in outputs if trace.records[each[1]].shape == ()]
    name, place = (scalars or outputs)[0]
    record = trace.records[place]
    if record.shape or not record.kept:
        stats = record.stats
        spread = f"from {number(stats.min)} to {number(stats.max)}" if math.isfinite(stats.min) else "no finite number"
        said = f"{name} is {by_times(record.shape)}, {spread}."
    else:
        said = _guessing(trace, record.node) or f"{number(record.value.item())}."
        said = f"{name} = {said}"
    if pair is not None:
        said = f"{pair['says']} {said}"
    return {"place": place, "cell": -1, "says": said}


def _guessing(trace: Trace, loss: Node) -> str:
    """Return that a network is guessing, if its loss is that of one that gives every class the same chance."""
    value = float(trace[loss].value)
    scope = trace.graph.scopes.get(loss.scope)
    if scope is None or "crossentropy" not in scope.kind or not math.isfinite(value):
        return ""
    inside = [node for node in trace.order if node.scope == loss.scope and node.phase == "forward"]
    read = [operand for node in inside for operand in node.inputs if operand not in inside and operand.ndim > 1]
    given = next((trace[operand] for operand in read if isinstance(operand.op, Op) and trace[operand].kept), None)
    if given is None or given.dtype.kind != "f" or given.shape[-1] < 2 or not given.value.size:
        return ""
    classes = given.shape[-1]
    # Chances or logits: those of a network that guesses are alike in every row.
    apart = np.ptp(given.value, axis=-1).max()
    alike = apart <= 0.1 / classes if "softmax" not in scope.kind else apart <= 0.1
    if alike and abs(value - math.log(classes)) <= 0.01 * math.log(classes):
        return f"{value:.5g} ≈ ln {classes}: the network is guessing."
    return ""


# --- two runs -----------------------------------------------------------------------------------------------------


def _told(found: Comparison, pair: Beside, maker: _Maker) -> dict[str, Any]:
    """Return where two runs part, and what was not recomputed."""
    first = found.first
    differing = {difference.node for difference in found.differences}
    told: dict[str, Any] = {
        "first": -1,
        "cell": -1,
        "says": f"{pair.names[0]} and {pair.names[1]} are equal.",
        "differing": sorted(maker.place_of[node] for node in differing),
        "recomputed": None,
    }
    if pair.recomputed is not None:
        told["recomputed"] = sorted(maker.place_of[node] for node in pair.recomputed)
    if first is not None:
        told["first"] = maker.place_of[first.node]
        if first.element:
            told["cell"] = int(np.ravel_multi_index(first.element, pair.a[first.node].shape))
        told["says"] = f"They part at {first.node.name}: {first.cause}."
    if pair.recomputed is not None:
        operations = sum(forward is not None for forward in pair.a.prepared.binding.forwards)
        told["says"] += f" {len(pair.recomputed)} of {operations} recomputed."
    told["says"] = visible(told["says"])
    return told


# --- the boundary between classes ---------------------------------------------------------------------------------


def _boundary(traces: Sequence[Trace]) -> dict[str, Any] | None:
    """Return which class a network sees where, a picture a step; None of what has not two numbers a sample."""
    first = traces[0]
    found = _classifier(first)
    if found is None:
        return None
    x, scores = found
    points = first[x].value.astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        return None
    margin = (high - low) * 0.1
    ticks = [np.linspace(a, b, _GRID) for a, b in zip(low - margin, high + margin, strict=True)]
    grid = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2).astype(x.dtype)
    try:
        pictures = ["".join(map(chr, 48 + _classes(trace, x, scores, grid))) for trace in traces]
    except GraphnnError:
        return None
    return {
        "x": visible(x.name),
        "scores": visible(scores.name),
        "ends": [float(end) for pair in zip(low - margin, high + margin, strict=True) for end in pair],
        "grid": _GRID,
        "classes": pictures,
        "points": [[round(float(a), 4), round(float(b), 4)] for a, b in points[:400]],
    }


def _classifier(trace: Trace) -> tuple[Node, Node] | None:
    """Return what is fed with two numbers a sample, and the last that the network makes of it alone."""
    given = [n for n in trace.prepared.program.placeholders if n.ndim == 2 and n.shape[1] == 2 and n.dtype.kind == "f"]
    if len(given) != 1:
        return None
    x = given[0]
    scores, of_x = None, {x}
    others: set[Node] = set()
    for node in trace.order:
        if (isinstance(node.op, Placeholder) and node is not x) or any(operand in others for operand in node.inputs):
            others.add(node)
        elif any(operand in of_x for operand in node.inputs) and node.phase == "forward":
            of_x.add(node)
            last = node.shape[-1] if node.ndim == 2 and node.dtype.kind == "f" else 0
            scope = trace.graph.scopes.get(node.scope)
            in_loss = scope is not None and "crossentropy" in scope.kind
            if node.shape[:1] == x.shape[:1] and isinstance(last, int) and 2 <= last <= _MOST_CLASSES and not in_loss:
                scores = node
    return None if scores is None else (x, scores)


def _classes(trace: Trace, x: Node, scores: Node, grid: Array) -> Array:
    prepared = prepare(trace.graph, [scores], {x: grid})
    given = {node: trace.prepared.given.get(node, value) for node, value in prepared.given.items() if node is not x}
    prepared = prepared._replace(given=prepared.given | given)
    *_, last = evaluate(prepared)
    return np.asarray(np.argmax(last.value, axis=-1))
