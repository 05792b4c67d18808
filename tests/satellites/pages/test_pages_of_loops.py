"""Pages of debuggers that stand in loops."""

import numpy as np

import graphnn as gn
from graphnn.debugger.iteration_traces import with_loops

N = 3


def network(steps=4):
    """Return a step of training with a loop."""
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("batch", steps, N)), g.parameter("w", np.eye(N) * 0.5)

    def step(h, x):
        h = gn.tanh(h @ w + x)
        return h, gn.log(gn.sum(h, axis=-1) + 2.0)

    _, ys = gn.scan(step, gn.zeros((xs.shape[0], N), graph=g), gn.transpose(xs, (1, 0, 2)))
    loss = gn.mean(ys)
    return xs, gn.compile(loss, gn.nn.SGD(0.1).updates(loss), guard="nan")


def test_the_page_of_a_debugger_has_the_loop_and_not_a_box_for_each_iteration(tmp_path):
    xs, step = network()
    dbg = gn.debug(step, {xs: np.zeros((2, 4, N))}, echo=None)
    for where, stopped in ((None, None), ("scan_1@2/tanh", "scan_1/loop"), ("mean", "grad/divide_by_size")):
        if where is None:
            dbg.resume()
        else:
            dbg.goto(where)
        trace = with_loops(dbg.trace())
        assert "scan_1/loop" in {node.name for node in trace.order}
        assert (None if trace.stopped is None else trace.order[trace.stopped].name) == stopped
        dbg.to_html(tmp_path / "page.html")
        assert (tmp_path / "page.html").stat().st_size > 10_000
