"""What `from_torch` does around the operations: names, lines, the check, and what it refuses."""

import json
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn
from graphnn.core import fn
from graphnn.torch.aten import load_rules
from graphnn.torch.aten.table import RULES

HERE = Path(__file__).name


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(F.gelu(self.inner(x))) + x  # the line of the block


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = self.drop(block(x))
        return x


class Of(nn.Module):
    """A module of a function."""

    def __init__(self, function: Callable[..., Any], inner: nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.inner = inner

    def forward(self, *args: Any) -> Any:
        return self.function(*args) if self.inner is None else self.function(self.inner, *args)


def line_of(text: str) -> int:
    """Return the line of this file that has a text."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(3, 4, dtype=torch.float64)


def net() -> Net:
    torch.manual_seed(1)
    return Net().double()


# --- names and lines --------------------------------------------------------------------------------------------


def test_scopes_weights_and_lines_are_those_of_the_program(x: torch.Tensor) -> None:
    g = gn.from_torch(net(), x, dims={0: "batch"})
    assert list(g.scopes)[:3] == ["blocks.0", "blocks.0.inner", "blocks.0.norm"]
    assert g["blocks.0.inner"].op.name == "add"
    assert g["blocks.0.inner.weight"].scope == "blocks.0.inner"
    assert [node.name for node in g.parameters] == [name for name, _ in net().named_parameters()]
    gelu = next(node for node in g if node.op.name == "gelu")
    assert (Path(gelu.origin.file).name, gelu.origin.line) == (HERE, line_of("# the line of the block"))
    assert g.outputs["output"].shape == ("batch", 4)
    assert list(g.inputs) == ["x"]


def test_a_module_that_is_called_again_shares_its_weights(x: torch.Tensor) -> None:
    inner = nn.Linear(4, 4).double()
    g = gn.from_torch(Of(lambda inner, x: inner(inner(x)), inner), x)
    assert list(g.scopes) == ["inner", "inner_2"]
    assert len(g.parameters) == 2


def test_results_are_called_by_their_keys(x: torch.Tensor) -> None:
    g = gn.from_torch(Of(lambda x: {"a": x + 1, "b": {"c": x * 2}}), x)
    assert list(g.outputs) == ["a", "b.c"]
    assert list(gn.from_torch(Of(lambda x: (x + 1, x * 2)), x).outputs) == ["output_1", "output_2"]


def test_training_moves_running_statistics_as_pytorch_does(x: torch.Tensor) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    g = gn.from_torch(module, x)
    step = gn.compile(g.outputs["output"], updates={})
    for _ in range(3):
        step({"x" if "x" in g.inputs else next(iter(g.inputs)): x.numpy()})
        module(x)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(g[f"1.{name}"].value, getattr(module[1], name), rtol=1e-12)
    assert int(g["1.num_batches_tracked"].value) == 3


def test_dropout_is_left_out_in_evaluation(x: torch.Tensor) -> None:
    module = net()
    g = gn.from_torch(module, x)
    evaluated = gn.replace(g.outputs["output"], g.evaluation)
    np.testing.assert_allclose(gn.run(evaluated, {"x": x.numpy()}), module.eval()(x).detach(), rtol=1e-12)
    assert not np.allclose(gn.run(g.outputs["output"], {"x": x.numpy()}), module(x).detach())


def test_the_module_and_the_random_numbers_stay_as_they_are(x: torch.Tensor) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    before = {name: each.clone() for name, each in module.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    gn.from_torch(module, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.training
    assert all(each.grad is None for each in module.parameters())
    for name, each in module.state_dict().items():
        assert torch.equal(each, before[name])


def test_weights_may_be_others(x: torch.Tensor) -> None:
    weights = {name: each.numpy() * 2 for name, each in net().state_dict().items()}
    with torch.device("meta"):
        empty = Net().double()
    for module in (net(), empty):
        g = gn.from_torch(module, x, weights=weights)
        np.testing.assert_array_equal(g["blocks.1.inner.weight"].value, weights["blocks.1.inner.weight"])
    with pytest.raises(gn.UsageError, match=r"the weights are not those of Net: .*blocks\.0\.inner\.weight"):
        gn.from_torch(net(), x, weights={"a": 1.0})


def test_pytorch_is_the_other_side_of_a_comparison(x: torch.Tensor) -> None:
    module = net().eval()
    g = gn.from_torch(module, x, dims={0: "batch"})
    found = gn.compare(g, feed={"x": torch.randn(7, 4, dtype=torch.float64).numpy()}, runtime="torch")
    assert found.equal or found.first is None
    with torch.no_grad():
        module.blocks[1].inner.weight += 1.0
    assert "blocks.1.inner" in str(gn.compare(g, feed={"x": x.numpy()}, runtime="torch"))


# --- the check ----------------------------------------------------------------------------------------------------


@contextmanager
def planted(name: str, function: Callable[..., Any], *takes: str) -> Iterator[None]:
    load_rules()
    before = RULES[name]
    RULES[name] = before._replace(function=function, takes=frozenset(takes))
    try:
        yield
    finally:
        RULES[name] = before


def wrong_value(call: Any, self: gn.Node, approximate: str) -> gn.Node:
    return fn.gelu(self) + 1e-3 * fn.square(self)


def wrong_gradient(call: Any, self: gn.Node, approximate: str) -> gn.Node:
    square = fn.square(self)
    return fn.gelu(self) + fn.stop_gradient(square) - square


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fault", [wrong_value, wrong_gradient])
def test_a_rule_that_is_wrong_is_named_with_its_line(
    x: torch.Tensor, fault: Callable[..., Any], training: bool, dtype: torch.dtype
) -> None:
    module = net().train(training).to(dtype)
    with planted("gelu", fault, "self", "approximate"):
        where = (
            rf"{re.escape(HERE)}:{line_of('# the line of the block')}, in blocks\.0: aten\.gelu\.default is not what"
        )
        with pytest.raises(gn.EvaluationError, match=where):
            gn.from_torch(module, x.to(dtype))
        gn.from_torch(module, x.to(dtype), check=False)


def test_a_gradient_alone_is_not_looked_at_where_nothing_is_trained(x: torch.Tensor) -> None:
    with planted("gelu", wrong_gradient, "self", "approximate"):
        gn.from_torch(net(), x, trainable=False)


def test_a_hook_that_changes_gradients_is_found(x: torch.Tensor) -> None:
    inner = nn.Linear(4, 4).double()

    def halved(inner: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = inner(x)
        if y.requires_grad:
            y.register_hook(lambda slope: slope * 0.5)
        return y * 2

    with pytest.raises(gn.EvaluationError, match="a backward of the module's own is lost"):
        gn.from_torch(Of(halved, inner), x)


def test_random_numbers_are_told_of(x: torch.Tensor) -> None:
    with pytest.warns(gn.GraphnnWarning, match="Of draws random numbers"):
        gn.from_torch(Of(lambda x: x + torch.randn_like(x)), x)


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.round()

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return slope * (x.abs() < 1)


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, scale: float) -> Any:
        ctx.save_for_backward(x, w)
        ctx.scale = scale
        return x @ w * scale, x * 2

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor, other: torch.Tensor) -> Any:
        x, w = ctx.saved_tensors
        return slope @ w.T * ctx.scale + other, x.T @ slope * 3.0, None


def test_a_backward_of_ones_own_is_read(x: torch.Tensor) -> None:
    inner = nn.Linear(4, 4).double()
    gn.from_torch(Of(lambda inner, x: Rounded.apply(inner(x)) * x, inner), x)
    gn.from_torch(Of(lambda inner, x: Product.apply(inner(x), inner.weight, 0.5), inner), x)


# --- what is refused ----------------------------------------------------------------------------------------------


def doubled_until(x: torch.Tensor) -> torch.Tensor:
    while x.sum() < 10:  # the loop
        x = x * 2
    return x


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "while": (doubled_until, r":\d+: PyTorch cannot export Of: data decide .* write torch\.where"),
    "if": (lambda x: x if x.sum() > 0 else -x, r"data decide .* write torch\.where"),
    "a slice by data": (lambda x: x[: int(x.sum())], "x.item\\(\\) takes a number out of a tensor"),
    "a mask": (lambda x: x[x > 0], r"x\[mask\] has as many .* write torch\.where\(mask, x, 0\)"),
    "nonzero": (lambda x: x.nonzero(), r"data decide how many .* write torch\.where"),
    "masked_select": (lambda x: x.masked_select(x > 0), r"data decide how many .* write torch\.where"),
    "unique": (lambda x: x.unique(), r"F\.one_hot"),
    "bincount": (lambda x: torch.bincount((x > 0).long().flatten()), r"F\.one_hot"),
    "one_hot": (lambda x: F.one_hot((x > 0).long()), "num_classes=|data decide"),
    "numpy": (lambda x: torch.tensor(x.detach().numpy()) + x, "it leaves PyTorch for NumPy"),
    "packed": (
        lambda x: nn.utils.rnn.pack_padded_sequence(x[None], torch.tensor([3]), batch_first=True).data,
        "packed sequences: pad them",
    ),
    "sparse": (lambda x: torch.sparse.mm(x.to_sparse(), x.T), "sparse tensors: write dense ones"),
    "vmap": (lambda x: torch.vmap(lambda row: row @ row)(x), r"torch\.vmap or torch\.func"),
    "complex": (lambda x: torch.complex(x, x) ** 2, "complex"),
    "masked values": (lambda x: x.clone().masked_scatter_(x > 0, x)[x > 0], r"x\[mask\]"),
    "repeated by data": (lambda x: x.repeat_interleave((x[:, 0] > 0).long() + 1, 0), "data|computed"),
    "a function of Python": (lambda x: torch.tensor([float(v) for v in x.sum(1)]) + x, "takes a number|computed|data"),
    "a decomposition": (lambda x: torch.linalg.svd(x)[0], "svd"),
    "eigenvalues": (lambda x: torch.linalg.eigvals(x @ x.T), "complex|eig"),
    "a histogram": (lambda x: torch.histc(x), "histc"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_where_why_and_what_to_write(name: str, x: torch.Tensor) -> None:
    function, says = REFUSED[name]
    module = Of(function)
    with warnings.catch_warnings(action="ignore"), pytest.raises(gn.GraphnnError, match=says) as raised:
        gn.from_torch(module, x)
    assert re.search(rf"{re.escape(HERE)}:\d+", str(raised.value)), raised.value


def test_an_example_that_does_not_fit_is_told_of(x: torch.Tensor) -> None:
    with pytest.raises(gn.UsageError, match=r"Net\.forward does not take this example: too many positional arguments"):
        gn.from_torch(net(), x, x)
    with pytest.raises(gn.UsageError, match="needs an example of each input"):
        gn.from_torch(Of(lambda: torch.zeros(1)))
    with pytest.raises(gn.UsageError, match='the size "n" is 1 in an example'):
        gn.from_torch(net(), x[:1], dims={0: "n"})
    with pytest.raises(gn.UsageError, match=r'PyTorch fixes the size "n", axis 1 of x, at 4: leave it out of dims='):
        gn.from_torch(net(), x, dims={1: "n"})


def test_the_lines_of_the_documentation_run() -> None:
    page = (Path(gn.__file__).parents[1] / "docs" / "bring-your-model.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"## A module of PyTorch\n.*?```py\n(.*?)```", page, re.DOTALL)

    class Attn(nn.Linear):
        pass

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = Attn(10, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attn(x)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Part()])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.blocks[0](x)

    names: dict[str, Any] = {"gn": gn, "nn": gn.nn, "torch": torch, "model": Model()}
    feed = {"x": np.ones((3, 10), np.float32)}
    for line in lines.splitlines():
        exec(line, names)  # noqa: S102 - lines of ours
        if line.startswith("g ="):
            names["loss"], names["feed"] = gn.mean(gn.square(names["g"].outputs["output"])), feed
    assert float(names["step"](feed)) > float(names["step"](feed))


# --- names of classes -----------------------------------------------------------------------------------------------


class Config:
    def __init__(self, id2label: Any) -> None:
        self.id2label = id2label


def classifier(id2label: Any) -> nn.Module:
    class Pets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = Config(id2label)
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.head(x), "hidden": 2 * x}

    return Pets()


def test_the_classes_of_a_configuration_are_labels() -> None:
    g = gn.from_torch(classifier({0: "cat", "1": "dog\n", 2: 7}), torch.zeros(2, 4), dims={0: "batch"})
    logits = g.outputs["logits"]
    assert dict(g.labels) == {(logits, 1): ("cat", "dog\\n", "7")}
    why = gn.trace(logits, {g.placeholders[0]: np.ones((1, 4))}).why("logits[0, cat]")
    assert "logits[0, 'cat'] = " in why.equation or "[0, 'cat'] = " in why.equation
    assert "'cat'" in str(why.reads[-1])  # of the weights


@pytest.mark.parametrize(
    "id2label",
    [
        None,
        {},
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "cat", 1: "dog"},
        {1: "cat", 2: "dog", 3: "fish"},
        ["cat", "dog", "fish"],
        {0: "cat", 1: "dog", 2: None},
    ],
)
def test_what_names_no_classes_of_the_logits_is_left_alone(id2label: Any) -> None:
    g = gn.from_torch(classifier(id2label), torch.zeros(2, 4), dims={0: "batch"})
    assert not g.labels


# --- weights that stay where they are -------------------------------------------------------------------------------


class Tied(nn.Module):
    """An embedding that is read out by itself, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.inner = nn.Embedding(6, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.tokens.weight
        self.register_buffer("scale", torch.ones(4))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(F.silu(self.inner(self.tokens(tokens))) * self.scale)


TOKENS = torch.arange(6).reshape(2, 3)


def written(path: Path, module: nn.Module, dtype: torch.dtype) -> Path:
    """Write the weights of a module as a safetensors file, tied ones once."""
    header, body = {}, b""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, each in tensors.items():
        data = each.detach().to(dtype).contiguous().view(torch.uint8).numpy().tobytes()
        kind = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}[dtype]
        header[name] = {"dtype": kind, "shape": list(each.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_module_without_numbers_takes_them_from_a_file(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = Tied()
    path = written(tmp_path / "a.safetensors", module, dtype)
    with torch.device("meta"):
        empty = Tied()
    g = gn.from_torch(empty, TOKENS, weights=path)  # which checks results and gradients
    assert [node.name for node in g.parameters if node.trainable] == ["tokens.weight", "inner.weight", "inner.bias"]
    assert {node.dtype.name for node in g.parameters if node.trainable} == {str(dtype).removeprefix("torch.")}
    wanted = module.to(dtype).float()(TOKENS).detach().numpy()
    np.testing.assert_allclose(gn.run(g.outputs["output"], {"tokens": TOKENS.numpy()}), wanted, rtol=1e-5, atol=1e-6)
    assert gn.compare(g, feed={"tokens": TOKENS.numpy()}, runtime="torch").equal
    assert all(each.is_meta for each in empty.parameters())


def test_names_and_shapes_that_do_not_fit_are_one_error(tmp_path: Path) -> None:
    module = Tied()
    state = {name: each.numpy() for name, each in module.state_dict().items()}
    state["inner.weight"] = np.ones((4, 5), "float32")
    state["inner.bias"] = np.ones(4, "complex64")
    state["other"] = state.pop("scale")
    with pytest.raises(
        gn.UsageError,
        match=r"the weights are not those of Tied: they lack scale; they hold other, which it does not have; "
        r"inner\.weight has the shape \(4, 5\) and not \(4, 4\), inner\.bias is complex64 and not float32",
    ):
        gn.from_torch(module, TOKENS, weights=state)
    state = {name: each.numpy() for name, each in module.state_dict().items()}
    state["head.weight"] = state["head.weight"] + 1
    with pytest.raises(gn.UsageError, match=r"head\.weight differs from tokens\.weight, and both are one tensor"):
        gn.from_torch(module, TOKENS, weights=state)


def test_a_module_that_is_trained_later_does_not_change_the_graph() -> None:
    module = nn.Linear(300, 200)  # large enough to be shared
    x = torch.ones(2, 300)
    g = gn.from_torch(module, x)
    before = module.weight.detach().clone().numpy()
    address = torch._C._data_address(module.weight)
    assert g.state[g["weight"]].ctypes.data == address
    with torch.no_grad():
        module.weight += 1
    np.testing.assert_array_equal(g["weight"].value, before)
    g["weight"].value = np.zeros_like(before)
    np.testing.assert_array_equal(module.weight.detach().numpy(), before + 1)
