"""The page that replays a run, as far as it can be told without a browser: what is in the file, and that it is true.

How it looks and what its controls do, `browser` beside it holds, which drives a browser.
"""

import base64
import hashlib
import json
import math
import re
import warnings
import xml.etree.ElementTree as ET
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_ops import OPS, quietly
from test_reads import drawn, named

import graphnn as gn
from graphnn import Op, nn
from graphnn.pages.replay import Page
from graphnn.pages.replay import page_diagrams as views
from graphnn.pages.replay import replay_page as made
from graphnn.pages.replay.element_reads import Reader
from graphnn.pages.replay.kept_elements import TIERS, axes_kept, tier_for

Array = np.ndarray[Any, np.dtype[Any]]


class Unpacked(NamedTuple):
    """What a page holds, read as the browser reads it."""

    tags: list[tuple[str, dict[str, str | None]]]
    texts: dict[str, str]
    data: dict[str, Any]
    arrays: list[Array]

    def value(self, run: int, place: int) -> Array:
        return self.arrays[self.data["values"][self.data["runs"][run]["values"][place]]["data"]]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data


def unpacked(page: Page) -> Unpacked:
    reader = _Reader()
    reader.feed(page.html)
    block = zlib.decompress(base64.b64decode(reader.texts["data"], validate=True))
    length = int.from_bytes(block[:8], "little")
    data = json.loads(block[8 : 8 + length])
    for view in data["views"]:
        view["svg"] = "\n".join(data["lines"][line] for line in view["svg"])
    arrays = []
    for dtype, start, size in data["arrays"]:
        kind = np.dtype("u1" if dtype == "bool" else dtype)
        assert (8 + length + start) % kind.itemsize == 0  # a browser reads numbers where they are aligned only
        arrays.append(np.frombuffer(block, kind, size, 8 + length + start))
    return Unpacked(reader.tags, reader.texts, data, arrays)


def spiral(units: int = 8) -> tuple[gn.Graph, gn.Node, dict[Any, Any]]:
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(units, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    g.outputs["loss"] = loss = nn.categorical_crossentropy(network(x), labels)
    X, y = gn.datasets.spiral(20, classes=3, seed=0)
    return g, loss, {x: X, labels: y}


def spiral_step() -> gn.Trace:
    _, loss, feed = spiral()
    return gn.trace(gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), feed)


def hidden_nan() -> gn.Trace:
    """Return a run with a gradient that is NaN at one element, and a loss that is right."""
    g = gn.Graph("hidden")
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 1.0)
    loss = gn.sum(gn.where(x > 0, gn.log(x * w), 0.0))
    return gn.trace([loss, gn.grad(loss, w)], {x: [1.0, 2.0, 0.0, 4.0]})


def place_of(page: Unpacked, name: str) -> int:
    found = page.data["nodes"]["name"].index(name)
    assert isinstance(found, int)
    return found


# --- the file ---------------------------------------------------------------------------------------------------


def test_the_file_asks_for_nothing_and_runs_its_own_script_alone() -> None:
    page = unpacked(spiral_step().to_html())
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "source")
        assert not {"src", "href", "srcset", "style", "action"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
    assert [attributes.get("id") for tag, attributes in page.tags if tag == "script"] == ["data", None]
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    hashes = {
        name: base64.b64encode(hashlib.sha256(page.texts[name].encode()).digest()).decode()
        for name in ("script", "style")
    }
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{hashes['script']}'",
        "style-src": f"'sha256-{hashes['style']}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_script_makes_no_markup_of_data() -> None:
    script = made._script()
    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "fetch("):
        assert risky not in script
    assert not re.findall(r"https?:(?!//www\.w3\.org/2000/svg)", script)


def test_the_same_run_makes_the_same_file() -> None:
    trace = spiral_step()
    assert trace.to_html().html == trace.to_html().html


def test_the_page_is_written_to_a_file(tmp_path: Path) -> None:
    page = hidden_nan().to_html(tmp_path / "replay.html")
    assert (tmp_path / "replay.html").read_bytes() == page.html.encode()
    assert repr(page).startswith('<Page of "hidden": ')
    with pytest.raises(OSError, match="No such file"):
        page.save(tmp_path / "no" / "replay.html")


