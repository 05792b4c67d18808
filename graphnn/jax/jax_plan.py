"""Compiled steps on XLA: one function that JAX compiles for each set of sizes, with the parameters on the device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler import intermediate_representation as do
from ..compiler.backends import ELSEWHERE, Backend
from ..compiler.compile import updating
from ..compiler.ir_values import Value
from ..compiler.plan import Plan
from ..compiler.plan_cache import MOST_PLANS
from ..core.fetches import ancestors
from ..errors import EvaluationError, GraphnnWarning, UsageError
from .device_state import device_state
from .library import is_installed, jax, jnp
from .placing import Placed, placed
from .rules import lacking
from .tracing import Tracing

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..runtime.evaluation_loop import Prepared


class JaxPlan(Plan):
    """A step for one set of sizes as one function that XLA compiles at its first call.

    Parameters
    ----------
    prepared : Prepared
    moved : sequence of Node
        The parameters whose next values are the last fetches.
    guard : {None, "nan", "finite"}
    where : Placed

    Attributes
    ----------
    where : Placed
    """

    is_whole = True

    def __init__(self, prepared: Prepared, moved: Sequence[Node], guard: str | None, where: Placed) -> None:
        program = prepared.program
        still = [node for node in program.order if node.op.is_parameter and node not in set(moved)]
        self._moved, self._still, self.where = list(moved), still, where
        given = [
            Value(do.Given(), node, prepared.shape_of(node), node.dtype)
            for node in (*program.placeholders, *moved, *still)
        ]
        self._shapes = [value.shape for value in given]
        self._take(prepared, given, self._shapes)
        self.written = []
        self._step = step_of(prepared, self._moved, still, guard)
        with jax.enable_x64(True):
            self._call = jax.jit(self._step, donate_argnums=0)
        self._program = program

    # --- calls ----------------------------------------------------------------------------------------------------

    def whole(self, feed: object, state: object) -> Sequence[Array] | None:  # type: ignore[override]
        """Do a whole step, updates included; return None, with nothing done, if the feed is not just as planned."""
        given: Any = {} if feed is None else feed
        fed = self.fitting(given)
        if fed is None:
            return None
        graph, where = self._program.graph, self.where
        with updating(graph), jax.enable_x64(True):
            there = device_state(graph)
            moving = there.taken(self._moved, where, where.parameter)
            still = there.taken(self._still, where, where.parameter)
            results, following, refused = self._call(moving, still, self._placed(fed))
            if self._moved:
                there.moved(self._moved, following)
        found = [np.array(x) for x in results]
        self._check(refused)
        return found

    def of(self, given: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the fetches, and the next values of what is updated, from what is given here."""
        count, where = self._count, self.where
        with jax.enable_x64(True):
            values = [where.parameter(node, x) for node, x in zip(self.given[count:], given[count:], strict=True)]
            moving, still = values[: len(self._moved)], values[len(self._moved) :]
            results, following, refused = self._call(moving, still, self._placed(given[:count]))
        self._check(refused)
        return tuple([np.array(x) for x in (*results, *following)])

    def _placed(self, fed: Sequence[Array]) -> list[Any]:
        return [self.where.fed(node, x) for node, x in zip(self._fed, fed, strict=True)]

    @staticmethod
    def _check(refused: Any) -> None:
        if refused is not None and bool(refused):
            raise EvaluationError(
                "the step was refused on the device (an index out of range, a singular matrix, a division of integers "
                "by 0, or what the guard looks for), and is not here: values are rounded otherwise there. No update "
                'was made. gn.compare(step, feed, backend="jax") shows where they part'
            )

    # --- looking --------------------------------------------------------------------------------------------------

    def _specs(self) -> tuple[Any, ...]:
        specs = [jax.ShapeDtypeStruct(shape, node.dtype) for node, shape in zip(self.given, self._shapes, strict=True)]
        n, m = self._count, self._count + len(self._moved)
        return specs[n:m], specs[m:], specs[:n]

    @property
    def source(self) -> str:  # type: ignore[override]
        """What JAX traces the step to, to read."""
        with jax.enable_x64(True):
            return str(jax.make_jaxpr(self._step)(*self._specs()))

    @property
    def arguments(self) -> dict[str, object]:  # type: ignore[override]
        """None: JAX has the constants."""
        return {}

    def explain(self) -> Any:
        """Return what XLA says of the compiled step: where it runs, and its operations and bytes."""
        with jax.enable_x64(True):
            compiled = self._call.lower(*self._specs()).compile()
            costs, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
        return JaxExplanation(str(self.where), dict(costs), memory, compiled.as_text())


