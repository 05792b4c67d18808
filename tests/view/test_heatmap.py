"""Heatmaps and distributions: nothing wider than it may be, nothing that raises, and what they show is so."""

import math
import re
import unicodedata
import xml.etree.ElementTree as ET
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnn.errors import GraphnnError
from graphnn.view import matrix, sparkline
from graphnn.view.heatmap import Scale, heatmap, thumbnail

SGR = re.compile(r"\x1b\[([\d;]*)m")
DTYPES = st.sampled_from(["?", "i1", "u1", "i8", "u8", "f2", "f4", "f8"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9))
)
LARGE = st.tuples(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32 - 1)).map(
    lambda a: np.random.default_rng(a[2]).normal(size=a[:2])
)
VALUES = st.one_of(ARRAYS, LARGE)
COLOURS = st.sampled_from([False, True, 256])


def bare(text: str) -> str:
    text = SGR.sub("", text)
    assert all(c.isprintable() or c == "\n" for c in text)
    return text


def wide(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@given(VALUES, st.integers(20, 120), st.integers(3, 30), COLOURS)
def test_a_matrix_keeps_to_its_width_and_height(value: Any, width: int, height: int, colour: Any) -> None:
    lines = bare(matrix(value, width, height, colour)).split("\n")
    assert max(map(wide, lines)) <= width
    said = sum(map(len, lines[height:]))
    assert said <= 600  # what is below the cells: scale, what is not finite, what is left out


@given(VALUES, st.integers(1, 60))
def test_a_sparkline_is_one_line(value: Any, bins: int) -> None:
    line = bare(sparkline(value, bins))
    assert "\n" not in line
    assert wide(line) <= bins + 110


@given(VALUES)
def test_html_is_well_formed(value: Any) -> None:
    page = ET.fromstring(heatmap(value))
    assert {element.tag.rpartition("}")[2] for element in page.iter()} <= {
        "div", "span", "code", "table", "tr", "th", "td", "svg", "path",
    }  # fmt: skip
    assert not [key for element in page.iter() for key in element.attrib if key.startswith("on") or "href" in key]


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_the_numbers_are_the_values(value: Any) -> None:
    for text in (matrix(value), bare(matrix(value, colour=True))):
        rows = [line.split()[1:] for line in text.split("\n")[1:4]]
        np.testing.assert_allclose(np.array(rows, float), value, rtol=1e-3, atol=0)


@given(st.integers(0, 2**32 - 1))
def test_shades_are_in_order_of_the_values(seed: int) -> None:
    value = np.random.default_rng(seed).permutation(240).reshape(4, 60)
    lines = matrix(value, width=80).split("\n")
    cells = np.array([list(line.split("│")[1]) for line in lines[:4]])
    expected = np.minimum((value / 239 * 5).astype(int), 4)
    assert [[" ░▒▓█".index(cell) for cell in row] for row in cells.tolist()] == expected.tolist()


def backs(text: str) -> list[tuple[int, ...]]:
    """Return the backgrounds of the cells of one line, one a character."""
    found: list[tuple[int, ...]] = []
    now: tuple[int, ...] = ()
    for code, char in re.findall(r"\x1b\[([\d;]*)m|(.)", text):
        if char:
            found.append(now)
        else:
            match = re.search(r"48;2;(\d+);(\d+);(\d+)", code)
            now = tuple(map(int, match.groups())) if match else ()
    return found


def luminance(rgb: tuple[int, ...]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_magnitudes_grow_brighter() -> None:
    line = matrix(np.arange(60.0)[:, None] * np.ones((1, 1)), width=60, height=64, colour=True)
    shades = [backs(row)[4] for row in line.split("\n")[1:61]]
    light = [luminance(rgb) for rgb in shades]
    assert light == sorted(light)
    assert len(set(shades)) > 50


def test_signed_values_are_blue_dark_at_0_and_orange() -> None:
    line = matrix([[-2.0, -1.0, 0.0, 1.0, 2.0]], colour=True).split("\n")[1]
    far_below, below, zero, above, far_above = dict.fromkeys(rgb for rgb in backs(line) if rgb)
    assert max(zero) < 60  # as the terminal
    for blue in (far_below, below):
        assert blue[2] > blue[0]
    for orange in (far_above, above):
        assert orange[0] > orange[2]
    assert luminance(far_below) > luminance(below) > luminance(zero) < luminance(above) < luminance(far_above)


def test_one_scale_of_colours_says_much_in_the_same_way_everywhere() -> None:
    """The stronger, the larger: above 0 in the colours of one half, below 0 in those of the other."""
    for theme, paper in (("light", 255), ("dark", 0)):
        both = Scale(-2.0, 2.0, signed=True, theme=theme)
        above, below = Scale(0.0, 2.0, signed=False, theme=theme), Scale(-2.0, 0.0, signed=False, theme=theme)
        for scale, values in ((above, np.linspace(0, 2, 9)), (below, np.linspace(-2, 0, 9))):
            shown = scale.colours(scale.fractions(values))
            assert np.array_equal(shown, both.colours(both.fractions(values)))
            distance = [abs(luminance(tuple(rgb)) - paper / 255) for rgb in shown]
            assert distance == sorted(distance, reverse=scale is below)


def test_rounding_alone_makes_no_picture() -> None:
    sums = np.array([1.0, 1.0 + 2**-52, 1.0 - 2**-53])
    assert Scale.of(sums, eps=2**-52).is_flat
    assert not Scale.of(sums + np.array([0, 0, 1e-12]), eps=2**-52).is_flat
    assert "#E8EAEE" in heatmap(np.tile(sums, (4, 8)))
    assert thumbnail(sums).cells == [["#E8EAEE"] * 3]
    assert thumbnail([0.0, 1e-300]).cells == [["#F7F7F7", "#7F2704"]]


def test_numbers_are_readable_on_their_colours() -> None:
    """WCAG asks for a contrast of 4.5 of text."""
    text = matrix(np.linspace(-1, 1, 101)[:, None], height=200, colour=True)
    text += matrix(np.linspace(0, 1, 101)[:, None], height=200, colour=True)
    pairs = re.findall(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m *-?[\d.]", text)
    assert len(pairs) > 150
    for pair in pairs:
        ink, back = (luminance(tuple(map(int, part))) for part in (pair[:3], pair[3:]))
        assert (max(ink, back) + 0.05) / (min(ink, back) + 0.05) >= 4.4


def test_two_rows_of_colours_share_a_line() -> None:
    value = np.add.outer(np.arange(8), np.arange(40.0))
    lines = matrix(value, width=60, colour=True).split("\n")
    cells = [line for line in lines if "▀" in line]
    assert len(cells) == 4
    top, below = re.findall(r"38;2;(\d+;\d+;\d+);48;2;(\d+;\d+;\d+)m", cells[0])[0]
    assert top != below
    # The second row is the first one shifted by one.
    tops, belows = (re.findall(rf"{which};2;(\d+;\d+;\d+)", cells[0]) for which in ("38", "48"))
    assert tops[1] == belows[0]


def test_of_256_colours_the_codes_are_of_the_cube() -> None:
    text = matrix(np.random.default_rng(0).random((4, 4)), colour=256)
    codes = [int(code) for code in re.findall(r"[34]8;5;(\d+)", text)]
    assert codes
    assert all(16 <= code <= 231 for code in codes)
    assert "8;2;" not in text


@pytest.mark.parametrize("colour", [False, True])
def test_what_is_not_finite_has_a_sign_and_a_place(colour: bool) -> None:
    value = np.zeros((5, 40))
    value[1, 2], value[3, 4], value[3, 7], value[4, 0] = np.nan, np.inf, np.inf, -np.inf
    text = bare(matrix(value, width=60, colour=colour))
    rows = [line.split("│")[1] for line in text.split("\n")[:5]]
    assert (rows[1][2], rows[3][4], rows[3][7], rows[4][0]) == ("?", "+", "+", "-")
    assert re.sub("[ ▒]", "", "".join(rows)) == "?++-"
    said = " ".join(text.split())
    for words in ("? is NaN, + inf, - -inf", "1 NaN, at [1, 2]", "2 inf, the first at [3, 4]", "1 -inf, at [4, 0]"):
        assert words in said


def test_what_is_left_out_is_said() -> None:
    value = np.zeros((100, 3))
    value[1, 1] = np.nan
    text = matrix(value)
    assert "shown: 15 of 100 rows" in text
    assert "1 NaN, at [1, 1]" in text
    assert "shown: 15 of 100 rows, 50 of 100 columns" in matrix(np.zeros((100, 100)) + np.arange(100)).replace(
        "\n", " "
    )
    assert "2 of 6 slices" in matrix(np.zeros((2, 3, 4, 5)))
    assert "[0, 1, :, :]" in matrix(np.zeros((2, 3, 4, 5)))
    assert "the slice [0, 0, :, :] of 6" in heatmap(np.zeros((2, 3, 4, 5)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.5, "3.5"),
        (True, "True"),
        (np.zeros((0, 3)), "no element: 0 × 3"),
        (np.full((2, 2), 7), "    0  1\n0   7  7\n1   7  7\nall 7"),
        ([1, 2], "  0  1\n  1  2\nfrom 1 to 2"),
        (np.full(2, np.nan), "    0    1\n  nan  nan\nno finite number; 2 NaN, the first at [0]"),
        ([5e-324, 1e-323], "           0           1\n  4.941e-324  9.881e-324\nfrom 4.941e-324 to 9.881e-324"),
    ],
)
def test_small_values(value: Any, text: str) -> None:
    assert matrix(value).split() == text.split()


def test_the_ends_of_float64_are_told_apart() -> None:
    value = np.outer([-1, 0.0, 1], np.full(40, np.finfo(float).max))
    rows = [line.split("│")[1] for line in matrix(value, width=60).split("\n")[:3]]
    assert [row[0] for row in rows] == [" ", "▒", "█"]


# --- distributions --------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(10, 500))
def test_bars_are_those_of_numpys_histogram(seed: int, bins: int, size: int) -> None:
    value = np.random.default_rng(seed).normal(size=size)
    line = sparkline(value, bins)
    low, high = f"{value.min():.4g}", f"{value.max():.4g}"
    assert line.startswith(f"{low} ")
    assert line.endswith(f" {high}")
    bars = line[len(low) + 1 : -len(high) - 1]
    counts, _ = np.histogram(value, bins)
    expected = [math.ceil(8 * count / counts.max()) for count in counts]
    assert [" ▁▂▃▄▅▆▇█".index(bar) for bar in bars] == expected


def test_a_sparkline_counts_what_is_not_finite() -> None:
    line = sparkline([0.0, 1.0, np.nan, np.nan, np.inf, -np.inf])
    assert line.endswith("1; 2 NaN; 1 inf; 1 -inf")
    assert sparkline([np.nan]) == "no finite number; 1 NaN"


# --- HTML -----------------------------------------------------------------------------------------------------


def test_a_table_of_html_has_the_numbers_on_their_colours() -> None:
    page = ET.fromstring(heatmap([[1.0, np.nan], [np.inf, -3.0]]))
    cells = [(cell.text, cell.get("style", "")) for cell in page.iter("td")]
    assert [text for text, _ in cells] == ["1", "nan", "inf", "-3"]
    assert ["gradient" in look for _, look in cells] == [False, True, True, False]
    assert "1 NaN, at [0, 1]" in "".join(page.itertext())


def test_cells_of_svg_cover_the_matrix_once() -> None:
    value = np.random.default_rng(3).normal(size=(20, 50))
    value[3, 4], value[5, 6] = np.nan, np.inf
    svg = next(element for element in ET.fromstring(heatmap(value)).iter() if element.tag.endswith("svg"))
    assert svg.get("viewBox") == "0 0 50 20"
    covered = np.zeros((20, 50), int)
    fill_of: dict[tuple[int, int], str] = {}
    for path in svg:
        for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path.get("d", "")):
            covered[int(y), int(x) : int(x) + int(run)] += 1
            fill_of |= {(int(y), at): path.get("fill", "") for at in range(int(x), int(x) + int(run))}
    assert (covered == 1).all()
    assert fill_of[3, 4] == fill_of[5, 6] == "#B3261E"
    # The greatest of all is infinite, but has no part in the scale.
    finite = np.where(np.isfinite(value), value, 0)
    low, high = (divmod(int(place), 50) for place in (finite.argmin(), finite.argmax()))
    assert fill_of[low].startswith("#08") or fill_of[high].startswith("#7F")  # the ends of blue and orange
    strokes = next(path.get("d", "") for path in svg if path.get("stroke"))
    assert strokes == "M4.2 3.2l.6 .6m0 -.6l-.6 .6M6.2 5.5h.6m-.3 -.3v.6"


def test_what_is_no_array_of_numbers_is_refused() -> None:
    for value in (object(), "ab", [[1], [2, 3]], np.array(["a"]), 1j):
        for show in (matrix, sparkline, heatmap):
            with pytest.raises(GraphnnError, match="the value"):
                show(value)
    for bins in (0, -1, 1.5, True):
        with pytest.raises(GraphnnError, match="bins= is an int of 1 or more, not"):
            sparkline([1.0, 2.0], bins)  # type: ignore[arg-type]
