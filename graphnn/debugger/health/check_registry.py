"""The registry of health checks. A check has a code, what it means, what to do about it, and a function that looks.

graphnn's own checks are in the modules of this folder, one per family. A program adds others with `check`; a package
adds them by entry points of the group ``graphnn.checks``.
"""

from __future__ import annotations

import sys
import warnings
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import GraphnnError, GraphnnWarning, UsageError
from .findings import Finding, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...core import Array, Node
    from .evaluation import Evaluation

GROUP = "graphnn.checks"
"""The group of entry points by which other packages add checks."""


class Check(NamedTuple):
    """One thing that the health check can find.

    Attributes
    ----------
    code : str
    says : str
        What it means, for the table in the documentation.
    remedy : str
        What to do about it, if that is always the same.
    look : callable or None
        Takes an `Evaluation` and yields findings; None if another check finds it along with its own.
    """

    code: str
    says: str
    remedy: str = ""
    look: Callable[[Evaluation], Iterable[Finding]] | None = None

    def of(self, node: Node, cause: str, *, severity: str = "warning", **about: Any) -> Finding:
        """Return a finding about a node.

        Parameters
        ----------
        node : Node
        cause : str
        severity : {"warning", "error", "note"}
        **about
            Other attributes of the `Finding`.
        """
        return Finding(code=self.code, node=node, cause=cause, severity=severity, **{"remedy": self.remedy} | about)

    def at(self, run: Evaluation, place: int, which: Array, cause: str, **about: Any) -> Finding:
        """Return a finding about elements of a value, with the index and operands of the first.

        Parameters
        ----------
        run : Evaluation
        place : int
            The node's place in `run.order`.
        which : array of bool
            Which elements are concerned; at least one is True.
        cause : str
        **about
            As in `of`.
        """
        value, index = run.values[place], first_of(which)
        of_it = {
            "index": index,
            "value": value[index].item(),
            "operands": run.read_elements(place, index),
            "count": int(np.count_nonzero(which)),
            "size": value.size,
        }
        return self.of(run.order[place], cause, **of_it | about)


CHECKS: dict[str, Check] = {}
"""All checks, by code."""


def check(code: str, says: str, remedy: str = "") -> Callable[[Callable[[Evaluation], Iterable[Finding]]], Check]:
    """Declare the decorated function as a check. `check_health` calls it with the run, after graphnn's own checks.

    Parameters
    ----------
    code : str
        A short name, such as "dead-units".
    says : str
        What it means.
    remedy : str, optional
        What to do about it.

    Returns
    -------
    callable
        The decorator. It returns a `Check`, whose `of` and `at` make findings.

    Raises
    ------
    UsageError
        When another check has the code.

    Examples
    --------
    >>> import graphnn as gn
    >>> @check("not-positive", "a scale is 0 or below", "make it with gn.exp")
    ... def not_positive(run):
    ...     for place, node in enumerate(run.order):
    ...         if node.name.endswith("scale") and (run.values[place] <= 0).any():
    ...             yield not_positive.at(run, place, run.values[place] <= 0, f"{node.name} is not above 0")
    >>> scale = gn.Graph().parameter("scale", [1.0, -2.0])
    >>> gn.check_health(scale * 2).first
    <warning not-positive: scale[1]>
    >>> del CHECKS["not-positive"]
    """

    def register(look: Callable[[Evaluation], Iterable[Finding]]) -> Check:
        return _registered(Check(code, says, remedy, look))

    return register


def declare(code: str, says: str, remedy: str = "") -> Check:
    """Declare a code that another check finds along with its own."""
    return _registered(Check(code, says, remedy))


def _registered(new: Check) -> Check:
    known = CHECKS.get(new.code)
    # The same function may be declared again, as when a notebook cell runs twice.
    if known is not None and (new.look is None or _name_of(known) != _name_of(new)):
        raise UsageError(f'the check "{new.code}" exists already: "{known.says}". Choose another code.')
    CHECKS[new.code] = new
    return new


def _name_of(each: Check) -> str:
    return "" if each.look is None else f"{each.look.__module__}.{each.look.__qualname__}"


@lru_cache
def _loaded(path: tuple[str, ...]) -> None:
    """Load the checks of other packages, once per path."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # noqa: BLE001 - another package may raise anything
            warnings.warn(f'the check "{point.name}" ({point.value}) could not be loaded: {error!r}', GraphnnWarning, 2)


def all_checks() -> Mapping[str, Check]:
    """Return all checks by code, including those of other packages."""
    _loaded(tuple(sys.path))
    return CHECKS


def findings_of(each: Check, run: Evaluation) -> list[Finding]:
    """Return what a check finds in a run.

    Raises
    ------
    GraphnnError
        When a check from outside fails, or yields something other than a finding.
    """
    if each.look is None:
        return []
    if each.look.__module__.startswith(f"{__package__}."):
        return list(each.look(run))
    by = f'the check "{each.code}" ({_name_of(each)})'
    try:
        found = list(each.look(run) or ())
    except Exception as error:
        raise GraphnnError(f"{by} failed: {error!r}") from error
    for one in found:
        if not isinstance(one, Finding):
            raise GraphnnError(
                f"{by} yielded {one!r}, which is not a finding: make findings with {each.look.__name__}.of or .at"
            )
    return found