class JaxExplanation:
    """What XLA says of a compiled step; `print` shows it.

    Attributes
    ----------
    where : str
        The device.
    flops, bytes_moved : float
        Operations, and bytes that pass through memory, as XLA counts them.
    bytes_at_once : int
        The most bytes of arguments, results and what is in between.
    text : str
        The program as XLA has it.
    """

    def __init__(self, where: str, costs: dict[str, float], memory: Any, text: str) -> None:
        self.where, self.text = where, text
        self.flops, self.bytes_moved = costs.get("flops", 0.0), costs.get("bytes accessed", 0.0)
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        self.bytes_at_once = sum(int(getattr(memory, part, 0)) for part in parts)

    def __str__(self) -> str:
        return (
            f"one function of XLA on {self.where}: {self.flops:,.0f} operations, {self.bytes_moved:,.0f} bytes moved, "
            f"{self.bytes_at_once:,} bytes at once"
        )

    def __repr__(self) -> str:
        return f"<{self}>"


def step_of(
    prepared: Prepared, moved: Sequence[Node], still: Sequence[Node], guard: str | None = None
) -> Callable[[Any, Any, Any], tuple[list[Any], list[Any], Any]]:
    """Return a step as a function of JAX's arrays: of parameters that move, of those that stay, and of what is fed.

    It returns the fetches, the next values, and whether something was refused: then nothing has moved.
    """
    program, sizes = prepared.program, dict(prepared.sizes)
    count = len(program.fetches) - len(moved)

    def step(moving: Sequence[Any], standing: Sequence[Any], fed: Sequence[Any]) -> tuple[list[Any], list[Any], Any]:
        tracing = Tracing(guard)
        given = dict(zip([*moved, *still, *program.placeholders], [*moving, *standing, *fed], strict=True))
        values = tracing.values(program, sizes, given)
        refused = tracing.any_refused()
        # Copies, or JAX might return an argument, or one array for two parameters, and the next step writes over it.
        following = [jnp.array(x, copy=True) for x in values[count:]]
        if refused is not None:
            following = [jnp.where(refused, old, new) for old, new in zip(moving, following, strict=True)]
        return values[:count], following, refused

    return step


@ELSEWHERE["jax"].give()
class Jax(Backend):
    """Makes steps for XLA. Each set of sizes is compiled at its first call."""

    title = "the step on XLA"
    guards = True
    is_placed = True
    exact = False

    def __init__(self, *asked: Any, **lent: Any) -> None:
        super().__init__(*asked, **lent)
        self._made = 0
        self._where: Placed | None = None

    @staticmethod
    def lack() -> str:
        """Return why there is no JAX here."""
        return "" if is_installed() else "the jax backend needs JAX: pip install graphnn[jax]"

    def check(self, nodes: Sequence[Node]) -> None:
        """Refuse nodes that JAX has no rule for, and what it does not do.

        Raises
        ------
        NoRuleError, UsageError
        """
        if self.asked[1].threads > 1:
            raise UsageError('threads= is for plans here: with backend="jax", XLA has threads of its own')
        lacking(sorted(ancestors(nodes), key=lambda node: node.index))
        self._where = placed(self.placing)

    def known(self, prepared: Prepared) -> JaxPlan:
        """Return a plan, which is compiled when it is called."""
        return self.plan(prepared)

    def plan(self, prepared: Prepared, recorded: bool = False) -> JaxPlan:
        """Return a new plan."""
        self._made += 1
        if self._made == MOST_PLANS + 1:
            warnings.warn(
                f"a step has come with {self._made} sets of sizes. XLA compiles it for each, and the last {MOST_PLANS} "
                "are kept: pad what is fed to a few sizes",
                GraphnnWarning,
                stacklevel=2,
            )
        if self._where is None:
            self._where = placed(self.placing)
        return JaxPlan(prepared, self.asked[0], self.guard, self._where)
