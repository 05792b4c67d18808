"""Colours in a terminal: which line has which, that they can be read, and that no name sets one."""

import itertools
import re

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.view.tables.terminal_colors import INKS, headed, inked, meanings_of
from graphnn.view.tables.trace_table import listing, neighbourhood, records_table, screen, trace_table

CODE = re.compile(r"\x1b\[[\d;]*m")
BACKGROUNDS = {"white": "#ffffff", "cream": "#fdf6e3", "black": "#000000", "grey": "#1e1e1e", "slate": "#002b36"}


def luminance(rgb: tuple[int, ...]) -> float:
    """As WCAG has it."""
    parts = [part / 255 for part in rgb]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def rgb_of(code: int) -> tuple[int, ...]:
    """Of the 216 colours that a terminal of 256 has besides its own."""
    levels = (0, 95, 135, 175, 215, 255)
    return levels[(code - 16) // 36], levels[(code - 16) // 6 % 6], levels[(code - 16) % 6]


@pytest.mark.parametrize("background", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_each_colour_can_be_read_on_light_and_on_dark(background: str) -> None:
    ground = luminance(tuple(int(background[i : i + 2], 16) for i in (1, 3, 5)))
    for meaning, codes in INKS.items():
        for code in re.findall(r"38;5;(\d+)", codes):
            low, high = sorted((ground, luminance(rgb_of(int(code)))))
            assert (high + 0.05) / (low + 0.05) >= 3.0, meaning


def test_meanings_look_different_from_one_another() -> None:
    assert len(set(INKS.values())) == len(INKS)


def meanings(text: str) -> list[str]:
    """Return what each line begins with that is coloured."""
    codes = {"\x1b[" + code + "m": meaning for meaning, code in INKS.items()}
    found = []
    for line in text.split("\n"):
        first = CODE.search(line)
        found.append("" if first is None else codes.get(first[0], first[0]))
    return found


def debugger() -> gn.Debugger:
    """x @ w = 1, 0; their logarithm, its sum, and a step of gradient descent."""
    g = gn.Graph("inks")
    x = g.placeholder("x", shape=("batch", 1))
    total = gn.sum(gn.log(x @ g.parameter("w", [[1.0]])))
    return gn.debug(gn.compile(total, updates=nn.SGD(0.1).updates(total)), {x: np.array([[1.0], [0.0]])}, echo=None)


def test_a_list_marks_the_current_node_the_phases_and_what_is_not_finite() -> None:
    dbg = debugger()
    dbg.step()
    assert meanings(listing(dbg, 2, colour=True)) == ["faint", "faint", "current", "faint", "faint"]
    dbg.until("log")
    assert meanings(listing(dbg, 1, colour=True))[1] == "\x1b[1;1;38;5;196m"


def test_phases_have_colours_of_their_own() -> None:
    g = gn.Graph("phases")
    x = g.placeholder("x", shape=("batch", 1))
    loss = gn.mean(gn.square(x @ g.parameter("w", [[1.0]])))
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    trace = gn.trace(step, {x: np.ones((2, 1))})
    lines = meanings(records_table(trace.records, 80, colour=True))
    assert lines[:2] == ["", ""]
    phases = [record.node.phase for record in trace.records]
    assert {"forward", "backward", "update"} == set(phases)
    assert lines[2:] == ["" if phase == "forward" else phase for phase in phases]


def test_a_trace_marks_what_is_not_finite_and_where_it_was_stopped() -> None:
    dbg = debugger()
    assert "failed" not in meanings(trace_table(dbg.trace(), colour=True)), "nothing has run, and nothing failed"
    dbg.resume()
    trace = dbg.trace()
    told = trace_table(trace, 80, colour=True)
    strange = [bool(record.stats.nans + record.stats.posinfs + record.stats.neginfs) for record in trace]
    assert any(strange)
    assert not all(strange)
    rows = meanings(told)[2 : 2 + len(strange)]
    assert [meaning == "failed" for meaning in rows] == strange
    assert "failed" in meanings(told.rpartition("\n\n")[2]), "that some are not finite is said below, too"
    assert CODE.sub("", told) == trace_table(trace, 80)


def test_what_failed_is_marked_in_every_view() -> None:
    g = gn.Graph("stop")
    x = g.placeholder("x", shape=("n",))
    with pytest.raises(gn.GraphnnError) as caught:
        gn.run(gn.exp(gn.log(x)), {x: np.zeros(2)}, guard="finite")
    dbg = caught.value.debug()
    assert "failed" in meanings(trace_table(dbg.trace(), colour=True))
    for text in (listing(dbg, colour=True), neighbourhood(dbg, "log", colour=True), screen(dbg, colour=True)):
        assert any(INKS["failed"] in line and "log" in line for line in text.split("\n"))


def test_without_colours_there_is_no_code() -> None:
    dbg = debugger()
    dbg.resume()
    for text in (listing(dbg), neighbourhood(dbg), screen(dbg), trace_table(dbg.trace())):
        assert "\x1b" not in text
    for show in (listing, neighbourhood):
        assert CODE.sub("", show(dbg, colour=True)) == show(dbg)


HOSTILE = "\x1b[31m\x1b]0;owned\x07\u202e"


def test_no_name_sets_a_colour() -> None:
    g = gn.Graph("hostile")
    x = g.placeholder(HOSTILE, shape=("n",))
    dbg = gn.debug(gn.exp(gn.log(x, name=f"error: {HOSTILE}")), {x: np.zeros(2)}, echo=None)
    dbg.resume()
    own = {f"\x1b[{';'.join(codes)}m" for n in (1, 2) for codes in itertools.product(INKS.values(), repeat=n)}
    for text in (
        listing(dbg, colour=True),
        neighbourhood(dbg, colour=True),
        trace_table(dbg.trace(), None, colour=True),
        headed(f"error: {HOSTILE}\n{HOSTILE}: more"),
        inked(HOSTILE, "failed"),
    ):
        assert CODE.sub("", text).replace("\n", "").isprintable()
        assert set(CODE.findall(text)) <= own | {"\x1b[0m"}


def test_the_first_word_of_a_line_says_how_bad_it_is() -> None:
    told = headed("error: a\nwarning: b\nnote: c\nnothing: d\nan error: e\n\nerror without a colon")
    assert meanings(told) == ["failed", "warning", "faint", "", "", "", ""]
    assert CODE.sub("", told) == headed(told := CODE.sub("", told), colour=False) == told
    assert meanings(headed("graphnn: error: b\nerror: c", head="warning")) == ["warning", "failed"]


@pytest.mark.parametrize("state", ["done", "current", "stale", "overridden", "fed", "waiting", "failed"])
def test_a_faint_line_has_no_colour_of_a_phase(state: str) -> None:
    found = set(meanings_of(state, "backward"))
    assert not {"faint", "backward"} <= found
    assert ("failed" in found) == (state == "failed")
    assert "failed" in meanings_of(state, "backward", strange=True)
