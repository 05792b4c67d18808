"""Small networks of the kinds that people write in 2026, in PyTorch alone, with batches and the sizes that vary."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import parametrizations

Sizes = dict[str, int]


@dataclass
class Case:
    """A network, how a batch of it is made for sizes, and the names of these.

    Attributes
    ----------
    make : callable
    batch : callable
        Takes sizes by name; returns the arguments of a call.
    dims : list of dict
        {axis: name} for each tensor among the arguments.
    sizes : tuple of dict
        The first is the example's.
    refused : str
        Words of the error, where the network cannot be read.
    """

    make: Callable[[], nn.Module]
    batch: Callable[..., tuple[Any, ...]]
    dims: list[dict[int, str]] = field(default_factory=list)
    sizes: tuple[Sizes, ...] = ({},)
    refused: str = ""


CASES: dict[str, Case] = {}
REFUSED: dict[str, Case] = {}


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def ints(high: int, *shape: int) -> Tensor:
    return torch.randint(0, high, shape)


BATCH = ({"n": 3}, {"n": 2}, {"n": 5})
BATCH_TIME = ({"n": 3, "t": 5}, {"n": 2, "t": 7}, {"n": 4, "t": 3})


def case(
    batch: Callable[..., tuple[Any, ...]],
    *dims: dict[int, str],
    sizes: tuple[Sizes, ...] = ({},),
    name: str = "",
    refused: str = "",
    settings: dict[str, Any] | None = None,
    train: bool = True,
) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Register a class of networks as a case."""

    def register(kind: type[nn.Module]) -> type[nn.Module]:
        table = REFUSED if refused else CASES
        table[name or kind.__name__] = Case(
            lambda: kind(**(settings or {})).train(train), batch, [*dims], sizes, refused
        )
        return kind

    return register


# --- attention and transformers -------------------------------------------------------------------------------------


def rotated(x: Tensor, first: int, base: float = 100.0) -> Tensor:
    """Return heads turned by their places: RoPE."""
    t, d = x.shape[-2:]
    place = torch.arange(first, first + t, dtype=x.dtype, device=x.device)
    angle = place[:, None] * base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    cos, sin = (torch.cat([f(angle), f(angle)], -1) for f in (torch.cos, torch.sin))
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class RMSNorm(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class GroupedAttention(nn.Module):
    def __init__(self, d: int = 16, heads: int = 4, groups: int = 2) -> None:
        super().__init__()
        self.heads, self.groups, self.d = heads, groups, d // heads
        self.q = nn.Linear(d, d, bias=False)
        self.kv = nn.Linear(d, 2 * groups * self.d, bias=False)
        self.out = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        n, t, _ = x.shape
        before = 0 if past is None else past[0].shape[2]
        q = rotated(self.q(x).view(n, t, self.heads, self.d).transpose(1, 2), before)
        k, v = self.kv(x).view(n, t, 2, self.groups, self.d).permute(2, 0, 3, 1, 4)
        k = rotated(k, before)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        wide = [each.repeat_interleave(self.heads // self.groups, 1) for each in (k, v)]
        seen = torch.ones(t, before + t, dtype=torch.bool).tril(before)
        y = F.scaled_dot_product_attention(q, *wide, attn_mask=seen)
        return self.out(y.transpose(1, 2).reshape(n, t, -1)), (k, v)


def _cached(n: int, t: int, p: int) -> tuple[Tensor, Tensor, Tensor]:
    return r(n, t, 16), r(n, 2, p, 4), r(n, 2, p, 4)


CACHED = ({"n": 3, "t": 2, "p": 5}, {"n": 2, "t": 4, "p": 3}, {"n": 4, "t": 3, "p": 2})
_CACHED_DIMS = ({0: "n", 1: "t"}, {0: "n", 2: "p"}, {0: "n", 2: "p"})


@case(lambda n, t: (r(n, t, 16),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class Gqa(nn.Module):
    """Grouped queries without a cache, by PyTorch's own enable_gqa."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = (f(x).view(n, t, -1, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(rotated(q, 0), rotated(k, 0), v, is_causal=True, enable_gqa=True)
        return y.transpose(1, 2).reshape(n, t, 16)


def _in_tuples(n: int, t: int, p: int) -> tuple[Any, ...]:
    x, k, v = _cached(n, t, p)
    return x, ((k, v),)


@case(_in_tuples, *_CACHED_DIMS, sizes=CACHED)
class GqaCacheTuple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = GroupedAttention()

    def forward(self, x: Tensor, caches: tuple[tuple[Tensor, Tensor], ...]) -> Any:
        y, cache = self.attention(x, caches[0])
        return x + y, (cache,)


def _in_dict(n: int, t: int, p: int) -> tuple[Any, ...]:
    x, k, v = _cached(n, t, p)
    return x, {"k": k, "v": v}


@case(_in_dict, *_CACHED_DIMS, sizes=CACHED)
class GqaCacheDict(GqaCacheTuple):
    def forward(self, x: Tensor, cache: dict[str, Tensor]) -> Any:  # type: ignore[override]
        y, (k, v) = self.attention(x, (cache["k"], cache["v"]))
        return {"y": y, "cache": {"k": k, "v": v}}


@dataclass
class Cache:
    k: Tensor
    v: Tensor


def _in_dataclass(n: int, t: int, p: int) -> tuple[Any, ...]:
    x, k, v = _cached(n, t, p)
    return x, Cache(k, v)


@case(_in_dataclass, *_CACHED_DIMS, sizes=CACHED)
class GqaCacheDataclass(GqaCacheTuple):
    def forward(self, x: Tensor, cache: Cache) -> Any:  # type: ignore[override]
        y, (k, v) = self.attention(x, (cache.k, cache.v))
        return y, Cache(k, v)


class SwiGlu(nn.Module):
    def __init__(self, d: int, wide: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(a, b, bias=False) for a, b in ((d, wide), (d, wide), (wide, d)))

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class LlamaBlock(nn.Module):
    def __init__(self, d: int = 16) -> None:
        super().__init__()
        self.before, self.after = RMSNorm(d), RMSNorm(d)
        self.attn, self.mlp = GroupedAttention(d), SwiGlu(d, 24)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.before(x))[0]
        return x + self.mlp(self.after(x))


@case(lambda n, t: (ints(11, n, t),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.blocks = nn.ModuleList(LlamaBlock() for _ in range(2))
        self.norm = RMSNorm(16)
        self.head = nn.Linear(16, 11, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class GptBlock(nn.Module):
    def __init__(self, d: int = 16, heads: int = 2) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))
        self.heads = heads
        self.register_buffer("mask", torch.tril(torch.ones(32, 32)).view(1, 1, 32, 32))

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = (
            each.view(n, t, self.heads, d // self.heads).transpose(1, 2) for each in self.qkv(self.ln_1(x)).split(d, 2)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        x = x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).contiguous().view(n, t, d))
        return x + self.mlp(self.ln_2(x))


@case(lambda n, t: (ints(13, n, t), ints(13, n, t)), {0: "n", 1: "t"}, {0: "n", 1: "t"}, sizes=BATCH_TIME)
class GptTied(nn.Module):
    """A GPT whose head is its embedding, with its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(13, 16), nn.Embedding(32, 16)
        self.blocks = nn.ModuleList(GptBlock() for _ in range(2))
        self.ln_f = nn.LayerNorm(16)
        self.head = nn.Linear(16, 13, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids: Tensor, targets: Tensor) -> Any:
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1), device=ids.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln_f(x))
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


@case(
    lambda n, t: (ints(13, n, t), ints(2, n, t), torch.arange(t)[None] < torch.arange(1, n + 1)[:, None]),
    {0: "n", 1: "t"}, {0: "n", 1: "t"}, {0: "n", 1: "t"}, sizes=BATCH_TIME,
)  # fmt: skip
class BertBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word, self.place, self.kind = (
            nn.Embedding(13, 16, padding_idx=0),
            nn.Embedding(32, 16),
            nn.Embedding(2, 16),
        )
        self.register_buffer("places", torch.arange(32)[None], persistent=False)
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))
        self.ln_0, self.ln_1, self.ln_2 = (nn.LayerNorm(16, eps=1e-12) for _ in range(3))
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)
        self.pool = nn.Linear(16, 16)

    def forward(self, ids: Tensor, kinds: Tensor, mask: Tensor) -> Any:
        n, t = ids.shape
        x = self.ln_0(self.word(ids) + self.place(self.places[:, :t]) + self.kind(kinds))
        q, k, v = (f(x).view(n, t, 2, 8).permute(0, 2, 1, 3) for f in (self.q, self.k, self.v))
        away = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        weights = F.softmax(q @ k.transpose(-1, -2) / 8**0.5 + away, dim=-1)
        x = self.ln_1(x + self.o((weights @ v).permute(0, 2, 1, 3).reshape(n, t, 16)))
        x = self.ln_2(x + self.narrow(F.gelu(self.wide(x))))
        return x, torch.tanh(self.pool(x[:, 0]))


