"""Patched networks where others are tried, too: with loops, and compared on data."""

import numpy as np

import graphnn as gn


def test_models_are_compared_on_data_if_a_patch_has_cut_off_an_input() -> None:
    x = gn.Graph().placeholder("x", ("batch", 3))
    y = gn.sum(gn.tanh(x), axis=1)
    rows = np.arange(15.0).reshape(5, 3)
    halves = [gn.patched(y, {"tanh": number}) for number in (0.5, 1.0)]
    found = gn.compare(y, halves[1], data={x: rows}, batch_size=2)
    assert found[0].gap == abs(gn.run(gn.sum(gn.tanh(x), axis=1), {x: rows}) - 3.0).max()
    assert found.count == 5
    assert found.compare().first.node.name == "tanh"
    both = gn.compare(*halves, data={"x": rows}, batch_size=2)  # neither needs it, but for its size
    assert (both.count, both.differing, both[0].gap) == (5, 5, 1.5)


RNG = np.random.default_rng(0)


X = RNG.normal(size=(5, 2, 3))


def network(dtype="float64"):
    """Return a placeholder, a parameter, what a loop gives, and a loss."""
    g = gn.Graph(dtype=dtype)
    x = g.placeholder("x", ("time", "batch", 3))
    w = g.parameter("w", np.eye(3, dtype=dtype) / 2)
    last, sums = gn.scan(lambda s, r: (gn.tanh(s @ w + r), gn.sum(s, -1)), x[0] * 0.0, x)
    return x, w, last, sums, gn.sum(last * last) + gn.sum(sums)


def test_graphs_with_loops_are_changed_copied_and_run_step_by_step():
    x, w, last, _, loss = network()
    value, given = gn.run(loss, {x: X}), {"x": X}
    assert gn.run(list(gn.extract(loss))[-1], given) == value
    assert gn.run(gn.replace(loss, {w: w * 1.0}), given) == value
    assert gn.run(gn.replace(loss, {w: w * 2.0}), given) != value
    assert gn.run(gn.patched(loss, {last: np.zeros((2, 3))}), given) == gn.run(loss - gn.sum(last * last), {x: X})
    assert [step.value for step in gn.steps(loss, {x: X})][-1] == value
    debugger = gn.debug(loss, {x: X}, echo=None)
    debugger.resume()
    debugger.back()
    debugger.resume()
    assert debugger[loss].value == value
