"""Time training steps of 20 networks: read by `gn.from_torch` with the native plan, and PyTorch's own.

    python tests/benchmarks/imported_networks.py [NAME ...] [--adam] [--seconds 0.5] [--json FILE]

The networks are of the usual kinds, written in PyTorch alone and small: a step takes some milliseconds. How they are
timed, and how their losses are held against each other, is in torch_steps.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import torch_steps
from torch import Tensor, nn

CASES: dict[str, torch_steps.Case] = {}


def case(name: str, batch: Callable[[], tuple[Tensor, ...]]) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Register a class of networks, with what makes a batch."""

    def register(kind: type[nn.Module]) -> type[nn.Module]:
        CASES[name] = torch_steps.Case(kind, batch)
        return kind

    return register


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def ints(high: int, *shape: int) -> Tensor:
    return torch.randint(0, high, shape)


# --- convolutions ---------------------------------------------------------------------------------------------------


def convolved(a: int, b: int, size: int = 3, stride: int = 1, groups: int = 1, act: Any = nn.ReLU) -> nn.Sequential:
    """Return a convolution, a norm of the batch, and an activation."""
    conv = nn.Conv2d(a, b, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(b), *([act()] if act else []))


class Residual(nn.Module):
    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolved(a, b, stride=stride), convolved(b, b, act=None))
        self.short = convolved(a, b, 1, stride, act=None) if a != b else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.short(x))


@case("ResNet-18", lambda: (r(4, 3, 64, 64),))
class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)
        blocks = [
            Residual(widths[max(0, i - (k == 0))], width, 2 if i and k == 0 else 1)
            for i, width in enumerate(widths)
            for k in range(2)
        ]
        self.body = nn.Sequential(convolved(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), *blocks)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Inverted(nn.Module):
    """Wider channels, a convolution of each, and how much each of them counts."""

    def __init__(self, a: int, b: int, wide: int, size: int, stride: int, squeezes: bool, act: Any) -> None:
        super().__init__()
        self.up, self.each = convolved(a, wide, 1, act=act), convolved(wide, wide, size, stride, wide, act)
        self.down, self.adds = convolved(wide, b, 1, act=None), a == b and stride == 1
        self.squeeze = (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, wide // 4, 1), nn.ReLU(), nn.Conv2d(wide // 4, wide, 1)
            )
            if squeezes
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.each(self.up(x))
        if self.squeeze is not None:
            h = h * F.hardsigmoid(self.squeeze(h))
        h = self.down(h)
        return x + h if self.adds else h


