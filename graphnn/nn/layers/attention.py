"""Attention, and the blocks of transformers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import short_repr
from ...control_flow.scan import scan
from ...core import Array, Node, fn
from ...core.attributes import whole
from ...core.graph_tables import name
from ...core.symbolic_shapes import shown
from ...errors import DtypeError, ShapeError, UsageError
from ..argument_validation import check_choice, checked_flag, checked_number
from .dense_and_activations import Dense
from .dropout import Dropout
from .layer import Layer, only_node
from .layer_parameters import Weighted, check_float
from .normalization import LayerNorm
from .sequential import Sequential

if TYPE_CHECKING:
    from ...core import Dim
    from ..init import Rng

Cache = dict[str, Node]
"""What is kept of earlier positions: their keys and values, (batch, max_length, units), and how many there are."""


class MultiHeadAttention(Weighted):
    """Attention: each query takes the values whose keys fit it, in several heads side by side.

    Call it on a query of shape (batch, queries, units), and for cross attention on a key and a value of shape
    (batch, keys, …). By default, the key is the query, and the value is the key.

    A mask, ``mask=``, has bools. **True means keep**: the query may look at the key. In PyTorch's attention, True means
    the opposite. A mask of two axes is (batch, keys), for padding; of three, (batch, queries, keys); of four,
    (batch, heads, queries, keys). An axis of size 1 stands for all. Where a row is masked whole, the result is NaN.

    With a cache, ``cache=``, the query attends to all positions of earlier calls, too, whose keys and values it holds.
    The call returns the result and the next cache: a state of `gn.scan`, to generate text position by position. The
    method `cache` returns an empty one.

    Parameters
    ----------
    heads : int
        How many. They divide the units of the query among them.
    causal : bool
        Whether a query attends only to keys up to its own position.
    dropout : float
        The rate of the dropout of the attention weights, in training.
    use_bias : bool
        Whether the four dense layers have a bias.
    block : int, optional
        How many queries attend at a time. The blocks are iterations of a `gn.scan`, which keeps no scores: its gradient
        computes those of each block again. Memory then grows with block × keys and not with queries × keys. The number
        of queries must be known when the graph is built. By default, all queries attend at once.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.
    dtype : dtype, optional
        The dtype of the parameters, as in `Dense`.

    Attributes
    ----------
    query, key, value, output : Dense or None
        None before the first call. In the graph, the nodes ``scores`` and ``weights`` are what the softmax takes and
        returns: ``g["multi_head_attention_1/weights"]``. With `block`, they are those of one block, in the body of the
        loop.

    Notes
    -----
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 5, 8))
    >>> nn.MultiHeadAttention(2, causal=True)(x)
    <Node "multi_head_attention_1/output/add": add (batch, 5, 8) float64>
    >>> x.graph["multi_head_attention_1/weights"].shape
    ('batch', 2, 5, 5)
    """

    def __init__(
        self,
        heads: int,
        causal: bool = False,
        *,
        dropout: float = 0.0,
        use_bias: bool = True,
        block: int | None = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rng, dtype)
        self.heads = whole("MultiHeadAttention: heads", heads, 1)
        self.causal = checked_flag("MultiHeadAttention: causal", causal)
        self.use_bias = checked_flag("MultiHeadAttention: use_bias", use_bias)
        self.block = None if block is None else whole("MultiHeadAttention: block", block, 1)
        rate = checked_number("MultiHeadAttention: dropout", dropout, 0, 1)
        self.dropout = Dropout(rate, rng=rng) if rate else None
        self.query: Dense | None = None
        self.key: Dense | None = None
        self.value: Dense | None = None
        self.output: Dense | None = None

    def cache(self, x: Node, max_length: Dim) -> Cache:
        """Return an empty cache, for inputs like x: ``{"keys": …, "values": …, "length": …}``.

        Parameters
        ----------
        x : Node
            Of shape (batch, time, units).
        max_length : int or str
            For how many positions in all it has room. One more is an IndexError in a run.

        Returns
        -------
        dict of str to Node

        Examples
        --------
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> x = gn.Graph().placeholder("x", ("batch", 1, 8))
        >>> attention = nn.MultiHeadAttention(2, causal=True)
        >>> y, cache = attention(x, cache=attention.cache(x, 100))
        >>> cache["keys"].shape
        ('batch', 100, 8)
        """
        _check_ndim("MultiHeadAttention", only_node(self, x))
        empty = fn.zeros((x.shape[0], max_length, x.shape[2]), x.dtype, graph=x.graph)
        return {"keys": empty, "values": empty, "length": x.graph.constant(np.int64(0))}

    def call(
        self,
        query: Node,
        key: Node | None = None,
        value: Node | None = None,
        mask: Any = None,
        cache: Cache | None = None,
    ) -> Any:
        """Return the values that each query takes, through the dense layer ``output``; with a cache, the next one."""
        if cache is not None:
            _check_cache(cache)
            if key is not None or value is not None:
                raise UsageError("MultiHeadAttention: with cache=, the query is also key and value: leave these out")
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            check_float("MultiHeadAttention", only_node(self, x))
            _check_ndim("MultiHeadAttention", x)
        (units,) = self.sizes(query, [-1])
        if units % self.heads:
            raise ShapeError(
                f'MultiHeadAttention: {self.heads} heads do not divide the {units} units of "{query.name}"'
            )
        if self.output is None:
            made = [Dense(units, use_bias=self.use_bias, rng=self.rng, dtype=self.dtype) for _ in range(4)]
            self.query, self.key, self.value, self.output = made
        assert self.query is not None
        assert self.key is not None
        assert self.value is not None
        projected = [layer(x) for layer, x in ((self.query, query), (self.key, key), (self.value, value))]
        if cache is not None:
            for place, part in enumerate(("keys", "values"), 1):
                projected[place] = fn.update_slice(cache[part], projected[place], cache["length"], 1)
        parts = [self._split(x) for x in projected]
        q, v = (fn.swapaxes(part, 1, 2) for part in (parts[0], parts[2]))  # (batch, heads, time, units of a head)
        k = fn.transpose(parts[1], (0, 2, 3, 1))  # (batch, heads, units of a head, time)
        length = None if cache is None else cache["length"]
        taken = self._attended(q, k, v, length, mask)
        result: Node = self.output(fn.reshape(fn.swapaxes(taken, 1, 2), (*query.shape[:2], units)))
        if length is None:
            return result
        length = length + _as_number(query.shape[1], query)
        return result, {"keys": projected[1], "values": projected[2], "length": length}

    def _split(self, x: Node) -> Node:
        batch, time, units = x.shape
        return fn.reshape(x, (batch, time, self.heads, units // self.heads))

    def _positions(self, q: Node, start: Node | None) -> Node | None:
        """Return the last position that each query may look at, as a column; None if it may look at all."""
        graph, queries = q.graph, q.shape[2]
        if self.causal:
            positions = fn.expand_dims(fn.arange(queries, graph=graph), 1)
        elif start is not None:
            positions = graph.constant(np.int64(-1)) + _as_number(queries, q)
        else:
            return None
        return positions if start is None else positions + start

    def _mask(self, mask: Any, q: Node) -> Node | None:
        """Return a mask with the axes of the scores."""
        if mask is None:
            return None
        mask = mask if isinstance(mask, Node) else q.graph.constant(mask)
        if mask.dtype != np.dtype(bool):
            raise DtypeError(f'MultiHeadAttention: a mask is bools, True to keep; "{mask.name}" is {mask.dtype}')
        if mask.ndim not in (2, 3, 4):
            raise ShapeError(
                "MultiHeadAttention: a mask has shape (batch, keys), (batch, queries, keys) or "
                f'(batch, heads, queries, keys), and "{mask.name}" has {shown(mask.shape)}'
            )
        axes = {2: (1, 2), 3: (1,), 4: ()}[mask.ndim]
        expanded: Node = fn.expand_dims(mask, axes) if axes else mask
        return expanded

    def _attended(self, q: Node, k: Node, v: Node, start: Node | None, mask: Any) -> Node:
        """Return what the queries take, all at once or block by block."""
        queries = q.shape[2]
        if self.block is None or (isinstance(queries, int) and queries <= self.block):
            return self._taken(self._scores(q, k), v, self._positions(q, start), self._mask(mask, q))
        if not isinstance(queries, int):
            raise ShapeError(
                f"MultiHeadAttention: block={self.block} needs a number of queries, and it is named {queries!r}: give "
                "the placeholder a number there, or leave out block="
            )
        given = {
            "positions": (self._positions(q, start), 0),
            "mask": (self._mask(mask, q), 2),
        }  # and the axis of queries
        cut = {"q": (q, 2)} | {
            part: (x, axis)
            for part, (x, axis) in given.items()
            if x is not None and x.ndim > axis and x.shape[axis] == queries
        }
        same = {part: x for part, (x, _) in given.items() if part not in cut}

        def of_rows(rows: dict[str, Node]) -> Node:
            parts: dict[str, Any] = same | rows
            return self._taken(self._scores(parts.pop("q"), k), v, **parts)

        last = queries - queries % self.block
        blocks = {part: _in_blocks(_rows(x, axis, 0, last), axis, self.block) for part, (x, axis) in cut.items()}
        _, taken = scan(lambda _, rows: ((), of_rows(rows)), (), blocks, recompute=True)
        batch, heads, _, size = q.shape  # and of what is taken: (blocks, batch, heads, queries of a block, size)
        found: Node = fn.reshape(fn.transpose(taken, (1, 2, 0, 3, 4)), (batch, heads, last, size))
        if last < queries:
            rest = {part: _rows(x, axis, last, queries) for part, (x, axis) in cut.items()}
            found = fn.concatenate([found, of_rows(rest)], axis=2)
        return found

    def _scores(self, q: Node, k: Node) -> Node:
        (size,) = self.sizes(q, [-1])
        scores: Node = fn.divide(q @ k, math.sqrt(size), name="scores")
        return scores

    def _taken(self, scores: Node, v: Node, positions: Node | None, mask: Node | None) -> Node:
        if positions is not None:
            past = fn.greater_equal(positions, fn.arange(scores.shape[-1], graph=v.graph), name="past")
            scores = fn.where(past, scores, -np.inf, name="without_future")
        if mask is not None:
            scores = fn.where(mask, scores, -np.inf, name="masked")
        weights = fn.softmax(scores)
        name(weights, "weights")
        if self.dropout is not None:
            weights = self.dropout(weights)
        taken: Node = weights @ v
        return taken

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        parts, found = ("query", "key", "value"), dict[str, Array]()
        for path, array in state.items():
            if path in ("in_proj_weight", "in_proj_bias"):
                last = path.rpartition("_")[2]
                if not array.ndim or len(array) % 3:
                    raise ShapeError(
                        f'"{path}" has rows for query, key and value alike; the state has {shown(array.shape)} for it'
                    )
                found |= {f"{part}.{last}": each for part, each in zip(parts, np.split(array, 3), strict=True)}
            elif path in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                found[f"{parts['qkv'.index(path[0])]}.weight"] = array
            else:
                found[path.replace("out_proj.", "output.")] = array
        return found


def _check_ndim(kind: str, x: Node) -> None:
    if x.ndim != 3:
        raise ShapeError(f'{kind} takes (batch, time, units), and "{x.name}" has shape {shown(x.shape)}')


def _rows(x: Node, axis: int, start: int, stop: int) -> Node:
    """Return rows of x along an axis; x itself for all of them."""
    if (start, stop) == (0, x.shape[axis]):
        return x
    found: Node = x[(slice(None),) * axis + (slice(start, stop),)]
    return found


def _in_blocks(x: Node, axis: int, block: int) -> Node:
    """Return x with an axis cut into blocks, which lie along axis 0."""
    size = x.shape[axis]
    assert isinstance(size, int)
    cut = fn.reshape(x, (*x.shape[:axis], size // block, block, *x.shape[axis + 1 :]))
    found: Node = fn.transpose(cut, (axis, *(other for other in range(cut.ndim) if other != axis)))
    return found


def _check_cache(cache: Any) -> None:
    if not isinstance(cache, dict) or not cache.keys() >= {"keys", "values", "length"}:
        raise UsageError(
            "MultiHeadAttention: cache= is what the method cache(x, max_length), or the call before, returned: a dict "
            f"of keys, values and length, not {short_repr(cache)}"
        )


def _as_number(size: Dim, x: Node) -> Any:
    """Return the size of an axis as an operand."""
    if isinstance(size, int):
        return size
    return fn.sum(fn.broadcast_to(x.graph.constant(np.int64(1)), (size,)))


class Residual(Layer):
    """x + inner(x).

    Parameters
    ----------
    *layers : Layer or callable
        What is added to x: one layer, or several one after the other, as `Sequential` takes them.

    Raises
    ------
    ShapeError
        At a call, when the result of the layers has another shape than x.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> block = nn.Residual(nn.LayerNorm(), nn.Dense(8, "relu"), nn.Dense(4))
    >>> block(gn.Graph().placeholder("x", ("batch", 4)))
    <Node "residual_1/add": add (batch, 4) float64>
    """

    def __init__(self, *layers: Any) -> None:
        self.inner = Sequential(*layers)

    def call(self, x: Node, **settings: Any) -> Node:
        """Return x plus what the layers make of it."""
        found = self.inner(only_node(self, x), **settings)
        if not isinstance(found, Node) or found.shape != x.shape:
            what = shown(found.shape) if isinstance(found, Node) else type(found).__name__
            raise ShapeError(
                f'Residual adds what its layers make of "{x.name}" {shown(x.shape)} to it, and it is {what}'
            )
        return x + found


class TransformerBlock(Weighted):
    """A block of a transformer: attention, then two dense layers, each added to its input and normalized.

    Call it on x of shape (batch, time, units), with ``mask=`` and ``cache=`` as `MultiHeadAttention` takes them.

    Parameters
    ----------
    heads : int
        Of the attention.
    hidden : int
        The units of the first dense layer; the second has the units of x.
    causal : bool
        Whether a position attends only to itself and earlier ones.
    dropout : float
        The rate of the dropout in training: of the attention weights, between the dense layers, and of what is added.
    norm : {"after", "before"}
        Whether the sums are normalized, as in the first paper and by default in PyTorch, or what goes into the
        attention and the dense layers, as in GPT.
    activation : str, Layer or callable
        Between the dense layers, as in `Dense`.
    epsilon : float
        Of the `LayerNorm`.
    use_bias : bool
        Whether the dense layers and the norms have a bias.
    block : int, optional
        How many queries attend at a time, as in `MultiHeadAttention`.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.
    dtype : dtype, optional
        The dtype of the parameters, as in `Dense`.

    Attributes
    ----------
    attention : MultiHeadAttention
    attention_norm, output_norm : LayerNorm
    hidden : Dense
    output : Dense or None
        None before the first call.

    Notes
    -----
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 5, 8))
    >>> nn.TransformerBlock(2, 32, causal=True, norm="before", activation="gelu")(x)
    <Node "transformer_block_1/add_2": add (batch, 5, 8) float64>
    """

    def __init__(
        self,
        heads: int,
        hidden: int,
        causal: bool = False,
        dropout: float = 0.0,
        *,
        norm: str = "after",
        activation: Any = "relu",
        epsilon: float = 1e-5,
        use_bias: bool = True,
        block: int | None = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rng, dtype)
        check_choice("TransformerBlock", "norm", norm, ("after", "before"))
        self.norm = norm
        settings: dict[str, Any] = {"use_bias": use_bias, "dtype": dtype}
        self._settings = settings
        self.attention = MultiHeadAttention(heads, causal, dropout=dropout, block=block, rng=rng, **settings)
        self.attention_norm = LayerNorm(epsilon=epsilon, **settings)
        self.hidden = Dense(hidden, activation, rng=rng, **settings)
        self.output: Dense | None = None
        self.output_norm = LayerNorm(epsilon=epsilon, **settings)
        seeds = (1, 2, 3) if rng is None else (0, 0, 0)
        self.dropouts = [Dropout(float(dropout), seed, rng=rng) for seed in seeds] if dropout else []

    def cache(self, x: Node, max_length: Dim) -> Cache:
        """Return an empty cache of the attention, as `MultiHeadAttention.cache` does."""
        return self.attention.cache(x, max_length)

    def call(self, x: Node, mask: Any = None, cache: Cache | None = None) -> Any:
        """Return x after attention and the dense layers; with a cache, the next one."""
        if only_node(self, x).ndim != 3:
            raise UsageError(f'TransformerBlock takes (batch, time, units), and "{x.name}" has shape {shown(x.shape)}')
        if self.output is None:
            (units,) = self.sizes(x, [-1])
            self.output = Dense(units, rng=self.rng, **self._settings)
        seen = self.attention(self.attention_norm(x) if self.norm == "before" else x, mask=mask, cache=cache)
        if cache is not None:
            seen, cache = seen
        x = x + self._dropped(0, seen)
        if self.norm == "before":
            result = x + self._dense(self.output_norm(x), self.output)
        else:
            x = self.attention_norm(x)
            result = self.output_norm(x + self._dense(x, self.output))
        return result if cache is None else (result, cache)

    def _dense(self, x: Node, output: Dense) -> Node:
        return self._dropped(2, output(self._dropped(1, self.hidden(x))))

    def _dropped(self, place: int, x: Node) -> Node:
        dropped: Node = self.dropouts[place](x) if self.dropouts else x
        return dropped

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        names = {
            "self_attn": "attention",
            "linear1": "hidden",
            "linear2": "output",
            "norm1": "attention_norm",
            "norm2": "output_norm",
        }
        parts = [(path.partition("."), array) for path, array in state.items()]
        return {f"{names.get(first, first)}.{rest}": array for (first, _, rest), array in parts}
