"""Faults to plant in one rule of an operation, which leave its other rule right."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import graphnn as gn
from graphnn import Node, Op

Rule = Callable[..., Node]


def scaled(self: Op, rule: Rule, first: Any, derivative: Any, output: Node, inputs: tuple[Node, ...]) -> Node:
    """Return a result that is a thousandth too large."""
    return rule(self, first, derivative, output, inputs) * 1.001


def bent(self: Op, rule: Rule, first: Any, derivative: Any, output: Node, inputs: tuple[Node, ...]) -> Node:
    """Return the right result, but made so that its own derivative is wrong."""
    z = gn.sum(gn.square(next(x for i, x in enumerate(inputs) if self.flows(i)))) + 1.0
    return rule(self, first, derivative, output, inputs) * (gn.stop_gradient(z) / z)


def swapped(self: Op, rule: Rule, first: Any, derivative: Any, output: Node, inputs: tuple[Node, ...]) -> Node:
    """Return the result of the other operand."""
    places = [i for i in range(len(inputs)) if self.flows(i)]
    exchanged = dict(zip(places, places[::-1], strict=True))
    if isinstance(first, int):
        return rule(self, exchanged[first], derivative, output, inputs)
    return rule(self, [first[exchanged.get(i, i)] for i in range(len(inputs))], derivative, output, inputs)


@contextmanager
def planted(cls: type[Op], mode: str, fault: Rule) -> Iterator[None]:
    """Have a fault in the rule of an operation for "vjp" or "jvp" while it lasts."""
    cls_vjp, cls_jvp = cls.vjp, cls.jvp

    def vjp(self: Op, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fault(self, cls_vjp, i, cotangent, output, inputs)

    def jvp(self: Op, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        def rule(self: Op, tangents: Any, _: Any, output: Node, inputs: tuple[Node, ...]) -> Node:
            return cls_jvp(self, tangents, output, inputs)

        return fault(self, rule, tangents, None, output, inputs)

    def vjps(
        self: Op, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]
    ) -> Iterator[Node]:
        def rule(self: Op, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
            return next(cls_vjps(self, [i], cotangent, output, inputs))

        for i in positions:
            yield fault(self, rule, i, cotangent, output, inputs)

    cls_vjps = cls.vjps
    if mode == "jvp":
        name, wrong = "jvp", jvp
    elif cls_vjps is Op.vjps:
        name, wrong = "vjp", vjp
    else:
        name, wrong = "vjps", vjps  # the rule for one operand asks it
    with patch.object(cls, name, wrong):
        yield


def flowing(node: Node) -> list[Node]:
    """Return the operands from which a derivative passes through a node."""
    if not node.op.differentiable or node.dtype.kind != "f":
        return []
    return [x for i, x in enumerate(node.inputs) if x.dtype.kind == "f" and node.op.flows(i)]


def differentiated(loss: Node) -> list[Node]:
    """Return the nodes that a derivative passes through on its way from a loss, itself included."""
    found = {loss: None}
    for node in (ahead := [loss]):
        fresh = [each for each in flowing(node) if each not in found]
        found.update(dict.fromkeys(fresh))
        ahead += fresh
    return [node for node in found if flowing(node)]