@case("MobileNetV3", lambda: (r(4, 3, 64, 64),))
class MobileNetV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolved(3, 16, 3, 2, act=nn.Hardswish),
            Inverted(16, 16, 16, 3, 2, True, nn.ReLU),
            Inverted(16, 24, 72, 3, 2, False, nn.ReLU),
            Inverted(24, 24, 88, 3, 1, False, nn.ReLU),
            Inverted(24, 40, 96, 5, 2, True, nn.Hardswish),
            Inverted(40, 40, 240, 5, 1, True, nn.Hardswish),
            convolved(40, 240, 1, act=nn.Hardswish),
        )
        self.head = nn.Sequential(nn.Linear(240, 128), nn.Hardswish(), nn.Linear(128, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


@case("U-Net", lambda: (r(4, 3, 32, 32),))
class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.low = self.twice(3, 16), self.twice(16, 32), self.twice(32, 64)
        self.up2, self.back2 = nn.ConvTranspose2d(64, 32, 2, 2), self.twice(64, 32)
        self.up1, self.back1 = nn.ConvTranspose2d(32, 16, 2, 2), self.twice(32, 16)
        self.last = nn.Conv2d(16, 2, 1)

    @staticmethod
    def twice(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(convolved(a, b), convolved(b, b))

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        low = self.low(F.max_pool2d(two, 2))
        two = self.back2(torch.cat([two, self.up2(low)], 1))
        return self.last(self.back1(torch.cat([one, self.up1(two)], 1)))


@case("ConvNeXt block", lambda: (r(4, 48, 16, 16),))
class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Conv2d(48, 48, 7, padding=3, groups=48)
        self.norm = nn.LayerNorm(48, eps=1e-6)
        self.up, self.down = nn.Linear(48, 192), nn.Linear(192, 48)
        self.scale = nn.Parameter(torch.full((48,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.each(x).permute(0, 2, 3, 1)
        h = self.scale * self.down(F.gelu(self.up(self.norm(h))))
        return x + h.permute(0, 3, 1, 2)


@case("WaveNet", lambda: (ints(64, 4, 256),))
class WaveNet(nn.Module):
    """Causal convolutions, each twice as far apart, with gates."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 32)
        self.gates = nn.ModuleList(nn.Conv1d(32, 64, 2, dilation=2**i) for i in range(6))
        self.outs = nn.ModuleList(nn.Conv1d(32, 64, 1) for _ in range(6))
        self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(32, 32, 1), nn.ReLU(), nn.Conv1d(32, 64, 1))

    def forward(self, codes: Tensor) -> Tensor:
        x, total = self.embed(codes).transpose(1, 2), 0
        for i, (gate, out) in enumerate(zip(self.gates, self.outs, strict=True)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            more, skip = out(torch.tanh(a) * torch.sigmoid(b)).chunk(2, 1)
            x, total = x + more, total + skip
        return F.cross_entropy(self.last(total)[..., :-1], codes[:, 1:])


# --- attention ------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Attention of several heads; with fewer heads of keys and values, groups of queries share them."""

    def __init__(self, d: int, heads: int, shared: int | None = None, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.heads, self.shared, self.causal = heads, shared or heads, causal
        self.q, self.o = nn.Linear(d, d, bias), nn.Linear(d, d, bias)
        self.k, self.v = (nn.Linear(d, d // heads * self.shared, bias) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor | None = None, turn: Any = None) -> Tensor:
        n, t, d = x.shape
        q = self.q(x).view(n, t, self.heads, -1).transpose(1, 2)
        k, v = (f(x).view(n, t, self.shared, -1).transpose(1, 2) for f in (self.k, self.v))
        if turn is not None:
            q, k = turn(q), turn(k)
        y = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=self.causal, enable_gqa=self.shared != self.heads
        )  # fmt: skip
        return self.o(y.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    """A block of a transformer, with the norm before."""

    def __init__(self, d: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(d), Attention(d, heads, causal=causal), nn.LayerNorm(d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


@case("ViT", lambda: (r(4, 3, 32, 32),))
class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 64, 4, 4)
        self.first, self.places = nn.Parameter(torch.zeros(1, 1, 64)), nn.Parameter(torch.zeros(1, 65, 64))
        self.blocks = nn.Sequential(*(Block(64, 4) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(x.size(0), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


@case("Swin block", lambda: (r(4, 16, 16, 48),))
class Swin(nn.Module):
    """Attention in windows of 4 by 4 that are shifted by 2, with a bias by relative place and a mask of regions."""

    def __init__(self, window: int = 4, shift: int = 2, heads: int = 3, d: int = 48, size: int = 16) -> None:
        super().__init__()
        self.window, self.shift, self.heads = window, shift, heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = at[:, :, None] - at[:, None, :] + window - 1
        self.register_buffer("apart", apart[0] * (2 * window - 1) + apart[1])
        region = torch.zeros(1, size, size, 1)
        ends = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for i, rows in enumerate(ends):
            for k, columns in enumerate(ends):
                region[:, rows, columns] = 3 * i + k
        of = self.cut(region).squeeze(-1)
        self.register_buffer("mask", (of[:, None, :] != of[:, :, None]) * torch.tensor(-100.0))

    def cut(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        k = self.window
        return x.view(n, h // k, k, w // k, k, c).transpose(2, 3).reshape(-1, k * k, c)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        windows = self.cut(torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2)))
        q, k, v = self.qkv(windows).view(-1, self.window**2, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5 + self.bias[self.apart].permute(2, 0, 1)
        scores = scores.view(n, -1, *scores.shape[1:]) + self.mask[None, :, None]
        y = (scores.softmax(-1).view(-1, *scores.shape[2:]) @ v).transpose(1, 2).reshape(windows.shape)
        k = self.window
        y = self.proj(y).view(n, h // k, w // k, k, k, c).transpose(2, 3).reshape(n, h, w, c)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


@case("GPT", lambda: (ints(512, 4, 64),))
class Gpt(nn.Module):
    """Four blocks, with a head that is the embedding, and the loss of the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(512, 64), nn.Embedding(64, 64)
        self.blocks, self.norm = nn.Sequential(*(Block(64, 4, causal=True) for _ in range(4))), nn.LayerNorm(64)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.embed(codes) + self.places(torch.arange(codes.size(1)))
        scores = self.norm(self.blocks(x)) @ self.embed.weight.T
        return F.cross_entropy(scores[:, :-1].flatten(0, 1), codes[:, 1:].flatten())


class RmsNorm(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


@case("llama block, GQA", lambda: (r(4, 64, 96),))
class Llama(nn.Module):
    """Six heads of queries and two of keys, turned by their places, and a gated layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(96), RmsNorm(96)
        self.attention = Attention(96, 6, 2, causal=True, bias=False)
        self.gate, self.up, self.down = (nn.Linear(*size, bias=False) for size in ((96, 256), (96, 256), (256, 96)))
        rates = 10000.0 ** (-torch.arange(0, 16, 2) / 16)
        angles = torch.cat([torch.arange(64)[:, None] * rates] * 2, -1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def turned(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), turn=self.turned)
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


@case("T5 block", lambda: (r(4, 48, 64),))
class T5(nn.Module):
    """No scale and no bias but one for each bucket of distances, and a gated layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(64), RmsNorm(64)
        self.q, self.k, self.v, self.o = (nn.Linear(64, 64, bias=False) for _ in range(4))
        self.bias = nn.Embedding(32, 4)
        self.one, self.two, self.down = (nn.Linear(*size, bias=False) for size in ((64, 128), (64, 128), (128, 64)))

    @staticmethod
    def buckets(t: int) -> Tensor:
        apart = torch.arange(t)[None, :] - torch.arange(t)[:, None]
        far = apart.abs()
        larger = 8 + (torch.log(far.clamp(min=1) / 8.0) / math.log(128 / 8) * 8).to(torch.int64)
        return (apart > 0) * 16 + torch.where(far < 8, far, larger.clamp(max=15))

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        h = self.norm1(x)
        q, k, v = (f(h).view(n, t, 4, 16).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-1, -2) + self.bias(self.buckets(t)).permute(2, 0, 1)
        x = x + self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, d))
        h = self.norm2(x)
        return x + self.down(F.gelu(self.one(h), approximate="tanh") * self.two(h))


@case("BERT block", lambda: (ints(400, 4, 48), torch.arange(48)[None] < torch.tensor([48, 40, 31, 12])[:, None]))
class Bert(nn.Module):
    """Embeddings, a block with the norm behind, and a mask of paddings."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(400, 64), nn.Embedding(48, 64)
        self.norm0, self.norm1, self.norm2 = (nn.LayerNorm(64) for _ in range(3))
        self.attention = Attention(64, 4)
        self.mlp = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))

    def forward(self, codes: Tensor, here: Tensor) -> Tensor:
        x = self.norm0(self.words(codes) + self.places.weight)
        x = self.norm1(x + self.attention(x, here[:, None, None, :]))
        return self.norm2(x + self.mlp(x))


# --- states and recurrence ------------------------------------------------------------------------------------------


@case("Mamba", lambda: (r(4, 32, 32),))
class Mamba(nn.Module):
    """A block of selected states, step by step."""

    def __init__(self, d: int = 32, inner: int = 64, state: int = 8, rank: int = 4) -> None:
        super().__init__()
        self.split, self.inner = [rank, state, state], inner
        self.norm, self.in_proj = RmsNorm(d), nn.Linear(d, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, 4, padding=3, groups=inner)
        self.x_proj, self.dt_proj = nn.Linear(inner, sum(self.split), bias=False), nn.Linear(rank, inner)
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, 1 + state)).repeat(inner, 1))
        self.d, self.out_proj = nn.Parameter(torch.ones(inner)), nn.Linear(inner, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        t = x.size(1)
        u, z = self.in_proj(self.norm(x)).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., :t].transpose(1, 2))
        dt, b, c = self.x_proj(u).split(self.split, -1)
        dt = F.softplus(self.dt_proj(dt)).unsqueeze(-1)
        kept = torch.exp(dt * -torch.exp(self.a_log))
        given = dt * b.unsqueeze(2) * u.unsqueeze(-1)
        h, outputs = torch.zeros_like(given[:, 0]), []
        for at in range(t):
            h = kept[:, at] * h + given[:, at]
            outputs.append((h @ c[:, at, :, None]).squeeze(-1))
        return x + self.out_proj((torch.stack(outputs, 1) + u * self.d) * F.silu(z))


@case("LSTM", lambda: (ints(256, 16, 24),))
class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm = nn.Embedding(256, 64), nn.LSTM(64, 96, num_layers=2, batch_first=True)
        self.head = nn.Linear(96, 256)

    def forward(self, codes: Tensor) -> Tensor:
        scores = self.head(self.lstm(self.embed(codes))[0])
        return F.cross_entropy(scores[:, :-1].flatten(0, 1), codes[:, 1:].flatten())


@case("GRU", lambda: (r(16, 24, 64),))
class Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(64, 64, batch_first=True, bidirectional=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x)[0][:, -1])


# --- choices and graphs ---------------------------------------------------------------------------------------------


@case("MoE", lambda: (r(128, 64),))
class Moe(nn.Module):
    """Two of four experts for each token, which has a place in them by capacity; and the loss of their load."""

    def __init__(self, d: int = 64, wide: int = 128, experts: int = 4) -> None:
        super().__init__()
        self.experts = experts
        self.gate = nn.Linear(d, experts, bias=False)
        self.up = nn.Parameter(r(experts, d, wide) * d**-0.5)
        self.down = nn.Parameter(r(experts, wide, d) * wide**-0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = self.gate(x).softmax(-1)
        top, at = p.topk(2, dim=-1)
        capacity = x.size(0) * 3 // 4
        chosen = F.one_hot(at.T.flatten(), self.experts)
        place = ((chosen.cumsum(0) - 1) * chosen).sum(-1)
        kept = place < capacity
        slot = torch.where(kept, at.T.flatten() * capacity + place, self.experts * capacity)
        token = torch.arange(x.size(0)).repeat(2)
        given = x.new_zeros(self.experts * capacity + 1, x.size(1)).index_copy(0, slot, x[token])
        h = F.gelu(torch.bmm(given[:-1].view(self.experts, capacity, -1), self.up))
        y = F.pad(torch.bmm(h, self.down).flatten(0, 1), (0, 0, 0, 1))[slot]
        weights = (top / top.sum(-1, keepdim=True)).T.flatten() * kept
        load = chosen.to(x.dtype).mean(0) @ p.mean(0)
        return x.index_add(0, token, y * weights.unsqueeze(-1)), self.experts * load


@case("GAT", lambda: (r(128, 32), torch.stack([ints(128, 640), ints(128, 640)])))
class Gat(nn.Module):
    """Two layers in which nodes of a graph attend to their neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.ModuleList([nn.Linear(32, 64, bias=False), nn.Linear(64, 64, bias=False)])
        self.ends = nn.ParameterList(nn.Parameter(r(2, 4, 16) * 0.3) for _ in range(2))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        v, (one, two) = x.size(0), edges
        for lin, ends in zip(self.lin, self.ends, strict=True):
            h = lin(x).view(v, 4, 16)
            e = F.leaky_relu((h * ends[0]).sum(-1)[one] + (h * ends[1]).sum(-1)[two], 0.2)
            top = h.new_full((v, 4), -torch.inf).scatter_reduce(0, two[:, None].expand_as(e), e, "amax")
            w = torch.exp(e - top.detach()[two])
            total = h.new_zeros(v, 4).index_add(0, two, w)
            y = torch.zeros_like(h).index_add(0, two, h[one] * (w / total[two]).unsqueeze(-1))
            x = F.elu(y.flatten(1))
        return x


# --- what is made, and physics --------------------------------------------------------------------------------------


@case("VAE", lambda: (torch.rand(32, 1, 28, 28), r(32, 8)))
class Vae(nn.Module):
    """Convolutions to a mean and a spread, and back; the noise is given."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(784, 16)
        )
        self.back = nn.Sequential(
            nn.Linear(8, 784), nn.ReLU(), nn.Unflatten(1, (16, 7, 7)),
            nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1),
        )  # fmt: skip

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_var = self.into(x).chunk(2, -1)
        back = self.back(mean + torch.exp(0.5 * log_var) * noise)
        apart = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum()
        return (F.binary_cross_entropy_with_logits(back, x, reduction="sum") + apart) / (x.size(0) * 784)


@case("FNO", lambda: (r(16, 2, 64),))
class Fno(nn.Module):
    """Three layers of Fourier in one dimension: the lowest 12 frequencies are weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(2, 24, 1), nn.Conv1d(24, 1, 1)
        self.weights = nn.ParameterList(nn.Parameter(r(2, 24, 24, 12) / 24) for _ in range(3))
        self.points = nn.ModuleList(nn.Conv1d(24, 24, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for (real, imag), point in zip(self.weights, self.points, strict=True):
            a, b = torch.view_as_real(torch.fft.rfft(x))[:, :, :12].unbind(-1)
            one = torch.einsum("nik,iok->nok", a, real) - torch.einsum("nik,iok->nok", b, imag)
            two = torch.einsum("nik,iok->nok", a, imag) + torch.einsum("nik,iok->nok", b, real)
            x = F.gelu(torch.fft.irfft(F.pad(torch.complex(one, two), (0, 21)), n=64) + point(x))
        return self.last(x)


@case("NeRF MLP", lambda: (torch.rand(1024, 3), F.normalize(r(1024, 3), dim=-1)))
class Nerf(nn.Module):
    """Places and directions as waves, density and colour, and rendering along rays of 16 places."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Linear(39, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.two = nn.Sequential(nn.Linear(64 + 39, 64), nn.ReLU(), nn.Linear(64, 65))
        self.colour = nn.Sequential(nn.Linear(64 + 15, 32), nn.ReLU(), nn.Linear(32, 3), nn.Sigmoid())

    @staticmethod
    def waves(x: Tensor, count: int) -> Tensor:
        angles = [x * 2**i for i in range(count)]
        return torch.cat([x, *map(torch.sin, angles), *map(torch.cos, angles)], -1)

    def forward(self, places: Tensor, directions: Tensor) -> Tensor:
        x = self.waves(places, 6)
        h = self.two(torch.cat([self.one(x), x], -1))
        colour = self.colour(torch.cat([h[:, 1:], self.waves(directions, 2)], -1)).view(-1, 16, 3)
        alpha = 1 - torch.exp(-F.softplus(h[:, 0]).view(-1, 16) / 16)
        left = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha + 1e-10], -1), -1)[:, :-1]
        return ((alpha * left).unsqueeze(-1) * colour).sum(1)


@case("PINN", lambda: (torch.rand(256, 2),))
class Pinn(nn.Module):
    """Burgers' equation: derivatives by place and time, of second order by place, inside of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        u = self.net(x)
        first = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(first[:, 0].sum(), x, create_graph=True)[0]
        return first[:, 1:] + u * first[:, :1] - 0.01 * second[:, :1]


if __name__ == "__main__":
    torch_steps.main(CASES, __file__, __doc__)