def test_in_a_notebook_it_stands_in_a_frame_that_can_reach_nothing() -> None:
    page = hidden_nan().to_html()
    reader = _Reader()
    reader.feed(page._repr_mimebundle_()["text/html"])
    ((tag, attributes),) = reader.tags
    assert (tag, attributes["sandbox"]) == ("iframe", "allow-scripts allow-downloads")
    assert attributes["srcdoc"] == page.html


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_what_names_say_is_never_markup() -> None:
    g = gn.Graph(HOSTILE)
    x = g.placeholder("x</title>\u202e\x1b[31m", shape=("batch",))
    with g.scope("<b>scope"):
        y = gn.exp(x, name='"><svg onload=alert(1)>')
    g.outputs[HOSTILE] = y
    page = unpacked(gn.trace(y, {x: [0.0, 1.0]}).to_html())
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any(tag in ("img", "b", "svg") for tag, _ in page.tags)
    assert page.texts["title"] == f"{HOSTILE} — replay"
    assert page.data["graph"] == HOSTILE
    assert '<b>scope/"><svg onload=alert(1)>' in page.data["nodes"]["name"]
    assert all(c.isprintable() for name in page.data["nodes"]["name"] for c in name)
    for view in page.data["views"]:
        root = ET.fromstring(view["svg"])
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            "svg", "g", "title", "text", "rect", "ellipse", "path", "polygon",
        }  # fmt: skip


# --- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "bool"]
)
def test_values_are_kept_to_the_bit(dtype: str) -> None:
    array = np.arange(-6, 6).reshape(3, 4).astype(dtype)[:, ::-1]
    if array.dtype.kind == "f":
        array.flat[:4] = [math.nan, -math.inf, -0.0, np.finfo(dtype).tiny]
    x = gn.Graph().placeholder("x", shape=(3, 4), dtype=dtype)
    page = unpacked(gn.trace(x, {x: array}).to_html())
    assert page.value(0, 0).tobytes() == array.tobytes()
    assert page.data["nodes"]["dtype"] == [dtype]


def test_of_a_large_value_a_part_is_kept_at_the_places_it_names() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", "n"))
    array = np.random.default_rng(0).normal(size=(2000, 700))
    page = unpacked(gn.trace(gn.exp(x), {x: array}).to_html())
    for place, whole in enumerate([array, np.exp(array)]):
        told = page.data["values"][page.data["runs"][0]["values"][place]]
        assert told["shape"] == [2000, 700]
        assert page.value(0, place).size <= 4096
        assert np.array_equal(page.value(0, place), whole[np.ix_(*told["axes"])].reshape(-1))
        assert told["axes"] == [sorted(set(axis)) for axis in told["axes"]]
        assert sum(told["bins"]) == array.size  # but the histogram is of all
        assert told["peak"] == np.abs(whole).argmax()
        row, norm = told["row"]
        norms = np.linalg.norm(whole, axis=1)
        assert (row, norm) == (norms.argmax(), pytest.approx(norms.max()))
    assert len(page.data["runs"][0]["values"]) == 2


def test_of_what_the_trace_keeps_in_part_the_page_has_that_part() -> None:
    x = gn.Graph().placeholder("x", shape=("batch",))
    array = np.linspace(0, 1, 5000)
    page = unpacked(gn.trace(x * 2.0, {x: array}, keep=100).to_html())
    place = place_of(page, "multiply")
    told = page.data["values"][page.data["runs"][0]["values"][place]]
    assert np.array_equal(page.value(0, place), 2 * array[told["axes"][0]])


def test_what_is_equal_is_kept_once() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(1000,))
    page = unpacked(gn.trace([abs(x), gn.reshape(x, (10, 100))], {x: np.ones(1000)}).to_html())
    assert len({page.data["values"][number]["data"] for number in page.data["runs"][0]["values"]}) == 1


