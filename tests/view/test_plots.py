"""Plots: what is drawn is read back from the figure, and compared with what NumPy computes."""

import io
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.view import heatmap, plots

POINTS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 3.0]])
LABELS = np.array([0, 1, 2, 1, 2])


@pytest.fixture(autouse=True)
def _drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure of these tests is written to the end: some faults of a picture show only there."""
    for name in plots.__all__:
        monkeypatch.setattr(plots, name, written(getattr(plots, name)))


def written(plot: Callable[..., Any]) -> Callable[..., Any]:
    def plotted(*args: Any, **kwargs: Any) -> Any:
        figure = plot(*args, **kwargs)
        figure.savefig(io.StringIO(), format="svg")
        return figure

    return plotted


def words(texts: Any) -> list[str]:
    return [text.get_text() for text in texts]


# --- images -----------------------------------------------------------------------------------------------------


def colours(axes: Any) -> np.ndarray:
    """Return the colour of each cell, as red, green and blue."""
    (drawn,) = axes.images
    return np.rint(255 * np.array(drawn.to_rgba(drawn.get_array()))[..., :3]).astype(int)


def test_images_have_the_colours_of_heatmaps_on_one_scale() -> None:
    values = np.array([[[-4.0, 0.0]], [[2.0, 1.0]]])
    first, second, key = plots.images(values, title="Two").figure.axes
    assert (first.get_title(), second.get_title()) == ("[0]", "[1]")
    scale = heatmap.Scale.of(values)
    for axes, plane in zip((first, second), values, strict=True):
        assert np.abs(colours(axes) - scale.colours(scale.fractions(plane))).max() <= 4
    assert key.get_ylim() == (-4.0, 4.0)


@pytest.mark.parametrize(("values", "ends"), [([[1.0, 3.0]], (1.0, 3.0)), ([[-3.0, -1.0]], (-3.0, -1.0))])
def test_images_of_one_sign_have_half_of_the_colours(values: Any, ends: tuple[float, float]) -> None:
    axes, key = plots.images(values).axes
    assert key.get_ylim() == ends
    scale = heatmap.Scale.of(np.array(values))
    assert np.abs(colours(axes) - scale.colours(scale.fractions(np.array(values)))).max() <= 4


def test_images_by_name_have_a_scale_each_or_their_numbers() -> None:
    given = {"a$b": [[1.0, 2.0]], "b": [[-50.0, 3e-7]]}
    one, other, first_key, second_key = plots.images(given).axes
    assert (one.get_title(), other.get_title()) == (r"a\$b", "b")
    assert (first_key.get_ylim(), second_key.get_ylim()) == ((1.0, 2.0), (-50.0, 50.0))
    one, other = plots.images(given, numbers=True).axes
    assert words(one.texts) + words(other.texts) == ["1", "2", "-50", "3e-07"]


def test_what_is_not_finite_or_all_one_is_told() -> None:
    axes, _ = plots.images([[np.nan, 1.0, 2.0], [3.0, np.inf, 5.0]]).axes
    (crosses,) = axes.collections
    assert crosses.get_offsets().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert words(plots.images([[np.nan, -0.0]], numbers=True).axes[0].texts) == ["nan", "0"]
    assert plots.images(np.full((2, 2), 7)).axes[0].get_xlabel() == "all 7"
    assert plots.images([[np.nan]]).axes[0].get_xlabel() == "none is finite"


def test_images_lie_as_their_axes_do() -> None:
    def grid(figure: Any) -> tuple[int, int]:
        rows, columns, *_ = figure.axes[0].get_subplotspec().get_geometry()
        return rows, columns

    assert grid(plots.images(np.eye(6).reshape(2, 3, 2, 3))) == (2, 3)
    assert grid(plots.images(np.eye(6).reshape(6, 1, 2, 3))) == (1, 6)
    assert grid(plots.images(np.eye(6).reshape(6, 2, 3), columns=4)) == (2, 4)
    figure = plots.images(np.zeros((100, 1, 1)), title="Many")
    assert len(figure.axes) == 96
    assert figure.get_suptitle() == "Many · the first 96 of 100"


@pytest.mark.parametrize("given", [1.0, [1.0], np.ones((1, 1, 1, 1, 1)), np.ones((0, 2, 2)), {}, {"a": [1.0]}])
def test_what_is_no_plane_is_refused(given: Any) -> None:
    with pytest.raises(gn.ShapeError, match=r"height and width|no plane"):
        plots.images(given)


# --- scatter and boundary -------------------------------------------------------------------------------------


def test_scatter_has_the_points_of_each_class_with_a_look_of_its_own() -> None:
    figure = plots.scatter(POINTS, LABELS, title="Five")
    (axes,) = figure.axes
    assert axes.get_title() == "Five"
    assert words(figure.legends[0].get_texts()) == ["class 0", "class 1", "class 2"]
    for kind, drawn in enumerate(axes.collections):
        np.testing.assert_array_equal(drawn.get_offsets(), POINTS[kind == LABELS])
    assert len({drawn.get_facecolor().tobytes() for drawn in axes.collections}) == 3
    assert len({drawn.get_paths()[0].vertices.tobytes() for drawn in axes.collections}) == 3  # the markers


def test_a_class_looks_alike_whichever_others_there_are() -> None:
    every, some = plots.scatter(POINTS, LABELS), plots.scatter(POINTS[LABELS > 0], LABELS[LABELS > 0])
    looks = [[drawn.get_facecolor().tolist() for drawn in figure.axes[0].collections] for figure in (every, some)]
    assert looks[0][1:] == looks[1]


def test_no_points_are_a_picture_too() -> None:
    assert plots.scatter(np.empty((0, 2)), []).legends == []


@pytest.mark.parametrize(
    ("points", "labels"),
    [([1.0, 2.0], [0, 1]), ([[1.0, 2.0, 3.0]], [0]), ([[1.0, 2.0]], [0, 1]), ([[1.0, 2.0]], [[0]])],
)
@pytest.mark.parametrize("plot", ["scatter", "boundary"])
def test_points_that_are_not_in_the_plane_are_refused(plot: str, points: Any, labels: Any) -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    given = (points, labels) if plot == "scatter" else (gn.sum(x, axis=1), points, labels)
    with pytest.raises(gn.ShapeError, match=r"\(n, 2\), and as many labels; got"):
        getattr(plots, plot)(*given)


CENTRES = np.array([[0.0, 0.0], [2.0, 0.5], [0.5, 2.0]])


def nearest() -> gn.Node:
    """Return a network whose class is the nearest of three centres: |x - c|² without x², which all have."""
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    return x @ (2.0 * CENTRES.T) - (CENTRES**2).sum(axis=1)


def test_boundary_colours_the_plane_by_class() -> None:
    (axes,) = plots.boundary(nearest(), POINTS, LABELS).axes
    areas = [drawn for drawn in axes.collections if type(drawn).__name__ == "QuadMesh"]
    assert len(areas) == 3
    corners = areas[0].get_coordinates()
    middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    truth = np.linalg.norm(middles[:, :, None, :] - CENTRES, axis=-1).argmin(axis=-1)
    for kind, area in enumerate(areas):
        # Where two are equally near, either is right.
        assert np.mean((area.get_array().filled(-1) == kind) != (truth == kind)) < 1e-3
    assert axes.get_xlim()[0] < 0.0 < 2.0 < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < 0.0 < 3.0 < axes.get_ylim()[1]


def test_boundary_draws_a_line_once_where_two_classes_are_equal() -> None:
    (axes,) = plots.boundary(nearest(), POINTS, LABELS).axes
    lines = [drawn for drawn in axes.collections if "Contour" in type(drawn).__name__]
    vertices = np.concatenate([path.vertices for line in lines for path in line.get_paths()])
    distances = np.sort(np.linalg.norm(vertices[:, None, :] - CENTRES, axis=-1), axis=1)
    # On the bisector of the two nearest; where three meet, lines are cut off between two points of the grid.
    clear = distances[:, 2] - distances[:, 1] > 0.05
    np.testing.assert_allclose(distances[clear, 0], distances[clear, 1], atol=1e-9)
    np.testing.assert_allclose(distances[:, 0], distances[:, 1], atol=1e-2)
    pairs = {tuple(sorted(np.linalg.norm(CENTRES - vertex, axis=1).argsort()[:2].tolist())) for vertex in vertices}
    assert pairs == {(0, 1), (0, 2), (1, 2)}
    length = sum(
        np.linalg.norm(after - before)
        for line in lines
        for path in line.get_paths()
        for part in path.to_polygons(closed_only=False)
        for before, after in pairwise(part)
    )
    assert length == pytest.approx(border_length(axes), rel=0.03)


def border_length(axes: Any) -> float:
    """Return how long the three borders are: from where they meet, along each bisector to the edge of the picture."""
    meeting = np.linalg.solve(2 * (CENTRES[1:] - CENTRES[0]), (CENTRES[1:] ** 2).sum(axis=1) - (CENTRES[0] ** 2).sum())
    total = 0.0
    for one, other in ((0, 1), (0, 2), (1, 2)):
        along = (CENTRES[other] - CENTRES[one])[::-1] * [1.0, -1.0]
        along /= np.linalg.norm(along)
        third = CENTRES[3 - one - other]
        if (meeting + along - third) @ (meeting + along - third) < (meeting - third) @ (meeting - third):
            along = -along  # away from the third
        limits = zip(meeting, along, (axes.get_xlim(), axes.get_ylim()), strict=True)
        total += min((high if step > 0 else low) / step - at / step for at, step, (low, high) in limits)
    return total


@pytest.mark.parametrize("shape", ["column", "flat"])
def test_boundary_of_one_probability_is_at_a_half(shape: str) -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    second = gn.sigmoid(3.0 * (x[:, 1:] - x[:, :1]))
    fetch = second if shape == "column" else second[:, 0]
    (axes,) = plots.boundary(fetch, POINTS, LABELS % 2).axes
    (line,) = [drawn for drawn in axes.collections if "Contour" in type(drawn).__name__]
    (path,) = line.get_paths()
    np.testing.assert_allclose(path.vertices[:, 0], path.vertices[:, 1], atol=1e-4)
    assert np.ptp(path.vertices[:, 0]) > 2.0
    _, second_area = (drawn for drawn in axes.collections if type(drawn).__name__ == "QuadMesh")
    corners = second_area.get_coordinates()
    middles = (corners[:-1, :-1] + corners[1:, 1:]) / 2
    above = middles[..., 1] - middles[..., 0]
    clear = abs(above) > 1e-9
    assert (np.ma.getmaskarray(second_area.get_array())[clear] == (above < 0)[clear]).all()


def test_boundary_where_there_is_one_class_only() -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    (axes,) = plots.boundary(gn.sigmoid(x[:, 0] * 0.0 - 1.0), POINTS, LABELS).axes
    assert [type(drawn).__name__ for drawn in axes.collections].count("QuadMesh") == 1
    assert not any("Contour" in type(drawn).__name__ for drawn in axes.collections)


def test_boundary_asks_which_placeholder_has_the_points() -> None:
    g = gn.Graph()
    x, other = (g.placeholder(name, shape=("batch", 2)) for name in ("x", "other"))
    with pytest.raises(gn.UsageError, match='depends on "x", "other": say which placeholder'):
        plots.boundary(x + other, POINTS, LABELS)
    with pytest.raises(gn.UsageError, match="depends on none: say which"):
        plots.boundary(g.constant(np.zeros((3, 2))) * 2.0, POINTS, LABELS)
    (axes,) = plots.boundary(gn.sigmoid(x), POINTS, LABELS, x="x").axes
    assert axes.get_title() == "What the network sees"


@pytest.mark.parametrize("output", [lambda x: gn.sum(x), lambda x: gn.expand_dims(x, 0), lambda x: gn.transpose(x)])
def test_boundary_refuses_what_is_no_class_a_point(output: Callable[[gn.Node], gn.Node]) -> None:
    x = gn.Graph().placeholder("x", shape=("batch", 2))
    with pytest.raises(gn.ShapeError, match=r"\(batch, classes\); this one gives \("):
        plots.boundary(output(x), POINTS, LABELS)


# --- gradients ------------------------------------------------------------------------------------------------


def falling(rate: float, start: float = 3.0, calls: int = 4, every: int = 1) -> tuple[Any, list[float]]:
    """Return the film of gradient descent on |(v, w)|² / 2, with the norm of (v, w), its gradient, at each call."""
    g = gn.Graph()
    with g.scope("first"):
        v, w = g.parameter("v", [start, 0.0]), g.parameter("w", 4.0)
    with g.scope("second"):
        u = g.parameter("u", [1.0])
    loss = (gn.sum(v * v) + w * w) / 2.0 + gn.sum(u) * 0.0
    step = gn.compile(loss, updates=nn.SGD(rate).updates(loss))
    norms = []
    with gn.recording(step, every=every) as film:
        for _ in range(calls):
            norms.append(float(np.hypot(np.linalg.norm(g.state[v]), g.state[w])))
            step()
    return film, norms[::every]


def test_gradient_norms_are_those_of_each_layer_at_each_call() -> None:
    film, norms = falling(0.5)
    assert norms[:2] == [5.0, 2.5]
    figure = plots.gradient_norms(film, title="Falling")
    (axes,) = figure.axes
    first, second = axes.lines
    assert (axes.get_title(), axes.get_yscale()) == ("Falling", "log")
    np.testing.assert_allclose(first.get_ydata(), norms)
    assert first.get_xdata().tolist() == [0, 1, 2, 3]
    assert np.isnan(second.get_ydata()).all()  # 0, and there is no 0 on a logarithmic axis
    assert words(figure.legends[0].get_texts()) == ["first", "second"]
    assert first.get_marker() != second.get_marker()


def test_calls_are_counted_though_not_all_are_recorded() -> None:
    film, norms = falling(0.5, calls=5, every=2)
    line = plots.gradient_norms(film).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 2, 4]
    np.testing.assert_allclose(line.get_ydata(), norms)


def test_gradients_that_are_not_finite_are_told() -> None:
    film, _ = falling(0.5)
    g = gn.Graph()
    x, w = g.placeholder("x"), g.parameter("w", 1.0)
    grad = gn.grad(gn.log(w * x), w)  # 1 / w, times x / x
    with np.errstate(all="ignore"):
        traces = [gn.trace(grad, {x: value}) for value in (2.0, 0.0, 3.0)]
    figure = plots.gradient_norms(traces)
    assert words(figure.legends[0].get_texts()) == ["w: not finite from call 1"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [1.0, np.nan, 1.0])
    assert plots.gradient_norms(film[0]).axes[0].lines[0].get_ydata().tolist() == [5.0]


def test_gradient_norms_of_traces_without_any() -> None:
    x = gn.Graph().placeholder("x")
    with pytest.raises(gn.UsageError, match="there is no gradient in the trace: trace a compiled step"):
        plots.gradient_norms(gn.trace(x * 2.0, {x: 1.0}))
    with pytest.raises(gn.UsageError, match="none of the calls was recorded"):
        plots.gradient_norms([])
    with pytest.raises(gn.UsageError, match="a trace, or several; got int"):
        plots.gradient_norms([3])  # type: ignore[list-item]


# --- histograms -----------------------------------------------------------------------------------------------


def test_histograms_of_one_trace_are_bars() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(20, 30))
    g = gn.Graph()
    w, b = g.parameter("w", weight), g.parameter("b", [1.0, 1.0])
    fixed = g.parameter("fixed", 1.0, trainable=False)
    figure = plots.histograms(gn.trace(gn.sum(w) + gn.sum(b) * fixed), bins=7, title="At rest")
    assert [axes.get_title() for axes in figure.axes] == ["w", "b"]
    assert figure.get_suptitle() == "At rest"
    bars = [axes.patches[0].get_data() for axes in figure.axes]
    counts, edges = np.histogram(weight, 7)
    np.testing.assert_array_equal(bars[0].values, counts)
    np.testing.assert_allclose(bars[0].edges, edges)
    assert bars[1].values.sum() == 2
    assert bars[1].values.max() == 2  # both in one bar, though their range is empty


def test_histograms_over_training_have_a_column_a_call() -> None:
    start = np.array([4.0, 2.0, 2.0, -8.0])
    g = gn.Graph()
    w = g.parameter("w", start)
    loss = gn.sum(w * w) / 2.0
    step = gn.compile(loss, updates=nn.SGD(0.5).updates(loss))
    with gn.recording(step, every=2) as film:
        for _ in range(5):
            step()
    axes, bar = plots.histograms(film, bins=6).axes
    (drawn,) = axes.collections
    edges = np.linspace(-8.0, 4.0, 7)
    counts = np.array([np.histogram(start * 0.5**call, edges)[0] for call in (0, 2, 4)])
    np.testing.assert_allclose(drawn.get_array().filled(0.0), 25.0 * counts.T)
    assert not np.ma.getmaskarray(drawn.get_array())[counts.T > 0].any()
    corners = drawn.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [-1.0, 1.0, 3.0, 5.0])  # calls 0, 2 and 4 in their middle
    np.testing.assert_allclose(corners[:, 0, 1], edges)
    assert bar.get_ylabel() == "% of the elements"


def test_histograms_of_activations_tell_what_is_left_out() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    with np.errstate(all="ignore"):
        seen = gn.trace(gn.log(x), {x: [0.0, -1.0, 1.0, np.e]})
    (axes,) = plots.histograms(seen, "log").axes
    assert axes.get_title() == "log\n2 not finite"
    assert axes.patches[0].get_data().values.sum() == 2


def test_histograms_of_what_was_too_large_to_be_kept_say_so() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    value = np.arange(1000.0)
    seen = gn.trace(gn.negative(x), {x: value}, keep=100)
    assert not seen["negative"].kept
    (axes,) = plots.histograms(seen, "negative", bins=4).axes
    counted = axes.patches[0].get_data().values.sum()
    assert counted == seen["negative"].preview.size < 1000
    assert axes.get_title() == f"negative\n{counted} of 1,000 elements"


def test_histograms_show_twelve_at_most_and_say_so() -> None:
    g = gn.Graph()
    total = sum((g.parameter(f"w_{place}$", float(place)) for place in range(14)), start=g.constant(0.0))
    figure = plots.histograms(gn.trace(total))
    assert len(figure.axes) == 12
    assert figure.get_suptitle() == "the first 12 of 14 nodes"
    assert figure.axes[1].get_title() == r"w_1\$"  # no formula


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.gradient_norms(3), "a trace, or several; got int"),
        (lambda: plots.histograms(np.ones(2)), "a trace, or several; got float64"),
    ],
)
def test_plots_refuse_what_is_not_a_trace(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(gn.UsageError, match=says):
        call()


def test_a_plot_without_its_data_shows_its_signature() -> None:
    with pytest.raises(TypeError, match=r"The call is scatter\(points, labels"):
        plots.scatter([[0.0, 1.0]])


def test_histograms_of_nothing() -> None:
    x = gn.Graph().placeholder("x")
    seen = gn.trace(x * 2.0, {x: 1.0})
    with pytest.raises(gn.UsageError, match="no trained parameter in the trace: say what"):
        plots.histograms(seen)
    with pytest.raises(gn.NotFoundError):
        plots.histograms(seen, "relu_*")


# --- in a notebook, and without matplotlib --------------------------------------------------------------------


def test_a_notebook_shows_a_plot() -> None:
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    figure = plots.scatter(POINTS, LABELS)
    data, metadata = formatter.format(figure, include={"image/png", "text/plain"})
    header = data["image/png"]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(header[start : start + 4], "big") for start in (16, 20))
    assert metadata["image/png"] == {"width": width // 2, "height": height // 2}  # sharp on any screen
    assert (width, height) == tuple((200 * figure.get_size_inches()).round())


@pytest.mark.parametrize("plot", plots.__all__)
def test_without_matplotlib_the_way_to_install_it_is_told(plot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("batch", 2)), g.parameter("w", [1.0, 1.0])
    score = x @ w
    seen = gn.trace(gn.grad(gn.sum(score * score), w), {x: POINTS})
    given = {
        "scatter": (POINTS, LABELS),
        "boundary": (score, POINTS, LABELS),
        "images": (POINTS,),
    }.get(plot, (seen,))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gn.DrawingError, match=r'pip install "graphnn\[plot\]"'):
        getattr(plots, plot)(*given)