@case(lambda n, t: (r(n, t, 16),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class T5Block(nn.Module):
    """Attention with a bias for each bucket of distances."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Embedding(8, 2)
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16, bias=False) for _ in range(4))
        self.norm, self.norm_2 = RMSNorm(16), RMSNorm(16)
        self.wi, self.wo = nn.Linear(16, 32, bias=False), nn.Linear(32, 16, bias=False)

    @staticmethod
    def bucket(distance: Tensor, buckets: int = 8, far: int = 16) -> Tensor:
        half = buckets // 2
        found = (distance > 0).to(torch.long) * half
        distance = distance.abs()
        exact = half // 2
        large = exact + (torch.log(distance.double() / exact) / math.log(far / exact) * (half - exact)).to(torch.long)
        large = torch.min(large, torch.full_like(large, half - 1))
        return found + torch.where(distance < exact, distance, large)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        at = torch.arange(t, device=x.device)
        bias = self.bias(self.bucket(at[None, :] - at[:, None])).permute(2, 0, 1)[None]
        h = self.norm(x)
        q, k, v = (f(h).view(n, -1, 2, 8).transpose(1, 2) for f in (self.q, self.k, self.v))
        weights = F.softmax(torch.matmul(q, k.transpose(3, 2)) + bias, -1)
        x = x + self.o((weights @ v).transpose(1, 2).contiguous().view(n, -1, 16))
        return x + self.wo(F.relu(self.wi(self.norm_2(x))))


@case(lambda n, t: (r(n, t, 12),), {0: "n"}, sizes=tuple({**each, "t": 6} for each in BATCH))
class Linformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(12, 36)
        self.e, self.f = nn.Parameter(r(3, 6)), nn.Parameter(r(3, 6))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        k, v = torch.einsum("kt,ntd->nkd", self.e, k), torch.einsum("kt,ntd->nkd", self.f, v)
        return torch.einsum("nqk,nkd->nqd", F.softmax(torch.einsum("nqd,nkd->nqk", q, k) / 12**0.5, -1), v)


@case(lambda n, t: (r(n, t, 8),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class Performer(nn.Module):
    """Random features, causal by cumulative sums."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.register_buffer("features", r(8, 6))

    def feature(self, x: Tensor) -> Tensor:
        drawn = x @ self.features - x.pow(2).sum(-1, keepdim=True) / 2
        return torch.exp(drawn - drawn.amax(-1, keepdim=True).detach()) + 1e-4

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.feature(self.q(x)), self.feature(self.k(x)), self.v(x)
        state = torch.cumsum(k.unsqueeze(-1) * v.unsqueeze(-2), dim=1)
        norm = torch.einsum("ntf,ntf->nt", q, k.cumsum(1))
        return torch.einsum("ntf,ntfd->ntd", q, state) / norm.unsqueeze(-1)


@case(lambda n, t: (r(n, t, 8),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class RetNet(nn.Module):
    """Retention with decay by distance, and a norm of groups."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.g = (nn.Linear(8, 8, bias=False) for _ in range(4))
        self.norm = nn.GroupNorm(2, 8)
        self.register_buffer("decay", torch.log(1 - 2.0 ** (-2 - torch.arange(2.0))))

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = (f(x).view(n, t, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
        at = torch.arange(t, dtype=x.dtype)
        distance = at[:, None] - at[None, :]
        decay = torch.exp(distance * self.decay[:, None, None]).masked_fill(distance < 0, 0.0)
        y = ((q @ k.mT) * 0.5 * decay) @ v
        y = self.norm(y.transpose(1, 2).reshape(n * t, d)).view(n, t, d)
        return F.silu(self.g(x)) * y


@case(lambda n, t: (r(n, t, 6),), {0: "n"}, sizes=tuple({**each, "t": 5} for each in BATCH))
class Rwkv(nn.Module):
    """Mixing over time: token shift, and weighted key and value step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.ZeroPad2d((0, 0, 1, -1))
        self.mix = nn.Parameter(torch.rand(3, 1, 1, 6))
        self.decay, self.first = nn.Parameter(r(6)), nn.Parameter(r(6))
        self.k, self.v, self.r, self.o = (nn.Linear(6, 6, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        before = self.shift(x)
        k, v, gate = (f(x * m + before * (1 - m)) for f, m in zip((self.k, self.v, self.r), self.mix, strict=True))
        decay = -torch.exp(self.decay)
        top, over, under = torch.full_like(k[:, 0], -1e38), torch.zeros_like(k[:, 0]), torch.zeros_like(k[:, 0])
        out = torch.empty_like(k)
        for at in range(x.size(1)):
            now, value = k[:, at], v[:, at]
            high = torch.maximum(top, self.first + now)
            a, b = torch.exp(top - high), torch.exp(self.first + now - high)
            out[:, at] = (a * over + b * value) / (a * under + b)
            high = torch.maximum(top + decay, now)
            a, b = torch.exp(top + decay - high), torch.exp(now - high)
            over, under, top = a * over + b * value, a * under + b, high
        return self.o(torch.sigmoid(gate) * out)


@case(lambda n, t: (r(n, t, 8), r(3, 8)), {0: "n", 1: "t"}, {}, sizes=BATCH_TIME)
class Perceiver(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(r(4, 8))
        self.norm, self.context = nn.LayerNorm(8), nn.LayerNorm(8)
        self.cross = nn.MultiheadAttention(8, 2, batch_first=True)
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
        self.decode = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, asked: Tensor) -> Tensor:
        z = self.latents.unsqueeze(0).expand(x.shape[0], -1, -1)
        c = self.context(x)
        z = z + self.cross(self.norm(z), c, c, need_weights=False)[0]
        z = self.inner(z)
        return self.decode(asked.expand(x.shape[0], -1, -1), z, z)[0]


@case(lambda n, t: (r(n, t, 8),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class Detr(nn.Module):
    """A decoder of object queries, with sine places, boxes in [0, 1] and losses by fixed pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Embedding(3, 8)
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.decoder = nn.TransformerDecoder(self.layer, 2, norm=nn.LayerNorm(8))
        self.kinds, self.boxes = nn.Linear(8, 5), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, memory: Tensor) -> Any:
        h = self.decoder(self.queries.weight.unsqueeze(0).repeat(memory.size(0), 1, 1), memory)
        box = self.boxes(h).sigmoid()
        cx, cy, w, hgt = box.unbind(-1)
        corners = torch.stack([cx - w / 2, cy - hgt / 2, cx + w / 2, cy + hgt / 2], -1)
        one, two = corners[:, :1], corners[:, 1:]
        low, high = torch.max(one[..., :2], two[..., :2]), torch.min(one[..., 2:], two[..., 2:])
        inner = (high - low).clamp(min=0).prod(-1)
        return {"logits": self.kinds(h), "boxes": box, "overlap": inner}


class VisionPatches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, 16, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


@case(lambda n: (r(n, 3, 8, 8),), {0: "n"}, sizes=BATCH)
class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = VisionPatches()
        self.cls, self.pos = nn.Parameter(r(1, 1, 16)), nn.Parameter(r(1, 5, 16))
        self.blocks = nn.Sequential(*(GptVision() for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.pos
        return self.head(self.norm(self.blocks(x))[:, 0])


class GptVision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm_2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
        self.scale = nn.Parameter(torch.full((16,), 0.1))
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.scale * self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        return x + self.scale * self.mlp(self.norm_2(x))


@case(lambda n: (r(n, 8, 8, 12),), {0: "n"}, sizes=BATCH)
class Swin(nn.Module):
    """Shifted windows: partition, roll, a bias by relative place, a mask of regions, and merging of patches."""

    def __init__(self, window: int = 4, shift: int = 2) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.bias = nn.Parameter(r((2 * window - 1) ** 2, 3))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", apart[..., 0] * (2 * window - 1) + apart[..., 1])
        self.qkv, self.proj, self.norm = nn.Linear(12, 36), nn.Linear(12, 12), nn.LayerNorm(12)
        self.merge, self.merged = nn.Linear(48, 24, bias=False), nn.LayerNorm(48)

    def windows(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        x = x.view(n, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.window**2, c)

    def mask(self, h: int, w: int) -> Tensor:
        image, count = torch.zeros((1, h, w, 1)), 0
        cuts = (slice(0, -self.window), slice(-self.window, -self.shift), slice(-self.shift, None))
        for rows in cuts:
            for columns in cuts:
                image[:, rows, columns, :] = count
                count += 1
        parts = self.windows(image).squeeze(-1)
        apart = parts.unsqueeze(1) - parts.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, c = x.shape
        moved = torch.roll(self.norm(x), shifts=(-self.shift, -self.shift), dims=(1, 2))
        parts = self.windows(moved)
        b, t, _ = parts.shape
        q, k, v = self.qkv(parts).reshape(b, t, 3, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * 0.5) @ k.transpose(-2, -1)
        weights = weights + self.bias[self.index.view(-1)].view(t, t, -1).permute(2, 0, 1).unsqueeze(0)
        mask = self.mask(h, w)
        weights = weights.view(b // mask.shape[0], mask.shape[0], 3, t, t) + mask.unsqueeze(1).unsqueeze(0)
        weights = weights.view(-1, 3, t, t).softmax(-1)
        y = self.proj((weights @ v).transpose(1, 2).reshape(b, t, c))
        y = y.view(-1, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, c)
        x = x + torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.merge(self.merged(x))


def _pairs(n: int, s: int, t: int) -> tuple[Any, ...]:
    return (
        ints(9, n, s),
        ints(9, n, t),
        torch.arange(s)[None] >= torch.arange(2, n + 2)[:, None],
        torch.arange(t)[None] >= torch.arange(2, n + 2)[:, None],
    )


PAIRS = ({"n": 3, "s": 5, "t": 4}, {"n": 2, "s": 3, "t": 6}, {"n": 4, "s": 6, "t": 3})
_PAIRS_DIMS = ({0: "n", 1: "s"}, {0: "n", 1: "t"}, {0: "n", 1: "s"}, {0: "n", 1: "t"})


@case(_pairs, *_PAIRS_DIMS, sizes=PAIRS)
class EncoderDecoder(nn.Module):
    """PyTorch's own transformer, with masks of paddings and of the future."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(9, 8), nn.Embedding(9, 8)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 9)

    def forward(self, source: Tensor, target: Tensor, no_source: Tensor, no_target: Tensor) -> Tensor:
        t = target.size(1)
        future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)
        y = self.transformer(
            self.source(source),
            self.target(target),
            tgt_mask=future,
            src_key_padding_mask=no_source,
            memory_key_padding_mask=no_source,
            tgt_key_padding_mask=no_target,
        )
        return self.head(y)


class PaddedEncoder(nn.Module):
    def __init__(self, first: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor, padded: Tensor) -> Tensor:
        return self.encoder(x, src_key_padding_mask=padded)


def _padded(n: int, t: int) -> tuple[Any, ...]:
    return r(n, t, 8), torch.arange(t)[None] >= torch.arange(2, n + 2)[:, None]


for _train in (True, False):
    case(
        _padded, {0: "n", 1: "t"}, {0: "n", 1: "t"}, sizes=BATCH_TIME, name=f"Encoder{'' if _train else 'Eval'}",
        train=_train,
    )(PaddedEncoder)  # fmt: skip


class PaddedDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="gelu")
        self.decoder = nn.TransformerDecoder(layer, 2)

    def forward(self, y: Tensor, memory: Tensor, padded: Tensor) -> Tensor:
        t = y.size(1)
        future = torch.full((t, t), float("-inf")).triu(1)
        return self.decoder(y, memory, tgt_mask=future, memory_key_padding_mask=padded)


for _train in (True, False):
    case(
        lambda n, s, t: (r(n, t, 8), *_padded(n, s)), {0: "n", 1: "t"}, {0: "n", 1: "s"}, {0: "n", 1: "s"},
        sizes=PAIRS, name=f"Decoder{'' if _train else 'Eval'}", train=_train,
    )(PaddedDecoder)  # fmt: skip


class Multihead(nn.Module):
    def __init__(self, weights: bool, average: bool = True) -> None:
        super().__init__()
        self.weights, self.average = weights, average
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True, add_bias_kv=True)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, padded: Tensor) -> Any:
        y, w = self.attention(
            q, k, v, key_padding_mask=padded, need_weights=self.weights, average_attn_weights=self.average
        )
        return (y, w) if self.weights else y


for _name, _settings in (
    ("Multihead", {"weights": False}),
    ("MultiheadWeights", {"weights": True}),
    ("MultiheadEachHead", {"weights": True, "average": False}),
):
    case(
        lambda n, s, t: (r(n, t, 8), r(n, s, 6), r(n, s, 4), _padded(n, s)[1]),
        {0: "n", 1: "t"}, {0: "n", 1: "s"}, {0: "n", 1: "s"}, {0: "n", 1: "s"},
        sizes=PAIRS, name=_name, settings=_settings,
    )(Multihead)  # fmt: skip


# --- mixtures of experts --------------------------------------------------------------------------------------------


def expert(d: int, wide: int) -> nn.Module:
    return nn.Sequential(nn.Linear(d, wide), nn.GELU(), nn.Linear(wide, d))


@case(lambda n, t: (r(n, t, 8),), {0: "n", 1: "t"}, sizes=BATCH_TIME)
class MoeDense(nn.Module):
    """Every expert sees every token; weights of those not chosen are 0. With the loss that balances the load."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4, bias=False)
        self.experts = nn.ModuleList(expert(8, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Any:
        p = self.gate(x).softmax(-1)
        top, at = p.topk(2, dim=-1)
        weights = torch.zeros_like(p).scatter(-1, at, top / top.sum(-1, keepdim=True))
        y = torch.stack([f(x) for f in self.experts], -2)
        load = F.one_hot(at, 4).to(x.dtype).sum(-2).mean((0, 1))
        return (weights.unsqueeze(-1) * y).sum(-2), 4 * (load * p.mean((0, 1))).sum()


@case(lambda n: (r(n, 8),), {0: "n"}, sizes=({"n": 6}, {"n": 3}, {"n": 9}))
class MoeIndexAdd(nn.Module):
    """Tokens are sorted to their experts, which lie in one tensor, and added back by index_add."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4, bias=False)
        self.up, self.down = nn.Parameter(r(4, 8, 16) * 0.3), nn.Parameter(r(4, 16, 8) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        top, at = self.gate(x).topk(2, dim=-1)
        top = F.softmax(top, dim=-1, dtype=x.dtype)
        expert, order = at.flatten().sort(stable=True)
        token = order // 2
        h = torch.bmm(x[token].unsqueeze(1), self.up[expert])
        y = torch.bmm(F.silu(h), self.down[expert]).squeeze(1) * top.flatten()[order].unsqueeze(-1)
        return torch.zeros_like(x).index_add_(0, token, y)


@case(lambda n: (r(n, 8),), {0: "n"}, sizes=({"n": 6}, {"n": 3}, {"n": 9}))
class MoeCapacity(nn.Module):
    """Dispatch and combination by one-hot tensors, with places in each expert for 2 tokens and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.up, self.down = nn.Parameter(r(3, 8, 12) * 0.3), nn.Parameter(r(3, 12, 8) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        p = self.gate(x).softmax(-1)
        best, at = p.max(-1)
        chosen = F.one_hot(at, 3)
        place = (chosen.cumsum(0) - 1) * chosen
        kept = chosen * (place < 2)
        dispatch = F.one_hot(place.clamp(max=1), 2) * kept.unsqueeze(-1)
        dispatch = dispatch.to(x.dtype)
        h = torch.relu(torch.einsum("nec,nd,edf->ecf", dispatch, x, self.up))
        return torch.einsum("nec,n,ecf,efd->nd", dispatch, best, h, self.down)


@case(lambda n: (r(n, 8),), {0: "n"}, sizes=({"n": 6}, {"n": 3}, {"n": 9}))
class MoeShared(nn.Module):
    """Sigmoid scores with groups and a correction that is not trained, and a shared expert."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(r(4, 8))
        self.register_buffer("correction", r(4) * 0.1)
        self.experts = nn.ModuleList(SwiGlu(8, 8) for _ in range(4))
        self.shared = SwiGlu(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        scores = F.linear(x, self.weight).sigmoid()
        biased = scores.detach() + self.correction
        groups = biased.view(-1, 2, 2).topk(2, dim=-1)[0].sum(-1)
        kept = torch.zeros_like(groups).scatter_(1, groups.topk(1, dim=-1)[1], 1)
        mask = kept.unsqueeze(-1).expand(-1, 2, 2).reshape(-1, 4)
        at = biased.masked_fill(~mask.bool(), -torch.inf).topk(2, dim=-1)[1]
        top = scores.gather(1, at)
        top = top / (top.sum(-1, keepdim=True) + 1e-20) * 2.5
        y = torch.zeros_like(x)
        for place, f in enumerate(self.experts):
            y = y + f(x) * (top * (at == place)).sum(-1, keepdim=True)
        return y + self.shared(x)


# --- state spaces ---------------------------------------------------------------------------------------------------


class MambaBlock(nn.Module):
    def __init__(self, steps: bool = True) -> None:
        super().__init__()
        self.steps, self.inner, self.state = steps, 8, 3
        self.in_proj = nn.Linear(4, 16, bias=False)
        self.conv = nn.Conv1d(8, 8, 3, padding=2, groups=8)
        self.x_proj, self.dt_proj = nn.Linear(8, 2 + 6, bias=False), nn.Linear(2, 8)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, 4.0)).repeat(8, 1))
        self.D = nn.Parameter(torch.ones(8))
        self.out_proj = nn.Linear(8, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        u, z = self.in_proj(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., :t].transpose(1, 2))
        dt, b, c = self.x_proj(u).split([2, 3, 3], -1)
        dt = F.softplus(self.dt_proj(dt))
        a = -torch.exp(self.A_log)
        log_decay = torch.einsum("ntd,ds->ntds", dt, a)
        given = torch.einsum("ntd,nts,ntd->ntds", dt, b, u)
        if self.steps:
            h = torch.zeros(n, self.inner, self.state, dtype=x.dtype)
            outputs = []
            for at in range(t):
                h = torch.exp(log_decay[:, at]) * h + given[:, at]
                outputs.append((h * c[:, at, None, :]).sum(-1))
            y = torch.stack(outputs, 1)
        else:
            along = log_decay.cumsum(1)
            h = torch.exp(along) * torch.cumsum(given * torch.exp(-along), 1)
            y = torch.einsum("ntds,nts->ntd", h, c)
        return self.out_proj((y + u * self.D) * F.silu(z))


case(
    lambda n: (r(n, 5, 4),), {0: "n"}, sizes=BATCH, name="MambaLoop"
)(MambaBlock)  # fmt: skip
case(
    lambda n, t: (r(n, t, 4),), {0: "n", 1: "t"}, sizes=BATCH_TIME, name="MambaCumsum", settings={"steps": False}
)(MambaBlock)  # fmt: skip


@case(lambda n: (r(n, 8, 6),), {0: "n"}, sizes=BATCH)
class Mamba2(nn.Module):
    """The dual form in chunks: sums of segments within them, and a recurrence between them."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(6, 2 * 4 + 3 + 3 + 2)
        self.A_log, self.dt_bias = nn.Parameter(torch.zeros(2)), nn.Parameter(r(2))
        self.norm, self.out = RMSNorm(8), nn.Linear(8, 6)

    @staticmethod
    def segments(x: Tensor) -> Tensor:
        t = x.size(-1)
        x = x.unsqueeze(-1).expand(*x.shape, t)
        x = x.masked_fill(~torch.tril(torch.ones(t, t, dtype=torch.bool), -1), 0).cumsum(-2)
        return x.masked_fill(~torch.tril(torch.ones(t, t, dtype=torch.bool)), -torch.inf)

    def forward(self, u: Tensor) -> Tensor:
        n, t, _ = u.shape
        x, b, c, dt = torch.split(self.proj(u), [8, 3, 3, 2], dim=-1)
        dt = F.softplus(dt + self.dt_bias)
        x = x.reshape(n, 2, 4, 2, 4) * dt.reshape(n, 2, 4, 2, 1)
        a = (dt * -self.A_log.exp()).reshape(n, 2, 4, 2).permute(0, 3, 1, 2)
        b, c = b.reshape(n, 2, 4, 3), c.reshape(n, 2, 4, 3)
        along = a.cumsum(-1)
        decay = torch.exp(self.segments(a))
        inside = torch.einsum("bcls,bczs,bhclz,bczhp->bclhp", c, b, decay, x)
        states = torch.einsum("bcln,bhcl,bclhp->bchpn", b, torch.exp(along[..., -1:] - along), x)
        states = torch.cat([torch.zeros_like(states[:, :1]), states], dim=1)
        between = torch.exp(self.segments(F.pad(along[..., -1], (1, 0))))
        states = torch.einsum("bhzc,bchpn->bzhpn", between, states)[:, :-1]
        across = torch.einsum("bcln,bchpn,bhcl->bclhp", c, states, torch.exp(along))
        return self.out(self.norm((inside + across).reshape(n, t, 8)))


# --- convolutions ---------------------------------------------------------------------------------------------------


class UnetBlock(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, a), nn.Conv2d(a, b, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, b), nn.Conv2d(b, b, 3, padding=1)
        self.time = nn.Linear(8, 2 * b)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        return self.skip(x) + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class ImageAttention(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.GroupNorm(4, c), nn.Conv1d(c, 3 * c, 1), nn.Conv1d(c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, *space = x.shape
        flat = x.reshape(n, c, -1)
        q, k, v = self.qkv(self.norm(flat)).reshape(n * 2, 3 * c // 2, -1).split(c // 2, dim=1)
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q, k) / (c // 2) ** 0.5, dim=-1)
        return (flat + self.proj(torch.einsum("bts,bcs->bct", weights, v).reshape(n, c, -1))).reshape(n, c, *space)


def sinusoidal(steps: Tensor, d: int, dtype: torch.dtype) -> Tensor:
    rates = torch.exp(-math.log(10000.0) * torch.arange(d // 2, dtype=dtype) / (d // 2))
    angles = steps.to(dtype)[:, None] * rates[None]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


class Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8))
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.down, self.middle = UnetBlock(8, 8), UnetBlock(8, 8)
        self.smaller = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.attention = ImageAttention(8)
        self.larger, self.up = nn.Conv2d(8, 8, 3, padding=1), UnetBlock(16, 8)
        self.last = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        time = self.time(sinusoidal(steps, 8, x.dtype))
        h = self.down(self.first(x), time)
        low = self.attention(self.middle(self.smaller(h), time))
        high = self.larger(F.interpolate(low, scale_factor=2, mode="nearest"))
        return self.last(self.up(torch.cat([high, h], dim=1), time))


case(lambda n: (r(n, 2, 8, 8), ints(50, n)), {0: "n"}, {0: "n"}, sizes=BATCH, name="Unet")(Unet)


@case(lambda n: (r(n, 2, 8, 8), ints(50, n), r(n, 2, 8, 8)), {0: "n"}, {0: "n"}, {0: "n"}, sizes=BATCH)
class Diffusion(nn.Module):
    """A step of training: noise by a cosine schedule, and the loss of its prediction; the noise is given."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Unet()
        at = torch.linspace(0, 1, 51)
        kept = torch.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = torch.clip(1 - kept[1:] / kept[:-1], 0, 0.999)
        self.register_buffer("alphas", torch.cumprod(1 - betas, dim=0))

    def forward(self, x: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        a = self.alphas.gather(-1, steps).reshape(-1, 1, 1, 1)
        found = self.net(a.sqrt() * x + (1 - a).sqrt() * noise, steps)
        snr = a / (1 - a)
        loss = F.mse_loss(found, noise, reduction="none").mean(dim=(1, 2, 3))
        return (loss * snr.clamp(max=5.0).view(-1) / snr.view(-1)).mean()


@case(lambda n: (r(n, 8, 6, 6),), {0: "n"}, sizes=BATCH)
class ConvNext(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm = nn.LayerNorm(8, eps=1e-6)
        self.wide, self.narrow = nn.Linear(8, 32), nn.Linear(32, 8)
        self.grn = nn.Parameter(r(2, 1, 1, 1, 32))
        self.gamma = nn.Parameter(1e-1 * torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.wide(self.norm(self.depthwise(x).permute(0, 2, 3, 1))))
        g = torch.norm(h, p=2, dim=(1, 2), keepdim=True)
        h = self.grn[0] * (h * (g / (g.mean(dim=-1, keepdim=True) + 1e-6))) + self.grn[1] + h
        return x + (self.gamma * self.narrow(h)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        self.down = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = self.bn2(self.conv2(h))
        h += x if self.down is None else self.down(x)
        return F.relu(h, inplace=True)


class Resnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.ReLU(True), nn.MaxPool2d(3, 2, 1))
        self.layers = nn.Sequential(Residual(4, 4, 1), Residual(4, 8, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(self.layers(self.stem(x))), 1))


for _train in (True, False):
    case(
        lambda n: (r(n, 3, 8, 8),), {0: "n"}, sizes=BATCH, name=f"Resnet{'' if _train else 'Eval'}", train=_train
    )(Resnet)  # fmt: skip


class SqueezeExcite(nn.Module):
    def __init__(self, c: int, small: int, gate: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.reduce, self.expand, self.gate, self.act = nn.Conv2d(c, small, 1), nn.Conv2d(small, c, 1), gate, act

    def forward(self, x: Tensor) -> Tensor:
        s = F.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.expand(self.act(self.reduce(s))))


@case(lambda n: (r(n, 4, 7, 7),), {0: "n"}, sizes=BATCH)
class MobileNetV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(4, 12, 1, bias=False), nn.BatchNorm2d(12, eps=1e-3, momentum=0.01), nn.Hardswish()),
            *(nn.Conv2d(12, 12, 5, 2, 2, groups=12, bias=False), nn.BatchNorm2d(12), nn.Hardswish(inplace=True)),
            SqueezeExcite(12, 4, nn.Hardsigmoid(), nn.ReLU()),
            *(nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@case(lambda n: (r(n, 4, 6, 6), torch.rand(n, 1, 1, 1)), {0: "n"}, {0: "n"}, sizes=BATCH)
class EfficientNet(nn.Module):
    """An inverted bottleneck with squeeze and excitation; which paths drop is given."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(4, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.depthwise, self.bn2 = nn.Conv2d(16, 16, 3, padding="same", groups=16, bias=False), nn.BatchNorm2d(16)
        self.se = SqueezeExcite(16, 2, nn.Sigmoid(), nn.SiLU(inplace=True))
        self.project, self.bn3 = nn.Conv2d(16, 4, 1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: Tensor, drawn: Tensor) -> Tensor:
        h = F.silu(self.bn1(self.expand(x)), inplace=True)
        h = self.se(F.silu(self.bn2(self.depthwise(h))))
        h = self.bn3(self.project(h))
        return x + h.div(0.8) * torch.floor(0.8 + drawn)


@case(lambda n, t: (ints(8, n, t),), {0: "n"}, sizes=tuple({**each, "t": 12} for each in BATCH))
class WaveNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, 6, 1)
        self.gates = nn.ModuleList(nn.Conv1d(6, 12, 2, dilation=2**i) for i in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(6, 6, 1) for _ in range(3))
        self.last = nn.Conv1d(6, 8, 1)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.first(F.one_hot(ids, 8).to(self.first.weight.dtype).mT)
        total: Any = 0
        for i, (gate, skip) in enumerate(zip(self.gates, self.skips, strict=True)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            h = torch.tanh(a) * torch.sigmoid(b)
            total = total + skip(h)
            x = x + h
        return F.log_softmax(self.last(F.relu(total)), dim=1)


class Chomp(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : -self.size].contiguous()


@case(lambda n, t: (r(n, 3, t),), {0: "n", 2: "t"}, sizes=({"n": 3, "t": 9}, {"n": 2, "t": 7}, {"n": 4, "t": 12}))
class Tcn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(2):
            conv = parametrizations.weight_norm(nn.Conv1d(3 if i == 0 else 5, 5, 3, padding=2 * 2**i, dilation=2**i))
            layers += [conv, Chomp(2 * 2**i), nn.ReLU()]
        self.net, self.down = nn.Sequential(*layers), nn.Conv1d(3, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.net(x) + self.down(x))[..., -1]


# --- recurrence -----------------------------------------------------------------------------------------------------


@case(
    lambda n: (r(n, 5, 4), torch.arange(n) % 5 + 1), {0: "n"}, {0: "n"}, sizes=BATCH
)  # fmt: skip
class LstmLengths(nn.Module):
    """Sequences of several lengths: the last state within each, and a mean over what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        y, _ = self.lstm(x)
        last = y[torch.arange(x.size(0)), lengths - 1]
        mask = torch.arange(x.size(1))[None] < lengths[:, None]
        mean = (y * mask.unsqueeze(-1)).sum(1) / lengths.unsqueeze(-1)
        return self.head(torch.cat([last, mean], -1))


@case(lambda n: (r(5, n, 4), r(4, n, 3)), {1: "n"}, {1: "n"}, sizes=BATCH)
class GruBoth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 3, num_layers=2, bidirectional=True)

    def forward(self, x: Tensor, h: Tensor) -> Any:
        y, last = self.gru(x, h)
        return y, last.view(2, 2, -1, 3)[-1].transpose(0, 1).flatten(1)


@case(lambda n: (ints(9, n, 5), ints(9, n, 4)), {0: "n"}, {0: "n"}, sizes=BATCH)
class Seq2Seq(nn.Module):
    """A decoder's cell that attends to what the encoder saw, step by step, and is fed what it said or the target."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 6)
        self.encoder = nn.GRU(6, 6, batch_first=True, bidirectional=True)
        self.bridge, self.cell = nn.Linear(12, 6), nn.GRUCell(18, 6)
        self.key, self.query, self.score = nn.Linear(12, 5, bias=False), nn.Linear(6, 5), nn.Linear(5, 1, bias=False)
        self.head = nn.Linear(18, 9)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, _ = self.encoder(self.embed(source))
        h = torch.tanh(self.bridge(memory.mean(1)))
        keys, said, outputs = self.key(memory), target[:, 0], []
        for at in range(target.shape[1]):
            w = F.softmax(self.score(torch.tanh(keys + self.query(h)[:, None])).squeeze(-1), 1)
            context = torch.bmm(w.unsqueeze(1), memory)[:, 0]
            h = self.cell(torch.cat([self.embed(said), context], 1), h)
            outputs.append(self.head(torch.cat([h, context], 1)))
            said = outputs[-1].argmax(-1) if at % 2 else target[:, at]
        return torch.stack(outputs, dim=1)


# --- graphs ---------------------------------------------------------------------------------------------------------


def _graph(v: int, e: int, *, weights: int = 0) -> tuple[Any, ...]:
    found = (r(v, 5), torch.stack([ints(v, e), ints(v, e)]))
    return (*found, r(e, weights)) if weights else found


GRAPHS = ({"v": 7, "e": 20}, {"v": 5, "e": 9}, {"v": 11, "e": 16})


@case(_graph, {0: "v"}, {1: "e"}, sizes=GRAPHS)
class Gcn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 6), nn.Linear(6, 3)])

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        v = x.size(0)
        loops = torch.arange(v)
        source, target = torch.cat([edges[0], loops]), torch.cat([edges[1], loops])
        degree = torch.zeros(v, dtype=x.dtype).index_add_(0, target, torch.ones_like(target, dtype=x.dtype))
        root = degree.pow(-0.5)
        norm = root[source] * root[target]
        for i, layer in enumerate(self.layers):
            h = layer(x)
            x = torch.zeros_like(h).index_add(0, target, h[source] * norm.unsqueeze(-1))
            x = F.relu(x) if i == 0 else x
        return F.log_softmax(x, dim=-1)


@case(_graph, {0: "v"}, {1: "e"}, sizes=GRAPHS)
class Gat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(5, 8, bias=False)
        self.source, self.target = nn.Parameter(r(1, 2, 4)), nn.Parameter(r(1, 2, 4))
        self.bias = nn.Parameter(r(8))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        v = x.size(0)
        h = self.lin(x).view(-1, 2, 4)
        one, two = edges
        e = F.leaky_relu((h * self.source).sum(-1)[one] + (h * self.target).sum(-1)[two], 0.2)
        top = torch.full((v, 2), float("-inf"), dtype=x.dtype)
        top = top.scatter_reduce(0, two.unsqueeze(-1).expand_as(e), e, reduce="amax", include_self=True)
        w = torch.exp(e - top.index_select(0, two))
        total = torch.zeros(v, 2, dtype=x.dtype).index_add(0, two, w)
        w = w / (total[two] + 1e-16)
        y = torch.zeros(v, 2, 4, dtype=x.dtype).index_add(0, two, h[one] * w.unsqueeze(-1))
        return F.elu(y.flatten(1) + self.bias)


@case(_graph, {0: "v"}, {1: "e"}, sizes=GRAPHS)
class GraphSage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own, self.mean, self.top = nn.Linear(5, 4), nn.Linear(5, 4, bias=False), nn.Linear(5, 4, bias=False)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        index = edges[1].view(-1, 1).expand(-1, x.size(1))
        mean = torch.zeros_like(x).scatter_reduce(0, index, x[edges[0]], "mean", include_self=False)
        top = torch.zeros_like(x).scatter_reduce_(0, index, x[edges[0]], "amax", include_self=False)
        return F.normalize(self.own(x) + self.mean(mean) + self.top(top), p=2.0, dim=-1)


@case(
    lambda v, e: (*_graph(v, e, weights=3), torch.arange(v) % 2), {0: "v"}, {1: "e"}, {0: "e"}, {0: "v"}, sizes=GRAPHS
)
class MessagePassing(nn.Module):
    """Messages of edges with features, a gated update, and a sum over the nodes of each of two graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(5, 6)
        self.message = nn.Sequential(nn.Linear(15, 8), nn.SiLU(), nn.Linear(8, 6))
        self.update, self.head = nn.GRUCell(6, 6), nn.Linear(6, 1)

    def forward(self, x: Tensor, edges: Tensor, features: Tensor, graph: Tensor) -> Tensor:
        h = self.lift(x)
        for _ in range(2):
            m = self.message(torch.cat([h[edges[0]], h[edges[1]], features], dim=-1))
            h = self.update(h.new_zeros(h.shape).scatter_add_(0, edges[1][:, None].expand_as(m), m), h)
        return h.new_zeros(2, 1).index_add_(0, graph, self.head(h)).squeeze(-1)


# --- generative -----------------------------------------------------------------------------------------------------


@case(lambda n: (torch.rand(n, 6), r(n, 3)), {0: "n"}, {0: "n"}, sizes=BATCH)
class Vae(nn.Module):
    """With PyTorch's distributions; the noise is given."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 6), nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6))

    def forward(self, x: Tensor, noise: Tensor) -> Any:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        q = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
        p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        z = q.loc + q.scale * noise
        kl = torch.distributions.kl_divergence(q, p).sum(-1)
        logits = self.decoder(z)
        likely = torch.distributions.Independent(torch.distributions.Bernoulli(logits=logits), 1).log_prob(x.round())
        return (kl - likely).mean(), q.log_prob(z), q.entropy()


@case(lambda n: (r(n, 4), ints(3, n)), {0: "n"}, {0: "n"}, sizes=BATCH)
class Policy(nn.Module):
    """An actor and a critic: log-probabilities of what was done, clipped ratios, and entropy."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
        self.actor, self.critic = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x: Tensor, done: Tensor) -> Any:
        h = self.body(x)
        dist = torch.distributions.Categorical(logits=self.actor(h))
        log_p = dist.log_prob(done)
        ratio = torch.exp(log_p - log_p.detach())
        gain = (x.sum(-1) - self.critic(h).squeeze(-1)).detach()
        loss = -torch.min(ratio * gain, torch.clamp(ratio, 0.8, 1.2) * gain).mean()
        return loss, dist.entropy().mean(), F.smooth_l1_loss(self.critic(h).squeeze(-1), x.sum(-1))


@case(lambda n: (r(n, 6),), {0: "n"}, sizes=BATCH)
class VqVae(nn.Module):
    """The nearest of a book of codes, passed straight through, with the losses of book and commitment."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(4, 6)
        self.codes = nn.Embedding(5, 4)

    def forward(self, x: Tensor) -> Any:
        z = self.encoder(x)
        book = self.codes.weight
        apart = z.pow(2).sum(1, keepdim=True) + book.pow(2).sum(1) - 2 * z @ book.t()
        chosen = torch.argmin(apart, dim=1)
        hot = torch.zeros(chosen.shape[0], 5, dtype=x.dtype).scatter_(1, chosen.unsqueeze(1), 1)
        q = hot @ book
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        q = z + (q - z).detach()
        used = hot.mean(0)
        return self.decoder(q), loss, torch.exp(-torch.sum(used * torch.log(used + 1e-10))), chosen


class Coupling(nn.Module):
    def __init__(self, odd: bool) -> None:
        super().__init__()
        self.register_buffer("mask", (torch.arange(4) % 2 == int(odd)).to(torch.get_default_dtype()))
        self.net = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.01), nn.Linear(8, 8))
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = x * self.mask
        s, t = self.net(kept).tensor_split(2, dim=-1)
        s = self.scale * torch.tanh(s) * (1 - self.mask)
        return kept + (1 - self.mask) * (x * s.exp() + t), s.sum(-1)


@case(lambda n: (r(n, 4),), {0: "n"}, sizes=BATCH)
class RealNvp(nn.Module):
    """A flow, with an invertible linear map whose determinant counts."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1) for i in range(2))
        self.mixing = nn.Parameter(torch.eye(4) + 0.1 * r(4, 4))

    def forward(self, x: Tensor) -> Any:
        total = torch.zeros(x.shape[0], dtype=x.dtype)
        for layer in self.layers:
            x, log_det = layer(x)
            total += log_det
        z = x @ self.mixing
        total = total + torch.linalg.slogdet(self.mixing)[1]
        prior = torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4))
        return z, -(prior.log_prob(z) + total).mean()


@case(lambda n: (r(n, 6, 3), torch.rand(n, 6).cumsum(-1)), {0: "n"}, {0: "n"}, sizes=BATCH)
class Nerf(nn.Module):
    """Rays: waves of places, density and colour, and rendering by transmittance."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(15, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU())
        self.density, self.colour = nn.Linear(12, 1), nn.Linear(12, 3)

    def forward(self, points: Tensor, depth: Tensor) -> Any:
        waves = [points]
        for i in range(2):
            waves += [torch.sin(2.0**i * points), torch.cos(2.0**i * points)]
        h = self.body(torch.cat(waves, -1))
        apart = depth[..., 1:] - depth[..., :-1]
        apart = torch.cat([apart, torch.full_like(apart[..., :1], 1e10)], -1)
        opaque = 1.0 - torch.exp(-F.softplus(self.density(h).squeeze(-1)) * apart)
        through = torch.cumprod(torch.cat([torch.ones_like(opaque[..., :1]), 1.0 - opaque + 1e-10], -1), -1)[..., :-1]
        w = opaque * through
        return (w[..., None] * torch.sigmoid(self.colour(h))).sum(-2), (w * depth).sum(-1), w.sum(-1)


# --- other ways of learning -----------------------------------------------------------------------------------------


@case(lambda n: (r(n, 3), r(n, 2)), {0: "n"}, {0: "n"}, sizes=BATCH)
class Hypernetwork(nn.Module):
    """Weights of a layer made by another, for all, and for each example."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(r(4))
        self.maker, self.each = nn.Linear(4, 3 * 5 + 5), nn.Linear(2, 5 * 2)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        w, b = self.maker(self.code).split([15, 5])
        h = torch.tanh(F.linear(x, w.view(5, 3), b))
        return torch.einsum("ni,nio->no", h, self.each(context).view(-1, 5, 2))


class Siamese(nn.Module):
    def __init__(self, loss: str) -> None:
        super().__init__()
        self.net, self.loss = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4)), loss
        self.temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.net(a), self.net(b)
        if self.loss == "triplet":
            return F.triplet_margin_loss(a, b, b.flip(0), margin=0.7, swap=True)
        if self.loss == "contrastive":
            same = (torch.arange(a.size(0)) % 2).to(a.dtype)
            apart = F.pairwise_distance(a, b)
            return (same * apart**2 + (1 - same) * F.relu(1.0 - apart) ** 2).mean() + F.cosine_embedding_loss(
                a, b, 2 * same - 1, margin=0.1
            )
        a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        logits = self.temperature.exp().clamp(max=100) * a @ b.t()
        labels = torch.arange(a.size(0))
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