def test_the_rows_that_are_kept_are_those_of_every_value() -> None:
    tier = tier_for([((3000, 40), 0, 8), ((3000,), 0, 8), ((40, 3000), 1, 8)] * 99, 500_000)
    rows = [axes_kept((3000, 40), 0, tier), axes_kept((3000,), 0, tier), axes_kept((40, 3000), 1, tier)]
    assert all(axes is not None for axes in rows)
    first, second, third = ((axes or [])[axis] for axes, axis in zip(rows, (0, 0, 1), strict=True))
    assert first == third
    assert set(first) <= set(second) or set(second) <= set(first)
    assert first[:2] == [0, 1]
    assert len(first) > 3
    assert tier in TIERS


def test_a_page_of_much_stays_small() -> None:
    g = gn.Graph()
    h = g.placeholder("x", shape=("batch", 64))
    rng = np.random.default_rng(0)
    for _ in range(60):
        h = gn.tanh(h * rng.normal())
    page = gn.trace(h, {g["x"]: rng.normal(size=(500, 64))}).to_html()
    assert 120 * 500 * 64 * 8 > 30_000_000
    assert len(page.html) < 5_000_000


# --- what an element was made of --------------------------------------------------------------------------------


def followed(rule: Any, index: tuple[int, ...], slot: int, operand: Array, stored: list[Array]) -> list[int]:
    """Return which places of an operand an element reads, by a rule as `reading` describes it."""
    if rule[0] == "all":
        return list(range(operand.size))
    if rule[0] == "lists":
        counts, starts, places = (stored[number] for number in rule[1:])
        assert counts[slot] >= starts[slot + 1] - starts[slot]
        return [int(place) for place in places[starts[slot] : starts[slot + 1]]]
    _, offset, strides, sizes, steps, *mask = rule
    if mask and not stored[mask[0]][slot]:
        return []
    places = [offset + sum(i * stride for i, stride in zip(index, strides, strict=True))]
    for size, step in zip(sizes, steps, strict=True):
        places = [place + k * step for place in places for k in range(size)]
    return places


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_the_rules_lead_to_what_an_operation_reads(cls: type[Op]) -> None:
    looked_at = 0
    for seed in range(10):
        op, operands, indices, _ = drawn(cls, seed, "float64")
        if not indices:
            continue
        shape = np.asarray(quietly(op.forward, *operands)).shape
        stored: list[Array] = []
        reader = Reader(lambda array, stored=stored: stored.append(array) or len(stored) - 1)
        rules = reader.rules(op, shape, operands, lambda shape=shape: np.arange(math.prod(shape)))
        for index in np.ndindex(*shape):
            slot = int(np.ravel_multi_index(index, shape)) if shape else 0
            entries = op.reads(index, operands)
            for rule, entry, operand in zip(rules, entries, operands, strict=True):
                assert rule is not None
                places = followed(rule, index, slot, operand, stored)
                assert sorted(set(places)) == named(entry, operand.shape), f"{op}, {index}"
                looked_at += 1
    assert looked_at or not cls.operands


def test_where_too_many_would_be_asked_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphnn.pages.replay.element_reads.MOST_ASKED", 10)
    x = gn.Graph().placeholder("x", shape=(40,))
    page = gn.trace(gn.cumsum(x), {x: np.arange(40.0)}).to_html()
    assert page.data["rules"][page.data["runs"][0]["rules"][1]] == [None]


# --- what it opens on -------------------------------------------------------------------------------------------


def test_it_opens_on_the_element_that_first_went_wrong() -> None:
    page = unpacked(hidden_nan().to_html())
    opening, nodes = page.data["opening"], page.data["nodes"]
    # x[2] = 0: the slope of log is 1 / 0 there, and 0 · inf is the first NaN.
    assert nodes["name"][opening["place"]] == "grad/divide"
    assert opening["cell"] == 2
    assert math.isnan(page.value(0, opening["place"])[2])
    assert "0 / 0" in opening["says"]
    assert [finding["place"] for finding in page.data["runs"][0]["findings"]] == [opening["place"]]


