"""Remedies of the health check work: the code in each one replaces the expression that went wrong."""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphnn as gn
from graphnn import Health
from graphnn.debugger.health import check_health

FLOATS = ("f2", "f4", "f8")
WIDE = ("f4", "f8")


class Bug(NamedTuple):
    """An expression that goes wrong.

    `advised` maps what the remedy must contain to what a user then writes; "" is the same. A # is any number, in the
    second that of the first.
    """

    written: str
    code: str
    x: Any
    advised: dict[str, str]
    y: Any = 0.5
    dtypes: tuple[str, ...] = FLOATS


QUOTIENT = {"x / gn.maximum(y, #)": "", "x / gn.where(gn.equal(y, 0), 1, y)": ""}
BUGS = (
    Bug(
        "gn.log(x)",
        "log-of-zero",
        [0.0, 2.0],
        {"gn.log(gn.maximum(x, #))": "", "gn.log(gn.where(x > 0, x, 1))": ""},
    ),
    Bug("gn.log(x)", "log-of-negative", [-1.0, 2.0], {"gn.log(gn.maximum(x, #))": ""}),
    Bug(
        "x * gn.log(x)",
        "log-of-zero",
        [0.0, 2.0],
        {"gn.log(gn.maximum(x, #))": "x * gn.log(gn.maximum(x, #))"},
    ),
    Bug("gn.log1p(x)", "log-of-zero", [-1.0, 2.0], {"gn.log1p(gn.maximum(x, -1 + #))": ""}),
    Bug("gn.log1p(x)", "log-of-negative", [-3.0, 2.0], {"gn.log1p(gn.maximum(x, -1 + #))": ""}),
    Bug("gn.log(gn.softmax(x))", "log-of-zero", [[0.0, 900.0]], {"gn.log_softmax(logits)": "gn.log_softmax(x)"}),
    Bug("gn.log(gn.sigmoid(x))", "log-of-zero", [-900.0, 1.0], {"-gn.softplus(-x)": ""}),
    Bug("gn.log(gn.sum(gn.exp(x)))", "log-of-zero", [-900.0, -900.0], {"gn.logsumexp(x)": ""}),
    Bug("gn.exp(x)", "overflow", [1000.0, 1.0], {"gn.exp(gn.minimum(x, #))": ""}),
    Bug("gn.expm1(x)", "overflow", [1000.0, 1.0], {"gn.expm1(gn.minimum(x, #))": ""}),
    Bug("gn.exp(x) / gn.sum(gn.exp(x))", "overflow", [1000.0, 1.0], {"gn.softmax": "gn.softmax(x)"}),
    Bug("gn.sqrt(x)", "sqrt-of-negative", [-1.0, 2.0], {"gn.sqrt(gn.maximum(x, #))": ""}),
    Bug("gn.sqrt(x * x)", "zero-times-inf", [0.0, 2.0], {"gn.sqrt(x + #)": "gn.sqrt(x * x + #)"}),
    Bug(
        "x ** 0.7",
        "power-domain",
        [-1.0, 2.0],
        {"gn.absolute(x) ** y": "gn.absolute(x) ** 0.7", "gn.maximum(x, #) ** y": "gn.maximum(x, #) ** 0.7"},
    ),
    Bug(
        "x ** -1.5",
        "division-by-zero",
        [0.0, 2.0],
        {"gn.where(gn.equal(x, 0), 1, x) ** y": "gn.where(gn.equal(x, 0), 1, x) ** -1.5"},
    ),
    Bug("(x * x) ** 0.7", "zero-times-inf", [0.0, 2.0], {"(x + #) ** y": "(x * x + #) ** 0.7"}),
    Bug("gn.reciprocal(x)", "division-by-zero", [0.0, 2.0], {"gn.reciprocal(gn.where(gn.equal(x, 0), 1, x))": ""}),
    Bug("x / y", "division-by-zero", [1.0, 2.0], QUOTIENT, [0.0, 4.0]),
    Bug("x / y", "zero-over-zero", [0.0, 2.0], QUOTIENT, [0.0, 4.0]),
    Bug("x / gn.norm(x)", "zero-over-zero", [0.0, 0.0], {"x / gn.maximum(y, #)": "x / gn.maximum(gn.norm(x), #)"}),
    Bug(
        "x / gn.sqrt(gn.sum(x * x))",
        "zero-over-zero",
        [0.0, 0.0],
        {"x / gn.sqrt(y + #)": "x / gn.sqrt(gn.sum(x * x) + #)"},
    ),
    Bug(
        "y / gn.sqrt(gn.square(x))",
        "division-by-zero",
        [0.0, 1.0],
        {"x / gn.sqrt(y + #)": "y / gn.sqrt(gn.square(x) + #)"},
        dtypes=WIDE,
    ),
    Bug("x // y", "division-by-zero", [1.0, 2.0], {"x // gn.where(gn.equal(y, 0), 1, y)": ""}, [0.0, 4.0]),
    Bug("x // y", "zero-over-zero", [0.0, 2.0], {"x // gn.where(gn.equal(y, 0), 1, y)": ""}, [0.0, 4.0]),
    Bug("x % y", "division-by-zero", [1.0, 2.0], {"x % gn.where(gn.equal(y, 0), 1, y)": ""}, [0.0, 4.0]),
    Bug(
        "gn.sum(x * y) / gn.sum(y)",
        "empty-count",
        [1.0, 2.0],
        {"divide by gn.maximum(count, 1)": "gn.sum(x * y) / gn.maximum(gn.sum(y), 1)"},
        [0.0, 0.0],
    ),
    Bug(
        "gn.norm(x)", "overflow", [2e200, 1e200], {"m * gn.norm(x / m) with m = gn.max(gn.absolute(x))": ""}, 0, ("f8",)
    ),
    Bug(
        "gn.norm(x)", "overflow", [200.0, 300.0], {"m * gn.norm(x / m) with m = gn.max(gn.absolute(x))": ""}, 0, ("f2",)
    ),
    Bug("gn.square(x)", "overflow", [300.0], {'gn.cast(x, "float32")': 'gn.square(gn.cast(x, "float32"))'}, 0, ("f2",)),
    Bug("gn.square(x)", "overflow", [1e30], {'gn.cast(x, "float64")': 'gn.square(gn.cast(x, "float64"))'}, 0, ("f4",)),
    Bug("gn.cast(x, 'float16')", "overflow", [1e6], {"keep it in float": "x"}, 0, WIDE),
    Bug("gn.std(x, ddof=1)", "empty-reduction", [1.0], {"leave ddof out": "gn.std(x)"}),
    Bug(
        "gn.where(x > 0, x * gn.log(x), 0.0)",
        "zero-times-inf",
        [0.0, 2.0],
        {"gn.log(gn.where(condition, x, 1))": "gn.where(x > 0, x * gn.log(gn.where(x > 0, x, 1)), 0.0)"},
    ),
    Bug(
        "gn.where(y > 0, x / y, 0.0)",
        "zero-over-zero",
        [0.0, 2.0],
        {"x / gn.where(condition, y, 1)": "gn.where(y > 0, x / gn.where(y > 0, y, 1), 0.0)"},
        [0.0, 2.0],
    ),
    Bug(
        "y * gn.log(x)",
        "log-of-zero",
        [0.0, 2.0],
        {"gn.log(gn.where(x > 0, x, 1))": "gn.where(y, gn.log(gn.where(y, x, 1)), 0)"},
        [0.0, 1.0],
    ),
    Bug(
        "gn.softmax(gn.where(y > 0, x, -np.inf))",
        "row-masked",
        [[1.0, 2.0], [1.0, 2.0]],
        {
            "some * gn.softmax(gn.where(mask | ~some, scores, #))": "gn.any(y > 0, axis=-1, keepdims=True)"
            " * gn.softmax(gn.where((y > 0) | ~gn.any(y > 0, axis=-1, keepdims=True), x, #))"
        },
        [[0.0, 1.0], [0.0, 0.0]],
    ),
)


