"""Tables: the operations there are, aligned text, values in short."""

import io
import json
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.core import registry
from graphnn.view import columns, ops_table, preview, statistics
from graphnn.view.formatting import visible

# --- operations -----------------------------------------------------------------------------------------------


def test_every_operation_has_a_row() -> None:
    rows = {row["name"]: row for row in ops_table()}
    assert set(registry) - set(rows) == {"placeholder", "parameter", "constant"}
    assert len(rows) == len(ops_table())
    assert all(row["summary"] for row in rows.values())
    assert all(row["call"].startswith(f"{name}(") for name, row in rows.items())
    json.dumps(ops_table())


def test_row_of_an_operation() -> None:
    (row,) = [row for row in ops_table() if row["name"] == "clip"]
    assert row == {
        "name": "clip",
        "call": "clip(x, lo=None, hi=None)",
        "operands": ["x"],
        "attributes": [{"name": "lo", "default": None}, {"name": "hi", "default": None}],
        "summary": row["summary"],
        "formula": "clip({0}, {lo}, {hi})",
        "differentiable": True,
        "module": "comparison",
    }


def test_rows_tell_what_has_no_gradient_and_what_must_be_said() -> None:
    rows = {row["name"]: row for row in ops_table()}
    assert not rows["floor"]["differentiable"]
    assert rows["matmul"]["differentiable"]
    assert rows["cast"]["attributes"] == [{"name": "dtype"}]


def test_compositions_have_rows() -> None:
    (row,) = [row for row in ops_table() if row["name"] == "softmax"]
    assert row["call"] == "softmax(x, axis=-1)"
    assert row["summary"]


# --- any table ------------------------------------------------------------------------------------------------


def test_numbers_stand_to_the_right() -> None:
    text = columns([("a", 1234567, 0.5), ("bcd", 1, 1 / 3), ("e", None, 1e-9)], ("name", "count", "x"))
    assert text.splitlines() == [
        "name      count       x",
        "----  ---------  ------",
        "a     1,234,567     0.5",
        "bcd           1  0.3333",
        "e                 1e-09",
    ]


@pytest.mark.parametrize(
    ("rows", "headers", "text"), [([], (), ""), ([], ("a", "b"), "a  b\n-  -"), ([("x",)], (), "x")]
)
def test_small_tables(rows: Any, headers: Any, text: str) -> None:
    assert columns(rows, headers) == text


def test_rows_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        columns([("a", "b"), ("c",)])


def test_lines_keep_to_the_width_where_text_can_be_cut() -> None:
    text = columns([("n" * 60, "s" * 50, 12345)], ("name", "summary", "count"))
    assert {len(line) for line in text.splitlines()[1:]} == {80}
    assert text.splitlines()[2].startswith("n" * 33)
    assert text.count("…") == 2
    wide = columns([("n" * 60, 12345678901234567890)] * 2, width=30)
    assert [len(line) for line in wide.splitlines()] == [40, 40]


def test_tables_made_row_by_row_stand_in_line() -> None:
    rows = [("a", 1.5, "short"), ("bb", 22.25, "s" * 100)]
    alone = [columns([row], least=(6, 9)) for row in rows]
    assert alone[0] == "a             1.5  short"
    assert alone[1].startswith("bb          22.25  sss")
    assert len(alone[1]) == 80
    assert columns([], ("name", "x"), least=(6, 9), right=(1,)).splitlines()[0] == "name            x"


def test_wide_characters_count_twice() -> None:
    lines = columns([("日本", "x"), ("abcd", "x"), ("e\u0301ab", "x")]).splitlines()
    assert lines == ["日本  x", "abcd  x", "e\u0301ab   x"]
    assert columns([("日" * 50,)], width=21) == "日" * 10 + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", '""'),
        ("a b", "a b"),
        ("\\N", "\\N"),
        ("\x1b[0m\x00\x7f\x9b", r"\x1b[0m\x00\x7f\x9b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert columns([(f"{text}.",)]) == f"{visible(text + '.')}"


# --- values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.3333"),
        (np.float32(2.5), "2.5"),
        ([[1.0, 2.0], [3.0, 4.0]], "[[1, 2], [3, 4]]"),
        ([], "[]"),
        (True, "True"),
        ([np.nan, np.inf, -np.inf], "[nan, inf, -inf]"),
        (np.arange(7), "min 0, mean 3, max 6"),
        (np.arange(8) > 2, "true 5 of 8"),
        ([np.nan] * 7, "7 NaN"),
        ([np.nan, np.inf, *range(6)], "min 0, mean 2.5, max 5; 1 NaN, 1 inf"),
        (np.full(9, 60000, np.float16), "min 6e+04, mean 6e+04, max 6e+04"),
        (np.full(9, 2**63 - 1), "min 9.223e+18, mean 9.223e+18, max 9.223e+18"),
    ],
)
def test_a_value_in_short_is_its_numbers_if_they_are_few_else_how_they_are_spread(value: Any, text: str) -> None:
    assert preview(value) == text


def test_a_value_in_short_has_as_many_numbers_as_are_asked_for() -> None:
    assert preview(np.arange(7), limit=7) == "[0, 1, 2, 3, 4, 5, 6]"
    assert preview([1, 2], limit=1) == "min 1, mean 1.5, max 2"


def test_statistics() -> None:
    assert statistics([[1.0, 2.0], [3.0, 6.0]]) == (1.0, 3.0, 6.0)
    assert statistics([True, False]) == (0.0, 0.5, 1.0)
    assert np.isnan(statistics([])).all()
    assert np.isnan(statistics([1.0, np.nan])).all()
    least, mean, most = statistics([np.inf, -np.inf])
    assert (least, most) == (-np.inf, np.inf)
    assert np.isnan(mean)


# --- what prints itself ---------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """What a terminal is sent."""

    def isatty(self) -> bool:
        return True


def test_what_is_printed_has_the_width_of_the_terminal_and_elsewhere_that_of_a_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = y = gn.Graph("wide").placeholder("x", ("n",))
    for i in range(12):
        with y.graph.scope("a_scope_with_quite_a_long_name"):
            y = gn.log(y + 1.0, name=f"a_node_whose_name_is_as_long_as_a_line_of_a_terminal_of_eighty_columns_{i}")
    step = gn.compile([y, gn.log(y - y)])
    feed = {x: [1.0, 2.0]}
    things = [
        gn.trace(step, feed),
        gn.summary(y),
        gn.profile(step, feed, repeat=1),
        gn.check_health(step, feed),
        gn.compare(y, None, feed, {x: [1.0, 3.0]}),
        step.plan(feed).explain(),
    ]
    for thing in things:
        assert 60 < widest(str(thing)) <= 80, thing
        with monkeypatch.context() as patch:
            patch.setenv("COLUMNS", "130")
            patch.setattr("sys.stdout", Terminal())
            assert 110 < widest(str(thing)) <= 130, thing
    for told in (things[2].table(None), things[3].text(None), things[4].text(None), things[5].table(None)):
        assert "…" not in told.replace("→ … →", "")


def widest(text: str) -> int:
    return max(map(len, text.split("\n")))


def test_an_infinite_constant_is_no_fault_to_look_for() -> None:
    x = gn.Graph().placeholder("x", ("n",))
    least = gn.minimum(x, np.inf)
    assert "infinities" not in str(gn.trace(least, {x: [1.0, 2.0]}))
    assert "2 nodes hold NaN or infinities" in str(gn.trace(least, {x: [1.0, np.inf]}))
    assert "3 nodes hold NaN or infinities" in str(gn.trace(x + np.nan, {x: [1.0, np.inf]}))