def test_it_says_that_a_network_guesses_when_it_does() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 4))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    w = g.parameter("w", np.zeros((4, 3)))
    g.outputs["loss"] = loss = nn.softmax_crossentropy(x @ w, labels)
    feed = {x: np.ones((5, 4)), labels: [0, 1, 2, 0, 1]}
    assert gn.trace(loss, feed).to_html().data["opening"]["says"] == "loss = 1.0986 ≈ ln 3: the network is guessing."
    w.value = 5 * np.random.default_rng(0).normal(size=(4, 3))
    logits = np.ones((5, 4)) @ w.value
    expected = np.mean([np.log(np.exp(row - row[k]).sum()) for row, k in zip(logits, feed[labels], strict=True)])
    says = gn.trace(loss, feed).to_html().data["opening"]["says"]
    assert says == f"loss = {expected:.4g}; that of guessing among 3 classes is ln 3 = 1.099."


def test_of_classes_that_are_not_exclusive_it_says_nothing_about_guessing() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    g.outputs["loss"] = loss = nn.sigmoid_crossentropy(x * 1.0, np.zeros((2, 3)))
    says = gn.trace(loss, {x: np.zeros((2, 3))}).to_html().data["opening"]["says"]
    assert says == "loss = 0.6931."


def test_without_a_number_to_look_at_it_tells_the_range() -> None:
    x = gn.Graph().placeholder("x", shape=("batch",))
    says = gn.trace(x * 2.0, {x: [1.0, -3.0]}).to_html().data["opening"]["says"]
    assert says == "multiply has 2 numbers, from -6 to 2."


