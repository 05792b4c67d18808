"""Small networks of many kinds, each trained for two steps and watched in the second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn


def _trained(model: Any, optimizer: Any, loss_of: Callable[..., Any], *data: Any) -> Any:
    with gn.watch(model, optimizer, steps="last") as run:
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(model, *data).backward()
            optimizer.step()
    return run


def _classified(model: Any, x: Any, labels: Any) -> Any:
    return F.cross_entropy(model(x), labels)


def convolutional() -> Any:
    model = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, stride=2, groups=2), nn.SiLU(), nn.AvgPool2d(2, 1, padding=1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 4)),
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
    return _trained(model, optimizer, _classified, torch.randn(4, 3, 12, 12), torch.randint(0, 4, (4,)))


class _UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.down, self.inner = nn.Conv2d(4, 8, 3, padding=1, stride=2), nn.InstanceNorm2d(8)
        self.up, self.last = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 1, 1)

    def forward(self, x: Any) -> Any:
        wide = F.gelu(self.norm(self.first(x)))
        deep = F.leaky_relu(self.inner(self.down(wide)))
        near = F.interpolate(deep, scale_factor=2, mode="nearest")[:, :4]
        smooth = F.interpolate(deep, scale_factor=2, mode="bilinear")[:, 4:]
        return self.last(torch.cat([wide, self.up(deep) + near * smooth], 1))


def u_net() -> Any:
    model = _UNet()

    def loss(model: Any, x: Any, y: Any) -> Any:
        return F.binary_cross_entropy_with_logits(model(x), y) + F.smooth_l1_loss(model(x), y)

    data = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    return _trained(model, torch.optim.Adam(model.parameters(), 1e-2), loss, *data)


class _Recurrent(nn.Module):
    def __init__(self, kind: Any, directions: int = 1, **settings: Any) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 5)
        self.layer = kind(5, 6, batch_first=True, bidirectional=directions == 2, **settings)
        self.head = nn.Linear(6 * directions, 11)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(self.table(x))[0]).transpose(1, 2)


def lstm_clipped() -> Any:
    model = _Recurrent(nn.LSTM)
    optimizer = torch.optim.RMSprop(model.parameters(), 1e-2)
    x, labels = torch.randint(0, 11, (3, 7)), torch.randint(0, 11, (3, 7))
    with gn.watch(model, optimizer, steps="last") as run:
        for _ in range(2):
            optimizer.zero_grad()
            _classified(model, x, labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
    return run


def gru_both_ways() -> Any:
    model = _Recurrent(nn.GRU, 2, num_layers=2)
    data = torch.randint(0, 11, (3, 5)), torch.randint(0, 11, (3, 5))
    return _trained(model, torch.optim.Adagrad(model.parameters(), 1e-2), _classified, *data)


class _ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.places = nn.Parameter(torch.randn(1, 5, 8) * 0.02)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        found = self.patches(x).flatten(2).transpose(1, 2)
        found = torch.cat([self.token.expand(len(x), -1, -1), found], 1) + self.places
        return self.head(self.encoder(found)[:, 0])


def vit_foreach() -> Any:
    model = _ViT()

    def loss(model: Any, x: Any, labels: Any) -> Any:
        return F.cross_entropy(model(x), labels, label_smoothing=0.1)

    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, foreach=True, amsgrad=True)
    return _trained(model, optimizer, loss, torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2,)))


class _Experts(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 3)
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(3)])

    def forward(self, x: Any) -> Any:
        shares, chosen = self.gate(x).softmax(-1).topk(2, -1)
        found = torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            mine = chosen == k
            rows = mine.any(-1)
            found[rows] += expert(x[rows]) * (shares * mine).sum(-1)[rows].unsqueeze(-1)
        return found


class _Block(nn.Module):
    def __init__(self, experts: bool) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = _Experts(8) if experts else nn.Sequential(nn.Linear(8, 32), nn.GELU("tanh"), nn.Linear(32, 8))

    def forward(self, x: Any) -> Any:
        parts = self.qkv(self.norm_1(x)).split(8, 2)
        heads = [each.view(*x.shape[:2], 2, 4).transpose(1, 2) for each in parts]
        found = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(found.transpose(1, 2).reshape(x.shape))
        return x + self.mlp(self.norm_2(x))


class _GPT(nn.Module):
    def __init__(self, experts: bool = False) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(13, 8), nn.Embedding(6, 8)
        self.blocks = nn.Sequential(_Block(experts), _Block(experts))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 13, bias=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.blocks(self.tokens(x) + self.places(torch.arange(x.shape[1])))))


def _next_token(model: Any, x: Any) -> Any:
    return F.cross_entropy(model(x)[:, :-1].reshape(-1, 13), x[:, 1:].reshape(-1))


def gpt_fused() -> Any:
    model = _GPT()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, fused=True)
    return _trained(model, optimizer, _next_token, torch.randint(0, 13, (2, 6)))


def gpt_fused_sgd() -> Any:
    model = _GPT()
    optimizer = torch.optim.SGD(model.parameters(), 1e-2, momentum=0.9, fused=True)
    return _trained(model, optimizer, _next_token, torch.randint(0, 13, (2, 6)))


def gpt_bfloat16() -> Any:
    model = _GPT()

    def loss(model: Any, x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return _next_token(model, x)

    return _trained(model, torch.optim.AdamW(model.parameters(), 1e-2), loss, torch.randint(0, 13, (2, 6)))


def experts() -> Any:
    model = _GPT(experts=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2, foreach=False)
    return _trained(model, optimizer, _next_token, torch.randint(0, 13, (2, 6)))


class _VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.mean, self.spread = nn.Linear(6, 8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 8), nn.ELU(), nn.Linear(8, 6), nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        hidden = F.softplus(self.encoder(x))
        mean, spread = self.mean(hidden), self.spread(hidden)
        return self.decoder(mean + torch.randn_like(mean) * (0.5 * spread).exp()), mean, spread


def vae() -> Any:
    model = _VAE()

    def loss(model: Any, x: Any) -> Any:
        found, mean, spread = model(x)
        fit = F.binary_cross_entropy(found, x, reduction="sum")
        return fit - 0.5 * torch.sum(1 + spread - mean.pow(2) - spread.exp())

    return _trained(model, torch.optim.NAdam(model.parameters(), 1e-2), loss, torch.rand(5, 6))


def siamese() -> Any:
    model = nn.Sequential(nn.Linear(4, 8), nn.Hardtanh(), nn.Linear(8, 3), nn.PReLU())

    def loss(model: Any, a: Any, b: Any, same: Any) -> Any:
        u, v = model(a), model(b)
        distance = F.pairwise_distance(u, v)
        total = (same * distance.pow(2) + (1 - same) * F.relu(1 - distance).pow(2)).mean()
        total = total + (1 - F.cosine_similarity(u, v)).clamp(min=0).mean() + torch.log1p(u.var(0)).sum()
        total = total + u.max(1).values.mean() + u.sort(1).values[:, 0].mean() + u.cumsum(1).mean()
        return total + F.huber_loss(u, v) + F.l1_loss(u, v) + F.triplet_margin_loss(u, v, F.normalize(u, dim=1))

    data = torch.randn(5, 4), torch.randn(5, 4), torch.randint(0, 2, (5,)).float()
    return _trained(model, torch.optim.Adadelta(model.parameters()), loss, *data)


def physics() -> Any:
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(model: Any, x: Any) -> Any:
        x = x.requires_grad_()
        u = model(x)
        first = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(first.sum(), x, create_graph=True)[0]
        return F.mse_loss(second, -torch.sin(x)) + u[0].pow(2).sum()

    return _trained(model, torch.optim.Adamax(model.parameters(), 1e-2), loss, torch.rand(6, 1))


class _Mixed(nn.Module):
    """Many functions, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.pairs = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Bilinear(6, 6, 6)
        self.weighed = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))

    def forward(self, x: Any) -> Any:
        a = self.linear(x)
        b = self.weighed(a)
        c = self.norm(b) + self.pairs(a, b)
        mask = torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)
        d = ((a @ b.T) / 3).masked_fill(mask, -1e9).softmax(-1) @ c
        e = torch.where(d > 0, d, d * 0.1).clamp(-3, 3).log_softmax(0)
        best = e.argmax(1)
        picked = torch.stack([d.min(1).values, e.amax(1), e.gather(1, best[:, None])[:, 0]], 1).std(1)
        scattered = torch.zeros(6, 6).scatter_add(1, best[:, None].expand(6, 6), d)
        moved = d.roll(1, 0).flip(1).unfold(1, 2, 2).prod(-1)
        once = F.one_hot(best, 6).float() @ d.sigmoid().rsqrt().atan().abs().sqrt()
        wide = F.pad(d, (1, 1)).exp().mean(0).tanh()
        low = torch.einsum("ij,kj->ik", d, e).erf().tril()
        sums = d.index_select(0, best).sign() + d[best, 0:1].logsumexp(1, keepdim=True)
        sums = sums + torch.baddbmm(d[None], d[None], e[None])[0]
        written = d.clone()
        written[0] = 1.0
        written[:, 1].mul_(2)
        bent = F.hardswish(d) + F.mish(d) + F.hardsigmoid(d) + F.logsigmoid(d) + F.relu6(e) + F.threshold(d, 0.1, 0)
        bent = bent + F.glu(torch.cat([d, e], 1), 1) + written.reciprocal().clamp(-5, 5)
        pooled = F.avg_pool1d(d[None], 2).mean() + F.max_pool1d(d[None], 2).sum()
        pooled = pooled + F.adaptive_avg_pool2d(d[None], 4).mean()
        mixed = torch.addcmul(d, d, e).mean() + torch.lerp(d, e, 0.3).mean() + torch.maximum(d, e).mean()
        losses = F.kl_div(e, d.softmax(1), reduction="batchmean") + F.nll_loss(e, best) + d.norm()
        each = (picked, scattered, moved, once, wide, low, sums, bent, d.pow(3), d.sin().cos(), d.floor(), d.round())
        return sum(one.mean() for one in each) + pooled + mixed + losses


def mixed() -> Any:
    model = _Mixed()
    return _trained(model, torch.optim.RAdam(model.parameters(), 1e-2), lambda model, x: model(x), torch.randn(6, 6))


NETWORKS = (
    *(convolutional, u_net, lstm_clipped, gru_both_ways, vit_foreach, gpt_fused, gpt_fused_sgd, gpt_bfloat16),
    *(experts, vae, siamese, physics, mixed),
)
