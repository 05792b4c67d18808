"""The page: what it knows of a run, as data, and the one file that template, script and style make with it."""

from __future__ import annotations

import base64
import html
import json
import math
import zlib
from collections.abc import Hashable, Mapping, Sequence
from functools import cache, cached_property
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...container import path_of
from ...errors import GraphnnError
from ...execute.interpreter import evaluate, prepare
from ...graph import Array, Node, Op, Placeholder
from ...graph.collector import collector_paused
from ...inspector.compare import compare
from ...inspector.health import check_health
from ...inspector.health.training import beside_guessing
from ...inspector.trace import Beside, Film, Trace
from ...inspector.why import given_as
from ...show import Shown, show_as
from ..diagram.fold import Detail, Picture, picture
from ..diagram.plain import plain_svg
from ..diagram.repeats import repeated
from ..text import by_times, counted, in_bytes, number, visible
from .keeping import ROOM, ROOM_A_NODE, Values, axes_kept, chosen, tier_for
from .reading import Reader, Rule, by_shapes

if TYPE_CHECKING:
    from ...inspector.compare.differences import Comparison

_PHASES = ("forward", "backward", "update")
_SCRIPT = ("data", "words", "heatmap", "operation", "diagram", "overlays", "timeline", "page")
MOST_BOXES = 3500
"""A picture of more boxes than that is too slow to be looked at."""
_VIEWS: list[tuple[str, Detail, bool]] = [
    ("operations", "op", False),
    ("layers", "layer", False),
    ("repeats as one", "layer", True),
    ("outer scopes", 0, True),
]
_FEW_BOXES = 60  # fewer need not be folded further
_MOST_OPENED = 40  # layers, each of which can be opened in the picture of the others
_MOST_FINDINGS = 200
_MOST_ROWS = 8  # samples that are kept since something was found in them
_FRAME = "width:100%;height:760px;border:1px solid #80868b;border-radius:4px"
_GRID, _MOST_CLASSES, _MOST_POINTS = 32, 12, 600


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
                "script": _script(),
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
        path = path_of(path)
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


def _script() -> str:
    return "\n".join(['"use strict";\n', *(_part(f"script/{name}.js") for name in _SCRIPT)])