def test_a_run_that_was_stopped_opens_where_it_was() -> None:
    g = gn.Graph()
    n = g.placeholder("n", shape=(2,), dtype=np.int64)
    with pytest.raises(gn.GraphnnError) as caught:
        gn.trace(-(6 // abs(n)), {n: [2, 0]})
    page = unpacked(caught.value.debug().to_html())
    (run,) = page.data["runs"]
    assert page.data["nodes"]["name"][run["stopped"]] == "floor_divide"
    assert page.data["opening"]["place"] == run["stopped"]
    assert run["values"][run["stopped"]] == -1
    assert "0" in page.data["opening"]["says"]


# --- gradients, source, pictures --------------------------------------------------------------------------------


def test_a_loaded_trace_knows_as_much_as_the_trace(tmp_path: Path) -> None:
    _, loss, feed = spiral()
    trace = gn.trace(gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), feed)
    trace.save(tmp_path / "run.trace")
    loaded = gn.load(tmp_path / "run.trace")
    before, after = trace.to_html().data, loaded.to_html().data
    # An array that two nodes share is two in a file.
    shared = {"values", "runs"}
    assert {key: part for key, part in after.items() if key not in shared} == {
        key: part for key, part in before.items() if key not in shared
    }
    assert before["nodes"]["gradient"] != [-1] * len(trace.order)
    assert str(gn.check_health(loaded)) == str(gn.check_health(trace))
    here, there = gn.debug(trace, echo=None), gn.debug(loaded, echo=None)
    assert [[twin.name for twin in here.twin(node.name)] for node in trace.order] == [
        [twin.name for twin in there.twin(node.name)] for node in trace.order
    ]


def test_gradients_stand_beside_what_they_are_of() -> None:
    g, loss, feed = spiral()
    weights = list(g.parameters)
    page = unpacked(gn.trace([loss, *gn.grad(loss, weights)], feed).to_html())
    assert page.data["loss"] == "loss"
    for weight in weights:
        there = page.data["nodes"]["gradient"][place_of(page, weight.name)]
        before, slopes = weight.value.copy(), []
        for place in range(before.size):
            ends = []
            for sign in (1, -1):
                changed = before.copy()
                changed.flat[place] += sign * 1e-6
                weight.value = changed
                ends.append(float(gn.run(loss, feed)))
            slopes.append((ends[0] - ends[1]) / 2e-6)
        weight.value = before
        assert page.value(0, there) == pytest.approx(slopes, abs=1e-7)


def test_the_line_of_the_user_stands_in_its_surroundings() -> None:
    trace = hidden_nan()
    page = unpacked(trace.to_html())
    place = place_of(page, "log")
    file, lines = page.data["files"][page.data["nodes"]["file"][place]]
    line = page.data["nodes"]["line"][place]
    assert file == "test_replay.py"  # where it lies on the disk is nobody's business
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert lines[str(line)] == source[line - 1]
    assert "gn.log(x * w)" in lines[str(line)]
    assert str(line - 1) in lines
    assert str(line + 1) in lines


def test_every_picture_holds_every_node_once() -> None:
    page = unpacked(spiral_step().to_html())
    views, count = page.data["views"], len(page.data["nodes"]["name"])
    levels = ["operations", "layers", "forward layers"]
    assert [view["label"] for view in views if "opens" not in view] == levels
    assert len(views[0]["boxes"]) == count > len(views[1]["boxes"]) > len(views[2]["boxes"])
    forward = [place for place, phase in enumerate(page.data["nodes"]["phase"]) if phase == 0]
    for view in views:
        places = forward if "forward" in (view["label"].split(" ")[0], view.get("phase")) else list(range(count))
        assert sorted(place for box in view["boxes"] for place in box) == places
        groups = {group.get("data-name") for group in ET.fromstring(view["svg"]).iter() if group.get("data-name")}
        assert {f"n{i}" for i in range(len(view["boxes"]))} <= groups
        assert len(view["titles"]) == len(view["boxes"])


def test_no_layer_of_a_large_picture_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = unpacked(spiral_step().to_html()).data["views"]
    largest = max(len(view["boxes"]) for view in levels if view["label"] == "layers")
    assert any("opens" in view for view in levels)
    monkeypatch.setattr(views, "MOST_OPENED", 5 * largest - 1)
    assert not any("opens" in view for view in unpacked(spiral_step().to_html()).data["views"])


def test_each_collapsed_layer_can_be_opened() -> None:
    page = unpacked(spiral_step().to_html())
    layers = next(view for view in page.data["views"] if view["label"] == "layers")
    collapsed = {title for title, box in zip(layers["titles"], layers["boxes"], strict=True) if len(box) > 1}
    opened = {view["opens"]: view for view in page.data["views"] if "opens" in view}
    assert collapsed <= set(opened)
    dense = opened["dense_1"]
    assert dense["frames"].count("dense_1") == 1
    inside = [i for i, title in enumerate(dense["titles"]) if title.startswith("dense_1/")]
    assert all(len(dense["boxes"][i]) == 1 for i in inside)
    names = {page.data["nodes"]["name"][dense["boxes"][i][0]] for i in inside}
    assert names == {"dense_1/weight", "dense_1/bias", "dense_1/matmul", "dense_1/add"}


def test_a_branch_is_opened_with_both_of_its_sides() -> None:
    x = gn.Graph().placeholder("x", ("n", 2))
    h, inner = nn.Dense(2)(x), nn.Dense(2)
    y = gn.cond(gn.mean(h) > 0.0, lambda v: gn.tanh(inner(v)), lambda v: gn.sin(v) + gn.cos(v), h)
    views = unpacked(gn.trace(gn.sum(nn.Dense(1)(y)), {x: np.ones((3, 2))}).to_html()).data["views"]
    assert any("cond_1" in view["titles"] for view in views)
    opened = {view["opens"]: view for view in views if view.get("level") == "layers"}
    assert set(opened) == {"dense_1", "dense_2", "cond_1", "cond_1@then@/dense_1"}
    assert opened["cond_1"]["frames"] == ["cond_1", "cond_1@then", "cond_1@otherwise"]


def test_a_branch_inside_a_loop_stays_collapsed_and_is_not_offered_to_be_opened() -> None:
    xs = gn.Graph().placeholder("xs", ("n", 2))
    last, _ = gn.scan(lambda s, x: gn.cond(gn.sum(x) > 0.0, lambda: s + x, lambda: s * x), np.zeros(2), xs)
    views = unpacked(gn.trace(gn.sum(last), {xs: np.ones((3, 2))}).to_html()).data["views"]
    assert {view["opens"] for view in views if "opens" in view} == {"scan_1"}


def test_calls_of_one_layer_are_one_box_between_layers_and_operations() -> None:
    g = gn.Graph("calls")
    x = g.placeholder("x", shape=("batch", 2))
    layers, h = [nn.Dense(2), nn.Dense(2)], x
    for step in range(5):
        with g.in_scope("block" if not step else f"block_{step}", kind="Block"):
            for layer in layers:
                h = layer(h)
    loss = gn.sum(h)
    page = unpacked(gn.trace([loss, *gn.grad(loss, list(g.parameters))], {x: np.ones((3, 2))}).to_html())
    views, count = page.data["views"], len(page.data["nodes"]["name"])
    levels = {view["label"]: view for view in views if "opens" not in view}
    assert list(levels) == [
        "operations", "innermost layers", "layers", "innermost forward layers", "forward layers",
    ]  # fmt: skip
    assert len(levels["operations"]["boxes"]) == count
    for label in ("layers", "innermost layers"):
        view = levels[label]
        assert sorted(place for box in view["boxes"] for place in box) == list(range(count))
        for number, sizes in view["calls"].items():
            assert sum(sizes) == len(view["boxes"][int(number)])
    folded = levels["forward layers"]
    assert len(folded["calls"][str(folded["titles"].index("block"))]) == 5
    assert "×5" in folded["svg"]
    opened = {(view["level"], view["opens"]): view for view in views if "opens" in view}
    assert "block/dense_1" in opened["layers", "block"]["titles"]
    for level in ("layers", "innermost layers"):  # all calls are opened together
        assert "block/dense_1/matmul" in opened[level, "block/dense_1"]["titles"]
        assert "×5" in opened[level, "block/dense_1"]["svg"]
    # In a picture of innermost layers all others stay open.
    assert "block" in opened["innermost layers", "block/dense_1"]["frames"]


def test_of_very_many_operations_the_layers_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST_BOXES", 20)
    page = unpacked(spiral_step().to_html())
    assert page.data["views"]
    assert all(len(view["boxes"]) <= 20 for view in page.data["views"] if "opens" not in view)


# --- several runs -----------------------------------------------------------------------------------------------


def test_a_film_has_a_run_for_each_step_and_tells_how_the_loss_went() -> None:
    _, loss, feed = spiral()
    step = gn.compile(loss, updates=nn.SGD(0.5).updates(loss))
    with gn.recording(step, every=5) as film:
        losses = [float(step(feed)) for _ in range(11)]
    page = unpacked(film.to_html())
    place = dict(page.data["outputs"])["loss"]
    assert [page.value(run, place).item() for run in range(3)] == losses[::5]
    assert [run["label"] for run in page.data["runs"]] == ["call 0", "call 5", "call 10"]
    assert page.data["opening"]["says"] == f"loss = {losses[0]:.4g} at call 0, {losses[10]:.4g} at call 10."


def test_the_boundary_is_what_the_weights_of_each_step_make_of_the_plane() -> None:
    g, loss, feed = spiral(4)
    step = gn.compile(loss, updates=nn.SGD(2.0).updates(loss))
    weights = []
    with gn.recording(step) as film:
        for _ in range(4):
            weights.append([parameter.value.copy() for parameter in g.parameters])
            step(feed)
    seen = unpacked(film.to_html()).data["boundary"]
    left, right, bottom, top = seen["ends"]
    n = seen["grid"]
    points = [(a, b) for b in np.linspace(bottom, top, n) for a in np.linspace(left, right, n)]
    for (w1, b1, w2, b2), classes in zip(weights, seen["classes"], strict=True):
        scores = np.maximum(np.array(points) @ w1 + b1, 0) @ w2 + b2
        assert "".join(map(str, scores.argmax(axis=1))) == classes
    X, y = (feed[g[name]] for name in ("x", "labels"))
    assert seen["labels"] == y.tolist()
    assert np.allclose(seen["points"], X, atol=1e-4)


def test_what_has_not_two_numbers_a_sample_has_no_boundary() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    w = g.parameter("w", np.ones((3, 2)))
    step = gn.compile(gn.sum(x @ w), updates={w: w * 0.5})
    with gn.recording(step) as film:
        step({x: np.ones((4, 3))})
    assert film.to_html().data["boundary"] is None


def test_a_film_opens_on_the_step_that_went_wrong() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 2.0)
    step = gn.compile(gn.sum(gn.log(x * w)), updates={w: w - 1.0})
    with gn.recording(step) as film, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(4):
            step({x: [1.0, 2.0]})
    page = unpacked(film.to_html())
    assert page.data["opening"]["run"] == 2  # w = 2, 1, 0
    assert page.data["opening"]["says"].startswith("At call 2: log[0] = -inf")
    assert [len(run["findings"]) > 0 for run in page.data["runs"]] == [False, False, True, True]


