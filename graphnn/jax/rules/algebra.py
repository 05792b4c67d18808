"""Rules of products and of equations with matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..library import jnp
from .registry import rule

if TYPE_CHECKING:
    from ..tracing import Tracing

_PRECISION = "highest"
"""Of products: as many digits as the dtype has, also where a chip would take fewer by default."""


@rule("matmul", casts="result")
def _matmul(op: Any, x: Any, y: Any) -> Any:
    if x.dtype == bool:
        return jnp.matmul(x.astype(np.int32), y.astype(np.int32)) > 0
    return jnp.matmul(x, y, precision=_PRECISION)


@rule("outer", casts="result")
def _outer(op: Any, x: Any, y: Any) -> Any:
    return jnp.multiply(x.reshape(-1)[:, None], y.reshape(-1)[None])


@rule("einsum", casts="result")
def _einsum(op: Any, *arrays: Any) -> Any:
    terms, right = op._terms()
    sizes = op._sizes(x.shape for x in arrays)
    kept, whole = [], []
    for term, x in zip(terms, arrays, strict=True):
        # NumPy repeats an axis of size 1 beside a longer one of the same letter.
        lone = [i for i, letter in enumerate(term) if x.shape[i] == 1 and sizes[letter] != 1]
        if any(term.count(term[i]) > 1 for i in lone):
            x, lone = jnp.broadcast_to(x, tuple(sizes[letter] for letter in term)), []
        whole.append(jnp.squeeze(x, tuple(lone)))
        kept.append("".join(letter for i, letter in enumerate(term) if i not in lone))
    is_bool = whole[0].dtype == bool
    for letter in sorted({*sizes} - set("".join(kept))):  # of size 1 everywhere, but summed over so many
        kept.append(letter)
        whole.append(jnp.ones(sizes[letter], whole[0].dtype))
    if is_bool:
        whole = [x.astype(np.int32) for x in whole]
    found = jnp.einsum(f"{','.join(kept)}->{right}", *whole, precision=_PRECISION)
    return found > 0 if is_bool else found


@rule("det", casts="result")
def _det(op: Any, x: Any) -> Any:
    return jnp.linalg.det(x)


@rule("inv", casts="result", refuses=True)
def _inv(op: Any, tracing: Tracing, x: Any) -> Any:
    _refuse_singular(tracing, x)
    return jnp.linalg.inv(x)


@rule("solve", casts="result", refuses=True)
def _solve(op: Any, tracing: Tracing, a: Any, b: Any) -> Any:
    _refuse_singular(tracing, a)
    if b.ndim == 1:
        return jnp.linalg.solve(a, jnp.broadcast_to(b[:, None], (*a.shape[:-1], 1)))[..., 0]
    stack = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return jnp.linalg.solve(jnp.broadcast_to(a, (*stack, *a.shape[-2:])), jnp.broadcast_to(b, (*stack, *b.shape[-2:])))


def _refuse_singular(tracing: Tracing, x: Any) -> None:
    """Refuse what NumPy finds singular: an element of 0 on the diagonal of the factor U."""
    if x.size:
        tracing.refuse(jnp.linalg.det(x) == 0)


@rule("cholesky", casts="result", refuses=True)
def _cholesky(op: Any, tracing: Tracing, x: Any) -> Any:
    found = jnp.linalg.cholesky((x + jnp.swapaxes(x, -1, -2)) / 2)
    tracing.refuse(jnp.isnan(found) & ~jnp.any(jnp.isnan(x), (-2, -1), keepdims=True))
    return found
