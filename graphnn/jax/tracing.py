"""The values of nodes as JAX computes them, one rule after the other, while it traces a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import is_float
from .library import jax, jnp
from .rules.registry import RULES

if TYPE_CHECKING:
    from ..core import Node, Op
    from ..runtime.program import Program


class Tracing:
    """Computes nodes, and notes what is refused: an index out of range, or what a guard looks for.

    JAX cannot raise an error for a value. So what would be one here is noted as a bool on the device: where it is true,
    the step has made no update, and is done again here, node by node, for its error.

    Parameters
    ----------
    guard : {None, "nan", "finite"}

    Attributes
    ----------
    refused : list of array
        Bools.
    """

    def __init__(self, guard: str | None = None) -> None:
        self.guard = guard
        self.refused: list[Any] = []

    def refuse(self, where: Any) -> None:
        """Note that there is an error where any of these is true."""
        self.refused.append(jnp.any(where))

    def any_refused(self) -> Any:
        """Return whether anything was refused, or None where nothing can be."""
        return reduce(jnp.logical_or, self.refused) if self.refused else None

    def values(self, program: Program, sizes: Mapping[str, int], given: Mapping[Node, Any]) -> list[Any]:
        """Return the values of all nodes of a program that are fetched.

        Parameters
        ----------
        program : Program
        sizes : mapping of str to int
        given : mapping of Node to array
            The values of placeholders and parameters.
        """
        values: list[Any] = [None] * len(program.order)
        for i, node in enumerate(program.order):
            if node in given:
                values[i] = given[node]
            elif node.op.is_constant:
                values[i] = jnp.asarray(program.graph._constants[node])
            else:
                values[i] = self.value(node, sizes, [values[source] for source in program.operands[i]])
            self._guarded(node, values[i])
            for source in program.dying[i]:
                values[source] = None
        return [values[place] for place in program.fetches]

    def value(self, node: Node, sizes: Mapping[str, int], operands: Sequence[Any]) -> Any:
        """Return the value of one node."""
        op = node.op.bound(sizes) if node.op.sized else node.op
        rule = RULES[op.name]
        if rule.casts is not None:
            operands = _cast(rule.casts, node, op, operands)
        with jax.named_scope(node.name.replace("/", "_") or "node"):
            found = rule.function(op, *([self] if rule.refuses else []), *operands)
        return jnp.asarray(found).astype(node.dtype)

    def _guarded(self, node: Node, value: Any) -> None:
        # A bundle holds integers by their bytes. What a body computes is looked at there.
        if self.guard is None or not is_float(node.dtype) or hasattr(node.op, "refused_inside"):
            return
        is_nan = self.guard == "nan" or node.op.is_constant
        self.refuse(jnp.isnan(value) if is_nan else ~jnp.isfinite(value))


def _cast(casts: str, node: Node, op: Op, operands: Sequence[Any]) -> list[Any]:
    """Return operands in the dtypes that NumPy computes in."""
    kinds = [np.dtype(node.dtype)] * len(operands)
    if casts == "ufunc":
        ufunc: Any = getattr(op, "like", None) or op.forward
        given = tuple(np.dtype(x.dtype) for x in operands)
        kinds = ufunc.resolve_dtypes((*(given * ufunc.nin)[: ufunc.nin], *[None] * ufunc.nout))[: len(operands)]
    return [x.astype(kind) for x, kind in zip(operands, kinds, strict=True)]