for _loss in ("triplet", "contrastive", "infonce"):
    case(
        lambda n: (r(n, 5), r(n, 5)), {0: "n"}, {0: "n"}, sizes=BATCH, name=f"Siamese_{_loss}", settings={"loss": _loss}
    )(Siamese)  # fmt: skip


@case(
    lambda n, t: (r(n, t, 4), torch.arange(t)[None] < torch.arange(1, n + 1)[:, None]),
    {0: "n", 1: "t"},
    {0: "n", 1: "t"},
    sizes=BATCH_TIME,
)
class DeepSet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.phi, self.rho = nn.Sequential(nn.Linear(4, 8), nn.ELU()), nn.Linear(24, 2)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        h, m = self.phi(x), there.unsqueeze(-1)
        total = torch.sum(h * m, 1)
        top = h.masked_fill(~m, -torch.inf).max(dim=1).values
        return self.rho(torch.cat([total, total / m.sum(1), top], -1))


@case(lambda n: (r(n, 3),), {0: "n"}, sizes=BATCH)
class NeuralOde(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def slope(self, t: Tensor, x: Tensor) -> Tensor:
        return self.f(torch.cat([x, t.expand(x.shape[0], 1)], 1))

    def forward(self, x: Tensor) -> Tensor:
        times = torch.linspace(0, 1, 4)
        path = [x]
        for a, b in itertools.pairwise(times):
            h = b - a
            k1 = self.slope(a, x)
            k2 = self.slope(a + h / 2, x + h / 2 * k1)
            k3 = self.slope(a + h / 2, x + h / 2 * k2)
            k4 = self.slope(b, x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            path.append(x)
        return torch.stack(path)


@case(lambda n: (r(n, 6, 4),), {0: "n"}, sizes=BATCH)
class Capsules(nn.Module):
    """Routing by agreement, in three turns, of which only the last passes gradients to what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(r(3, 6, 5, 4) * 0.3)

    @staticmethod
    def squash(s: Tensor) -> Tensor:
        square = (s**2).sum(-1, keepdim=True)
        return square / (1 + square) * s / torch.sqrt(square + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        said = torch.matmul(self.w, x[:, None, :, :, None]).squeeze(-1)
        fixed = said.detach()
        b = torch.zeros(x.size(0), 3, 6, 1, dtype=x.dtype)
        for turn in range(3):
            c = b.softmax(dim=1)
            if turn == 2:
                v = self.squash((c * said).sum(dim=-2))
            else:
                v = self.squash((c * fixed).sum(dim=-2))
                b = b + torch.matmul(fixed, v.unsqueeze(-1))
        return torch.linalg.vector_norm(v, dim=-1)


@case(lambda n: (r(n, 6),), {0: "n"}, sizes=BATCH)
class Lora(nn.Module):
    """A frozen layer, and a small one beside it that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(6, 5)
        self.base.requires_grad_(False)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 5, bias=False)
        self.norm = nn.LayerNorm(5)
        self.norm.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.base(x) + self.up(self.down(x)) * 2.0)


