"""What `from_torch` does around PyTorch's exporter: how a module is called, and what weights and results are called."""

from dataclasses import dataclass, field
from inspect import signature
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import parser

import graphnn as gn
from graphnn.onnx.from_onnx import graph_of
from graphnn.torch.from_torch import _evaluating, called_with, keys_of, name_once, name_outputs


@dataclass
class Form:
    """What PyTorch tells of the form of a result."""

    inside: list["Form"] = field(default_factory=list)
    context: Any = None
    leaf: bool = False

    def children(self) -> list["Form"]:
        return self.inside

    def is_leaf(self) -> bool:
        return self.leaf


LEAF = Form(leaf=True)


def model(text: str) -> Any:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')


def test_a_module_is_in_evaluation_and_no_weight_wants_a_gradient_while_it_is_exported() -> None:
    trained, frozen = SimpleNamespace(requires_grad=True), SimpleNamespace(requires_grad=False)
    inside, module = SimpleNamespace(training=False), SimpleNamespace(training=True)
    module.modules = lambda: [module, inside]
    module.parameters = lambda: [trained, frozen]
    module.eval = lambda: setattr(module, "training", False)

    def state() -> list[bool]:
        return [module.training, inside.training, trained.requires_grad, frozen.requires_grad]

    def fail() -> None:
        with _evaluating(module):
            assert state() == [False, False, False, False]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert state() == [True, False, True, False]


def test_a_weight_with_two_names_is_one_parameter_of_the_first_name() -> None:
    text = (
        "m (int64[n] words, bool c) => (float[n, 3] y) <float[3, 2] head = {1, 2, 3, 4, 5, 6},"
        " float[3, 2] embed = {1, 2, 3, 4, 5, 6}>"
        " {h = Gather(embed, words) t = Transpose(head) p = MatMul(h, t)"
        " y = If(c) <then_branch = a () => (float[n, 3] z) {q = Transpose(head) z = MatMul(h, q)},"
        " else_branch = b () => (float[n, 3] z) {z = Identity(p)}>}"
    )
    made = model(text)
    weight = object()
    name_once(made.graph, {"embed": weight, "head": weight})
    g = gn.from_onnx(made, trainable=True)
    assert [node.name for node in g.parameters] == ["embed"]
    feed = {"words": [0, 2], "c": True}
    table = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(gn.run(g.outputs["y"], feed), table[[0, 2]] @ table.T)
    slope = gn.run(gn.grad(gn.sum(g.outputs["y"]), g["embed"]), feed)
    wanted = np.ones((3, 1)) * table[[0, 2]].sum(0)  # of the head, and of the embedding at rows 0 and 2
    wanted[[0, 2]] += table.sum(0)
    np.testing.assert_array_equal(slope, wanted)


def test_results_are_called_by_their_keys() -> None:
    form = Form([LEAF, Form([LEAF, LEAF]), Form(), Form([LEAF], ["c"])], ["a", "b", "none", "d"])
    assert keys_of(form) == ["a", "b.0", "b.1", "d.c"]
    assert keys_of(Form([LEAF, Form([LEAF, Form([LEAF])], ["a", "b"])])) == ["", "a", "b.0"]
    assert keys_of(LEAF) == [""]
    made = model(
        "m (float[2] x) => (float[2] h, float[2] h, float[2] k, float[2] l) {h = Neg(x) k = Exp(x) l = Abs(x)}"
    )
    name_outputs(made.graph, ["a", "b", "", "x"])
    g = gn.from_onnx(made)
    assert list(g.outputs) == ["a", "b", "k", "l"]
    assert g.outputs["a"] is g.outputs["b"] is g["Neg/negative"]
    assert "Identity" not in g.scopes


def test_a_module_is_called_with_inputs_by_place_and_settings_as_they_are() -> None:
    def forward(first: Any, cache: Any = None, *more: Any, mask: Any = None, flip: bool = False, **rest: Any) -> Any:
        return first, cache, more, mask, flip, rest

    module = SimpleNamespace(forward=forward)
    one, two, three, four, five = (np.zeros(0) for _ in range(5))
    named = {"mask": three, "a": four, "flip": True, "b": five}
    with called_with(module, [one, two, three, four, five], [one, None, two], named):
        assert list(signature(module.forward).parameters) == ["first", "more_0", "mask", "a", "b"]
        assert module.forward(1, 2, 3, 4, 5) == (1, None, (2,), 3, True, {"a": 4, "b": 5})
    assert module.forward is forward
    with called_with(module, [one, two], [one], {"cache": two}):
        assert module.forward is forward  # which is called with the inputs alone anyway
    with called_with(module, [one, two], [], {"cache": one, "first": two}):
        assert module.forward(1, 2)[:2] == (2, 1)
    with pytest.raises(TypeError, match="first"), called_with(module, [one], [], {"mask": one}):
        pass
    assert module.forward is forward


def test_a_size_that_must_be_known_is_to_be_left_out_of_dims() -> None:
    made = model("m (float[k] x) => (float[j] y) {a, b = Split(x) y = Add(a, b)}")
    with pytest.raises(gn.NoRuleError, match=r"depends on the size k; leave it out of dims=\n"):
        graph_of(made, None, "m", {}, {}, {}, "from_torch")
    with pytest.raises(gn.NoRuleError, match=r'fix it: from_onnx\(…, sizes=\{"k": …\}\)'):
        gn.from_onnx(made)
