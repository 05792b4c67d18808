"""What `effects` measured: the effect of each place, the largest of them, tables, and how two sweeps agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.display import Shown
from .._util.text import PAGE, columns_there, counted, number, plain, quoted, short_names
from ..core import labels_of
from ..core.attributes import whole
from ..errors import NotFoundError, UsageError, near
from .patch_places import Place, places_in

if TYPE_CHECKING:
    from ..core import Array, Node

_MOST_ROWS = 10
_NUMBERS = 23  # cells of a row before the name
_SHORTEST = 12


class Effect(NamedTuple):
    """How far one place moves the metric.

    Attributes
    ----------
    place : Place
    value : float
        The metric with the patch, less the metric without.
    recovered : float
        Its share of the difference between the two runs; NaN where there is none.
    """

    place: Place
    value: float
    recovered: float

    def __repr__(self) -> str:
        return f"<Effect of {quoted(self.place.name)}: {number(self.value)}, {_percent(self.recovered)}>"


class Correlation(NamedTuple):
    """How two measurements of effects agree.

    Attributes
    ----------
    spearman : float
        The correlation of the ranks, those of ties being their mean; NaN where one of the two has one value only.
    pearson : float
        The correlation of the values.
    places : int
        How many places both have, with finite effects.
    """

    spearman: float
    pearson: float
    places: int


class Grid(NamedTuple):
    """Effects of parts along an axis as a table: layer × head, layer × position.

    Attributes
    ----------
    rows : list of str
        The nodes, and the readers where there are any.
    columns : list of int or tuple of int
        The indices.
    values : ndarray
        NaN where there is no such part.
    """

    rows: list[str]
    columns: list[Any]
    values: Array


def column_names(found: Effects, columns: Sequence[Any]) -> list[str]:
    """Return how the columns of a grid are called: by the labels of the axis, if all its nodes have the same."""
    names = set()
    for place in found.places:
        parts = place.index or ()
        axes = [axis for axis, part in enumerate(parts) if isinstance(part, int)]
        names.add(labels_of(place.node, axes[0]) if len(axes) == 1 and "..." not in parts else None)
    (labels,) = names if len(names) == 1 else (None,)
    return [labels[column] if labels and 0 <= column < len(labels) else str(column) for column in columns]


class Effects(Shown):
    """How far each of many places moves a metric from one run to another. Made by `effects`; printed, it is a table.

    Iterating gives an `Effect` for each place, in the order in which they were asked for.
    ``found["scores[:, 3]"]`` gives the effect of one, by any key that `effects` takes.

    Attributes
    ----------
    metric : Node
    places : list of Place
    values : ndarray
        The effects: the metric with the patch, less the metric of the run that is patched.
    clean, corrupted : float
        The metric of the two runs.
    direction : {"denoise", "noise"}
    method : {"exact", "attribution"}
    steps : int or None
        The points of integrated gradients.
    """

    def __init__(
        self,
        metric: Node,
        places: list[Place],
        values: np.ndarray[Any, Any],
        clean: float,
        corrupted: float,
        direction: str,
        method: str,
        steps: int | None = None,
    ) -> None:
        self.metric, self.places = metric, places
        self.values = values
        self.values.setflags(write=False)
        self.clean, self.corrupted = clean, corrupted
        self.direction, self.method, self.steps = direction, method, steps

    @property
    def gap(self) -> float:
        """How far the metric goes from the run that is patched to the other one."""
        return self.clean - self.corrupted if self.direction == "denoise" else self.corrupted - self.clean

    @property
    def recovered(self) -> Array:
        """The effects as shares of the gap; NaN where there is none."""
        gap = self.gap
        with np.errstate(all="ignore"):  # the metric may be infinite
            return self.values / gap if gap else np.full(len(self.places), np.nan)

    @cached_property
    def _numbers(self) -> dict[Place, int]:
        return {place: number for number, place in enumerate(self.places)}

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Effect]:
        rows = zip(self.places, self.values.tolist(), self.recovered.tolist(), strict=True)
        return iter([Effect(*row) for row in rows])

    def __getitem__(self, key: Any) -> float:
        """Return the effect of one place."""
        named = [place for place in self.places if isinstance(key, str) and place.name == key]
        graph = self.metric.graph
        meant = named or places_in(list(graph), graph, key)
        found = [self._numbers[place] for place in meant if place in self._numbers]
        if len(found) != 1:
            asked = short_places(meant)
            hint = near(meant[0].name, [place.name for place in self.places])
            what = f"has {len(found)} places for {asked}" if found else f"has no place {asked}"
            raise NotFoundError(f'the sweep over "{self.metric.name}" {what}.{hint}')
        return float(self.values[found[0]])

    def __contains__(self, key: object) -> bool:
        try:
            self[key]
        except (NotFoundError, UsageError):
            return False
        return True

    def top(self, count: int = _MOST_ROWS) -> list[Effect]:
        """Return the places with the largest effects, of either sign, the largest first; NaN last.

        Parameters
        ----------
        count : int

        Returns
        -------
        list of Effect
        """
        sizes = np.abs(self.values)
        order = np.argsort(-sizes, kind="stable")[: whole("the count of top", count, 0)]
        every = list(self)
        return [every[i] for i in order]

    def agreement(self, other: Effects) -> Correlation:
        """Return how far these effects agree with others, at the places that both have.

        Parameters
        ----------
        other : Effects
            Of another method, direction, pair of runs or graph; places are the same that have the same name.

        Returns
        -------
        Correlation

        Raises
        ------
        UsageError
            When they have fewer than two places in common.
        """
        if not isinstance(other, Effects):
            raise UsageError(f"effects are compared with effects, not with {type(other).__name__}")
        theirs = {place.name: value for place, value in zip(other.places, other.values.tolist(), strict=True)}
        names = [place.name for place in self.places]
        pairs = [(value, theirs[name]) for name, value in zip(names, self.values, strict=True) if name in theirs]
        a, b = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2).T
        if len(a) < 2:
            raise UsageError(
                f"the two sweeps have {counted(len(a), 'place')} in common, and it takes two to compare them"
            )
        return Correlation(_correlation(_ranks(a), _ranks(b)), _correlation(a, b), len(a))

    def grid(self) -> Grid:
        """Return effects of parts along an axis as a table: a row for each node, a column for each index.

        Returns
        -------
        Grid

        Raises
        ------
        UsageError
            When there are places that are not such parts, or parts of one node along different axes.
        """
        rows: dict[str, dict[Any, float]] = {}
        along: dict[str, list[Any]] = {}
        lengths = set()
        for place, value in zip(self.places, self.values.tolist(), strict=True):
            parts = place.index or ()
            column = tuple([part for part in parts if isinstance(part, int)])
            if not column:
                raise UsageError(
                    f'a grid is of parts along an axis, and "{place.name}" is none: gn.patches.each(node, axis) gives '
                    "them, over=[each(a, 1), each(b, 1)]"
                )
            row = place.node.title + ("" if place.reader is None else f" → {place.reader.title}")
            axes = [None if isinstance(part, int) else part for part in parts]
            lengths.add(len(column))
            if along.setdefault(row, axes) != axes or len(lengths) > 1:
                raise UsageError(
                    f'a grid has a column for each index along one axis of a node, and "{place.name}" is a part along '
                    "other axes than those before it: measure one sort of parts, gn.patches.each(node, axis)"
                )
            rows.setdefault(row, {})[column[0] if len(column) == 1 else column] = value
        columns = sorted({column for row in rows.values() for column in row})
        values = np.array([[row.get(column, np.nan) for column in columns] for row in rows.values()])
        return Grid(list(rows), columns, values)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, which JSON holds: what is not finite is text."""
        return {
            "graph": self.metric.graph.name,
            "metric": self.metric.name,
            "clean": plain(self.clean),
            "corrupted": plain(self.corrupted),
            "direction": self.direction,
            "method": self.method,
            "steps": self.steps,
            "effects": [
                {
                    "place": effect.place.name,
                    "node": effect.place.node.name,
                    "reader": None if effect.place.reader is None else effect.place.reader.name,
                    "value": plain(effect.value),
                    "recovered": plain(effect.recovered),
                }
                for effect in self
            ],
        }

    def table(self, width: int | None = PAGE) -> str:
        """Return the largest effects as a table.

        Parameters
        ----------
        width : int or None
            The maximum number of cells of a line; long names are cut, and the ten largest are there. None: all, and
            whole names.
        """
        of = counted(len(self.places), "place")
        steps = "" if self.steps is None else f" by {counted(self.steps, 'step')}"
        lines = [
            f"{quoted(self.metric.title)}: {number(self.clean)} clean, {number(self.corrupted)} corrupted; "
            f"each of {of} alone, {self.direction}, {self.method}{steps}",
            "  effect  recovered  place",
        ]
        largest = self.top(len(self.places) if width is None else _MOST_ROWS)
        names = [effect.place.name for effect in largest]
        if width is not None:
            names = short_names(names, max(whole("width=", width) - _NUMBERS, _SHORTEST))
        lines += [
            f"{number(effect.value):>8}  {_percent(effect.recovered):>9}  {name}"
            for effect, name in zip(largest, names, strict=True)
        ]
        if len(largest) < len(self.places):
            lines.append(f"{len(self.places) - len(largest):>8,}  more")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table(columns_there() or PAGE)

    def __repr__(self) -> str:
        of = counted(len(self.places), "place")
        return f"<Effects on {quoted(self.metric.title)}: {of}, {self.direction}, {self.method}>"


def short_places(places: Sequence[Place]) -> str:
    """Return the names of a few places, quoted."""
    return ", ".join([quoted(place.name) for place in places[:4]]) + (", …" if len(places) > 4 else "")


def _percent(share: float) -> str:
    return f"{round(share * 100):,} %" if np.isfinite(share) else "-"


def _ranks(values: Array) -> Array:
    """Return the rank of each value, of ties the mean."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = (ends - (counts - 1) / 2)[which]
    return ranks


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else float("nan")
