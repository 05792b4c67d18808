"""How ONNX operations are declared: one small function each, registered by the operation's name.

The signature says how it takes what the node is given. Operands come first, in ONNX's order, then attributes by their
names. What an older opset has as an attribute and a newer one as an operand is one parameter: it is filled from
either. The annotation says in which form:

``Node``
    A node of the graph. Constants and sizes become nodes.
``Known``
    An array of numbers that is known while the model is read.
``Dims``
    A tuple of dimensions: known whole numbers, or sizes.
``Value``
    Whatever it is: a node, an array, `Sizes`, or a list of them (ONNX's sequences).
``Literal["a", "b"]``
    One of these texts; another one is refused.

A rule returns a value, or a tuple of them: one for each output.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core import Array, Dim

Known = Array
Dims = tuple[Dim, ...]
Value = Any  # Node | Array | Sizes | list


@dataclass(frozen=True)
class Rule:
    """A function for one ONNX operation, and how it takes what a node is given.

    Attributes
    ----------
    function : callable
    forms : dict of str to str
        {parameter: form}, of operands and attributes.
    required : frozenset of str
    optional : tuple of str
        The operands that may be missing where others follow: None stands for them.
    operands : tuple of str
        The parameters that operands fill, in order.
    rest : str or None
        The parameter that takes all further operands, where there may be any number.
    choices : dict of str to tuple of str
        {attribute: the texts that it may be}, of those that say so.
    """

    function: Callable[..., Any]
    forms: dict[str, str]
    required: frozenset[str]
    optional: tuple[str, ...]
    operands: tuple[str, ...]
    rest: str | None
    choices: dict[str, tuple[str, ...]]


RULES: dict[tuple[str, str], Rule] = {}
"""(domain, operation) → its rule."""

ON_SIZES: dict[str, Callable[..., Any]] = {}
"""Operation → what it is on `Sizes`: takes operands as arrays of objects and attributes, returns such an array."""

LOGIC = ("And", "Or", "Xor", "Not")
"""What combines answers to questions about sizes."""


def rule(*names: str, domain: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the rule of the operations with these names."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        forms: dict[str, str] = {}
        operands, rest, required, optional = [], None, set(), []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            forms[parameter.name] = str(parameter.annotation).removesuffix(" | None")
            if parameter.kind is parameter.VAR_POSITIONAL:
                rest = parameter.name
            elif parameter.kind is not parameter.KEYWORD_ONLY:
                operands.append(parameter.name)
            if parameter.default is not parameter.empty or parameter.kind is parameter.VAR_POSITIONAL:
                continue
            if str(parameter.annotation).endswith(" | None"):
                optional.append(parameter.name)
            else:
                required.add(parameter.name)
        choices = {
            name: tuple(ast.literal_eval(form.removeprefix("Literal")))
            for name, form in forms.items()
            if form.startswith("Literal[")
        }
        made = Rule(function, forms, frozenset(required), tuple(optional), tuple(operands), rest, choices)
        RULES.update({(domain, name): made for name in names})
        return function

    return register


def on_sizes(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as what the operations with these names are on sizes."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        ON_SIZES.update(dict.fromkeys(names, function))
        return function

    return register