def health_of(written: str, bug: Bug, dtype: str) -> Health:
    """Return the health of an expression with its gradients, as far as it has any."""
    g = gn.Graph(dtype=dtype)
    feed: dict[gn.Node, Any] = {}
    names: dict[str, Any] = {"gn": gn, "np": np, "y": bug.y}
    for name, array in (("x", bug.x), ("y", bug.y)):
        if np.ndim(array):
            names[name] = g.placeholder(name, shape=("n", "k")[: np.ndim(array)])
            feed[names[name]] = np.asarray(array, g.dtype)
    if written.startswith("m * "):
        names["m"] = eval(written.partition(" with m = ")[2], names)  # noqa: S307 - what stands above
    result = gn.sum(eval(written.partition(" with ")[0], names))  # noqa: S307
    gradients = [] if "//" in written else gn.grad(result, list(feed))
    return check_health([result, *gradients], feed)


@pytest.mark.parametrize(
    ("bug", "dtype"),
    [pytest.param(bug, dtype, id=f"{bug.written} {bug.code} {dtype}") for bug in BUGS for dtype in bug.dtypes],
)
@pytest.mark.filterwarnings("ignore:.*no derivative passes between:graphnn.GraphnnWarning")
def test_the_code_in_a_remedy_mends_it(bug: Bug, dtype: str) -> None:
    sick = health_of(bug.written, bug, dtype)
    told = [each for each in sick if each.code == bug.code]
    assert told, str(sick)
    for advised, cure in bug.advised.items():
        found = re.search(re.escape(advised).replace(r"\#", r"(-?[\d.]+(?:e-?\d+)?)"), told[0].remedy)
        assert found is not None, f"{advised} is not in: {told[0].remedy}"
        written = (cure or advised).replace("#", found[1] if found.groups() else "")
        healthy = health_of(written, bug, dtype)
        assert healthy.ok, f"{written}\n{healthy}"
