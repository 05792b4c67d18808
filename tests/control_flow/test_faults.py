"""Fifty faults planted in iterations: each is found, and named with its iteration, its node and its line."""

from pathlib import Path

import numpy as np
import pytest

import graphnn as gn

RNG = np.random.default_rng(7)
LINES = Path(__file__).read_text().splitlines()
T, B, N, H = 30, 2, 3, 4
W, U = RNG.normal(size=(N, 4 * H)) * 0.4, RNG.normal(size=(H, 4 * H)) * 0.4


def rows(**changed):
    """Return a batch, with other numbers in some places: t13=value."""
    x = RNG.uniform(0.5, 1.5, size=(T, B, N))
    for place, value in changed.items():
        x[int(place[1:]), 1, 2] = value
    return x


def arising(op, t, value, code, reverse=False):
    """Return a fault: what an operation makes of a number in one iteration."""

    def network():
        g = gn.Graph()
        xs, w = g.placeholder("xs", ("time", B, N)), g.parameter("w", W[:, :H])
        u = g.parameter("u", U[:, :H])

        def step(h, x):
            y = op(x)  # the fault
            return gn.tanh(h @ u + gn.clip(x, 0.0, 1.0) @ w), gn.sum(y)

        _, ys = gn.scan(step, np.zeros((B, H)), xs, reverse)
        return gn.sum(ys), {xs: rows(**{f"t{t}": value})}

    return network, t, code


def nested(t, s):
    """Return a fault in an iteration of a loop in an iteration of another."""

    def network():
        g = gn.Graph()
        xs = g.placeholder("xs", ("time", 5))

        def inner(total, x):
            return total + gn.sqrt(x), x  # the fault

        def step(h, x):
            total, _ = gn.scan(inner, g.constant(0.0), x)
            return gn.tanh(h + total), h

        last, _ = gn.scan(step, 0.0, xs)
        x = np.ones((T, 5))
        x[t, s] = -1.0
        return last, {xs: x}

    return network, f"{t}/scan_1@{s}", "sqrt-of-negative"


ARISING = [
    arising(gn.log, 0, -1.0, "log-of-negative"),
    arising(gn.log, 13, -1.0, "log-of-negative"),
    arising(gn.log, 29, -0.5, "log-of-negative"),
    arising(gn.log, 17, 0.0, "log-of-zero"),
    arising(gn.log, 11, -1.0, "log-of-negative", reverse=True),
    arising(gn.sqrt, 5, -2.0, "sqrt-of-negative"),
    arising(gn.sqrt, 22, -2.0, "sqrt-of-negative"),
    arising(gn.sqrt, 0, -2.0, "sqrt-of-negative", reverse=True),
    arising(lambda x: 1.0 / x, 7, 0.0, "division-by-zero"),
    arising(lambda x: 1.0 / x, 28, 0.0, "division-by-zero"),
    arising(lambda x: x / x, 9, 0.0, "zero-over-zero"),
    arising(gn.exp, 4, 800.0, "overflow"),
    arising(gn.exp, 19, 800.0, "overflow", reverse=True),
    arising(lambda x: x**400.0, 21, 10.0, "overflow"),
    arising(lambda x: x**0.5, 3, -1.0, None),
    arising(lambda x: gn.arcsin(x * 0.5), 8, 4.0, None),
    arising(lambda x: gn.arccosh(x + 1.0), 16, -2.0, None),
    arising(lambda x: gn.log1p(x), 23, -3.0, None),
    arising(lambda x: gn.square(x * 1e100), 2, 1e100, "overflow"),
    nested(3, 2),
    nested(0, 0),
    nested(29, 4),
]


@pytest.mark.parametrize("fault", ARISING)
def test_where_nan_and_inf_arise(fault):
    network, t, code = fault
    result, feed = network()
    health = gn.check_health(result, feed)
    found = health.first
    assert found.severity == "error"
    assert found.node.name.startswith(f"scan_1@{t}/")
    assert code in (None, found.code)
    line = LINES[found.node.origin.line - 1]
    assert "# the fault" in line or "arising(lambda" in line
    assert found.remedy


def cell(fault, at=None):
    """Return an LSTM by hand, with a gate that is wrong from an iteration on; by default it is right."""
    g = gn.Graph()
    xs = g.placeholder("xs", (T, B, N))
    w, u = g.parameter("w", W), g.parameter("u", U)

    def step(state, row):
        h, c = state
        x, on = row
        i, f, o, new = gn.split(x @ w + h @ u, 4, axis=-1)
        gates = {"i": gn.sigmoid(i), "f": gn.sigmoid(f), "o": gn.sigmoid(o), "new": gn.tanh(new)}
        which, wrong = fault
        gates[which] = gn.where(on > 0.0, wrong(gates[which]), gates[which])
        c = gates["f"] * c + gates["i"] * gates["new"]
        h = gates["o"] * gn.tanh(c)
        return (h, c), h

    on = np.zeros(T) if at is None else (np.arange(T) >= at).astype(float)
    zeros = np.zeros((B, H))
    _, ys = gn.scan(step, (zeros, zeros), (xs, g.parameter("on", on, trainable=False)))
    return gn.sum(ys)