def test_a_film_of_nothing_is_refused() -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.0)
    with gn.recording(gn.compile(w, updates={w: w * 2.0})) as film:
        pass
    with pytest.raises(gn.UsageError, match="holds no trace"):
        film.to_html()


def test_a_what_if_stands_beside_the_run_it_began_from(capsys: pytest.CaptureFixture[str]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 2.0)
    kept = gn.exp(x)
    g.outputs["total"] = total = gn.sum(kept + x * w)
    dbg = gn.debug(total, {x: [0.0, 1.0]})
    dbg.resume()
    dbg["w"] = 5.0
    page = unpacked(dbg.to_html())
    names, pair = page.data["nodes"]["name"], page.data["pair"]
    assert {names[place] for place in pair["recomputed"]} == {"multiply", "add", "sum"}
    assert names[pair["first"]] == "w"
    assert page.data["opening"]["says"].startswith("what-if 1 differs from run first at w (2 → 5): ")
    before, after = 1 + math.e + 2, 1 + math.e + 5
    assert f"3 of 4 operations were recomputed. total: {before:.4g}, then {after:.4g}." in page.data["opening"]["says"]
    assert [page.value(run, place_of(page, "sum")).item() for run in (0, 1)] == pytest.approx([before, after])
    apart = {names[place]: gap for place, gap in pair["differences"]}
    assert apart == pytest.approx({"w": 3.0, "multiply": 3.0, "add": 3.0, "sum": 3.0})


