"""Pairs of programs that differ in a known call: that call is the first that a comparison names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn

Knobs = dict[str, Any]


class _Mlp(nn.Module):
    def __init__(self, k: Knobs) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(4))
        self.head = nn.Linear(6, 3)
        self.k = k

    def forward(self, x: Any) -> Any:
        for i, layer in enumerate(self.layers):
            x = F.leaky_relu(layer(x), self.k.get(f"slope {i}", 0.01)) * self.k.get(f"scale {i}", 1.0)
        return self.head(x)

    def example(self) -> Any:
        return torch.randn(5, 6)


class _Cnn(nn.Module):
    def __init__(self, k: Knobs) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, eps=k.get("eps", 1e-5), momentum=k.get("momentum", 0.1))
        self.second = nn.Conv2d(3, 4, 3, dilation=k.get("dilation", 1), padding=k.get("dilation", 1))
        self.head = nn.Linear(4, 3)
        self.k = k

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norm(self.first(x)))
        x = F.avg_pool2d(x, 2) if self.k.get("average") else F.max_pool2d(x, 2)
        x = F.gelu(self.second(x), approximate=self.k.get("gelu", "none"))
        return self.head(x.mean((2, 3)))

    def example(self) -> Any:
        return torch.randn(5, 1, 8, 8)


class _Attention(nn.Module):
    def __init__(self, k: Knobs) -> None:
        super().__init__()
        self.q, self.k_, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.k = k

    def forward(self, x: Any) -> Any:
        q, k, v = (each(x).unflatten(-1, (2, 4)).transpose(1, 2) for each in (self.q, self.k_, self.v))
        if self.k.get("fused"):
            scale = self.k.get("scale of scores", 0.5)
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        else:
            scores = q @ k.transpose(-2, -1) * self.k.get("scale of scores", 0.5)
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(self.k.get("diagonal", 1))
            heads = scores.masked_fill(mask, self.k.get("mask", -torch.inf)).softmax(-1) @ v
        return self.out(heads.transpose(1, 2).flatten(2))


class _Transformer(nn.Module):
    def __init__(self, k: Knobs) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8, eps=k.get("eps", 1e-5))
        self.attention = _Attention(k)
        self.after = nn.LayerNorm(8, eps=k.get("eps after", 1e-5))
        self.extra = nn.Identity() if "extra" not in k else nn.Softsign()
        self.head = nn.Linear(8, 3)
        self.k = k

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids)
        if self.k.get("reversed"):
            x = self.attention(self.norm(x)) + x
        else:
            x = x + self.attention(self.norm(x))
        return self.head(self.extra(self.after(x)).sum(1) / self.k.get("tokens", 6))

    def example(self) -> Any:
        return torch.randint(0, 11, (5, 6))


class _Recurrent(nn.Module):
    def __init__(self, k: Knobs) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 5)
        self.head = nn.Linear(5, 3)
        self.k = k

    def forward(self, x: Any) -> Any:
        state = torch.zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state).clamp(-self.k.get(f"limit {t}", 9.0), 9.0)
        return self.head(state)

    def example(self) -> Any:
        return torch.randn(5, 4, 4)


def _recorded(network: type[Any], k: Knobs) -> Any:
    torch.manual_seed(0)
    model = network(k)
    x, labels = model.example(), torch.tensor([0, 2, 1, 1, 0])
    with torch.no_grad():
        for name, change in k.get("weights", {}).items():
            dict(model.named_parameters())[name].view(-1)[0].mul_(1 + change)
    kind = k.get("optimizer", torch.optim.SGD)
    optimizer = kind(model.parameters(), k.get("lr", 0.1), **k.get("settings", {}))
    with gn.watch(model, optimizer) as run, torch.autocast("cpu", torch.bfloat16, enabled=k.get("bfloat16", False)):
        loss = F.cross_entropy(model(x), labels, label_smoothing=k.get("smoothing", 0.0))
        (loss * k.get("of the loss", 1.0)).backward()
        if "clip" in k:
            nn.utils.clip_grad_norm_(model.parameters(), k["clip"])
        optimizer.step()
    return run


class _Pair(NamedTuple):
    network: type[Any]
    a: Knobs
    b: Knobs
    op: str
    scope: str

    def __str__(self) -> str:
        return f"{self.network.__name__.strip('_')}: {self.b}"


def _pairs() -> list[_Pair]:
    found: list[_Pair] = []

    def add(network: type[Any], b: Knobs, op: str, scope: str, a: Knobs | None = None) -> None:
        found.append(_Pair(network, a or {}, b, op, scope))

    for i in range(4):
        add(_Mlp, {f"slope {i}": 0.02}, "aten.leaky_relu", "")
        add(_Mlp, {f"scale {i}": 1.001}, "aten.mul", "")
        add(_Mlp, {"weights": {f"layers.{i}.weight": 1e-3}}, "parameter", f"layers.{i}")
        add(_Mlp, {"weights": {f"layers.{i}.bias": 1e-3}}, "parameter", f"layers.{i}")
        add(_Recurrent, {f"limit {i}": 0.01}, "aten.clamp", "")
    add(_Mlp, {"of the loss": 1.01}, "aten.mul", "")
    add(_Mlp, {"smoothing": 0.1}, "aten.mul", "")  # of the loss: the sum before it has no counterpart
    add(_Mlp, {"lr": 0.11}, "aten.add_", "update/layers.0")
    add(_Mlp, {"settings": {"weight_decay": 0.1}}, "aten.add", "update/layers.0", {"settings": {"weight_decay": 0.01}})
    add(_Mlp, {"clip": 0.01}, "aten.mul", "update", {"clip": 0.02})
    adam: Knobs = {"optimizer": torch.optim.Adam}
    add(_Mlp, adam | {"settings": {"betas": (0.8, 0.999)}}, "aten.lerp_", "update/layers.0", adam)
    # Zeros times another number are zeros.
    add(_Mlp, adam | {"settings": {"betas": (0.9, 0.9)}}, "aten.addcmul_", "update/layers.0", adam)
    add(_Mlp, adam | {"settings": {"eps": 1e-3}}, "aten.add_", "update/layers.0", adam)
    add(_Cnn, {"eps": 1e-2}, "aten.native_batch_norm", "norm")
    add(_Cnn, {"momentum": 0.2}, "aten.native_batch_norm", "norm")
    add(_Cnn, {"dilation": 2}, "aten.convolution", "second")
    add(_Cnn, {"gelu": "tanh"}, "aten.gelu", "")
    add(_Cnn, {"average": True}, "aten.convolution", "second")  # the pooling itself has another name
    for name in ("first.weight", "norm.weight", "second.bias", "head.weight"):
        add(_Cnn, {"weights": {name: 1e-3}}, "parameter", name.rpartition(".")[0])
    add(_Transformer, {"eps": 1e-2}, "aten.native_layer_norm", "norm")
    add(_Transformer, {"eps after": 1e-2}, "aten.native_layer_norm", "after")
    add(_Transformer, {"scale of scores": 0.6}, "aten.mul", "attention")
    add(_Transformer, {"mask": -1.0}, "aten.masked_fill", "attention")
    add(_Transformer, {"diagonal": 2}, "aten.triu", "attention")
    add(_Transformer, {"tokens": 5}, "aten.div", "")
    add(_Transformer, {"extra": True}, "aten.sum", "")  # what was inserted has no counterpart
    add(_Transformer, {"fused": True, "scale of scores": 0.6}, "aten.view", "attention.out")  # where they meet again
    add(_Transformer, {"fused": True, "eps after": 1e-2}, "aten.native_layer_norm", "after")
    add(_Transformer, {"fused": True, "weights": {"attention.v.weight": 0.5}}, "parameter", "attention.v")
    for name in ("embedding.weight", "attention.out.weight", "attention.q.bias", "head.bias"):
        add(_Transformer, {"weights": {name: 1e-2}}, "parameter", name.rpartition(".")[0])
    add(_Recurrent, {"weights": {"cell.weight_hh": 1e-3}}, "parameter", "cell")
    return found


_PAIRS = _pairs()


def test_there_are_fifty() -> None:
    assert len(_PAIRS) >= 50


@pytest.mark.parametrize("pair", _PAIRS, ids=map(str, _PAIRS))
def test_the_first_differing_call_is_the_one_that_was_changed(pair: _Pair) -> None:
    found = gn.compare(_recorded(pair.network, pair.a), _recorded(pair.network, pair.b))
    assert found.first is not None
    assert (found.first.node.op.name, found.first.node.scope) == (pair.op, pair.scope)


@pytest.mark.parametrize(
    ("network", "knobs"),
    [(_Mlp, {}), (_Cnn, {}), (_Transformer, {}), (_Transformer, {"fused": True}), (_Transformer, {"reversed": True})],
)
def test_programs_that_compute_the_same_agree(network: type[Any], knobs: Knobs) -> None:
    make: Callable[[Knobs], Any] = lambda k: _recorded(network, k)  # noqa: E731
    assert gn.compare(make({}), make(knobs)).first is None


def test_what_is_inserted_and_missing_is_said() -> None:
    told = str(gn.compare(_recorded(_Transformer, {}), _recorded(_Transformer, {"fused": True})))
    assert "agree within the tolerance" in told
    assert '"attention/_scaled_dot_product_flash_attention_for_cpu"' in told.partition("only in b")[2]
    assert '"attention/bmm"' in told.partition("only in a")[2].partition("only in b")[0]
