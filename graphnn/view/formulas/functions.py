"""The functions that formulas name: how each is written, and what NumPy computes for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...ops.activations import Sigmoid


class Function(NamedTuple):
    """``{}`` in `latex` stands for the operands, without brackets of their own; `compute` takes arrays."""

    latex: str
    compute: Callable[..., Any]
    own_axes: int = 0
    """How many axes of an operand it takes together: a softmax one, of a row."""


def _softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _log_softmax(x: Any) -> Any:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _one_hot(labels: Any, classes: Any) -> Any:
    return np.equal(np.asarray(labels)[..., None], np.arange(int(np.ravel(classes)[0]))).astype(float)


def _word(name: str, compute: Callable[..., Any], own_axes: int = 0) -> Function:
    return Function("\\operatorname{" + name + "}\\left(<>\\right)", compute, own_axes)


FUNCTIONS: dict[str, Function] = {
    **{name: Function(f"\\{name}\\left(<>\\right)", getattr(np, name)) for name in ["exp", "log", "sin", "cos", "tan"]},
    **{name: Function(f"\\{name}\\left(<>\\right)", getattr(np, name)) for name in ["sinh", "cosh", "tanh"]},
    **{
        f"arc{name}": Function(f"\\arc{name}\\left(<>\\right)", getattr(np, f"arc{name}"))
        for name in ("sin", "cos", "tan")
    },
    **{f"arc{name}": _word(f"ar{name}", getattr(np, f"arc{name}")) for name in ("sinh", "cosh", "tanh")},
    "log2": Function(r"\log_2\left(<>\right)", np.log2),
    "log10": Function(r"\log_{10}\left(<>\right)", np.log10),
    "sqrt": Function(r"\sqrt{<>}", np.sqrt),
    "abs": Function(r"\left|<>\right|", np.absolute),
    "floor": Function(r"\left\lfloor <>\right\rfloor", np.floor),
    "ceil": Function(r"\left\lceil <>\right\rceil", np.ceil),
    "sign": _word("sign", np.sign),
    "sigmoid": Function(r"\sigma\left(<>\right)", Sigmoid().forward),
    "softplus": Function(r"\log\left(1 + e^{<>}\right)", lambda x: np.logaddexp(0, x)),
    "max": Function(r"\max\left(<>\right)", np.maximum),
    "min": Function(r"\min\left(<>\right)", np.minimum),
    "clip": _word("clip", np.clip),
    "norm": Function(r"\left\lVert <>\right\rVert", lambda x: np.sqrt(np.sum(np.square(x)))),
    "softmax": _word("softmax", _softmax, 1),
    "log_softmax": Function("\\log\\operatorname{softmax}\\left(<>\\right)", _log_softmax, 1),
    "onehot": Function("\\operatorname{onehot}\\left(<>\\right)", _one_hot),
    "and": Function(r"<> \land <>", np.logical_and),
    "or": Function(r"<> \lor <>", np.logical_or),
    "xor": Function(r"<> \oplus <>", np.logical_xor),
    "not": Function(r"\lnot <>", np.logical_not),
}

RELATIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "=": ("=", np.equal),
    "≠": (r"\neq", np.not_equal),
    "<": ("<", np.less),
    "≤": (r"\leq", np.less_equal),
    ">": (">", np.greater),
    "≥": (r"\geq", np.greater_equal),
}

OVER: dict[str, tuple[str, Callable[..., Any]]] = {
    "sum": (r"\sum", np.sum),
    "max": (r"\max", np.max),
    "min": (r"\min", np.min),
    "prod": (r"\prod", np.prod),
    "any": (r"\bigvee", np.any),
    "all": (r"\bigwedge", np.all),
}