GATES = [
    (which, wrong, at)
    for which, wrong in (
        ("i", lambda gate: 1.0 - gate),
        ("f", lambda gate: gate * 0.0),
        ("o", lambda gate: gate * gate),
        ("new", gn.negative),
    )
    for at in (0, 6, 14, 29)
]


@pytest.mark.parametrize(("which", "wrong", "at"), GATES)
def test_a_wrong_gate_is_the_first_difference(which, wrong, at):
    x = rows()
    right, faulty = cell((which, wrong)), cell((which, wrong), at)
    found = gn.compare(right, faulty, {"xs": x}, rtol=0.0, atol=1e-12)
    differing = [each.name for each in found.differences if each.name.startswith("scan_1@")]
    # What says from when on the gate is wrong is a row of an array, and differs first.
    assert differing[0].startswith(f"scan_1@{at}/getitem")
    assert next(name for name in differing if "getitem" not in name and "greater" not in name) == f"scan_1@{at}/where"


def recurrent(scale, last_only=True, saturated=None, gate=gn.tanh):
    """Return a simple recurrent network with its gradient, whose recurrent weights are a rotation times a factor."""
    g = gn.Graph()
    xs = g.placeholder("xs", ("time", B, N))
    w = g.parameter("w", W[:, :H] * 0.1)
    u = g.parameter("u", np.linalg.qr(U[:, :H])[0] * scale)
    last, ys = gn.scan(lambda h, x: gate(h @ u + x @ w), np.zeros((B, H)), xs)
    loss = gn.mean(last) if last_only else gn.mean(ys)
    return [loss, *gn.grad(loss, [w, u])], {xs: rows() if saturated is None else rows(**{f"t{saturated}": 1e6})}


OVER_TIME = [
    (0.2, True, gn.tanh, "vanishing-over-time"),
    (0.4, True, gn.tanh, "vanishing-over-time"),
    (0.1, True, lambda x: x, "vanishing-over-time"),
    (0.5, True, gn.sigmoid, "vanishing-over-time"),
    (0.2, False, gn.tanh, "vanishing-over-time"),
    (2.0, True, lambda x: x, "exploding-over-time"),
    (3.0, True, lambda x: x, "exploding-over-time"),
    (2.0, False, lambda x: x, "exploding-over-time"),
]


@pytest.mark.parametrize(("scale", "last_only", "gate", "code"), OVER_TIME)
def test_a_gradient_that_vanishes_or_explodes_over_time(scale, last_only, gate, code):
    fetches, feed = recurrent(scale, last_only, gate=gate)
    health = gn.check_health(fetches, feed)
    found = next(each for each in (*health.findings, *health.notes) if each.code == code)
    assert f"in iteration {T - 1} to" in found.cause
    assert "in iteration 1; by iteration" in found.cause  # that of the first state is not asked for
    assert found.severity == ("warning" if last_only or code == "exploding-over-time" else "note")


@pytest.mark.parametrize("gate", [gn.tanh, lambda x: x])
def test_a_gradient_that_is_kept_is_no_finding(gate):
    fetches, feed = recurrent(1.0, gate=gate)
    health = gn.check_health(fetches, feed)
    assert not [each for each in (*health.findings, *health.notes) if "over-time" in each.code]


def saturated(t):
    """Return a network whose gates are at a bound in one iteration."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time", B, N)), g.parameter("w", W[:, :H])
    h, _ = gn.scan(lambda h, x: 0.5 * h + gn.sigmoid(x @ w), np.zeros((B, H)), xs)
    x = rows()
    x[t] *= 1e5
    return [h, gn.grad(gn.sum(h), w)], {xs: x}


@pytest.mark.parametrize("t", [0, 12, 25, 29])
def test_a_gate_that_is_saturated_in_one_iteration(t):
    fetches, feed = saturated(t)
    health = gn.check_health(fetches, feed)
    found = [each for each in (*health.findings, *health.notes) if each.code == "saturated"]
    assert [each.node.name for each in found] == [f"scan_1@{t}/sigmoid"]


def test_there_are_fifty_faults():
    assert len(ARISING) + len(GATES) + len(OVER_TIME) + 4 == 50
