"""Collapsing hides nothing: what the boxes of a picture say adds up to the graph's parameters, operations and FLOPs.

The figures are read from the DOT text, as a reader has them, and compared with those of the nodes themselves.
"""

import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from dot_text import Frame, Said, Told, told
from test_plain import scoped

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.core import Parameter
from graphnn.view import draw
from graphnn.view.diagrams import box_text, overlay, repeated_blocks
from graphnn.view.diagrams.picture import numbers_in

DETAILS = ["op", "layer", 0, 1, 2]


# --- what is drawn ----------------------------------------------------------------------------------------------


def with_gradients(seed: int) -> list[Node]:
    """Return the sum of all ends of a graph by chance in scopes by chance, and its gradients."""
    ends = scoped(seed)
    total = gn.sum(sum(ends[1:], ends[0]))
    wrt = [node for node in gn.schedule(total) if node.name == "x" or node.trainable]
    return [total, *gn.grad(total, wrt)]


def stack(seed: int) -> list[Node]:
    """Return a training step of a stack of layers by chance, some of which are the same or used twice."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    g = Graph("stack")
    x, labels = g.placeholder("x", shape=("batch", 3)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    shared = nn.Dense(3, rng=numbers)
    h = x
    for number in range(rng.randrange(2, 7)):
        with g.scope(rng.choice(["block", "part", f"odd{number}"])):
            layer = shared if rng.random() < 0.2 else nn.Dense(3, rng=numbers, use_bias=rng.random() < 0.8)
            h = layer(h) if rng.random() < 0.3 else gn.relu(layer(h)) if rng.random() < 0.8 else layer(h) * 2.0
    loss = nn.softmax_crossentropy(nn.Dense(2, rng=numbers)(h), labels)
    optimizer = rng.choice([None, nn.SGD(0.1), nn.Adam(0.1)])
    if optimizer is None:
        return [loss, *gn.grad(loss, list(g.parameters))]
    return [loss, *optimizer.updates(loss).values()]


def feed_of(fetches: list[Node]) -> dict[str, Any]:
    values = {"x": np.linspace(-1.0, 1.0, 12).reshape(4, 3), "labels": np.array([0, 1, 1, 0])}
    return {name: value for name, value in values.items() if name in fetches[0].graph}


GRAPHS: dict[str, Callable[[], list[Node]]] = {
    **{f"scoped {seed}": lambda seed=seed: with_gradients(seed) for seed in range(3)},  # type: ignore[misc]
    **{f"stack {seed}": lambda seed=seed: stack(seed) for seed in range(5)},  # type: ignore[misc]
}


def details_of(fetches: list[Node], seed: int) -> Iterator[tuple[Any, bool]]:
    """Yield details, with and without collapsing repeats; among them dicts by chance."""
    rng = random.Random(seed)
    paths = list(fetches[0].graph.scopes)
    chosen: list[Any] = list(DETAILS)
    chosen += [
        {path: rng.choice(["op", "layer"]) for path in ["", *rng.sample(paths, min(3, len(paths)))]} for _ in range(3)
    ]
    for detail in chosen:
        yield detail, False
        yield detail, True


# --- what is said -----------------------------------------------------------------------------------------------


def operations(said: Said | Frame) -> int:
    """Return how many operations a box stands for: what its tooltip counts, or one that is computed of others."""
    if counted := re.search(r"([\d,]+) operations?", said.tip[1]):
        return int(counted[1].replace(",", ""))
    return int(not re.match(r"(Placeholder|Parameter|Constant|Zeros|Ones|Full)\(", said.tip[1]))


def parameters(said: Said | Frame) -> int:
    """Return how many numbers its parameters have: what is written on it, or the product of a parameter's shape."""
    if counted := re.search(r"([\d,]+) parameters?", said.lines[-1] if isinstance(said, Frame) else said.lines[1:2][0]):
        return int(counted[1].replace(",", ""))
    if isinstance(said, Said) and said.look.get("shape") == "cylinder":
        shape = said.lines[1].removesuffix(" · not trained").split(" · ")[0]
        return math.prod(int(size) for size in shape.split(" × ") if size != "scalar")
    return 0


def flops(said: Said) -> int:
    lines = [line for line in said.tip if line.endswith(" floating-point operations")]
    return int(lines[0].split()[0].replace(",", "")) if lines else 0


def sums(picture: Told) -> dict[str, int]:
    boxes = [box for name, box in picture.boxes.items() if name.startswith("n")]
    return {
        "operations": sum(map(operations, boxes)),
        "parameters": sum(parameters(box) for box in boxes if len(box.lines) > 1),
        "flops": sum(map(flops, boxes)),
    }


def of_the_graph(trace: gn.Trace) -> dict[str, int]:
    nodes = trace.order
    of_op = gn.profile(trace.fetches, feed_of(trace.fetches), graph=trace.graph).by_op
    return {
        "operations": sum(bool(node.inputs) for node in nodes),
        "parameters": sum(node.value.size for node in nodes if isinstance(node.op, Parameter)),
        "flops": sum(cost.flops for cost in of_op),
    }


