"""Formulas written as LaTeX, of commands that KaTeX and MathJax know."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from ..._util.rules import Rules
from .expressions import (
    Affine,
    Applied,
    At,
    Block,
    Call,
    Cases,
    Expression,
    Filled,
    Fraction,
    Indicator,
    InWindow,
    Joined,
    Last,
    Letter,
    Line,
    Name,
    Number,
    Over,
    Plus,
    Power,
    Product,
    Recurrence,
    Relation,
    Size,
    Symbol,
    Times,
    Transposed,
)
from .functions import FUNCTIONS, OVER, RELATIONS
from .naming import size_latex

if TYPE_CHECKING:
    from ...core import Node
    from ...core.symbolic_shapes import Dim

# How strongly a formula holds together: one that holds less than it must gets brackets.
_RELATION, _SUM, _BIG, _PRODUCT, _POWER, _ATOM = 5, 10, 15, 20, 40, 50
_Written = tuple[str, int]
_WIDEST = 75
"""Characters of a line, roughly; a longer sum goes on below."""
_SHORT = 24

written: Rules[[], _Written] = Rules()
"""Takes an expression; returns LaTeX, and how strongly it holds together."""


def latex_of(expression: Expression, least: int = 0) -> str:
    """Return an expression as LaTeX, in brackets if it holds together less than `least`."""
    text, strength = written(expression)
    return text if strength >= least else bracketed(text)


def bracketed(text: str) -> str:
    """Return LaTeX in brackets."""
    return rf"\left({text}\right)"


def line_latex(line: Line) -> str:
    """Return a line, with ``&`` in front of its sign."""
    left = latex_of(line.left or (At(line.symbol, line.letters) if line.letters else line.symbol))
    note = rf" \qquad {line.note}" if line.note else ""
    tree = line.tree
    if isinstance(tree, Plus) and _width(latex_of(tree)) > _WIDEST:
        rows, row = [], ""
        for i, (sign, term) in enumerate(tree.terms):
            text = _term(sign, term, i == 0)
            if row and _width(row + text) > _WIDEST:
                rows.append(row)
                row = ""
            row += text
        return f"{left} &{line.sign} " + " \\\\\n  &\\quad ".join([*rows, row]) + note
    return f"{left} &{line.sign} {latex_of(tree)}{note}"


def _width(text: str) -> int:
    """Return about how many characters LaTeX shows."""
    return len(re.sub(r"\\(frac|left|right|operatorname|mathrm|partial)?|[{}^_, ]|[a-z]{4,}", "", text))


def given_latex(symbol: Symbol, node: Node) -> str:
    """Return what a value is that nothing computes: its shape."""
    sides = r" \times ".join(size_latex(dim) for dim in node.spec.shape)
    numbers = r"\mathbb{R}" if node.dtype.kind == "f" else r"\mathbb{Z}"
    return rf"{latex_of(symbol)} &\in {numbers}" + (f"^{{{sides}}}" if sides else "")


# --- names ----------------------------------------------------------------------------------------------------


def name_latex(name: Name, places: Sequence[str] = (), above: str = "") -> str:
    """Return a name with what stands below and above it."""
    if name.of is not None:
        block, above = (above, "") if above.startswith("[") else ("", above)
        whole = name_latex(Name(name.base, name.below, name.above), places, block)
        fraction = rf"\frac{{\partial {name_latex(name.of)}}}{{\partial {whole}}}"
        return rf"{bracketed(fraction)}^{{{above}}}" if above else fraction
    below = ", ".join([*name.below, *places])
    top = name.above + above
    return name.base + (f"_{{{below}}}" if below else "") + (f"^{{{top}}}" if top else "")


def _symbol(expression: Symbol) -> _Written:
    return name_latex(expression.name), _POWER if expression.name.above else _ATOM


def _at(expression: At) -> _Written:
    of, above = expression.of, ""
    hidden = of.ones if isinstance(of, Symbol) else ()
    places = []
    for axis, place in enumerate(expression.places):
        if isinstance(place, Block):
            above = f"[{place_latex(place.letter)}]"
        elif not (axis < len(hidden) and hidden[axis]):
            places.append(":" if place is None else place_latex(place))
    while places and places[-1] == ":":
        places.pop()
    if isinstance(of, Symbol):
        return name_latex(of.name, places, above), _POWER if of.name.above or above else _ATOM
    text = latex_of(of, _ATOM)
    above = f"^{{{above}}}" if above else ""
    below = f"_{{{', '.join(places)}}}" if places else ""
    return f"{text}{above}{below}", _ATOM


def place_latex(place: Expression) -> str:
    """Return a place along an axis: the first is 1."""
    if isinstance(place, Number):
        return str(int(place.value) + 1)
    return latex_of(place)


def _affine(expression: Affine) -> _Written:
    text = ""
    for factor, letter in expression.terms:
        sign = "-" if factor < 0 else "+" if text else ""
        text += f"{sign}{'' if abs(factor) == 1 else abs(factor)}{letter.text}"
    rest = (
        expression.offset + (not expression.counts) - sum(factor * letter.start for factor, letter in expression.terms)
    )
    return (text + (f"{rest:+d}" if rest else "")) if text else str(rest), _SUM


def _last_place(expression: Last) -> _Written:
    return size_latex(expression.dim) + (f"+{expression.behind}" if expression.behind else ""), _ATOM


def _joined_parts(expression: Joined) -> _Written:
    return rf"\left[{', '.join(map(latex_of, expression.parts))}\right]", _ATOM


def _in_window(expression: InWindow) -> _Written:
    place = bracketed(", ".join(map(place_latex, expression.places)))
    window = f"F_{{{', '.join(map(place_latex, expression.window))}}}"
    if expression.of is None:
        return rf"{place} \in {window}", _RELATION
    return rf"{place} = \operatorname*{{arg\,max}}_{{{window}}} {latex_of(expression.of)}", _RELATION


def recurrence_latex(recurrence: Recurrence) -> list[str]:
    """Return what the first iteration takes, and the lines."""
    letter = recurrence.letter
    first = []
    for state in recurrence.states:
        place: Expression = Affine((), -1)
        if recurrence.backwards:
            place = Last(letter.dim, 0 if state.back else 1)
        text = latex_of(At(state.symbol, (place,)))
        first.append(f"{text} &= {latex_of(state.initial)}")
    start, end = size_latex(letter.dim), str(letter.start)
    ends = (start, end) if recurrence.backwards else (end, start)
    lines = [line_latex(line) for line in recurrence.lines]
    if lines:
        lines[0] += rf" \qquad {letter.text} = {ends[0]}, \dots, {ends[1]}"
    return first + lines


# --- numbers ----------------------------------------------------------------------------------------------------


def number_latex(value: bool | int | float) -> str:
    """Return a number as one writes it by hand."""
    if isinstance(value, bool):
        return rf"\mathrm{{{str(value).lower()}}}"
    if value != value:
        return r"\mathrm{NaN}"
    if value in (float("inf"), float("-inf")):
        return r"\infty" if value > 0 else r"-\infty"
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    square = round(value * value)
    if value > 1 and len(repr(value)) > 12 and square < 1e6 and math.sqrt(square) == value:
        return rf"\sqrt{{{square}}}"
    rest = 1 - value
    if 0 < rest < 1e-3 and (short := float(f"{rest:.1e}")) and 1 - short == value:
        return f"1 - {number_latex(short)}"
    digits, _, exponent = repr(float(value)).partition("e")
    if not exponent:
        return digits
    power = f"10^{{{int(exponent)}}}"
    return power if digits == "1" else f"{digits.removesuffix('.0')} \\cdot {power}"


def _number(expression: Number) -> _Written:
    text = number_latex(expression.value)
    return text, _SUM if "-" in text.split("^")[0] else _PRODUCT if "10^" in text else _ATOM


def _size(expression: Size) -> _Written:
    text = size_latex(expression.dim)
    return text, _ATOM if not set(text) & set("+- ") else _SUM


def _filled(expression: Filled) -> _Written:
    value = expression.value
    if isinstance(value, Number) and value.value in (0, 1):
        return rf"\mathbf{{{int(value.value)}}}", _ATOM
    return rf"{latex_of(value, _PRODUCT)}\, \mathbf{{1}}", _PRODUCT


# --- arithmetic -------------------------------------------------------------------------------------------------


def _term(sign: int, term: Expression, first: bool) -> str:
    text = latex_of(term, _BIG)
    if sign < 0:
        return f"-{text}" if first else f" - {text}"
    return text if first else f" + {text}"


def _plus(expression: Plus) -> _Written:
    return "".join(_term(sign, term, i == 0) for i, (sign, term) in enumerate(expression.terms)), _SUM


def _times(expression: Times) -> _Written:
    last = len(expression.factors) - 1
    if expression.pointwise:
        return r" \odot ".join([latex_of(factor, _PRODUCT + 1) for factor in expression.factors]), _PRODUCT - 1
    parts = [latex_of(factor, _PRODUCT - (i == last)) for i, factor in enumerate(expression.factors)]
    if isinstance(expression.factors[-1], Over):
        parts[-1] = latex_of(expression.factors[-1])
    text = parts[0]
    for before, part in pairwise(parts):
        joint = r" \cdot " if part[0].isdigit() else r"\, "
        tight = before.startswith(r"\frac") or before[-1:].isdigit()
        if joint == r"\, " and tight and not part.startswith((r"\mathrm", r"\text")):
            joint = " "
        text += joint + part
    array = isinstance(expression.factors[-1], Times)
    return text, _BIG if isinstance(expression.factors[-1], Over) else _PRODUCT - array


def _fraction(expression: Fraction) -> _Written:
    return rf"\frac{{{latex_of(expression.over)}}}{{{latex_of(expression.under)}}}", _PRODUCT + 5


def _raised(of: Expression, above: str) -> str:
    if isinstance(of, Symbol) and above == r"\top":
        return name_latex(of.name, (), above)
    return f"{latex_of(of, _ATOM)}^{{{above}}}"


def _power(expression: Power) -> _Written:
    return _raised(expression.base, latex_of(expression.exponent)), _POWER


def _product(expression: Product) -> _Written:
    return rf"{latex_of(expression.left, _PRODUCT)}\, {latex_of(expression.right, _PRODUCT)}", _PRODUCT


def _transposed(expression: Transposed) -> _Written:
    of = expression.of
    if isinstance(of, At) and isinstance(of.of, Symbol):
        text, _ = _at(of)
        if "^" not in text:
            return rf"{text}^{{\top}}", _POWER
        if any(isinstance(place, Block) for place in of.places) and not of.of.name.above:
            return text.replace("]}", r"]\top}", 1), _POWER
    return _raised(of, r"\top"), _POWER


# --- functions --------------------------------------------------------------------------------------------------


def _call(expression: Call) -> _Written:
    template = FUNCTIONS[expression.function].latex
    operands = expression.operands[:1] if expression.function == "onehot" else expression.operands
    if template.count("<>") > 1 or template.startswith(r"\lnot"):
        for operand in operands:
            template = template.replace("<>", latex_of(operand, _ATOM), 1)
        return template, _RELATION
    text = ", ".join(map(latex_of, operands))
    if expression.function == "exp" and len(text) <= _SHORT and r"\frac" not in text and r"\sum" not in text:
        return f"e^{{{text}}}", _POWER
    if expression.function == "log" and written(operands[0])[1] >= _POWER and not text.startswith(r"\left"):
        return rf"\log {text}", _PRODUCT - 1
    return template.replace("<>", text), _ATOM if expression.function != "log_softmax" else _BIG


def _applied(expression: Applied) -> _Written:
    called = expression.called
    if expression.hidden or not expression.operands:
        return called, _ATOM
    if not called:
        return written(expression.operands[0])
    return f"{called}{bracketed(', '.join(map(latex_of, expression.operands)))}", _ATOM


def _relation(expression: Relation) -> _Written:
    sign = RELATIONS[expression.sign][0]
    return f"{latex_of(expression.left, _SUM)} {sign} {latex_of(expression.right, _SUM)}", _RELATION


def _indicator(expression: Indicator) -> _Written:
    return rf"\mathbf{{1}}\left[{latex_of(expression.condition)}\right]", _ATOM


def _cases(expression: Cases) -> _Written:
    then, condition, otherwise = map(latex_of, (expression.then, expression.condition, expression.otherwise))
    return (
        rf"\begin{{cases}} {then} & \text{{if }} {condition} \\ {otherwise} & \text{{otherwise}} \end{{cases}}",
        _ATOM,
    )


def _over(expression: Over) -> _Written:
    if expression.kind == "concat":
        (letter,) = expression.letters
        bounds = f"_{{{letter.text}={letter.start}}}^{{{_last(letter)}}}"
        return rf"\operatorname*{{concat}}{bounds} {bracketed(latex_of(expression.body))}", _ATOM
    sign = OVER[expression.kind][0]
    if expression.kind in ("sum", "prod"):
        signs = " ".join(
            f"{sign}_{{{letter.text}={letter.start}}}^{{{_last(letter)}}}" for letter in expression.letters
        )
    else:
        ranges = groupby(expression.letters, lambda letter: (letter.start, letter.dim))
        said = [
            rf"{start} \leq {', '.join(letter.text for letter in letters)} \leq {_end(start, dim)}"
            for (start, dim), letters in ranges
        ]
        signs = sign + "_{" + r",\; ".join(said) + "}"
    return f"{signs} {latex_of(expression.body, _BIG)}", _BIG


def _end(start: int, dim: Dim) -> str:
    return str(dim + start - 1) if isinstance(dim, int) else size_latex(dim) + ("" if start else "-1")


def _last(letter: Letter) -> str:
    return _end(letter.start, letter.dim)


def _letter(expression: Letter) -> _Written:
    return expression.text, _ATOM


def joined(lines: Iterable[str]) -> str:
    """Return lines one below the other, aligned at their signs."""
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


written[Symbol], written[At], written[Affine], written[Number] = _symbol, _at, _affine, _number
written[Size], written[Filled], written[Plus], written[Times] = _size, _filled, _plus, _times
written[Fraction], written[Power], written[Product], written[Transposed] = _fraction, _power, _product, _transposed
written[Call], written[Applied], written[Relation], written[Indicator] = _call, _applied, _relation, _indicator
written[Last], written[Joined], written[InWindow] = _last_place, _joined_parts, _in_window
written[Cases], written[Over], written[Letter] = _cases, _over, _letter