def _policy() -> str:
    """Return the page's policy: nothing is loaded from anywhere, and what runs is the script of this package."""
    script, style = (
        f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
        for text in (_script(), _part("style.css"))
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
    found = compare(pair.a, pair.b, names=pair.names)
    partner = {node: other for node, other in found.pairs if other is not None}
    names = [f"{letter} ({name})" for letter, name in zip("ab", pair.names, strict=True)]  # as `compare` calls them
    maker = _Maker(pair.a, [pair.a, pair.b], names, partner)
    maker.data["outputs"] = maker.outputs()
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
        self._rules_by_shapes: dict[Hashable, int] = {}
        self._rule_texts: list[list[Rule]] = []

    def page(self, kind: str) -> Page:
        with collector_paused():
            return self._page(kind)

    def _page(self, kind: str) -> Page:
        first = self.first
        self.data |= {
            "kind": kind,
            "graph": visible(first.graph.name),
            "nodes": self._nodes(),
            "files": [[visible(_short(file)), lines] for file, lines in self._files().items()],
            "dim": self.dim,
            "outputs": self.outputs(),
            "loss": _differentiated(first),
            "views": _views(first, self.place_of),
        }
        self.data["runs"] = self._runs()
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
            op = self.first.prepared.declared_op_of(node)
            row = {
                "name": visible(node.title),
                "op": visible(node.op.name),
                "inputs": [place[operand] for operand in node.inputs],
                "shape": [str(dim) for dim in node.shape],
                "dtype": node.dtype.name,
                "phase": _PHASES.index(node.phase),
                "kind": given_as(node),
                "settings": _settings(op, sizes),
                "formula": op.template,
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
            file: {line: _visible(text.expandtabs(4)) for line, text in lines.items()}
            for file, lines in self.first.sources.items()
        }

    def outputs(self) -> list[list[Any]]:
        """Return what was asked for, with its names."""
        named: dict[Node, str] = {node: name for name, node in self.first.graph.outputs.items()}
        asked = dict.fromkeys([*named, *self.first.fetches])
        return [[visible(named.get(node, node.title)), self.place_of[node]] for node in asked if node in self.place_of]

    # --- the runs ---------------------------------------------------------------------------------------------

    def _runs(self) -> list[dict[str, Any]]:
        findings = [self._findings(trace, i) for i, trace in enumerate(self.traces)]
        self.rows = self._rows_of(findings)
        matched = [[self._record(trace, node, i) for node in self.first.order] for i, trace in enumerate(self.traces)]
        distinct = {id(record._kept): record for records in matched for record in records if record is not None}
        sizes = [(record.shape, self._batch(record), record.dtype.itemsize) for record in distinct.values()]
        self.tier = tier_for(sizes, max(ROOM, ROOM_A_NODE * len(self.first.order)))
        return [
            self._run(i, trace, records) | {"findings": found}
            for i, (trace, records, found) in enumerate(zip(self.traces, matched, findings, strict=True))
        ]

    def _rows_of(self, findings: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
        """Return the samples that the first findings of each run are of."""
        rows = dict.fromkeys(finding["row"] for found in findings for finding in found[:_MOST_ROWS])
        return [row for row in rows if row >= 0][:_MOST_ROWS]

    def _own(self, node: Node, i: int) -> Node | None:
        """Return what a node of the first run is in another one."""
        return node if not i or self.partner is None else self.partner.get(node)

    def _record(self, trace: Trace, node: Node, i: int) -> Any:
        own = self._own(node, i)
        place = len(trace) if own is None else trace._places[own]
        return trace.records[place] if place < len(trace) else None

    def _run(self, i: int, trace: Trace, records: Sequence[Any]) -> dict[str, Any]:
        values = [-1 if record is None else self._value(record) for record in records]
        rules = [self._rules_of(trace, record, value) for record, value in zip(records, values, strict=True)]
        failed = trace.order[trace.stopped] if trace.stopped is not None else None
        stopped = next((place for node, place in self.place_of.items() if self._own(node, i) is failed), -1)
        return {
            "label": _visible(self.labels[i]),
            "values": values,
            "rules": rules,
            "times": [0 if record is None else round(record.time * 1e9) for record in records],
            "stopped": -1 if failed is None else stopped,
            "error": _visible(trace.error),
            "set": self._set(trace, i),
        }

    def _value(self, record: Any) -> int:
        batch = self._batch(record)
        return self.values.add(record, axes_kept(record.shape, batch, self.tier, self.rows), batch)

    def _batch(self, record: Any) -> int | None:
        """Return the axis of a value along which samples lie."""
        shape = record.node.shape
        return shape.index(self.dim) if self.dim is not None and self.dim in shape else None

    def _set(self, trace: Trace, i: int) -> dict[str, Any]:
        """Return what was set by hand in a run: nodes with a value not their own, or with other settings."""
        found: dict[str, Any] = {}
        overridden = trace.prepared.overridden
        for place, node in enumerate(self.first.order):
            own = self._own(node, i)
            if own is None or own not in overridden:
                continue
            if (op := overridden[own]) is None:
                label = self.labels[i]
                found[str(place)] = {"given": visible(f"set in {label}") if label else "set by hand"}
            else:
                found[str(place)] = {"settings": _settings(op, trace.prepared.sizes), "formula": op.template}
        return found

    def _findings(self, trace: Trace, i: int) -> list[dict[str, Any]]:
        """Return what the health check finds in a run."""
        try:
            health = check_health(trace)
        except GraphnnError:
            return []  # an operation that is not defined here: it can be looked at, and not computed
        place_of = {self._own(node, i): place for node, place in self.place_of.items()}
        found = []
        for finding in list(health)[:_MOST_FINDINGS]:
            node, index = finding.node, finding.index
            if node not in place_of:
                continue
            sampled = index is not None and self.dim in node.shape
            found.append(
                {
                    "place": place_of[node],
                    "cell": -1 if index is None else int(np.ravel_multi_index(index, trace.prepared.shape_of(node))),
                    "row": index[node.shape.index(self.dim)] if index is not None and sampled else -1,
                    "severity": finding.severity,
                    "code": finding.code,
                    "says": visible(finding.sentence),
                }
            )
        return found

    def _rules_of(self, trace: Trace, record: Any, value: int) -> int:
        if record is None or given_as(record.node) or record.node in trace.prepared.given:
            return -1
        operands = [trace.records[trace._places[operand]] for operand in record.node.inputs]
        if not all(operand.kept for operand in operands):
            return -1
        op = trace.prepared.op_of(record.node)
        key = (op, record.shape, tuple([operand.shape for operand in operands])) if by_shapes(op) else None
        if key in self._rules_by_shapes:
            return self._rules_by_shapes[key]
        rules = self.reader.rules(
            op, record.shape, [operand.value for operand in operands], lambda: self.values.places(value)
        )
        text = json.dumps(rules)
        if text not in self._rules:
            self._rules[text] = len(self._rule_texts)
            self._rule_texts.append(rules)
        if key is not None:
            self._rules_by_shapes[key] = self._rules[text]
        return self._rules[text]


def _visible(text: str) -> str:
    return visible(text) if text else ""


def _settings(op: Op, sizes: Mapping[str, int]) -> dict[str, str]:
    return {key: visible(str(value)) for key, value in op.bound(sizes).attributes.items()}


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
    """Return the cotangent of each node that has one in this run."""
    order = set(trace.order)
    found: dict[Node, Node] = {}
    for derived in trace.graph.cotangents.values():
        found |= {node: slope for node, slope in derived.of.items() if node in order and slope in order}
    return found


def _differentiated(trace: Trace) -> str:
    """Return the name of what is differentiated in this run; "" if there is none, or several."""
    order, names = set(trace.order), {node: name for name, node in trace.graph.outputs.items()}
    found = {
        node
        for given, derived in trace.graph.cotangents.items()
        for node, _ in given
        if node in derived.of and derived.of[node] in order
    }
    return visible(names.get(node := found.pop(), node.title)) if len(found) == 1 else ""


# --- the picture --------------------------------------------------------------------------------------------------


def _views(trace: Trace, place_of: Mapping[Node, int]) -> list[dict[str, Any]]:
    """Return pictures of the graph, each with fewer boxes than the one before; then those of one open layer."""
    views: list[dict[str, Any]] = []
    fewest = MOST_BOXES + 1
    layers: Picture | None = None
    for label, detail, repeats in _VIEWS:
        if fewest <= _FEW_BOXES and layers is not None:
            break
        if detail == "op" and len(place_of) >= fewest:
            continue  # a box a node
        seen = picture(trace.fetches, detail)
        seen = repeated(seen) if repeats else seen
        if len(seen.boxes) < fewest:
            fewest = len(seen.boxes)
            views.append(_view(label, seen, place_of))
            layers = seen if label == "layers" else layers
    if layers is None:
        return views
    folded = [box.scope.path for box in layers.boxes if box.scope is not None]
    if len(folded) <= _MOST_OPENED:
        for path in folded:
            opened = picture(trace.fetches, {"": "layer", path: "op"})
            views.append(_view("", opened, place_of) | {"opens": visible(path)})
    return views


def _view(label: str, seen: Picture, place_of: Mapping[Node, int]) -> dict[str, Any]:
    svg = plain_svg(seen)
    return {
        "label": label,
        "boxes": [[place_of[node] for node in box.nodes] for box in seen.boxes],
        "titles": [visible(box.scope.path if box.scope is not None else box.node.title) for box in seen.boxes],
        "frames": [visible(scope.path) for scope in seen.open_scopes()],
        "svg": svg[svg.index("<svg") :],
    }


# --- findings, and what it opens on -------------------------------------------------------------------------------


def _opening(maker: _Maker) -> dict[str, Any]:
    """Return where the page opens, and what it says."""
    trace, runs, pair = maker.first, maker.data["runs"], maker.data.get("pair")
    if pair is not None:
        if pair["first"] >= 0:
            return {"run": 0, "place": pair["first"], "cell": pair["cell"], "says": pair["says"]}
        return _of_outputs(maker) | {"says": pair["says"]}
    found = [(i, run["findings"][0]) for i, run in enumerate(runs) if run["findings"]]
    if found:
        i, first = next((each for each in found if each[1]["severity"] == "error"), found[0])
        where = f"At {runs[i]['label']}: " if maker.data["kind"] == "film" else ""
        return {"run": i, "place": first["place"], "cell": first["cell"], "says": f"{where}{first['says']}"}
    if trace.error:
        place = max(runs[0]["stopped"], 0)
        return {"run": 0, "place": place, "cell": -1, "says": visible(trace.error.partition("\n")[0])}
    return _of_outputs(maker)


def _of_outputs(maker: _Maker) -> dict[str, Any]:
    """Return the output that is looked at first, a number if there is one, and what there is to say of it."""
    trace = maker.first
    outputs = [(name, place) for name, place in maker.data["outputs"] if 0 <= place < len(trace)]
    if not outputs:
        return {"run": 0, "place": max(len(trace) - 1, 0), "cell": -1, "says": f"{counted(len(trace), 'node')} ran."}
    numbers = [each for each in outputs if trace.records[each[1]].shape == ()]
    name, place = (numbers or outputs)[0]
    record, last = trace.records[place], maker.traces[-1]
    stats = record.stats
    if record.shape or not record.kept:
        ends = f"from {number(stats.min)} to {number(stats.max)}"
        spread = ends if math.isfinite(stats.min) else "none of them finite"
        shape = by_times(record.shape)
        says = f"{name} has {shape} numbers, {spread}." if stats.size else f"{name} is empty, {shape}."
    elif maker.data["kind"] == "film" and len(maker.traces) > 1:
        first, end = maker.labels[0], maker.labels[-1]
        says = f"{name} = {number(record.value.item())} at {first}, {number(last[record.node].value.item())} at {end}."
    else:
        kept = {each.node: each.value for each in trace if each.kept}
        guessed = beside_guessing(record.node, trace.order, kept.get)
        says = f"{name} = {guessed or number(record.value.item())}."
    return {"run": 0, "place": place, "cell": -1, "says": says}


# --- two runs -----------------------------------------------------------------------------------------------------


def _told(found: Comparison, pair: Beside, maker: _Maker) -> dict[str, Any]:
    """Return where two runs part, and what was not recomputed."""
    first = found.first
    a, b = pair.names
    told: dict[str, Any] = {
        "first": -1,
        "cell": -1,
        "differences": [[maker.place_of[each.node], _or_none(each.absolute)] for each in found.differences],
        "recomputed": None,
    }
    says = [f"{a} and {b} are equal."]
    if first is not None:
        told["first"] = maker.place_of[first.node]
        if first.element:
            told["cell"] = int(np.ravel_multi_index(first.element, pair.a[first.node].shape))
        says = [f"{b} differs from {a} first at {first.node.name}{_at(found, pair, maker)}: {first.cause}."]
    if pair.recomputed is not None:
        told["recomputed"] = sorted(maker.place_of[node] for node in pair.recomputed)
        operations = sum(forward is not None for forward in pair.a.prepared.binding.forwards)
        says.append(f"{len(pair.recomputed)} of {operations} operations were recomputed.")
    said = next(filter(None, (_both(name, place, pair, maker) for name, place in maker.data["outputs"])), "")
    told["says"] = visible(" ".join([*says, said])).rstrip()
    return told


def _at(found: Comparison, pair: Beside, maker: _Maker) -> str:
    """Return what the first element that differs is in each run, if both have it."""
    first = found.first
    if first is None or first.element is None or maker.partner is None or first.node not in maker.partner:
        return ""
    a, b = pair.a[first.node], pair.b[maker.partner[first.node]]
    if not (a.kept and b.kept and a.shape == b.shape):
        return ""
    where = f"[{', '.join(map(str, first.element))}]: " if first.element else ""
    return f" ({where}{number(a.value[first.element].item())} → {number(b.value[first.element].item())})"


def _both(name: str, place: int, pair: Beside, maker: _Maker) -> str:
    """Return what an output is in both runs, if it is a number."""
    node = maker.first.order[place]
    other = maker.partner.get(node) if maker.partner is not None else None
    if node.shape or other is None or node not in pair.a or other not in pair.b:
        return ""
    one, two = (number(trace[each].value.item()) for trace, each in ((pair.a, node), (pair.b, other)))
    return f"{name}: {one}, then {two}." if one != two else f"{name} is {one} in both."


def _or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


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
        "points": [[round(float(a), 4), round(float(b), 4)] for a, b in points[chosen(len(points), _MOST_POINTS)]],
        "labels": _labels(first, x),
    }


def _labels(trace: Trace, x: Node) -> list[int] | None:
    """Return the class of each point, if one integer a sample is fed."""
    fed = [n for n in trace.prepared.program.placeholders if n.dtype.kind in "iu" and n.shape == x.shape[:1]]
    if len(fed) != 1:
        return None
    labels: list[int] = trace[fed[0]].value.tolist()
    return [labels[i] for i in chosen(len(labels), _MOST_POINTS)]


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
    prepared = prepare(trace.graph, [scores], {x: grid}).in_state_of(trace.prepared)
    *_, last = evaluate(prepared)
    return np.asarray(np.argmax(last.value, axis=-1))
