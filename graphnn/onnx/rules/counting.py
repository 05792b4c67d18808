"""How often sequences of numbers occur."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core import Node, fn
from ..rule_registry import rule

if TYPE_CHECKING:
    from ...core import Array
    from ..onnx_node import Call

_MOST = 1 << 24


@rule("TfIdfVectorizer")
def tf_idf(
    call: Call,
    x: Node,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: Literal["TF", "IDF", "TFIDF"],
    ngram_counts: Any,
    ngram_indexes: Any,
    pool_int64s: Any = None,
    pool_strings: Any = None,
    weights: Any = None,
) -> Any:
    """Return how often each n-gram of a pool occurs in rows of numbers, with up to so many skipped in between."""
    if pool_int64s is None:
        call.refuse("its n-grams are texts, and graphnn has arrays of numbers")
    length = x.spec.shape[-1]
    if not isinstance(length, int):
        call.ask_for_sizes("how long its sequences are", [length])
    columns = max(ngram_indexes) + 1
    if length * min(max_skip_count + 1, length) > _MOST or columns * len(ngram_indexes) > _MOST:
        call.refuse("it looks at too many places, or counts in too many")
    total = call.node(np.zeros((), np.float32))
    first = 0
    for n, grams in enumerate(_grams(pool_int64s, ngram_counts), 1):
        places = ngram_indexes[first : first + len(grams)]
        first += len(grams)
        if not min_gram_length <= n <= max_gram_length or not len(grams):
            continue
        # Which column each n-gram is counted in, as a matrix.
        target = np.zeros((len(grams), columns), np.float32)
        target[np.arange(len(grams)), places] = 1
        windows = _windows(length, n, max_skip_count)
        if len(windows):
            found = fn.expand_dims(fn.take(x, call.node(windows), axis=x.ndim - 1), -2)
            here = fn.all(fn.equal(found, call.node(grams.astype(x.spec.dtype))), -1)
            total = total + fn.matmul(fn.sum(fn.cast(here, "float32"), -2), call.node(target))
    total = fn.broadcast_to(total, (*x.spec.shape[:-1], columns))
    if mode == "TF":
        return total
    factors = np.ones(columns, np.float32)
    if weights is not None:
        factors[np.asarray(ngram_indexes)] = weights
    return (fn.minimum(total, 1) if mode == "IDF" else total) * call.node(factors)


def _grams(pool: Any, starts: Any) -> list[Array]:
    """Return for n = 1, 2 … the n-grams of a pool, one a row."""
    ends = [*starts[1:], len(pool)]
    return [np.array(pool[a:b], np.int64).reshape(-1, n) for n, (a, b) in enumerate(zip(starts, ends, strict=True), 1)]


def _windows(length: int, n: int, skips: int) -> Array:
    """Return the places of all n-grams, one a row, for each number of elements that are skipped between two."""
    rows = []
    for step in range(1, min(skips + 1, length // (n - 1)) + 1 if n > 1 else 2):
        rows += [range(start, start + (n - 1) * step + 1, step) for start in range(length - (n - 1) * step)]
    return np.array([list(row) for row in rows], np.int64).reshape(-1, n)
