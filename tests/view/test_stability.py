"""A picture is the same for the same graph, in every process; and a small edit moves little."""

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from places import ROOT, SHARED
from svg_geometry import read
from test_diagram import NAMES, named, needs_engine

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.view import draw


def network(units: int = 64, relu: str = "relu", deeper: bool = False, metric: bool = False) -> list[Node]:
    """Return the outputs of a classifier: a loss, and a metric if it is wanted."""
    g = Graph("classifier")
    x, labels = g.placeholder("x", shape=("batch", 2)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    h = gn.relu(nn.Dense(units, rng=np.random.default_rng(0))(x), name=relu)
    if deeper:
        h = gn.tanh(h)
    p = nn.Softmax()(nn.Dense(3, rng=np.random.default_rng(0))(h))
    return [nn.categorical_crossentropy(p, labels)] + ([gn.mean(p)] if metric else [])


# --- the same ---------------------------------------------------------------------------------------------------


def everything() -> dict[str, str]:
    """Return what comes of all arguments, in all forms that graphnn makes itself."""
    (loss,) = network()
    g = loss.graph
    fetches = [loss, *gn.grad(loss, list(g.parameters))]
    feed = {"x": np.linspace(-1.0, 1.0, 8).reshape(4, 2), "labels": np.array([0, 1, 2, 1])}
    trace = gn.trace(fetches, feed, graph=g)
    some = {node.name: float(number) for number, node in enumerate(gn.schedule(fetches)) if number % 3 == 0}
    arguments: list[dict[str, Any]] = [
        {},
        {"detail": "layer"},
        {"detail": {"": "layer", "softmax_1": "op"}, "theme": "dark", "title": "A title"},
        {"repeats": True, "highlight": {*gn.schedule(loss)}},
        {"focus": ["softmax_1", "relu"], "radius": 1},
        {"phases": {"backward"}},
        {"overlay": "values", "trace": trace},
        {"overlay": "gradients", "trace": trace, "detail": 0},
        {"overlay": some, "highlight": dict.fromkeys(sorted({*some}), "way")},
        {"overlay": gn.check_health(fetches, feed, graph=g)},
    ]
    made = {}
    for number, how in enumerate(arguments):
        diagram = draw(fetches, engine="plain", **how)
        for form in ("svg", "dot", "mmd", "txt"):
            made[f"{number} {form}"] = diagram.render(form).decode()
        made[f"{number} animation"] = diagram.animation()
    strange = draw(named(NAMES), engine="plain")
    return made | {"names": ascii(strange.source), "names svg": ascii(strange.svg())}


def test_all_is_the_same_in_every_process_and_for_every_build() -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_stability import digest, everything\n"
        "for name, made in everything().items(): print(name, digest(made))\n"
    )
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *SHARED, str(ROOT)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    assert [one for one, other in zip(*said, strict=True) if one != other] == []
    # Numbers in other places than those of this process, too: no id is seen.
    assert said[0] == [f"{name} {digest(made)}" for name, made in everything().items()]


def digest(text: str) -> str:
    # Where a node was made is told in its tooltip: here by this file or by -c.
    return hashlib.sha256(text.encode()).hexdigest()


# --- little moves -----------------------------------------------------------------------------------------------


def places(fetches: list[Node], engine: str) -> dict[str, tuple[float, float]]:
    """Return where the middle of each box is, by the name of its node."""
    diagram = draw(fetches, engine=engine)
    drawn = read(diagram.svg())
    found = {}
    for box in diagram._picture.boxes:
        place = drawn.boxes[f"n{box.place}"].place
        found[box.node.name] = ((place.left + place.right) / 2, (place.top + place.bottom) / 2)
    return found


def moves(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]) -> list[tuple[float, float]]:
    """Return how far each box has moved that is in both, as seen from the first."""
    first = next(iter(one))
    across, down = (other[first][axis] - one[first][axis] for axis in (0, 1))
    return [(other[name][0] - x - across, other[name][1] - y - down) for name, (x, y) in one.items() if name in other]


@needs_engine
@pytest.mark.parametrize("engine", ["plain", "dot"])
@pytest.mark.parametrize("edit", [{"units": 128}, {"relu": "first"}, {"units": 5, "relu": "first"}], ids=str)
def test_other_sizes_and_names_move_next_to_nothing(edit: dict[str, Any], engine: str) -> None:
    moved = moves(places(network(), engine), places(network(**edit), engine))
    assert len(moved) >= 20
    assert max(abs(x) + abs(y) for x, y in moved) < 15.0


@needs_engine
@pytest.mark.parametrize("engine", ["plain", "dot"])
def test_one_operation_more_pushes_down_what_is_below_it(engine: str) -> None:
    moved = moves(places(network(), engine), places(network(deeper=True), engine))
    rows = {round(y) for _, y in moved}
    assert max(abs(x) for x, _ in moved) < 15.0
    assert len({round(y / 10) for y in rows}) == 2  # nothing, or a row
    assert max(rows) < 70


@needs_engine
@pytest.mark.parametrize("engine", ["plain", "dot"])
def test_one_output_more_leaves_the_way_to_the_loss(engine: str) -> None:
    one, other = places(network(), engine), places(network(metric=True), engine)
    order = {name: number for number, name in enumerate(sorted(one, key=lambda name: one[name][1]))}
    again = {name: number for number, name in enumerate(sorted(one, key=lambda name: other[name][1]))}
    assert max(abs(order[name] - again[name]) for name in one) <= 2
    assert max(abs(y) for _, y in moves(one, other)) < 30.0
