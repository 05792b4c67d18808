"""Questions about a run: what is around a node, where a number comes from, where it goes."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NotFoundError, UsageError
from .ancestry import LIMIT, ancestry, influence, sample
from .expressions import calculate
from .why import Why, element_of, element_typed, explain, first_strange, given_as

if TYPE_CHECKING:
    from ..core import Array, Node
    from .debugger_state import Progress


class Questions:
    """Answers questions about the values that are known."""

    def __init__(self, now: Progress) -> None:
        self._now = now

    def here(self, node: Node | str | None = None) -> Node:
        """Return a node by its name; by default the current one, or the fed or stored one that a guard has refused.

        Raises
        ------
        NotFoundError
            When there is no such node in the run.
        UsageError
            When none is named, and nothing has run yet.
        """
        now = self._now
        if node is not None:
            return now.node(node)
        if now.error and now.refused is not None:
            return now.order[now.refused]
        if now.current is None:
            raise UsageError("nothing has run yet: name a node, or step first")
        return now.current

    def inputs(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return the operands of a node, of the current one unless given; raise as `here` does."""
        return self.here(node).inputs

    def users(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return the nodes of this run that read a node, the current one unless given; raise as `here` does."""
        return tuple(user for user in self.here(node).users if user in self._now.places)

    def twin(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return the forward node of a gradient's or an update's node; of a forward node, the nodes made for it.

        Returns
        -------
        tuple of Node
            Of this run; empty where there is none.

        Raises
        ------
        NotFoundError
            When there is no such node in the run.
        UsageError
            When none is named, and nothing has run yet.
        """
        here = self.here(node)
        twins = [here.twin] if here.twin is not None else [other for other in self._now.order if other.twin is here]
        return tuple(other for other in twins if other in self._now.places)

    def path(self, node: Node | str | None = None) -> list[Node]:
        """Return a shortest path from a node, the current one unless given, to a fetch.

        In a compiled step it leads to a result, or if there is none, to the next value of a parameter.

        Parameters
        ----------
        node : Node or str, optional

        Returns
        -------
        list of Node
            From the node itself on.

        Raises
        ------
        NotFoundError
            When there is no such path.
        """
        now = self._now
        here = self.here(node)
        results = set(now.fetches).difference(now.updates.values())
        for ends in (results, set(now.updates.values())):
            path = self._shortest(here, ends)
            if path:
                return path
        raise NotFoundError(f'no path leads from "{here.title}" to what was asked for')

    def why(self, node: Node | str | None = None, index: Any = None) -> Why:
        """Explain one element: the numbers it was computed from, the formula, and the line.

        Parameters
        ----------
        node : Node or str, optional
            The current node unless given, or that which failed. A name may end in the index: ``"logits[3, dog]"``.
        index : tuple of int or str, int or str, optional
            Which element, where there are several; the first that is NaN, or infinite, unless given. Text is the label
            of a position, as in ``graph.labels``.

        Returns
        -------
        Why

        Raises
        ------
        AxisError, ShapeError
            When there is no such element; or several, all of them finite, and none is named.
        UsageError
            When the node has not run, or could not be evaluated.
        """
        now = self._now
        node, index = element_typed(self._now.graph, node, index)
        here = now.failed if node is None and now.failed is not None else self.here(node)
        step = now.known(here)
        prepared = now.tape.prepared
        given = partial(given_as, prepared=prepared, where=f"in {now.run.name}")
        op, source = prepared.op_of(here), now.source_of(here)
        return explain(
            here,
            index,
            step.value,
            step.operands,
            op=op,
            source=source,
            given=given,
            value_of=now.value_if_known,
            op_of=prepared.op_of,
        )

    def calculate(self, expression: str) -> Array:
        """Return the value of a NumPy expression of nodes that have run, such as ``"max(abs(x @ w - y))"``.

        It is parsed, and nothing in it runs as code. A node stands under its name, that of its scope, or that of an
        output; functions are those of `graphnn.debugger.expressions.FUNCTIONS`.

        Parameters
        ----------
        expression : str

        Returns
        -------
        array
            Read-only, if it is the value of a node.

        Raises
        ------
        ValueRangeError
            When it cannot be read, or computed.
        UsageError
            When a node in it has not run.
        """
        if not isinstance(expression, str):
            raise UsageError(f"an expression is written as text, not as {type(expression).__name__}")
        now = self._now
        return np.asarray(calculate(expression, now.graph, lambda name: now.known(now.node(name)).value))

    def ancestry(self, node: Node | str | None = None, index: Any = None, *, limit: int = LIMIT) -> dict[Node, Array]:
        """Return all elements that one was computed from, through forward and backward nodes alike.

        Parameters
        ----------
        node, index
            As `why` takes them.
        limit : int
            How many elements may be asked one by one what they read.

        Returns
        -------
        dict of Node to array
            The flat indices of the elements (`numpy.unravel_index` turns them), of each node that has a part; the node
            itself comes first.

        Raises
        ------
        ValueRangeError
            When more elements than `limit` have to be asked, or `limit` is less than 1.
        """
        here, index = self._element(node, index)
        prepared = self._now.tape.prepared
        return ancestry(
            here,
            index,
            lambda other: self._now.known(other).operands,
            sizes=prepared.sizes,
            op_of=prepared.op_of,
            given=self._set_by_hand(),
            limit=limit,
        )

    def influence(self, node: Node | str | None = None, index: Any = None, *, limit: int = LIMIT) -> dict[Node, Array]:
        """Return all elements that have run and were computed from one, directly or through others.

        Parameters
        ----------
        node, index, limit
            As `ancestry` takes them.

        Returns
        -------
        dict of Node to array
            As `ancestry`.

        Raises
        ------
        ValueRangeError
            When more elements than `limit` have to be asked, or `limit` is less than 1.
        """
        now = self._now
        here, index = self._element(node, index)
        prepared = now.tape.prepared
        known = [other for other in now.order if now.is_known(other)]
        return influence(
            here,
            index,
            known,
            lambda other: now.known(other).operands,
            lambda other: now.known(other).value,
            sizes=prepared.sizes,
            op_of=prepared.op_of,
            given=self._set_by_hand(),
            limit=limit,
        )

    def sample(self, row: int, dim: str | None = None) -> dict[Node, Array]:
        """Return one sample: its row of every value that has run, from the feed to the cotangents.

        The row has the same number everywhere: where rows are reordered or mixed, use `ancestry` and `influence`.

        Parameters
        ----------
        row : int
        dim : str, optional
            The name of the dimension that the samples are along; the first of the first placeholder unless given.

        Returns
        -------
        dict of Node to array
            Views, without that dimension; found by the name of node, scope or output, too:
            ``dbg.sample(6)["dense_1"]``. What is of all samples together, as a mean loss is, is not among them.

        Raises
        ------
        AxisError
            When there is no such row.
        NotFoundError
            When there is no such dimension.
        UsageError
            When none is given, and that of the first placeholder has no name.
        """
        now = self._now
        known = [other for other in now.order if now.is_known(other)]
        return sample(known, row, dim, lambda other: now.known(other).value)

    def _shortest(self, here: Node, ends: Collection[Node]) -> list[Node]:
        before: dict[Node, Node | None] = {here: None}
        waiting = [here]
        for at in waiting:
            if at in ends:
                path = [at]
                while (previous := before[path[-1]]) is not None:
                    path.append(previous)
                return path[::-1]
            for user in at.users:
                if user in self._now.places and user not in before:
                    before[user] = at
                    waiting.append(user)
        return []

    def _element(self, node: Node | str | None, index: Any) -> tuple[Node, Any]:
        node, index = element_typed(self._now.graph, node, index)
        here = self.here(node)
        value = self._now.known(here).value
        return here, element_of(here, first_strange(value) if index is None else index, value.shape)

    def _set_by_hand(self) -> set[Node]:
        """Return the nodes that were given a value."""
        return set(filter(self._now.tape.prepared.is_set, self._now.tape.prepared.overridden))