def lies(trace: gn.Trace, wanted: dict[str, int], detail: Any, repeated: bool) -> list[str]:
    """Return a sentence for each figure that is not as it must be."""
    picture = told(draw(trace.fetches, detail, repeats=repeated, overlay="flops", trace=trace).source)
    found = sums(picture)
    said = [f"{name} {found[name]} instead of {wanted[name]}" for name in wanted if found[name] != wanted[name]]
    for path, frame in picture.frames.items():
        inside = [picture.boxes[name] for name in frame.members if name.startswith("n")]
        if operations(frame) != (there := sum(map(operations, inside))):
            said.append(f"{operations(frame)} operations in the frame {path} of {there}")
        if parameters(frame) != (there := sum(parameters(box) for box in inside if len(box.lines) > 1)):
            said.append(f"{parameters(frame)} parameters in the frame {path} of {there}")
    total = picture.headings[0].removeprefix("floating-point operations, ").removesuffix(" in all")
    amount, unit = total.split()
    size = {"FLOP": 1.0, "kFLOP": 1e3, "MFLOP": 1e6}[unit]
    if not math.isclose(float(amount) * size, wanted["flops"], rel_tol=5e-3):
        said.append(f"{total} in the legend instead of {wanted['flops']}")
    return said


# --- it adds up -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_all_boxes_add_up(name: str) -> None:
    fetches = GRAPHS[name]()
    trace = gn.trace(fetches, feed_of(fetches), graph=fetches[0].graph)
    wanted = of_the_graph(trace)
    assert wanted["operations"] > 3
    for detail, repeated in details_of(fetches, len(name)):
        assert lies(trace, wanted, detail, repeated) == [], (detail, repeated)


def test_blocks_that_are_one_box_add_up_to_all_of_them() -> None:
    g = Graph()
    h = g.placeholder("x", shape=(4, 3))
    for _ in range(5):
        h = nn.ReLU()(nn.Dense(3)(h))
    trace = gn.trace(h, {"x": np.ones((4, 3))}, graph=g)
    box = told(draw(h, "layer", repeats=True, overlay="flops", trace=trace).source).titled("Dense → relu ×5")
    assert "60 parameters" in box.lines[1]  # 5 · (9 + 3)
    assert "15 operations, 60 parameters" in box.tip[1]
    assert flops(box) == 5 * (2 * 4 * 3 * 3 + 12 + 12)


def test_a_shared_layer_is_counted_once() -> None:
    g = Graph()
    shared = nn.Dense(3)
    y = shared(shared(g.placeholder("x", shape=(4, 3))))
    picture = told(draw(y, "layer").source)
    assert [parameters(box) for name, box in picture.boxes.items() if name != "t0"] == [0, 12, 0]


def test_a_scope_that_holds_a_whole_step_tells_what_goes_in_and_out_forwards() -> None:
    g = Graph()
    x = g.placeholder("x", shape=("batch", 2))
    with g.scope("train"):
        loss = gn.sum(gn.square(nn.Dense(5, use_bias=False)(x)))
        step = list(nn.SGD(0.1).updates(loss).values())
    picture = told(draw([loss, *step]).source)
    # A number comes out of it, not the 2 × 5 of the last update; and the learning rate is a parameter, too.
    assert picture.frames["train",].lines == ["train", "11 parameters"]
    assert picture.frames["train", "dense_1"].lines == ["dense_1", "2 → 5, 10 parameters"]


# --- and a lie would be seen ------------------------------------------------------------------------------------


def planted_stack() -> gn.Trace:
    g = Graph()
    h = x = g.placeholder("x", shape=("batch", 3))
    for _ in range(3):
        with g.scope("block"):
            h = gn.relu(nn.Dense(3)(h))
    fetches = [gn.sum(h + x)]
    return gn.trace(fetches, feed_of(fetches), graph=g)


def of_the_first_half(nodes: list[Node], *how: Any) -> int:
    return numbers_in(nodes[: len(nodes) // 2], *how)


def without_the_last(scope: Any, nodes: list[Node]) -> list[str]:
    return true_tip(scope, nodes[:-1])


true_tip, true_merged, true_repeated = box_text.scope_tip, overlay._merged, repeated_blocks.repeated


def of_the_largest(row: Any, *rest: Any) -> Any:
    return true_merged(row._replace(together="largest"), *rest)


def of_one_block(seen: Any) -> Any:
    collapsed = true_repeated(seen)
    for box in collapsed.boxes:
        if box.scope is not None and "×" in box.scope.kind:
            box.nodes = box.nodes[: len(box.nodes) // 3]
    return collapsed


@pytest.mark.parametrize(
    ("where", "name", "planted", "said"),
    [
        (box_text, "numbers_in", of_the_first_half, "parameters"),
        (box_text, "scope_tip", without_the_last, "operations"),
        (overlay, "_merged", of_the_largest, "flops"),
        ("graphnn.view.diagrams.draw.repeated", "", of_one_block, "parameters 12 instead of 36"),
    ],
    ids=["parameters", "operations", "flops", "repeats"],
)
def test_a_lie_would_be_seen(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, planted: Any, said: str) -> None:
    trace = planted_stack()
    wanted = of_the_graph(trace)
    assert lies(trace, wanted, "layer", repeated=True) == []
    if isinstance(where, str):
        monkeypatch.setattr(where, planted)
    else:
        monkeypatch.setattr(where, name, planted)
    found = lies(trace, wanted, 0, repeated=False) + lies(trace, wanted, "layer", repeated=True)
    assert any(said in one for one in found), found