@case(lambda n: (r(n, 6),), {0: "n"}, sizes=BATCH)
class WeightNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = parametrizations.weight_norm(nn.Linear(6, 5))
        self.two = parametrizations.weight_norm(nn.Linear(5, 4), dim=None)
        self.three = parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley")

    def forward(self, x: Tensor) -> Tensor:
        return self.three(self.two(F.softplus(self.one(x))))


for _train in (True, False):

    @case(lambda n: (r(n, 6),), {0: "n"}, sizes=BATCH, name=f"SpectralNorm{'' if _train else 'Eval'}", train=_train)
    class SpectralNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = parametrizations.spectral_norm(nn.Linear(6, 5))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.one(x))


@case(lambda n: (r(n, 5),), {0: "n"}, sizes=BATCH)
class Shared(nn.Module):
    """One module under two names, called three times, with a norm that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5))
        self.again = self.layer
        self.tied = nn.Linear(5, 5)
        self.tied.weight = self.layer[0].weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(F.silu(self.again(F.silu(self.layer(x)))) + self.layer(x))


@case(lambda n: (r(n, 5),), {0: "n"}, sizes=BATCH)
class Cut(nn.Module):
    """Gradients end at a detached tensor, under no_grad, and at the copy of a teacher, which moves."""

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher, self.head = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(4, 4)
        self.register_buffer("centre", torch.zeros(4))

    def forward(self, x: Tensor) -> Any:
        with torch.no_grad():
            aim = self.teacher(x)
            scale = self.student(x).std() + 1
            self.centre.mul_(0.9).add_(aim.mean(0), alpha=0.1)
        h = self.student(x) / scale
        y = self.head(h)
        return (F.softmax(aim - self.centre, -1) * F.log_softmax(y, -1)).sum(-1), h.detach() * y, y.data


@case(lambda n: (r(n, 6),), {0: "n"}, sizes=BATCH)
class Quantized(nn.Module):
    """Training that knows of quantization: weights for each channel, activations for all, straight-through."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 5), nn.Linear(5, 3)
        self.register_buffer("scale", torch.rand(5, dtype=torch.float32) * 0.02 + 0.005)
        self.register_buffer("zero", torch.zeros(5, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        w = torch.fake_quantize_per_channel_affine(self.one.weight, self.scale, self.zero, 0, -128, 127)
        h = torch.fake_quantize_per_tensor_affine(F.linear(x, w, self.one.bias), 0.05, 10, 0, 255)
        w2 = self.two.weight
        step = w2.abs().amax().detach() / 7
        w2 = w2 + (torch.clamp(torch.round(w2 / step), -8, 7) * step - w2).detach()
        return F.linear(F.relu(h), w2, self.two.bias)


@case(lambda n, t: (ints(9, n, t), r(n, t)), {0: "n"}, {0: "n"}, sizes=tuple({**each, "t": 4} for each in BATCH))
class Bags(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sum = nn.EmbeddingBag(9, 4, mode="sum")
        self.mean = nn.EmbeddingBag(9, 4, mode="mean", padding_idx=2)
        self.max = nn.EmbeddingBag(9, 4, mode="max")
        self.head = nn.Linear(12, 2)

    def forward(self, ids: Tensor, weights: Tensor) -> Tensor:
        return self.head(torch.cat([self.sum(ids, per_sample_weights=weights), self.mean(ids), self.max(ids)], 1))


@case(lambda n: (r(n, 2, 8), ), {0: "n"}, sizes=BATCH)  # fmt: skip
class Fno(nn.Module):
    """A layer of Fourier: the lowest frequencies are weighed, with real and imaginary parts in two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.imag = nn.Parameter(r(2, 2, 3) * 0.5), nn.Parameter(r(2, 2, 3) * 0.5)
        self.pointwise = nn.Conv1d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        f = torch.view_as_real(torch.fft.rfft(x))[:, :, :3]
        a, b = f[..., 0], f[..., 1]
        real = torch.einsum("nik,iok->nok", a, self.real) - torch.einsum("nik,iok->nok", b, self.imag)
        imag = torch.einsum("nik,iok->nok", a, self.imag) + torch.einsum("nik,iok->nok", b, self.real)
        y = torch.fft.irfft(F.pad(torch.complex(real, imag), (0, 2)), n=8)
        return F.gelu(y + self.pointwise(x))


@case(lambda n: (r(n, 5),), {0: "n"}, sizes=BATCH)
class Written(nn.Module):
    """What is written under no_grad, or through data, has the gradient that it had."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(5, 4)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.one.weight.div_(self.one.weight.norm(dim=1, keepdim=True))
        self.one.bias.data.clamp_(max=0.1)
        y = self.one(x)
        with torch.no_grad():
            self.mean.lerp_(y.mean(0), 0.1)
            y[:, 1:].mul_(2)
        return self.one(x) * self.mean + y


class Half(torch.autograd.Function):
    """Gives x, and half of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad / 2


@case(lambda n: (r(n, 4),), {0: "n"}, sizes=BATCH)
class OwnFunction(nn.Module):
    """A function with a gradient of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(Half.apply(self.one(x)))


@case(lambda n: (r(n, 1),), {0: "n"}, sizes=BATCH)
class Pinn(nn.Module):
    """An equation of physics: the second derivative by the place, inside of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        u = self.net(x)
        first = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(first.sum(), x, create_graph=True)[0]
        return second + torch.sin(x)


# --- what is refused ------------------------------------------------------------------------------------------------


@case(lambda: (r(3, 5, 4), torch.tensor([5, 3, 2])), refused="packed")
class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, _ = self.lstm(packed)
        return nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0]


@case(lambda: (r(3, 4),), refused="fixed number of steps")
class While(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        while x.norm() > 1:
            x = torch.tanh(self.step(x)) / 2
        return x


@case(lambda: (r(3, 4),), refused="torch.where")
class If(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.one(x)
        return self.two(x)


@case(lambda: (r(3, 4),), refused="torch.where")
class MaskedSelect(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return y[y > 0].mean()


@case(lambda: (r(3, 4),), refused="item")
class Item(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x)
        return y * float(y.detach().abs().max())


@case(lambda: (r(3, 8),), refused="tanh of complex")
class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.view_as_complex(r(8, 8, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.weight.dtype) @ self.weight).tanh().abs()


@case(lambda: (r(4, 8),), refused="topk|experts|data")
class Routed(nn.Module):
    """Each expert takes the tokens that chose it: how many these are, data decide."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList(expert(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        at = self.gate(x).argmax(-1)
        y = torch.zeros_like(x)
        for place, f in enumerate(self.experts):
            rows = torch.where(at == place)[0]
            y.index_add_(0, rows, f(x[rows]))
        return y


@case(lambda: (r(4, 6),), refused="unique|data")
class Unique(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        _, inverse = torch.unique(x.argmax(-1), return_inverse=True)
        return self.one(x) * inverse.unsqueeze(-1)