def test_two_runs_stand_side_by_side() -> None:
    def run(factor: float) -> gn.Trace:
        g = gn.Graph()
        x = g.placeholder("x", shape=("batch",))
        y = gn.tanh(x * 0.5)
        return gn.trace(gn.sum(gn.sin(y * factor)), {x: [0.5, 1.0]})

    page = unpacked(run(1.0).to_html(beside=run(2.0)))
    assert len(page.data["runs"]) == 2
    first = page.data["pair"]["first"]
    assert page.value(0, first).tolist() != page.value(1, first).tolist()
    for place in range(first):
        assert page.value(0, place).tolist() == page.value(1, place).tolist()
    assert page.data["pair"]["recomputed"] is None


def test_there_are_more_runs_than_letters() -> None:
    x = gn.Graph().placeholder("x", shape=(1,))
    runs = [gn.trace(gn.exp(x), {x: [float(i)]}) for i in range(28)]
    page = unpacked(runs[0].to_html(beside=runs[1:]))
    said = [run["label"].split()[0] for run in page.data["runs"]]
    assert (len(set(said)), said[0], said[25:]) == (28, "a", ["z", "a2", "b2"])


def test_a_node_with_another_attribute_in_the_other_run_keeps_its_equation() -> None:
    def run(most: float) -> gn.Trace:
        g = gn.Graph()
        return gn.trace(gn.sum(gn.clip(g.placeholder("x", (3,)), 0.0, most, name="y")), {"x": [0.5, 2.0, 9.0]})

    page = unpacked(run(1.0).to_html(beside=run(5.0)))
    there = page.data["runs"][1]["set"][str(place_of(page, "y"))]
    assert there["settings"]["hi"] == "5.0"
    assert "given" not in there


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"beside": ["run"]}, "not str"),
        ({"beside": "run"}, "not str"),
        ({"names": ["one", "two"]}, "they go with beside="),
        ({"names": ["alone"]}, "they go with beside="),
    ],
)
def test_what_cannot_stand_beside_a_run_is_refused(arguments: Any, says: str) -> None:
    with pytest.raises(gn.UsageError, match=says):
        spiral_step().to_html(**arguments)


