"""The data of a page, collected from one or more runs."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.garbage_collection import collector_paused
from ..._util.text import short_name, with_article
from ...control_flow.iteration_names import first_like, has_bodies
from ...control_flow.unrolled_run import before_unrolling
from ...core import labels_of
from ...core.labels import labels_of_numbers
from ...core.scopes import PHASES
from ...core.symbolic_shapes import size_of
from ...debugger.health import check_health
from ...debugger.health.training_facts import beside_guessing
from ...debugger.source_lines import sources_of
from ...debugger.why import given_as
from ...errors import GraphnnError
from ...view.diagrams.picture import insides
from ...view.formatting import by_times, compact, counted, visible
from .element_reads import Reader, Rule, by_shapes
from .kept_elements import ROOM, ROOM_A_NODE, Values, array_of, axes_kept, tier_for
from .live_graph import live_of
from .page_diagrams import views_of
from .replay_page import Page
from .replayed_iterations import Iteration, PageLoop, PageLoops, is_bundle, place_in, record_of

if TYPE_CHECKING:
    from ...core import Array, Node, Op
    from ...debugger.traces import Record, Trace

_MOST_FINDINGS = 200
_MOST_LABELS, _LONGEST_LABEL = 4096, 40  # of an axis, and characters of one
_MOST_ROWS = 8  # samples that are kept since something was found in them


class Maker:
    """Collects the data of one page."""

    def __init__(
        self,
        first: Trace,
        traces: Sequence[Trace],
        labels: Sequence[str],
        partners: Sequence[Mapping[Node, Node]] = (),
    ) -> None:
        self.first, self.traces, self.labels = first, traces, labels
        self.partners = partners
        self.loops = PageLoops(first)
        self.order = self.loops.order
        self.place_of = {node: place for place, node in enumerate(self.order)}
        # In all runs but the first, the partners of its nodes.
        of_runs: list[Sequence[Node | None]] = [self.order] * len(traces)
        for i, partner in enumerate(self.partners, 1):
            of_runs[i] = [partner.get(node) for node in self.order]
        itself = {node: node for node in first.order}
        known = [itself, *self.partners] if self.partners else [itself] * len(traces)
        runs = zip(traces, labels, of_runs, known, strict=True)
        self.runs = [_Run(trace, label, nodes, self.place_of, partner) for trace, label, nodes, partner in runs]
        self.values = Values()
        self.reader = Reader(self.values.store)
        self.dim = _batch_dimension(first)
        self.data: dict[str, Any] = {}
        self._tables: dict[tuple[str, ...], int] = {}
        self.live: bool | None = False
        """Whether the page computes, as `live_of` takes it."""
        self.rows_to_play: dict[Node, Array] = {}
        """The data of a playground."""
        self._rules: dict[str, int] = {}
        self._rules_by_shapes: dict[Hashable, int] = {}
        self._rule_texts: list[list[Rule]] = []

    @collector_paused()
    def page(self, kind: str) -> Page:
        """Return the page, with all that is known of the runs."""
        first = self.first
        self.data |= {
            "kind": kind,
            "graph": visible(first.graph.name),
            "nodes": self._nodes(),
            "files": [[visible(_short(file)), lines] for file, lines in self._files().items()],
            "dim": self.dim,
            "outputs": self.outputs(),
            **self._differentiated(),
            "views": views_of(first, self.place_of, self.loops),
            "loops": self.loops.told(self.place_of),
        }
        self.data["labels"] = [
            [len(names), [short_name(name, _LONGEST_LABEL) for name in names[:_MOST_LABELS]]] for names in self._tables
        ]
        self.data["runs"] = self._runs()
        self.data["opening"] = _opening(self)
        self.data["live"] = live_of(self, self.live, self.rows_to_play)
        self.data |= {"rules": self._rule_texts, "values": self.values.entries, "arrays": self.values.arrays}
        return Page(first.graph.name, self.data, bytes(self.values.block))

    # --- the graph --------------------------------------------------------------------------------------------

    def _nodes(self) -> dict[str, list[Any]]:
        """Return a column for each thing that the page knows of a node."""
        order, prepared, loops = self.order, self.first.prepared, self.loops
        files = {file: number for number, file in enumerate(self._files())}
        gradients = _gradients(self.first)
        ops = [node.op if node in loops.of_node else prepared.declared_op_of(node) for node in order]

        def place(node: Node | None) -> int:
            return -1 if node is None else self.place_of.get(node, -1)

        return {
            "name": [visible(loops.name_of(node)) for node in order],
            "op": [visible(loops.op_of(node)) for node in order],
            "inputs": [[place(operand) for operand in loops.read_by(node)] for node in order],
            "shape": [list(map(str, node.shape)) for node in order],
            "labels": [self._labels(node) for node in order],
            "classes": [self._table(labels_of_numbers(node)) for node in order],
            "dtype": [node.dtype.name for node in order],
            "phase": [PHASES.index(loops.phase_of(node)) for node in order],
            "kind": [loops.kind_of(node) or given_as(node) for node in order],
            "settings": [
                {} if loops.is_item(node) else _settings(op, prepared.sizes)
                for node, op in zip(order, ops, strict=True)
            ],
            "formula": [op.element_formula for op in ops],
            "file": [files.get(node.origin.file, -1) for node in order],
            "line": [node.origin.line for node in order],
            "where": [visible(str(node.origin)) if node.origin.file else "" for node in order],
            "twin": [place(node.twin) for node in order],
            "gradient": [place(gradients.get(node)) for node in order],
        }

    def _labels(self, node: Node) -> list[int]:
        """Return for each axis of a node which labels it has, -1 where it has none; nothing if no axis has any."""
        found = [labels_of(node, axis) for axis in range(node.ndim)] if node.graph.labels else []
        if not any(found):
            return []
        return list(map(self._table, found))

    def _table(self, names: tuple[str, ...] | None) -> int:
        return -1 if names is None else self._tables.setdefault(names, len(self._tables))

    def _files(self) -> dict[str, dict[int, str]]:
        return {
            file: {line: _visible(text.expandtabs(4)) for line, text in lines.items()}
            for file, lines in (self.first.sources | sources_of(self.order)).items()
        }

    def outputs(self) -> list[list[Any]]:
        """Return what was asked for, with its names."""
        named: dict[Node, str] = {node: name for name, node in self.first.graph.outputs.items()}
        asked = dict.fromkeys([*named, *self.first.fetches])
        return [[visible(named.get(node, node.title)), self.place_of[node]] for node in asked if node in self.place_of]

    def _differentiated(self) -> dict[str, Any]:
        """Return the name of what is differentiated in this run, and its place; "" and -1 if that is not one thing."""
        node = _differentiated(self.first)
        if node is None:
            return {"loss": "", "differentiated": -1}
        names = {output: name for name, output in self.first.graph.outputs.items()}
        return {"loss": visible(names.get(node, node.title)), "differentiated": self.place_of.get(node, -1)}

    # --- the runs ---------------------------------------------------------------------------------------------

    def _runs(self) -> list[dict[str, Any]]:
        findings = [self._findings(run) for run in self.runs]
        self.rows = self._rows_of(findings)
        self.loops.compute([(run.trace, run.partner_of) for run in self.runs], findings)
        distinct = {id(array_of(record)): record for run in self.runs for record in run.records if record is not None}
        sizes = [(r.shape, self._batch(r.node, r.shape), r.dtype.itemsize) for r in distinct.values()]
        sizes += [(value.shape, self._batch(node, value.shape), value.itemsize) for node, value in self.loops.values()]
        self.tier = tier_for(sizes, max(ROOM, ROOM_A_NODE * len(self.order)))
        return [
            self._run(number, run) | {"stopped": self._stopped(run, found), "findings": found}
            for number, (run, found) in enumerate(zip(self.runs, findings, strict=True))
        ]

    def _rows_of(self, findings: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
        """Return the samples that the first findings of each run are of."""
        rows = dict.fromkeys(finding["row"] for found in findings for finding in found[:_MOST_ROWS])
        return [row for row in rows if row >= 0][:_MOST_ROWS]

    def _run(self, number: int, run: _Run) -> dict[str, Any]:
        trace = run.trace
        values = [-1 if record is None or is_bundle(record.node) else self._value(record) for record in run.records]
        rules = [self._rules_of(run, record, value) for record, value in zip(run.records, values, strict=True)]
        iterations = [self._iterations(*each) for each in self.loops.of_run(number)]
        for loop, told in zip(self.loops.all, iterations, strict=True):
            told["time"] = 0 if loop.side and not told["rows"] else round(1e9 * run.time_of(loop.loop))
            for at, node in enumerate(loop.nodes if told["rows"] else ()):
                values[self.place_of[node]] = told["values"][0][at]
                rules[self.place_of[node]] = told["rules"][0][at]
        return {
            "label": _visible(run.label),
            "values": values,
            "rules": rules,
            "loops": iterations,
            "times": [0 if record is None else round(record.time * 1e9) for record in run.records],
            "error": _visible(trace.error),
            "set": _set_by_hand(run, self),
        }

    def _stopped(self, run: _Run, found: Sequence[Mapping[str, Any]]) -> int:
        """Return where a run stopped: in a loop or a branch, the node of the body in which something was found."""
        if run.trace.stopped is None:
            return -1
        node = run.trace.order[run.trace.stopped]
        inside = {self.place_of[inner] for each in self.loops.by_loop.get(node, {}).values() for inner in each.nodes}
        places = [finding["place"] for finding in found if finding["place"] in inside]
        return places[-1] if places else run.place_of.get(node, -1)

    def _iterations(self, loop: PageLoop, order: Sequence[int], kept: Sequence[Iteration]) -> dict[str, Any]:
        """Return what is known of the iterations of a loop in a run."""
        values, rules = [], []
        for iteration in kept:
            records = {node: record_of(node, value) for node, value in iteration.values.items() if not is_bundle(node)}
            numbers = [self._value(records[node]) if node in records else -1 for node in loop.nodes]
            values.append(numbers)
            rules.append(
                [self._rules_inside(node, iteration, number) for node, number in zip(loop.nodes, numbers, strict=True)]
            )
        rows = [iteration.row for iteration in kept]
        return {
            "count": len(order),
            "rows": rows,
            "at": [order.index(row) for row in rows],
            "values": values,
            "rules": rules,
        }

    def _value(self, record: Record) -> int:
        batch = self._batch(record.node, record.shape)
        return self.values.add(record, axes_kept(record.shape, batch, self.tier, self.rows), batch)

    def _batch(self, node: Node, known: Sequence[int]) -> int | None:
        """Return the axis of a value along which samples lie."""
        shape = node.shape
        found = shape.index(self.dim) if self.dim is not None and self.dim in shape else None
        return found if found is not None and len(known) > found else None

    def _findings(self, run: _Run) -> list[dict[str, Any]]:
        """Return what the health check finds in a run."""
        try:
            health = check_health(run.trace)
        except GraphnnError:
            return []  # an operation that is not defined here: it can be looked at, and not computed
        found = []
        told = list(health)
        for finding in [*told[: _MOST_FINDINGS - 1], *told[_MOST_FINDINGS - 1 :][-1:]]:  # the last is where it stopped
            node, cell, row = finding.node, -1, -1
            within = place_in(node.name, self.loops.all)
            at = self.place_of[within[2]] if within is not None else run.place_of.get(before_unrolling(node), -1)
            if at < 0:
                continue
            if finding.index is not None:
                shape = tuple([size_of(dim, run.trace.prepared.sizes) for dim in node.shape])
                cell = int(np.ravel_multi_index(finding.index, shape))
                row = finding.index[node.shape.index(self.dim)] if self.dim in node.shape else -1
            known: dict[str, Any] = {"severity": finding.severity, "code": finding.code}
            known["says"] = visible(finding.sentence)
            known |= {} if within is None else {"loop": self.loops.all.index(within[0]), "iteration": within[1]}
            found.append({"place": at, "cell": cell, "row": row, **known})
        return found

    def _rules_of(self, run: _Run, record: Record | None, value: int) -> int:
        """Return the number of the rules that say what each element of a value was made of; -1 if there are none."""
        if record is None or given_as(record.node) or record.node in run.trace.prepared.given:
            return -1
        if record.node in run.made_otherwise:
            return -1
        operands = [run.record_of[operand] for operand in record.node.inputs]
        known = record.kept or not record.of_digests
        if not known or not all(operand.kept for operand in operands):
            return -1
        if self.loops.is_item(record.node):
            return -1
        op = run.trace.prepared.op_of(record.node)
        return self._rules_for(op, record.shape, [operand.value for operand in operands], value)

    def _rules_inside(self, node: Node, iteration: Iteration, value: int) -> int:
        if value < 0 or node not in iteration.ops or any(is_bundle(operand) for operand in node.inputs):
            return -1
        op = iteration.ops[node]
        return self._rules_for(op, iteration.values[node].shape, iteration.operands[node], value)

    def _rules_for(self, op: Op, shape: tuple[int, ...], operands: Sequence[Array], value: int) -> int:
        key = (op, shape, tuple([operand.shape for operand in operands])) if by_shapes(op) else None
        if key in self._rules_by_shapes:
            return self._rules_by_shapes[key]
        rules = self.reader.rules(op, shape, operands, lambda: self.values.places(value))
        number = self._rules.setdefault(json.dumps(rules), len(self._rules))
        if number == len(self._rule_texts):
            self._rule_texts.append(rules)
        if key is not None:
            self._rules_by_shapes[key] = number
        return number


class _Run:
    """One of the runs of a page.

    Attributes
    ----------
    trace : Trace
    label : str
    place_of : dict of Node to int
        The place of each node that has a partner in the first run: that of the partner.
    record_of : dict of Node to Record
    records : list of Record or None
        Of the partner of each node of the first run.
    partner_of : dict of Node to Node
        For each node of the first run.
    made_otherwise : set of Node
        The nodes that another operation computes than their partners, or from other nodes.
    """

    def __init__(
        self,
        trace: Trace,
        label: str,
        partners: Sequence[Node | None],
        first: Mapping[Node, int],
        partner_of: Mapping[Node, Node],
    ) -> None:
        self.trace, self.label = trace, label
        self.place_of = {node: place for place, node in enumerate(partners) if node is not None}
        self.partner_of = partner_of
        self.record_of = {record.node: record for record in trace}
        self.records = [None if node is None else self.record_of.get(node) for node in partners]
        self.made_otherwise = {
            node
            for node, partner in zip(partners, first, strict=True)
            if node is not None
            and node is not partner
            and (
                type(node.op) is not type(partner.op)
                or [self.place_of.get(operand) for operand in node.inputs]
                != [first.get(operand) for operand in partner.inputs]
            )
        }

    def time_of(self, loop: Node) -> float:
        """Return how long a loop of the first run took here, with those that keep more of it and with its arrays."""
        like = first_like(self.partner_of.get(loop, loop))
        return math.fsum(
            record.time
            for record in self.trace
            for node in (record.node.inputs[0] if record.node.op.is_loop_item else record.node,)
            if has_bodies(node) and first_like(node) is like
        )


def _set_by_hand(run: _Run, maker: Maker) -> dict[str, Any]:
    """Return the nodes whose value or attributes were set by hand in a run, or are others than in the first run."""
    found: dict[str, Any] = {}
    prepared = run.trace.prepared
    for node, place in run.place_of.items():
        if node in maker.loops.of_node:
            continue
        op = prepared.declared_op_of(node)
        if prepared.is_set(node):
            found[str(place)] = {"given": visible(f"set in {run.label}") if run.label else "set by hand"}
        elif node in run.made_otherwise:
            by = given_as(node) or f"by {with_article(op.name)}"
            found[str(place)] = {"given": visible(f"{by} in {run.label}")}
        elif node in prepared.overridden or op != maker.first.prepared.declared_op_of(maker.order[place]):
            found[str(place)] = {"settings": _settings(op, prepared.sizes), "formula": op.element_formula}
    return found


def _visible(text: str) -> str:
    return visible(text) if text else ""


def _settings(op: Op, sizes: Mapping[str, int]) -> dict[str, str]:
    if op.holds_bodies:  # the text of a body says nothing to a reader, and names files of the machine
        return {}
    return {key: visible(str(value)) for key, value in op.bound(sizes).shown_attributes.items()}


def _short(file: str) -> str:
    """Return the name of a file without its folders: a page may be sent to anyone."""
    return Path(file.replace("\\", "/")).name


def _batch_dimension(trace: Trace) -> str | None:
    """Return the name of the dimension along which samples lie: of what is fed the first that no loop goes along."""
    lengths = {inside.times for node in trace.order for inside in insides(node)}
    for node in trace.prepared.program.placeholders:
        named = [dim for dim in node.shape if dim not in lengths]
        if named and isinstance(named[0], str):
            return named[0]
    return None


def _gradients(trace: Trace) -> dict[Node, Node]:
    """Return the cotangent of each node that has one in this run."""
    order = set(trace.order)
    found: dict[Node, Node] = {}
    for derived in trace.graph.cotangents.values():
        found |= {node: slope for node, slope in derived.of.items() if node in order and slope in order}
    return found


def _differentiated(trace: Trace) -> Node | None:
    """Return what is differentiated in this run, if it is one thing."""
    order = set(trace.order)
    found = {
        node
        for given, derived in trace.graph.cotangents.items()
        for node, _ in given
        if node in derived.of and derived.of[node] in order
    }
    return found.pop() if len(found) == 1 else None


def _opening(maker: Maker) -> dict[str, Any]:
    """Return where the page opens, and what it says."""
    trace, runs, pair = maker.first, maker.data["runs"], maker.data.get("pair")
    if pair is not None:
        if pair["first"] >= 0:
            within = {key: pair[key] for key in ("loop", "iteration") if key in pair}
            return {"run": 0, "place": pair["first"], "cell": pair["cell"], **within, "says": pair["says"]}
        return _of_outputs(maker) | {"says": pair["says"]}
    found = [(i, run["findings"][0]) for i, run in enumerate(runs) if run["findings"]]
    if found:
        i, first = next((each for each in found if each[1]["severity"] == "error"), found[0])
        where = f"At {runs[i]['label']}: " if maker.data["kind"] == "film" else ""
        known = {key: first[key] for key in ("place", "cell", "loop", "iteration") if key in first}
        return {"run": i, **known, "says": f"{where}{first['says']}"}
    if trace.error:
        place = max(runs[0]["stopped"], 0)
        return {"run": 0, "place": place, "cell": -1, "says": visible(trace.error.partition("\n")[0])}
    return _of_outputs(maker)


def _of_outputs(maker: Maker) -> dict[str, Any]:
    """Return the output that is looked at first, a number if there is one, and what there is to say of it."""
    trace = maker.first
    outputs = [(name, place) for name, place in maker.data["outputs"] if maker.order[place] in trace]
    if not outputs:
        return {
            "run": 0,
            "place": max(len(maker.order) - 1, 0),
            "cell": -1,
            "says": f"{counted(len(trace), 'node')} ran.",
        }
    numbers = [each for each in outputs if trace[maker.order[each[1]]].shape == ()]
    name, place = (numbers or outputs)[0]
    record, last = trace[maker.order[place]], maker.traces[-1]
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
