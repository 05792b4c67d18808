"""Plots of data and of training: what a network sees, its filters, gradients, weights and activations over time.

All of it needs matplotlib, and gives a figure, which a notebook shows: ``figure.savefig("name.svg")``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.call_errors import explain_public
from .._util.ports import Port
from .._util.text import short_names
from ..core import Array, Node, as_array
from ..core.attributes import whole
from ..core.topological_order import schedule
from ..debugger.health.training_facts import gradients_in
from ..debugger.traces import Record, Trace
from ..errors import DrawingError, ShapeError, UsageError
from ..runtime.interpreter import run
from .formatting import compact, counted, norm_of, visible
from .heatmap import ALIKE, COLOURS, NOT_FINITE, Scale, eps_of, in_hex, ink_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["boundary", "gradient_norms", "histograms", "images", "scatter"]

PLOT: Port[Callable[..., Figure]] = Port("plot")
"""Plots of rooms above, under their names."""

# The lines of the visual language; a marker of its own for each, since in grey they are one.
_COLOURS = ("#0072B2", "#9C5B00", "#8E3B6E", "#00664B", "#56B4E9", "#3C4043")
_MARKERS = ("o", "^", "s", "D", "v", "P")
_MAP = "cividis"
_TICKS, _BINS = 201, 48
_COLUMNS, _MOST_PANELS = 3, 12
_CLASSES_IN_ROW = 4
_USUALLY_ACROSS, _MOST_ACROSS, _MOST_IMAGES = 8, 12, 96
_DPI = 100
_MOST_NUMBERS = 160  # that are written into a table
_MOST_TICKS = 40
_CELLS = 32  # of a name beside a row


def scatter(points: Any, labels: Any, *, title: str = "The data") -> Figure:
    """Return a picture of points in the plane, each class with a colour and a marker of its own.

    Parameters
    ----------
    points : array_like
        Of shape ``(n, 2)``.
    labels : array_like
        Their classes, from 0: n integers.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    ShapeError
        When the points are not in the plane, or the labels not as many.

    Examples
    --------
    >>> from graphnn import datasets
    >>> figure = scatter(*datasets.spiral(100, classes=3, seed=0))
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['class 0', 'class 1', 'class 2']
    """
    points, labels = _data(points, labels)
    figure = _empty(5.0, 5.4)
    _scatter(figure, figure.add_subplot(), points, labels)
    figure.axes[0].set_title(title)
    return figure


def boundary(
    probabilities: Node,
    points: Any,
    labels: Any,
    *,
    x: Node | str | None = None,
    title: str = "What the network sees",
) -> Figure:
    """Return a picture of which class a network sees where in the plane, with the points it should tell apart.

    Parameters
    ----------
    probabilities : Node
        Of shape ``(batch, classes)``, or scores of which the largest is meant; of shape ``(batch, 1)`` or ``(batch,)``,
        the probability of the second of two classes.
    points : array_like
        Of shape ``(n, 2)``.
    labels : array_like
        Their classes, from 0: n integers.
    x : Node or str, optional
        The placeholder of the points, where `probabilities` depends on several.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    ShapeError
        When the points are not in the plane, the labels not as many, or `probabilities` of another shape.
    UsageError
        When it is not clear what the points are to be fed to.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> above = gn.sigmoid(x[:, 1] - x[:, 0])
    >>> figure = boundary(above, [[0.0, 1.0], [1.0, 0.0]], [1, 0])
    >>> figure.axes[0].get_title()
    'What the network sees'
    """
    points, labels = _data(points, labels)
    figure = _empty(5.0, 5.4)
    from matplotlib.colors import ListedColormap

    axes = figure.add_subplot()
    across, along = (_ticks(points[:, axis]) for axis in (0, 1))
    grid = np.stack(np.meshgrid(across, along), axis=-1).reshape(-1, 2)
    scores = _scores(run(probabilities, {_placeholder(probabilities, x): grid}), len(grid))
    seen = scores.argmax(axis=1).reshape(len(along), len(across))
    for kind in np.unique(seen):
        area = np.ma.masked_not_equal(seen, kind)
        colour = ListedColormap([_COLOURS[kind % len(_COLOURS)]])
        axes.pcolormesh(across, along, area, cmap=colour, alpha=0.25, zorder=0, rasterized=True)
        # A line, too: in grey the areas are alike. It is where two are equal, and drawn from the side of the first.
        if kind < seen.max():
            lead = scores[:, kind] - np.delete(scores, kind, axis=1).max(axis=1)
            later = np.ma.masked_where(seen < kind, lead.reshape(seen.shape))
            axes.contour(across, along, later, levels=[0.0], colors="#3C4043", linewidths=1.0, zorder=1)
    _scatter(figure, axes, points, labels)
    axes.set(title=title, xlim=(across[0], across[-1]), ylim=(along[0], along[-1]))
    return figure


def gradient_norms(traces: Trace | Sequence[Trace], *, title: str = "Gradients by layer") -> Figure:
    """Return a picture of how large the gradient is in each layer, over training.

    Parameters
    ----------
    traces : Recording, Trace or sequence of Trace
        Of a compiled step with updates, or of gradients: ``with gn.recording(step) as film: …``.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        A line a layer, from dark, the first, to light: the norm of the gradient of all of its parameters together,
        on a logarithmic axis. Where it is zero or not finite, there is a gap.

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    UsageError
        When there is no trace, or no gradient in them.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> w = g.parameter("w", [3.0, 4.0])
    >>> loss = gn.sum(w * w) / 2.0
    >>> figure = gradient_norms(gn.trace([loss, gn.grad(loss, w)]))
    >>> figure.axes[0].lines[0].get_ydata()
    array([5.])
    """
    calls, given = _traces(traces)
    parts: dict[str, list[str]] = {}
    for parameter, gradient in gradients_in(given[0].order):
        parts.setdefault(parameter.scope or parameter.name, []).append(gradient.name)
    if not parts:
        raise UsageError("there is no gradient in the trace: trace a compiled step with updates, or gn.grad(...)")
    figure = _empty(7.0, 4.0)
    axes = figure.add_subplot()
    shades = _shades(len(parts))
    for place, (layer, names) in enumerate(parts.items()):
        norms = [
            (call, math.hypot(*(norm_of(trace[name].stats) for name in names)))
            for call, trace in zip(calls, given, strict=True)
            if all(name in trace for name in names)  # one that was stopped may not have come so far
        ]
        bad = next((call for call, norm in norms if not math.isfinite(norm)), None)
        label = plain(layer) + ("" if bad is None else f": not finite from call {bad}")
        # What is 0 or not finite has no place on a logarithmic axis.
        shown = [norm if 0 < norm < math.inf else math.nan for _, norm in norms]
        marker, at = _MARKERS[place % len(_MARKERS)], [call for call, _ in norms]
        wide = 1.4 if len(at) > 2 else 0.0  # between two points, nothing was measured
        axes.plot(at, shown, color=shades[place], marker=marker, markersize=4, linewidth=wide, label=label)
    axes.set(title=title, xlabel="call of the step", ylabel="norm of the gradient", yscale="log")
    _tidy(axes)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def histograms(
    traces: Trace | Sequence[Trace], target: Any = None, *, bins: int | None = None, title: str | None = None
) -> Figure:
    """Return a picture of how the elements of values are spread: of a trace, or of several over training.

    Parameters
    ----------
    traces : Recording, Trace or sequence of Trace
    target : Node, str, or list of them, optional
        As ``trace.select`` takes it: ``"relu_*"`` for activations, ``"dense_*/weight"``. All trained parameters unless
        given.
    bins : int, optional
        The number of bins. By default, fewer for few elements.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        A panel a node, of the first 12. For one trace, bars; of several, a column for each, in which darker is more
        frequent, on a nonlinear scale, so that rare values stay visible beside the zeros of a ReLU. For a value that
        was too large to be kept, what its preview holds.

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    UsageError
        When there is no trace.
    NotFoundError
        When no node is meant.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> seen = gn.trace(gn.relu(x), {x: np.linspace(-1.0, 1.0, 100)})
    >>> figure = histograms(seen, "relu", bins=10)
    >>> figure.axes[0].get_title(), figure.axes[0].patches[0].get_data().values
    ('relu', array([55,  5,  5,  5,  5,  5,  5,  5,  5,  5]))
    """
    calls, given = _traces(traces)
    if target is None:
        names = [node.name for node in given[0].order if node.trainable]
        if not names:
            raise UsageError("there is no trained parameter in the trace: say what is to be seen, as trace.select does")
    else:
        names = [record.name for record in given[0].select(target)]
    shown = names[:_MOST_PANELS]
    across = min(len(shown), _COLUMNS)
    down = math.ceil(len(shown) / across)
    figure = _empty(3.4 * across + 0.6, 2.5 * down + 0.4)
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.ticker import MaxNLocator

    above = LinearSegmentedColormap.from_list("above", COLOURS["light"][len(COLOURS["light"]) // 2 :])

    for place, name in enumerate(shown, start=1):
        axes = figure.add_subplot(down, across, place)
        records = [trace[name] for trace in given if name in trace]
        values = [_numbers(trace[name]) if name in trace else np.empty(0) for trace in given]
        finite = [value[np.isfinite(value)] for value in values]
        left_out = sum(value.size - kept.size for value, kept in zip(values, finite, strict=True))
        size = max(value.size for value in finite)
        wanted = min(max(round(2 * math.sqrt(size)), _BINS // 4), _BINS) if bins is None else bins
        edges = np.linspace(*_range(np.concatenate(finite)), wanted + 1)
        counts = np.array([np.histogram(value, edges)[0] for value in finite])
        if len(given) == 1:
            axes.stairs(counts[0], edges, fill=True, facecolor="#D6E8F5", edgecolor=_COLOURS[0], linewidth=0.8)
            axes.set(xlabel="value", ylabel="elements")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            _tidy(axes)
        else:
            shares = 100.0 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            there = np.ma.masked_equal(shares.T, 0.0)
            norm = PowerNorm(0.4, vmin=0.0, vmax=max(float(shares.max()), 1.0))
            drawn = axes.pcolormesh(_between(calls), edges, there, cmap=above, norm=norm, rasterized=True)
            figure.colorbar(drawn, ax=axes, label="% of the elements")
            axes.set(xlabel="call of the step", ylabel="value")
        lines = [plain(name)] + ([f"{left_out:,} not finite"] if left_out else [])
        if not all(record.kept for record in records):
            lines.append(f"{records[0].preview.size:,} of {records[0].stats.size:,} elements")
        axes.set_title("\n".join(lines), fontsize="medium")
    more = f"the first {len(shown)} of {counted(len(names), 'node')}" if len(names) > len(shown) else ""
    if said := " · ".join(filter(None, (title, more))):
        figure.suptitle(said)
    return figure


class _Image(NamedTuple):
    """A plane of numbers, what is written above it, and its scale of colours."""

    name: str
    plane: Array
    scale: Scale


def images(values: Any, *, columns: int | None = None, numbers: bool = False, title: str | None = None) -> Figure:
    """Return pictures of planes of numbers, such as the filters of a convolution, or its feature maps.

    Parameters
    ----------
    values : array_like, or dict of str to array_like
        The last two axes are height and width, and there may be one or two before them: a picture of each plane, all on
        one scale. Or planes by what is to be written above them, each on a scale of its own.
    columns : int, optional
        How many pictures are in a row. As many as the second of four axes has elements, unless given; else up to 8.
    numbers : bool
        Whether the numbers are written, too, for planes of few elements.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        The first 96 planes. As in heatmaps, orange is above 0 and blue is below.

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    ShapeError
        When there are no planes, or no elements in them.

    Examples
    --------
    >>> figure = images(np.eye(4).reshape(2, 2, 1, 4))
    >>> [axes.get_title() for axes in figure.axes[:4]]
    ['[0, 0]', '[0, 1]', '[1, 0]', '[1, 1]']
    >>> figure = images({"window": np.ones((3, 3)), "kernel": np.eye(3)}, numbers=True)
    >>> [axes.get_title() for axes in figure.axes]
    ['window', 'kernel']
    """
    found, usual = _images(values)
    shown = found[:_MOST_IMAGES]
    across = min(len(shown), usual if columns is None else whole("columns=", columns, 1))
    down = math.ceil(len(shown) / across)
    side = 1.9 if numbers else 1.1
    figure = _empty(max(side * across, 2.0) + 0.8, (side + 0.25) * down + 0.4 * bool(title))
    drawn = []
    for place, image in enumerate(shown, start=1):
        axes = figure.add_subplot(down, across, place)
        axes.set_title(image.name, fontsize="small")
        axes.set(xticks=[], yticks=[])
        drawn.append(_show(axes, image, numbers))
    if not numbers and isinstance(values, Mapping):
        for picture, image in zip(drawn, shown, strict=True):
            _key(figure, picture, image.scale, [picture.axes])
    elif not numbers:
        _key(figure, drawn[0], shown[0].scale, figure.axes[:])
    more = f"the first {len(shown)} of {len(found):,}" if len(found) > len(shown) else ""
    if said := " · ".join(filter(None, (title, more))):
        figure.suptitle(said)
    return figure


def in_colours(values: Array, rows: Sequence[str], columns: Sequence[object], title: str) -> Figure:
    """Return numbers as a table in colours, as in heatmaps; they are written where there are few."""
    across = len(columns)
    numbers = values.size <= _MOST_NUMBERS
    image = _Image("", values, _scale(values))
    figure = _empty(min(0.6 * across + 3.0, 14.0), min(0.4 * len(rows) + 1.1, 14.0))
    axes = figure.add_subplot()
    drawn = _show(axes, image, numbers)
    axes.set(aspect="auto")
    axes.set_xticks(range(across), [str(column) for column in columns] if across <= _MOST_TICKS else [""] * across)
    axes.set_yticks(range(len(rows)), [plain(name) for name in short_names(rows, _CELLS)], fontsize="small")
    if not numbers:
        _key(figure, drawn, image.scale, [axes])
    figure.suptitle(title, fontsize="medium")
    return figure


# --- what is given ----------------------------------------------------------------------------------------------


def _traces(given: Trace | Sequence[Trace]) -> tuple[list[int], list[Trace]]:
    """Return the traces, and of each which call it is of."""
    traces = list(given) if isinstance(given, Iterable) and not isinstance(given, Trace) else [given]
    for trace in traces:
        if not isinstance(trace, Trace):
            raise UsageError(f"what is plotted is a trace, or several; got {type(trace).__name__}")
    if not traces:
        raise UsageError("there is no trace: none of the calls was recorded")
    return list(getattr(given, "calls", range(len(traces)))), traces


def _data(points: Any, labels: Any) -> tuple[Array, Array]:
    points, labels = np.asarray(points), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ShapeError(
            f"points in the plane have the shape (n, 2), and as many labels; got {points.shape} and {labels.shape}"
        )
    return points, labels


def _placeholder(fetch: Node, x: Node | str | None) -> Node | str:
    if x is not None:
        return x
    found = [node for node in schedule(fetch) if node.op.is_placeholder]
    if len(found) != 1:
        names = ", ".join(f'"{visible(node.name)}"' for node in found) or "none"
        raise UsageError(f'"{visible(fetch.name)}" depends on {names}: say which placeholder has the points, x=...')
    return found[0]


def _scores(found: Array, points: int) -> Array:
    """Return a column a class, of which the largest is meant."""
    if found.ndim == 2 and found.shape[1] > 1 and len(found) == points:
        return found
    if found.shape not in ((points, 1), (points,)):
        shape = str(found.shape).replace(str(points), "batch", 1)
        raise ShapeError(
            "a network that tells points apart gives each a probability, (batch, 1) or (batch,), or one of each class, "
            f"(batch, classes); this one gives {shape}"
        )
    second = found.reshape(points, 1).astype(np.float64)
    return np.hstack([1.0 - second, second])


def _images(values: Any) -> tuple[list[_Image], int]:
    """Return the planes that are given, and how many are in a row unless one says."""
    if isinstance(values, Mapping):
        planes = {str(name): _wide(value, (2,)) for name, value in values.items()}
        if not planes:
            raise ShapeError("there is no plane to draw")
        return [_Image(plain(name), plane, _scale(plane)) for name, plane in planes.items()], _USUALLY_ACROSS
    array = _wide(values, (2, 3, 4))
    scale, before = _scale(array), array.shape[:-2]
    across = min(before[1], _MOST_ACROSS) if len(before) == 2 and before[1] > 1 else _USUALLY_ACROSS
    return [_Image(str(list(at)) if at else "", array[at], scale) for at in np.ndindex(before)], across


def _wide(value: Any, axes: tuple[int, ...]) -> Array:
    array = as_array(value, "the value")
    if array.ndim not in axes or not array.size:
        counts = "2 axes" if axes == (2,) else "2, 3 or 4 axes"
        raise ShapeError(f"what is drawn has {counts}, the last two height and width, and elements; got {array.shape}")
    return array.astype(np.float64)


def _scale(array: Array) -> Scale:
    return Scale.of(array[np.isfinite(array)], eps=eps_of(array))


def _numbers(record: Record) -> Array:
    """Return the elements that were kept, flat."""
    value = record.value if record.kept else record.preview
    return value.astype(np.float64).ravel()


# --- what is drawn ----------------------------------------------------------------------------------------------


def _empty(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DrawingError('a plot needs matplotlib: pip install "graphnn[plot]"') from None
    return _showing(Figure)(figsize=(width, height), layout="constrained")


@cache
def _showing(figure: type[Figure]) -> type[Figure]:
    """Return the class of figures that a notebook shows, without the help of pyplot."""

    class Plot(figure):  # type: ignore[valid-type, misc]
        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            picture, (width, height) = io.BytesIO(), self.get_size_inches()
            self.savefig(picture, format="png", dpi=2 * _DPI)
            return picture.getvalue(), {"width": round(_DPI * width), "height": round(_DPI * height)}

    return Plot


def _shades(count: int) -> list[Any]:
    """Return colours from dark to light; the lightest of the map would be lost on white."""
    from matplotlib import colormaps

    return [colormaps[_MAP](fraction) for fraction in np.linspace(0.0, 0.85, count)]


def _scatter(figure: Figure, axes: Axes, points: Array, labels: Array) -> None:
    kinds = np.unique(labels)
    for place, kind in enumerate(kinds):
        chosen = points[labels == kind]
        look = int(kind) % len(_COLOURS) if labels.dtype.kind in "iu" else place % len(_COLOURS)
        colour, marker = _COLOURS[look], _MARKERS[look]
        x, y = chosen[:, 0], chosen[:, 1]
        axes.scatter(x, y, s=14, c=colour, marker=marker, label=f"class {kind}", linewidths=0, zorder=2)
    axes.set(aspect="equal", xlabel="x[:, 0]", ylabel="x[:, 1]")
    if len(kinds):
        figure.legend(loc="outside lower center", ncols=min(len(kinds), _CLASSES_IN_ROW), frameon=False)


def _show(axes: Axes, image: _Image, numbers: bool) -> Any:
    """Draw a plane in the colours of heatmaps."""
    from matplotlib.colors import LinearSegmentedColormap

    scale, middle = image.scale, len(COLOURS["light"]) // 2
    half = COLOURS["light"][middle:] if scale.high > 0 else COLOURS["light"][: middle + 1]
    colours = [ALIKE["light"]] * 2 if scale.is_flat else COLOURS["light"] if scale.signed else half
    colour = LinearSegmentedColormap.from_list("plane", colours).with_extremes(bad=in_hex(NOT_FINITE))
    low, high = (scale.low, scale.high) if not scale.is_flat else (0.0, 1.0)
    finite = np.isfinite(image.plane)
    drawn = axes.imshow(np.ma.masked_where(~finite, image.plane), cmap=colour, vmin=low, vmax=high)
    if not numbers:
        rows, places = np.nonzero(~finite)
        axes.scatter(places, rows, marker="x", c="white")
        return drawn
    backs = scale.colours(scale.fractions(np.where(finite, image.plane, 0.0)))
    for (row, place), number in np.ndenumerate(image.plane + 0.0):
        ink = in_hex(ink_on(backs[row, place] if finite[row, place] else NOT_FINITE))
        axes.text(place, row, compact(number), ha="center", va="center", fontsize="small", color=ink)
    return drawn


def _key(figure: Figure, drawn: Any, scale: Scale, beside: list[Axes]) -> None:
    """Draw what the colours stand for; where all numbers are one, write that."""
    if scale.is_flat:
        beside[-1].set_xlabel(
            f"all {compact(scale.high)}" if math.isfinite(scale.high) else "none is finite", fontsize="small"
        )
    else:
        figure.colorbar(drawn, ax=beside, fraction=0.05, shrink=0.8)


def _tidy(axes: Axes) -> None:
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _ticks(values: Array) -> Array:
    low, high = _range(values[np.isfinite(values)])
    room = 0.1 * (high - low)
    return np.linspace(low - room, high + room, _TICKS)


def _range(values: Array) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _between(calls: Sequence[int]) -> Array:
    """Return the edges of columns that have the calls in their middle."""
    middle = np.asarray(calls, dtype=np.float64)
    halves = (middle[1:] + middle[:-1]) / 2
    return np.concatenate([[2 * middle[0] - halves[0]], halves, [2 * middle[-1] - halves[-1]]])


def plain(name: str) -> str:
    """Return a name as a text of a figure."""
    return visible(name).replace("$", r"\$")


explain_public(globals(), __all__)


def __getattr__(name: str) -> Any:
    if name[0] != "_" and (plot := PLOT.load().get(name)) is not None:
        return plot
    missing = f"; graphnn has more in {' and '.join(PLOT.absent)}, which is not installed" if PLOT.absent else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{missing}")


def __dir__() -> list[str]:
    return sorted({*globals(), *map(str, PLOT.load())})