def test_a_what_if_that_has_not_run_to_its_end_shows_what_has() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 2.0)
    g.outputs["total"] = total = gn.sum(gn.exp(x) * w)
    dbg = gn.debug(total, {x: [0.0, 1.0]})
    dbg.until("multiply")
    dbg["w"] = 5.0
    page = unpacked(dbg.to_html())
    (a, b), place = page.data["runs"], place_of(page, "multiply")
    assert page.value(1, place).tolist() == pytest.approx([5.0, 5 * math.e])
    assert a["values"][place_of(page, "sum")] == b["values"][place_of(page, "sum")] == -1


def test_runs_of_different_lengths_and_shapes_stand_side_by_side() -> None:
    def run(rows: int, deeper: bool) -> gn.Trace:
        g = gn.Graph()
        x = g.placeholder("x", shape=("batch",))
        y = gn.exp(x)
        return gn.trace(gn.sum(gn.tanh(y) if deeper else y), {x: np.zeros(rows)})

    for one, other in [((3, False), (3, True)), ((3, True), (3, False)), ((3, False), (5, False))]:
        page = unpacked(run(*one).to_html(beside=run(*other)))
        assert page.data["pair"]["first"] >= 0
        assert len(page.data["runs"][1]["values"]) == len(page.data["nodes"]["name"])


def test_equal_runs_are_said_to_be_equal() -> None:
    page = unpacked(spiral_step().to_html(beside=spiral_step()))
    assert page.data["pair"]["first"] == -1
    assert page.data["opening"]["says"].startswith("this run and the other run are equal. loss is ")


# --- those of the documentation ---------------------------------------------------------------------------------


# --- where it comes from ----------------------------------------------------------------------------------------


def test_a_trace_from_a_file_makes_a_page(tmp_path: Path) -> None:
    trace = hidden_nan()
    trace.save(tmp_path / "run.trace")
    again = gn.load(tmp_path / "run.trace").to_html()
    assert again.data["opening"] == trace.to_html().data["opening"]
    assert again.data["files"] == trace.to_html().data["files"]


def test_slices_that_are_added_over_a_size_with_a_name_are_shown() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    slope = gn.grad(gn.sum(x[0] * x[1]) + gn.sum(x[:2] * 2.0), x)
    page = gn.trace(slope, {x: np.ones((4, 3))}).to_html()
    assert page.data["nodes"]["formula"][page.data["nodes"]["op"].index("slices_add")]


def test_a_network_without_layers_has_a_picture_of_its_forward_pass() -> None:
    g = gn.Graph("by hand")
    x, w = g.placeholder("x", shape=("batch", 2)), g.parameter("w", np.ones((2, 3)))
    with g.scope("loss"):
        loss = gn.name(gn.mean(gn.square(gn.tanh(gn.matmul(x, w)))), "loss")
    trace = gn.trace(gn.compile(loss, updates=nn.Adam(0.1).updates(loss)), {x: np.ones((4, 2))})
    data = trace.to_html().data
    shown = {view["label"]: {place for box in view["boxes"] for place in box} for view in data["views"]}
    forward = {place for place, node in enumerate(trace.order) if node.phase == "forward"}
    assert shown["forward operations"] == {place for place in forward if place in shown["operations"]}
    assert len(shown["forward operations"]) < len(shown["operations"]) == len(trace.order)
    assert data["loss"] == "loss/loss"
    assert trace.order[data["differentiated"]] is loss
    alone = gn.trace(loss, {x: np.ones((4, 2))}).to_html().data
    assert "forward operations" not in [view["label"] for view in alone["views"]]
    assert alone["differentiated"] == -1
