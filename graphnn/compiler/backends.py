"""Backends: what makes the plans of compiled steps. NumPy's is here; a satellite may give a faster one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._util.missing import needed
from .._util.ports import Port
from .._util.text import quoted, short_repr
from ..errors import UsageError, ValueRangeError
from .plan import _USUAL, Plan

if TYPE_CHECKING:
    from ..core import Node
    from ..runtime.evaluation_loop import Prepared
    from .sparse_updates import Tables
    from .thresholds import Settings


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a step is to run, for a backend that runs elsewhere.

    Attributes
    ----------
    device : object
        The name of a device, or the device itself; None: the backend's first one.
    """

    device: Any = None

    def asked(self) -> list[str]:
        """Return which arguments of `compile` are given."""
        return [f"{name}=" for name in self.__slots__ if getattr(self, name) is not None]


class Backend:
    """Makes the plans of a compiled step, or of a body of a loop: NumPy's. Those of other backends derive from it.

    Parameters
    ----------
    updated : sequence of Node
        The parameters whose next values are the last fetches.
    settings : Settings
    tables : Tables, optional
    lent : collection of Node
        Placeholders whose arrays a plan may write over.
    guard : {None, "nan", "finite"}
        What its plans look for in each value.
    placing : Placing

    Attributes
    ----------
    title : str
        What its plans are called.
    guards : bool
        Whether its plans can look for what a guard refuses. Else, under a guard, evaluation goes node by node.
    is_placed : bool
        Whether it runs on devices that one may name.
    exact : bool
        Whether its values are those of the interpreter to the bit.
    """

    title = "the plan"
    guards = is_placed = False
    exact = True

    def __init__(
        self,
        updated: Sequence[Node] = (),
        settings: Settings = _USUAL,
        tables: Tables | None = None,
        lent: Collection[Node] = (),
        guard: str | None = None,
        placing: Placing = Placing(),
    ) -> None:
        self.asked = updated, settings, tables, lent
        self.guard, self.placing = guard, placing

    @staticmethod
    def lack() -> str:
        """Return why this backend can make no plan here; empty if it can."""
        return ""

    @staticmethod
    def is_trusted() -> bool:
        """Tell whether its plans work here; if they should and do not, warn once of it."""
        return True

    def check(self, nodes: Sequence[Node]) -> None:
        """Refuse nodes for which it can make no plan. This one takes all.

        Raises
        ------
        GraphnnError
        """

    def known(self, prepared: Prepared) -> Plan | None:
        """Return the plan for some sizes if that takes next to no time, since one for others was recorded."""
        return None

    def may_record(self, prepared: Prepared) -> bool:
        """Return whether a plan for these sizes may be recorded."""
        return False

    def plan(self, prepared: Prepared, recorded: bool = False) -> Plan:
        """Return a new plan; one that is recorded serves for other sizes, too. NumPy's, where there is no trust."""
        _, settings, tables, lent = self.asked
        return Plan(prepared, settings, tables, lent)


FASTER: Mapping[str, Port[type[Backend]]] = {"native": Port("native plans")}
"""What satellites give: the first one that is trusted is used where none is asked for."""
ELSEWHERE: Mapping[str, Port[type[Backend]]] = {"jax": Port("steps on XLA")}
"""What satellites give besides, and is used only where it is asked for: its bits are others."""
BACKENDS = (*FASTER, *ELSEWHERE, "numpy", "interpreter")


def backend_of(name: str) -> type[Backend]:
    """Return what makes the plans of a backend; NumPy's, where its own is not installed, and of the interpreter."""
    ports = {**FASTER, **ELSEWHERE}
    return (ports[name].of() if name in ports else None) or Backend


def chosen(backend: str | None) -> str:
    """Return the backend that is asked for, here or by the environment; else the fastest that there is.

    Raises
    ------
    ValueRangeError
        When there is none of this name.
    UsageError
        When it is not installed, or cannot be used here.
    """
    asked = backend if backend is not None else os.environ.get("GRAPHNN_BACKEND") or None
    if asked is not None and (not isinstance(asked, str) or asked not in BACKENDS):
        whose = "" if backend is not None else " in GRAPHNN_BACKEND"
        called = quoted(asked) if isinstance(asked, str) else short_repr(asked)
        raise ValueRangeError(f"unknown backend {called}{whose} (must be one of {', '.join(BACKENDS)})")
    if asked is None:
        return next((name for name, port in FASTER.items() if (found := port.of()) and found.is_trusted()), "numpy")
    ports = {**FASTER, **ELSEWHERE}
    if asked not in ports:
        return asked
    found = needed(ports[asked], f'backend="{asked}"')
    if lack := found.lack():
        raise UsageError(lack)
    return asked if found.is_trusted() else "numpy"
