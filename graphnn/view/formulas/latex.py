"""`latex`: what nodes compute, as formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import short_repr
from ...core.fetches import resolve
from ...errors import UsageError
from ...runtime.feed import prepare
from . import rules  # noqa: F401 - it registers how operations are written
from .evaluation import Values
from .expressions import Line, Recurrence
from .printing import given_latex, joined, line_latex, name_latex, recurrence_latex
from .writer import Writer

if TYPE_CHECKING:
    from ...core import Array, Graph, Node
    from ...runtime.feed import Feed

_DETAILS = ("layer", "op")


class Formulas(str):
    """Formulas as LaTeX source; a notebook shows them as mathematics.

    Attributes
    ----------
    lines : tuple of Line or Recurrence
        Each line as a tree, in order. A loop is one `Recurrence` of several lines.
    symbols : dict of str to str
        How each node is written, ``{"dense_1/weight": "W^{(1)}"}``.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", [1.0, 2.0])
    >>> formulas = gn.latex(gn.mean(gn.square(x @ w)))
    >>> formulas.lines[0].name, formulas.symbols
    ('mean', {'mean': 'L', 'w': 'w', 'x': 'x'})
    >>> formulas.evaluate({x: [[1.0, 1.0], [0.0, 1.0]]})
    {'mean': array(6.5)}
    """

    lines: tuple[Line | Recurrence, ...]
    symbols: Mapping[str, str]
    _nodes: list[Node]
    _constants: Mapping[str, Node]

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return f"$$\n{self}\n$$"

    def evaluate(self, feed: Feed | None = None) -> dict[str, Array]:
        """Compute every line with NumPy, from what is fed and the values of the parameters.

        Each line is computed from what the lines above it gave, by the tree that is printed. So this is another way to
        the numbers of the graph; they differ by rounding.

        Parameters
        ----------
        feed : mapping of Node or str to array_like, optional
            As `graphnn.run` takes it.

        Returns
        -------
        dict of str to ndarray
            By the name of the node; what stands for no node has a name in angle brackets. Lines of loops are left out.

        Raises
        ------
        NotFoundError, ShapeError, DtypeError
            When the feed is not what the nodes need.
        """
        prepared = prepare(self._nodes[0].graph, self._nodes, feed)
        given = {node.name: np.asarray(value) for node, value in prepared.given.items()}
        given |= {key: node.value for key, node in self._constants.items()}
        values = Values(given, prepared.sizes)
        found = {}
        with np.errstate(all="ignore"):
            for line in self.lines:
                if isinstance(line, Recurrence):
                    values.recurrence(line)
                else:
                    found[line.name] = values.line(line)
        return found


def latex(fetches: Any, *, detail: str = "layer", graph: Graph | None = None) -> Formulas:
    r"""Return what nodes compute as formulas, in LaTeX, as a lecture writes them.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, or Graph
        A loss, its gradients, or any other nodes. For gradients, the loss is written, too.
    detail : "layer" or "op"
        ``"layer"``, the default: a line for each layer; softmax, cross-entropy, convolution, pooling, and the gradient
        of a normalization by the formulas that they are known by. ``"op"``: a line for each operation.
    graph : Graph, optional
        Where names are looked up.

    Returns
    -------
    Formulas
        Text: an environment ``aligned`` of commands that KaTeX and MathJax know. `Formulas.evaluate` computes the
        lines.

    Raises
    ------
    UsageError
        When `detail` is something else, or a fetch is no node.

    Notes
    -----
    What you named is called so: a placeholder ``x``, a parameter ``W_h``, ``gamma`` as the Greek letter. The
    parameters and results of layers have the letters of lectures, with the number of the layer above:
    :math:`z^{(1)} = x W^{(1)} + b^{(1)}`. The gradient of the loss with respect to :math:`z^{(1)}` is
    :math:`\delta^{(1)}`. A dimension ``batch`` is written :math:`N`, ``time`` :math:`T`; places are counted from 1,
    and classes as the labels have them. What stands in brackets above, :math:`Q^{[h]}`, is one of equal blocks of the
    last axis. What has no formula of its own is written by its name.

    Formulas say what is computed, not how rounding is kept small: the softmax of a cross-entropy is written without
    subtracting the maximum, a stopped gradient and a change of precision are not written.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> g = gn.Graph()
    >>> x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), int)
    >>> loss = nn.softmax_crossentropy(nn.Dense(3, rng=np.random.default_rng(0))(x), y)
    >>> print(gn.latex([loss, gn.grad(loss, g["dense_1/weight"])]))
    \begin{aligned}
    z &= x\, W + b \\
    \hat{y} &= \operatorname{softmax}\left(z\right) \\
    L &= -\frac{1}{N} \sum_{n=1}^{N} \log \hat{y}_{n, y_{n}} \\
    \delta &= \frac{1}{N} \left(\hat{y} - \operatorname{onehot}\left(y\right)\right) \\
    \frac{\partial L}{\partial W} &= x^{\top}\, \delta
    \end{aligned}
    """
    if not isinstance(detail, str) or detail not in _DETAILS:
        known = '"layer", a line for each layer, or "op", one for each operation'
        raise UsageError(f"detail= is {known}, not {short_repr(detail)}")
    graph, nodes, _ = resolve(fetches, graph)
    writer = Writer(graph, nodes, detail)
    lines = writer.lines()
    text: list[str] = []
    for line in lines:
        text += recurrence_latex(line) if isinstance(line, Recurrence) else [line_latex(line)]
    formulas = Formulas(joined(text or map(given_latex, map(writer.symbol, nodes), nodes)))
    formulas.lines = tuple(lines)
    formulas.symbols = {node.name: name_latex(symbol.name) for node, symbol in sorted_symbols(writer)}
    formulas._nodes, formulas._constants = writer.fetches, writer.constants
    return formulas


def sorted_symbols(writer: Writer) -> list[Any]:
    """Return the symbols of nodes, by the names of these."""
    return sorted(writer.symbols.items(), key=lambda pair: pair[0].name)
