"""How nodes and sizes are called in formulas: the user's names stay, others get the letters of a lecture.

Nothing of a name becomes a command: whatever is no plain letter or digit is written by one that is made here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ...core.symbolic_shapes import Dim, names_in
from .expressions import Name

if TYPE_CHECKING:
    from ...core import Graph, Node

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
GREEK = {**{name: f"\\{name}" for name in _GREEK.split()}, "epsilon": r"\varepsilon", "eps": r"\varepsilon"}
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde"}
_UNICODE_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", [f"\\{name} " for name in _GREEK.split()], strict=True))
_SPECIAL = {
    **{c: f"\\{c}" for c in "_%$#&{}"},
    "\\": r"\backslash ",
    "~": r"\sim ",
    "^": r"\wedge ",
    " ": r"\ ",
    "'": r"\prime ",
    "-": r"\text{-}",
    "<": r"\lt ",
    ">": r"\gt ",
    "|": r"\vert ",
    "*": r"\ast ",
    "…": r"\dots ",
    **{c: c for c in "/()[]+=.,:;!?@"},
}
_COMBINING = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c"
_TAKEN = ((0x400, 0x4FF), (0x3040, 0x30FF), (0x4E00, 0x9FAF), (0xAC00, 0xD7AF))
"""Cyrillic, kana, the common Han characters, and Hangul: what KaTeX takes as text."""
_MOST = 200
"""Characters of a name."""


def escaped(text: str) -> str:
    r"""Return text as LaTeX that prints it.

    Examples
    --------
    >>> print(escaped("log_var"), escaped(r"}\def"))
    \mathrm{log\_var} {\}\backslash \mathrm{def}}
    """
    if len(text) > _MOST:
        text = f"{text[: _MOST - 1]}…"
    if re.fullmatch(r"[A-Za-z0-9_]+", text):
        return rf"\mathrm{{{text.replace('_', chr(92) + '_')}}}"
    parts = []
    for run in re.findall(r"[A-Za-z0-9]+|[^\W_]+|.", text, re.DOTALL):
        if run.isascii() and run.isalnum():
            parts.append(rf"\mathrm{{{run}}}")
        elif run in _SPECIAL:
            parts.append(_SPECIAL[run])
        else:
            parts += map(_character, run)
    whole = "".join(parts) or r"\text{''}"
    while (merged := re.sub(r"(\\text\{[^{}]*)\}\\text\{", r"\1", whole)) != whole:
        whole = merged
    return f"{{{whole}}}"


def _character(character: str) -> str:
    """Return one character as LaTeX: a letter of a script that KaTeX knows, or its number."""
    if character in _UNICODE_GREEK:
        return _UNICODE_GREEK[character]
    parts = unicodedata.normalize("NFD", character)
    accented = len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _COMBINING
    known = unicodedata.category(character) in ("Ll", "Lu", "Lo") and any(a <= ord(character) <= b for a, b in _TAKEN)
    if accented or known:
        return rf"\text{{{character}}}"
    return rf"\text{{U+{ord(character):04X}}}"


def _base(text: str) -> str:
    if len(text) == 1 and text.isascii() and text.isalpha():
        return text
    return GREEK.get(text) or escaped(text)


def name_of_text(text: str) -> Name:
    r"""Return the name that a user's name is written as: ``W_h`` as :math:`W_h`, ``x1`` as :math:`x_1`.

    Examples
    --------
    >>> name_of_text("y_hat").base, name_of_text("x1"), name_of_text("gamma").base
    ('\\hat{y}', Name(base='x', below=('1',), above='', of=None), '\\gamma')
    """
    head, _, rest = text.partition("_")
    one = re.fullmatch(r"[A-Za-z]|" + "|".join(GREEK), head)
    if one and rest in _ACCENTS:
        return Name(f"{_ACCENTS[rest]}{{{_base(head)}}}")
    if one and rest and re.fullmatch(r"[A-Za-z0-9]+", rest):
        return Name(_base(head), (_base(rest) if not rest.isdigit() else rest,))
    numbered = re.fullmatch(r"([A-Za-z]+|" + "|".join(GREEK) + r")(\d{1,3})", text)
    if numbered and (len(numbered[1]) == 1 or numbered[1] in GREEK):
        return Name(_base(numbered[1]), (numbered[2],))
    return Name(_base(text))


# --- sizes ------------------------------------------------------------------------------------------------------

_SIZES = {"batch": "N", "time": "T"}


def _size_name(name: str) -> str:
    return _SIZES.get(name) or (name_of_text(name).base if len(name) == 1 or name in GREEK else escaped(name))


def size_latex(dim: Dim) -> str:
    """Return a dimension: a number, the letter of its name, or its expression with these letters."""
    if isinstance(dim, int):
        return str(dim)
    names = names_in((dim,))
    if dim in names:
        return _size_name(str(dim))
    parts = []
    for token in re.findall(r"[^\W\d]\w*|//|\d+|\S", str(dim)):
        if token == "max":
            parts.append(r"\max")
        elif token in names:
            parts.append(_size_name(token))
        else:
            parts.append({"*": r"\, ", "//": r" \mathbin{/} ", "+": " + ", "-": " - ", ",": ", "}.get(token, token))
    return "".join(parts)


# --- letters of sums --------------------------------------------------------------------------------------------

_LETTERS = {"batch": "nmi", "time": "tsr"}
_OTHERS = "ijklmnpqrstvw"


def letters_for(dim: Dim, hint: str = "") -> str:
    """Return letters for places along a dimension, the best first."""
    first = hint
    if isinstance(dim, str):
        first += _LETTERS.get(dim, "")
        if not first and dim[:1].isascii() and dim[:1].isalpha() and len(dim) > 1:
            first = dim[0].lower()
    return first + _OTHERS


# --- nodes ------------------------------------------------------------------------------------------------------

_PARAMETERS: Mapping[str, str] = {"weight": "W", "bias": "b", "kernel": "W"}
_OF_NORMS: Mapping[str, str] = {
    "weight": r"\gamma",
    "bias": r"\beta",
    "running_mean": r"\mu",
    "running_var": r"\sigma",
    "mean": r"\mu",
    "variance": r"\sigma",
}
_OF_STEPS: Mapping[str, tuple[str, str]] = {
    "weight_ih": ("W", "x"),
    "weight_hh": ("W", "h"),
    "bias_ih": ("b", "x"),
    "bias_hh": ("b", "h"),
}
_OF_ATTENTION = {"query": "Q", "key": "K", "value": "V", "output": "O"}
_NORMS = ("BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm")
_RESULTS: Mapping[str, str] = {
    "Dense": "z",
    "Embedding": "e",
    "LSTM": "h",
    "GRU": "h",
    "RNN": "h",
    "MultiHeadAttention": "o",
    "Softmax": "p",
    "softmax": "p",
    "max_pool": "p",
    "average_pool": "p",
    "l1": "R",
    "l2": "R",
}
_PARTS: Mapping[str, Mapping[str, str]] = {
    "MultiHeadAttention": {"weights": "A", "scores": "S"},
    "Dropout": {"mask": "m", "random_uniform": "u"},
}
_ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu", "silu", "elu", "leaky_relu", "prelu", "softplus")
_ACCENT_OF = {"clip": r"\bar", "pad": r"\tilde"}
"""Accents on the name of what is clipped, or padded."""
_OF_OPERATIONS = dict.fromkeys(_ACTIVATIONS, "a")


def is_layer(kind: str) -> bool:
    """Whether a scope of this kind is a layer's, and not of a composition or the user's own."""
    return kind[:1].isupper()


def _unnumbered(text: str) -> str:
    return re.sub(r"_\d+$", "", text)


def _snake(kind: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()


def _lenient(text: str) -> str:
    return re.sub(r"[_\d]", "", text).lower()


def _last(node: Node) -> str:
    """Return a node's name without its scope."""
    return node.name.removeprefix(f"{node.scope}/") if node.scope else node.name


