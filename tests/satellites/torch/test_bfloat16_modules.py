"""Modules in bfloat16: PyTorch's values and gradients, within the rounding of bfloat16."""

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import graphnn as gn

BF16 = np.dtype(ml_dtypes.bfloat16)
EPS = 2.0**-8


def tensor(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))).to(torch.bfloat16)


class Attention(nn.Module):
    """Embedding, causal attention, and a sum with what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm = nn.Embedding(50, 32), nn.LayerNorm(32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens)
        batch, time, width = x.shape
        parts = self.qkv(self.norm(x)).split(width, 2)
        q, k, v = (part.view(batch, time, 4, 8).transpose(1, 2) for part in parts)
        weights = functional.softmax(
            q @ k.transpose(-1, -2) * 8**-0.5 + torch.triu(x.new_full((time, time), -1e4), 1), -1
        )
        return x + self.out((weights @ v).transpose(1, 2).reshape(batch, time, width))


class RMSNormed(nn.Module):
    """A norm in float32 inside of bfloat16, as language models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.gate = nn.Parameter(torch.ones(16)), nn.Linear(16, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
        return functional.silu(self.gate(self.weight * h.to(x.dtype))) * 0.3 + x / 3


class Loss(nn.Module):
    """A loss of bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self.linear(x), labels)


MODULES = {
    "mlp": lambda: (
        nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 4)),
        tensor(16, 8),
    ),
    "attention": lambda: (Attention(), torch.arange(21).reshape(3, 7)),
    "rms_norm": lambda: (RMSNormed(), tensor(4, 16)),
    "lstm": lambda: (nn.LSTM(8, 16, batch_first=True), tensor(2, 5, 8)),
    "convolution": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5)
        ),
        tensor(2, 3, 8, 8),
    ),
    "loss": lambda: (Loss(), tensor(6, 8), torch.arange(6) % 5),
}


def numbers(x: torch.Tensor) -> np.ndarray:
    return x.detach().to(torch.float64).numpy()


@pytest.mark.parametrize("name", MODULES)
def test_values_and_gradients_are_pytorchs_but_for_rounding(name: str) -> None:
    torch.manual_seed(0)
    module, *example = MODULES[name]()
    module = module.to(torch.bfloat16).eval()
    g = gn.from_torch(module, *example)
    assert {p.dtype for p in g.parameters} == {BF16}
    y = next(iter(g.outputs.values()))
    made = module(*example)
    made = made if isinstance(made, torch.Tensor) else made[0]
    expected = numbers(made)
    assert y.dtype == BF16
    feed = {
        x: numbers(each) if each.is_floating_point() else each.numpy()
        for x, each in zip(g.placeholders, example, strict=True)
    }
    factors = np.cos(np.arange(expected.size)).reshape(expected.shape).astype(BF16)
    value, *slopes = gn.run([y, *gn.vjp({y: factors}, list(g.parameters))], feed)
    size = np.abs(expected).max()
    np.testing.assert_allclose(value.astype(float), expected, rtol=0, atol=4 * EPS * size)
    (made * torch.tensor(factors.astype(np.float32)).to(torch.bfloat16)).sum().backward()
    wanted = dict(module.named_parameters())
    for node, slope in zip(g.parameters, slopes, strict=True):
        own = numbers(wanted[node.name].grad)
        assert slope.dtype == BF16
        assert np.linalg.norm(slope.astype(float) - own) <= 10 * EPS * np.linalg.norm(own), node  # each call rounds


def test_most_results_have_pytorchs_bits() -> None:
    """Each call is computed in float32 and rounded once, as PyTorch's kernels do."""
    torch.manual_seed(0)
    module, x = MODULES["mlp"]()
    module = module.to(torch.bfloat16)
    g = gn.from_torch(module, x)
    value = gn.run(next(iter(g.outputs.values())), {g.placeholders[0]: numbers(x)})
    np.testing.assert_array_equal(value.view(np.int16), module(x).detach().view(torch.int16).numpy())


def test_the_weights_keep_their_bits() -> None:
    module = nn.Linear(3, 2).to(torch.bfloat16)
    g = gn.from_torch(module, tensor(4, 3))
    for node in g.parameters:
        np.testing.assert_array_equal(
            node.value.view(np.int16), dict(module.named_parameters())[node.name].detach().view(torch.int16).numpy()
        )


def test_a_run_of_pytorch_is_compared_with() -> None:
    module = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 3)).to(torch.bfloat16)
    x = tensor(16, 8)
    g = gn.from_torch(module, x)
    found = gn.compare(g, feed={g.placeholders[0]: numbers(x)}, runtime="torch")
    assert found.equal, found


def test_arrays_of_bfloat16_serve_as_an_example() -> None:
    module = nn.Linear(3, 2).to(torch.bfloat16)
    g = gn.from_torch(module, np.ones((4, 3), BF16))
    assert [node.dtype for node in g.placeholders] == [BF16]


def test_a_fault_in_bfloat16_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphnn.torch.aten import table

    rule = table.rule_for("tanh", "default")
    assert rule is not None
    module = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 3)).to(torch.bfloat16)
    reader = __import__("graphnn.torch.reader", fromlist=["rule_for"])
    wrong = table.rule_for("sin", "default")
    monkeypatch.setattr(
        reader, "rule_for", lambda name, overload: wrong if name == "tanh" else table.rule_for(name, overload)
    )
    with pytest.raises(gn.EvaluationError, match=r"aten\.tanh\.default is not what PyTorch computes"):
        gn.from_torch(module, tensor(16, 8))
