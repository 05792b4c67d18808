"""The terminal inside of loops."""

import numpy as np
from test_inside import N, network

import graphnn as gn


def test_the_terminal_has_a_verb_for_iterations():
    xs, step = network()
    dbg = gn.debug(step, {xs: np.zeros((2, 4, N))}, echo=None)
    said = []
    session = gn.terminal.Session(dbg, lambda text, coloured: said.append(text), lambda file: None)
    for line in (
        "until scan_1@2",
        "iteration 1",
        "step 2",
        "why scan_1@1/matmul[0, 0]",
        "why 1",
        "break scan_1@*/tanh",
    ):
        assert not session.onecmd(line)
    assert session.failures == 0, said
    assert dbg.current.name == "scan_1@1/matmul"
    assert any('breakpoint 1: after "scan_1@*/tanh", 4 operations' in text for text in said)