class Naming:
    """The names of the nodes of one graph; each is given once."""

    def __init__(self, graph: Graph, shown: Iterable[Node], result: Node | None) -> None:
        self._graph, self._result = graph, result
        self._taken: set[Name] = set()
        self._next: dict[Name, int] = {}
        self.letters: set[str] = set()
        """The letters that stand alone as a name, and so are no places of a sum."""
        self._of: dict[Node, Name] = {}
        shown = list(shown)
        owners = dict.fromkeys(node.scope for node in shown if node.op.is_parameter and node.scope)
        numbered = [path for path in owners if self._is_numbered(path)]
        self._numbers = {path: i for i, path in enumerate(numbered, 1)} if len(numbered) > 1 else {}
        self._last_number: dict[Node, str] = {}
        last = ""
        for node in shown:
            if node.phase == "forward":
                last = self._above(node.scope) or last
                self._last_number[node] = last
        for node in shown:
            if node.op.is_leaf and not node.op.is_constant:
                self.of(node)
        for node in shown:
            if self._users_name(node):
                self.of(node)

    def _is_numbered(self, path: str) -> bool:
        scope = self._graph.scopes.get(path)
        return scope is not None and is_layer(scope.kind) and _lenient(path.rpartition("/")[2]) == _lenient(scope.kind)

    def _above(self, path: str) -> str:
        while path:
            if path in self._numbers:
                return f"({self._numbers[path]})"
            path = path.rpartition("/")[0]
        return ""

    def _users_name(self, node: Node) -> str:
        """Return the name that the user gave a node, or a layer one of its parts; "" if there is none."""
        if node.title != node.name:
            return node.title.removeprefix(f"{node.scope}/") if node.scope else node.title
        last = _last(node)
        scope = self._graph.scopes.get(node.scope)
        if node.phase != "forward" or _lenient(last) in {_lenient(node.op.name), _lenient(scope.kind if scope else "")}:
            return ""
        if node.op.is_leaf:
            return "" if scope is not None and is_layer(scope.kind) else last
        if scope is not None and scope.kind in _NORMS and last in _OF_NORMS:
            return last
        # A layer of one operation has no scope: its node is called as it.
        return "" if re.search(r"_\d+$", last) else last

    def of(self, node: Node) -> Name:
        """Return the name of a node."""
        if node not in self._of:
            self._of[node] = self._free(self._wish(node))
        return self._of[node]

    def users_name(self, node: Node) -> str:
        """Return the name that the user gave a node, or ""."""
        return self._users_name(node)

    def claimed(self, name: Name) -> Name:
        """Take a name, whoever has it."""
        self._taken.add(name)
        if len(name.base) == 1:
            self.letters.add(name.base)
        return name

    def derivative(self, of: Node, to: Node) -> Name:
        """Return the name of the gradient of one node with respect to another."""
        key = self.of(to)
        if key.base == "z" and of is self._result and self._users_name(to) != "z":
            found = Name(r"\delta", key.below, key.above)
        else:
            found = Name(key.base, key.below, key.above, of=self.of(of))
        return self.claimed(found)

    def _free(self, name: Name) -> Name:
        if name not in self._taken:
            return self.claimed(name)
        number = self._next.get(name, 2)
        while (other := Name(name.base, (*name.below, str(number)), name.above)) in self._taken:
            number += 1
        self._next[name] = number + 1
        return self.claimed(other)

    def fresh(self, base: str, node: Node | None = None) -> Name:
        """Return a name that nothing has."""
        return self._free(Name(base, (), self._last_number.get(node, "") if node is not None else ""))

    def _wish(self, node: Node) -> Name:
        scope = self._graph.scopes.get(node.scope)
        kind, above = (scope.kind if scope else ""), self._last_number.get(node, "")
        last = _last(node)
        if name := self._users_name(node):
            owner = scope.parent if scope is not None and kind == "softmax" and scope.parent is not None else scope
            if owner is not None and name.rpartition("/")[2] in _PARTS.get(owner.kind, {}):
                return Name(_PARTS[owner.kind][name.rpartition("/")[2]], (), self._above(owner.path))
            if scope is not None and is_layer(scope.kind) and node.title == node.name:
                if kind in _NORMS and (letter := _OF_NORMS.get(name)):
                    return self._norms(letter, (), above)
                wish = name_of_text(name)
                return Name(wish.base, wish.below, above)
            return name_of_text(name)
        if node.op.is_leaf and scope is not None:
            return self._parameter(node, last, kind)
        if node is self._result or (node.shape == () and node.phase == "forward" and not is_layer(kind)):
            return Name("L" if node is self._result else _RESULTS.get(kind) or r"\ell")
        if node.phase != "forward":
            return Name("g")
        if kind in _NORMS:
            ends = scope is not None and scope.result is node
            return self._norms(r"\tilde{z}" if ends else _OF_NORMS.get(last) or r"\hat{x}", (), above)
        if last in _PARTS.get(kind, {}):
            return Name(_PARTS[kind][last], (), above)
        accent = _ACCENT_OF.get(_unnumbered(last))
        if accent and len(node.inputs) == 1 and self._is_named(node.inputs[0]):
            of = self.of(node.inputs[0])
            return Name(rf"{accent}{{{of.base}}}", of.below, of.above)
        if scope is not None and "/" in scope.path and kind == "Dense":
            below = self._layers_name(scope.path)
            if below and scope.parent is not None and scope.parent.kind == "MultiHeadAttention":
                return Name(below if below != "O" else "o", (), self._above(scope.parent.path))
        if kind == "MultiHeadAttention":
            return Name("C", (), self._above(node.scope))
        letter = _RESULTS.get(kind) or ("z" if kind.startswith("Conv") or kind == "conv" else "")
        letter = _OF_OPERATIONS.get(_unnumbered(last)) or _OF_OPERATIONS.get(node.op.name) or letter
        path = scope.path if scope else ""
        under = () if not is_layer(kind) or self._is_numbered(path) else (self._layers_name(path),)
        if not letter:
            return Name("h", under, "")
        return Name(letter, under, above)

    def _is_named(self, node: Node) -> bool:
        return node in self._of or node.op.is_leaf

    def _norms(self, base: str, below: tuple[str, ...], above: str) -> Name:
        """Return a name of a norm; a variance has its 2 above, and so the number of its layer below."""
        if base != r"\sigma":
            return Name(base, below, above)
        return Name(base, (*([above] if above else []), *below), "2")

    def _layers_name(self, path: str) -> str:
        scope = self._graph.scopes[path]
        last = path.rpartition("/")[2]
        if scope.parent is not None and scope.parent.kind == "MultiHeadAttention" and last in _OF_ATTENTION:
            return _OF_ATTENTION[last]
        return escaped(last)

    def _parameter(self, node: Node, last: str, kind: str) -> Name:
        path = node.scope
        above = self._above(path)
        below = () if self._is_numbered(path) else (self._layers_name(path),)
        if kind in _NORMS and last in _OF_NORMS:
            return self._norms(_OF_NORMS[last], below, above)
        if kind == "Embedding" and last == "weight":
            return Name("E", below, above)
        step = re.fullmatch(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?", last)
        if step:
            base, of = _OF_STEPS[f"{step[1]}_{step[2]}"]
            more = () if step[3] == "0" and not step[4] else (step[3], *(["r"] if step[4] else []))
            return Name(base, (of, *below, *more), above)
        if last in _PARAMETERS:
            return Name(_PARAMETERS[last], below, above)
        wish = name_of_text(last)
        return Name(wish.base, (*wish.below, *below), above)
