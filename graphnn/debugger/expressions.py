"""NumPy expressions of the values of a run, such as ``max(abs(x @ w - y))``: parsed here, and never run as code."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from math import prod
from typing import Any, NoReturn

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import short_repr
from ..errors import ValueRangeError

_MOST_CHARACTERS = 400
_DEEPEST = 24
_MOST_ELEMENTS = 10**7
"""How many numbers an operation may make or multiply, where that is more than its operands have."""
_MOST_PRODUCTS = 10**9

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|\.\.\.|[-+*/%@()<>\[\],:=&|~.]))",
    re.ASCII,
)
_NAME_END = re.compile(r"[\w@]", re.ASCII)
_CONSTANTS = {"nan": np.nan, "inf": np.inf, "pi": np.pi, "e": np.e, "True": True, "False": False}
_OF_ONE = (
    "abs exp expm1 log log1p log2 sqrt square sign sin cos tan tanh sinh cosh arctan floor ceil rint "
    "isnan isinf isfinite negative"
)
_OF_TWO = "maximum minimum equal power"
_REDUCTIONS = "sum prod mean max min std var any all argmax argmin nanmax nanmin count_nonzero"
_BINARY: tuple[dict[str, Callable[[Any, Any], Any]], ...] = (
    {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
        "!=": np.not_equal,
    },
    {"|": np.bitwise_or},
    {"&": np.bitwise_and},
    {"+": np.add, "-": np.subtract},
    {"*": np.multiply, "/": np.true_divide, "//": np.floor_divide, "%": np.remainder, "@": np.matmul},
)
"""The operators, from those that bind least, as Python has them."""


def _norm(value: Any, axis: int | None = None) -> Any:
    return np.sqrt(np.sum(np.square(np.abs(value)), axis=axis))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in f"{_OF_ONE} {_OF_TWO} {_REDUCTIONS}".split()},
    "norm": _norm,
    "round": lambda value, decimals=0: np.round(value, int(decimals)),
    "where": np.where,
    "shape": lambda value: np.array(np.shape(value), np.int64),
    "size": np.size,
    "transpose": np.transpose,
    "ravel": np.ravel,
}
_WITH_AXIS = {*_REDUCTIONS.split(), "norm"}
_OPERANDS = {**dict.fromkeys(_OF_TWO.split(), 2), "where": 3}
FUNCTIONS: tuple[str, ...] = tuple(sorted(_FUNCTIONS))
"""The functions that an expression may call."""


def calculate(text: str, known: Container[str], value_of: Callable[[str], Any]) -> Any:
    """Return the value of a NumPy expression of nodes.

    It has numbers, names of nodes (also with slashes; in quotes, if a name has other signs), ``+ - * / // % ** @``,
    comparisons, ``& | ~``, parentheses, ``.T``, indices (``x[0, :3]``), and the functions of `FUNCTIONS`, some with
    ``axis=``. Names of functions may begin with ``np.``. The longest name of a node is the one that is meant: ``a/b``
    is a node where one is called so, else a quotient.

    Parameters
    ----------
    text : str
    known : container of str
        Tells whether there is a node of a name.
    value_of : callable
        Gives the value of a node by its name.

    Returns
    -------
    array or NumPy scalar

    Raises
    ------
    ValueRangeError
        When it cannot be read, or computed: with what it has, and where.

    Examples
    --------
    >>> values = {"x": np.array([1.0, -4.0]), "a/b": np.array([2.0, 2.0])}
    >>> float(calculate("max(abs(x * a/b)) - 1", values, values.__getitem__))
    7.0
    >>> calculate("__import__('os')", values, values.__getitem__)
    Traceback (most recent call last):
        ...
    graphnn.errors.ValueRangeError: the expression "__import__('os')" has "__import__", which is neither a node nor a
    function
      at <doctest ...>:1
    """
    return quietly(_Expression(text, known, value_of).value)


class _Expression:
    """An expression that is read from left to right, and computed while it is read."""

    def __init__(self, text: str, known: Container[str], value_of: Callable[[str], Any]) -> None:
        self._text = text
        if len(text) > _MOST_CHARACTERS:
            raise ValueRangeError(f"an expression has up to {_MOST_CHARACTERS} characters, not {len(text):,}")
        self._known, self._value_of = known, value_of
        self._at = 0
        self._depth = 0

    def value(self) -> Any:
        value = self._operand_of(0)
        if (rest := self._rest().strip()) != "":
            self._refuse(f'has "{rest[:20]}" where it should end')
        return value

    # --- reading --------------------------------------------------------------------------------------------

    def _refuse(self, what: str) -> NoReturn:
        raise ValueRangeError(f'the expression "{self._text.strip()}" {what}')

    def _rest(self) -> str:
        return self._text[self._at :]

    def _peek(self) -> str:
        """Return the sign that comes next, or "" if something else does."""
        match = _TOKEN.match(self._text, self._at)
        return (match["sign"] or "") if match is not None else ""

    def _skips(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        match = _TOKEN.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return True

    def _expect(self, sign: str) -> None:
        if not self._skips(sign):
            rest = self._rest().strip()[:20]
            self._refuse(f'has "{rest}" where "{sign}" should come' if rest else f'ends where "{sign}" should come')

    def _name(self) -> str | None:
        """Pass over the longest name of a node that comes next, if one does, and return it."""
        text = self._text
        while self._at < len(text) and text[self._at].isspace():
            self._at += 1
        if text[self._at : self._at + 1] in ("'", '"'):
            end = text.find(text[self._at], self._at + 1)
            name = text[self._at + 1 : end] if end > 0 else ""
            if name not in self._known:
                self._refuse(f'has "{name}", and there is no node of that name')
            self._at = end + 1
            return name
        if not re.match(r"[^\W\d]", text[self._at : self._at + 1]):
            return None
        for end in range(len(text), self._at, -1):
            ended = end == len(text) or not (_NAME_END.match(text[end - 1]) and re.match(r"\w", text[end]))
            if ended and text[self._at : end] in self._known:
                name = text[self._at : end]
                if name in _FUNCTIONS and text[end:].lstrip().startswith("("):
                    return None
                self._at = end
                return name
        return None

    # --- computing ------------------------------------------------------------------------------------------

    def _operand_of(self, level: int) -> Any:
        """Return the value of operators that bind at least as much as those of a level."""
        if level == len(_BINARY):
            return self._signed()
        self._enter()
        value = self._operand_of(level + 1)
        while (sign := self._peek()) in _BINARY[level]:
            self._skips(sign)
            value = self._computed(_BINARY[level][sign], value, self._operand_of(level + 1))
            if level == 0 and self._peek() in _BINARY[0]:
                self._refuse("compares twice: write (a < b) & (b < c)")
        self._depth -= 1
        return value

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST * (len(_BINARY) + 1):
            self._refuse(f"is nested deeper than {_DEEPEST} times")

    def _signed(self) -> Any:
        self._enter()
        if self._skips("-"):
            value = self._computed(np.negative, self._signed())
        elif self._skips("+"):
            value = self._signed()
        elif self._skips("~"):
            value = self._computed(np.invert, self._signed())
        else:
            value = self._part()
            if self._skips("**"):
                value = self._computed(np.power, value, self._signed())
        self._depth -= 1
        return value

    def _part(self) -> Any:
        value = self._single()
        while True:
            if self._skips("["):
                value = self._indexed(value)
            elif self._rest().lstrip().startswith(".T") and not re.match(r"\s*\.T\w", self._rest()):
                self._at = self._text.index(".T", self._at) + 2
                value = np.transpose(value)
            else:
                return value

    def _single(self) -> Any:
        name = self._name()
        if name is not None:
            return self._value_of(name)
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._rest().strip()[:1]
            self._refuse(f'has "{rest}", which means nothing here' if rest else "ends where a value should come")
        self._at = match.end()
        if match["number"]:
            return self._number(match["number"])
        if match["sign"] == "(":
            value = self._operand_of(0)
            self._expect(")")
            return value
        if match["word"] is None:
            self._refuse(f'has "{match["sign"]}" where a value should come')
        word = re.sub(r"^(np|numpy)\.", "", match["word"])
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if word not in _FUNCTIONS:
            self._refuse(f'has "{match["word"]}", which is neither a node nor a function')
        self._expect("(")
        return self._called(word)

    def _number(self, text: str) -> Any:
        if not text.isdigit():
            return float(text)
        if len(text) > 18:
            self._refuse(f"has {text[:12]}…, which is too large for an integer")
        return int(text)

    def _called(self, name: str) -> Any:
        operands: list[Any] = []
        axes: dict[str, Any] = {}
        while not self._skips(")"):
            if operands or axes:
                self._expect(",")
            axis = re.match(r"\s*axis\s*=(?!=)", self._rest())
            if axis is not None and name in _WITH_AXIS:
                self._at += axis.end()
                axes["axis"] = self._axis()
            else:
                operands.append(self._operand_of(0))
        wanted = _OPERANDS.get(name, 1)
        most = wanted + (name in _WITH_AXIS or name == "round")
        if not wanted <= len(operands) <= most:
            self._refuse(f"gives {name} {len(operands)} operands, and it takes {wanted}")
        if name in _WITH_AXIS and len(operands) == 2:
            axes["axis"] = int(self._integer(operands.pop()))
        return self._computed(_FUNCTIONS[name], *operands, **axes)

    def _axis(self) -> int:
        return int(self._integer(self._operand_of(0)))

    def _integer(self, value: Any) -> int:
        if np.ndim(value) or isinstance(value, (bool, np.bool_)) or int(value) != value:
            self._refuse(f"has {short_repr(value)} where an axis should come")
        return int(value)

    def _indexed(self, value: Any) -> Any:
        index: list[Any] = []
        while not self._skips("]"):
            if index:
                self._expect(",")
                if self._skips("]"):
                    break
            index.append(self._index())
        try:
            return np.asarray(value)[tuple(index)]
        except IndexError as error:
            self._refuse(f"has an index that is not there: {error}")

    def _index(self) -> Any:
        if self._skips("..."):
            return ...
        bounds: list[int | None] = [None]
        while True:
            if self._skips(":"):
                bounds.append(None)
            elif self._peek() in (",", "]"):
                break
            elif bounds[-1] is None:
                bounds[-1] = self._bound()
            else:
                self._refuse("has an index that is no integer and no slice such as 2:5")
        if len(bounds) == 1:
            if bounds[0] is None:
                self._refuse("has an empty index")
            return bounds[0]
        if len(bounds) > 3 or bounds[2:] == [0]:
            self._refuse("has an index that is no slice such as 2:5")
        return slice(*bounds)

    def _bound(self) -> int:
        match = re.compile(r"\s*([-+]?\d{1,18})(?![\w.])", re.ASCII).match(self._text, self._at)
        if match is None:
            self._refuse(f'has "{self._rest().strip()[:20]}" where an index should come')
        self._at = match.end()
        return int(match[1])

    def _computed(self, function: Callable[..., Any], *operands: Any, **axes: Any) -> Any:
        self._bounded(function, operands)
        try:
            return function(*operands, **axes)
        except (TypeError, ValueError, ArithmeticError, MemoryError) as error:
            name = getattr(function, "__name__", "").lstrip("_")
            self._refuse(f"cannot be computed: {name + ': ' if name else ''}{error}")

    def _bounded(self, function: Callable[..., Any], operands: tuple[Any, ...]) -> None:
        """Refuse what would need much more memory or time than its operands have."""
        shapes = [np.shape(operand) for operand in operands]
        if function is np.matmul and all(shapes):
            columns = shapes[1][-1] if len(shapes[1]) > 1 else 1
            rows = prod(shapes[0][:-1])
            count = rows * columns * max(prod(shapes[1][:-2]), 1)
            if count * shapes[0][-1] > _MOST_PRODUCTS or count > _MOST_ELEMENTS:
                self._refuse("has a product of matrices that is too large to be computed here")
        elif len(shapes) > 1 and function is not np.matmul:
            try:
                count = prod(np.broadcast_shapes(*shapes))
            except ValueError:
                return  # NumPy says so
            if count > max(_MOST_ELEMENTS, *map(prod, shapes)):
                self._refuse(f"would make {count:,} numbers, and may make {_MOST_ELEMENTS:,}")
