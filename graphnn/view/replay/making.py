"""What a page knows of a run, gathered as data."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import GraphnnError
from ...graph.collector import collector_paused
from ...inspector.health import check_health
from ...inspector.health.training import beside_guessing
from ...inspector.why import given_as
from ..text import by_times, compact, counted, visible
from .keeping import ROOM, ROOM_A_NODE, Values, axes_kept, tier_for
from .page import Page
from .reading import Reader, Rule, by_shapes
from .views import views_of

if TYPE_CHECKING:
    from ...graph import Node, Op
    from ...inspector.trace import Trace

_PHASES = ("forward", "backward", "update")
_MOST_FINDINGS = 200
_MOST_ROWS = 8  # samples that are kept since something was found in them


class Maker:
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
            "views": views_of(first, self.place_of),
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
                "formula": op.element_formula,
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
                found[str(place)] = {"settings": _settings(op, trace.prepared.sizes), "formula": op.element_formula}
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


def _opening(maker: Maker) -> dict[str, Any]:
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


def _of_outputs(maker: Maker) -> dict[str, Any]:
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
        ends = f"from {compact(stats.min)} to {compact(stats.max)}"
        spread = ends if math.isfinite(stats.min) else "none of them finite"
        shape = by_times(record.shape)
        says = f"{name} has {shape} numbers, {spread}." if stats.size else f"{name} is empty, {shape}."
    elif maker.data["kind"] == "film" and len(maker.traces) > 1:
        first, end = maker.labels[0], maker.labels[-1]
        says = (
            f"{name} = {compact(record.value.item())} at {first}, {compact(last[record.node].value.item())} at {end}."
        )
    else:
        kept = {each.node: each.value for each in trace if each.kept}
        guessed = beside_guessing(record.node, trace.order, kept.get)
        says = f"{name} = {guessed or compact(record.value.item())}."
    return {"run": 0, "place": place, "cell": -1, "says": says}
