"""Fifteen ordinary training scripts of PyTorch. Each takes what watches it: `gn.watch`, or what does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

Watch = Callable[..., Any]
STEPS = 4


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3),
            nn.Dropout2d(0.2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x).flatten(1))


def cnn(watch: Watch) -> Any:
    """Train a small CNN with batch norm, from a loader that shuffles."""
    torch.manual_seed(0)
    model = Cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    loader = DataLoader(TensorDataset(torch.randn(32, 1, 8, 8), torch.randint(0, 3, (32,))), 8, shuffle=True)
    with watch(model, optimizer) as run:
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            schedule.step()
    return run, [model], [optimizer]


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.deep = nn.Conv2d(4, 8, 3, padding=1, stride=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x: Any) -> Any:
        skip = F.silu(self.norm(self.down(x)))
        deep = F.silu(self.deep(skip))
        wide = F.interpolate(self.up(deep), size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.out(torch.cat([skip, wide], dim=1))


def unet(watch: Watch) -> Any:
    """Segment images by a U-Net, with binary cross-entropy and a Dice term."""
    torch.manual_seed(0)
    model = UNet()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    images = torch.randn(STEPS, 2, 1, 8, 8)
    with watch(model, optimizer) as run:
        for x in images:
            target = (x > 0).float()
            logits = model(x)
            p = logits.sigmoid()
            dice = 1 - 2 * (p * target).sum() / (p.sum() + target.sum() + 1e-6)
            loss = F.binary_cross_entropy_with_logits(logits, target) + dice
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run, [model], [optimizer]


class Lstm(nn.Module):
    def __init__(self, kind: type[Any] = nn.LSTM, **settings: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 6)
        self.recurrent = kind(6, 5, batch_first=True, **settings)
        self.head = nn.Linear(5 * (1 + settings.get("bidirectional", False)), 3)

    def forward(self, ids: Any) -> Any:
        found, _ = self.recurrent(self.embedding(ids))
        return self.head(found[:, -1])


def lstm(watch: Watch) -> Any:
    """Train an LSTM of two layers on words."""
    torch.manual_seed(0)
    model = Lstm(num_layers=2, dropout=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    ids, y = torch.randint(0, 10, (4, 7)), torch.randint(0, 3, (4,))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(ids), y)
            loss.backward()
            optimizer.step()
    return run, [model], [optimizer]


def gru(watch: Watch) -> Any:
    """Train a GRU in both directions."""
    torch.manual_seed(0)
    model = Lstm(nn.GRU, bidirectional=True)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=1e-2)
    ids, y = torch.randint(0, 10, (4, 7)), torch.randint(0, 3, (4,))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=False)
            loss = F.cross_entropy(model(ids), y, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
    return run, [model], [optimizer]


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.place = nn.Parameter(torch.randn(1, 5, 8) * 0.02)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.place
        return self.head(self.encoder(tokens)[:, 0])


def vit(watch: Watch) -> Any:
    """Train a vision transformer."""
    torch.manual_seed(0)
    model = ViT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.randn(4, 1, 8, 8), torch.randint(0, 3, (4,))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return run, [model], [optimizer]


class Block(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (each.unflatten(-1, (2, -1)).transpose(1, 2) for each in (q, k, v))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(heads.transpose(1, 2).flatten(-2))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, words: int = 20, d: int = 8, layers: int = 2, tokens: int = 6, reentrant: bool = False) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(words, d), nn.Embedding(tokens, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, words, bias=False)
        self.head.weight = self.word.weight
        self.reentrant = reentrant

    def forward(self, ids: Any) -> Any:
        x = self.word(ids) + self.place(torch.arange(ids.shape[1]))
        for i, block in enumerate(self.blocks):
            x = checkpoint(block, x, use_reentrant=self.reentrant) if i % 2 else block(x)
        return self.head(self.norm(x))


def gpt(watch: Watch, reentrant: bool = False) -> Any:
    """Train a GPT whose second block is computed again in the backward pass."""
    torch.manual_seed(0)
    model = Gpt(reentrant=reentrant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=True)
    ids = torch.randint(0, 20, (3, 7))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits = model(ids[:, :-1])
            F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
            optimizer.step()
    return run, [model], [optimizer]


class Moe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 6)) for _ in range(4))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            row, slot = torch.where(chosen == i)
            if len(row):
                out.index_add_(0, row, expert(x[row]) * weights[row, slot, None])
        return self.head(x + out)


def moe(watch: Watch) -> Any:
    """Train a mixture of experts, each called with the rows that chose it."""
    torch.manual_seed(0)
    model = Moe()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y = torch.randn(12, 6), torch.randint(0, 3, (12,))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return run, [model], [optimizer]


def gan(watch: Watch) -> Any:
    """Train a generator against a critic, which steps twice as often."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2), nn.Tanh())
    critic = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(2, 8)), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    first = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    second = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    with watch({"generator": generator, "critic": critic}, first, second) as run:
        for _ in range(STEPS):
            for _ in range(2):
                real, fake = torch.rand(6, 2), generator(torch.randn(6, 3)).detach()
                first.zero_grad()
                loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake)).mean()
                loss.backward()
                first.step()
            second.zero_grad()
            F.softplus(-critic(generator(torch.randn(6, 3)))).mean().backward()
            second.step()
    return run, [generator, critic], [first, second]


class Vae(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(6, 4), nn.Linear(2, 6)

    def forward(self, x: Any) -> Any:
        mean, spread = self.encode(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        return self.decode(z), mean, spread


def vae(watch: Watch) -> Any:
    """Train a variational autoencoder."""
    torch.manual_seed(0)
    model = Vae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x = torch.rand(5, 6)
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            logits, mean, spread = model(x)
            fits = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            loss = fits - 0.5 * (1 + spread - mean.pow(2) - spread.exp()).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run, [model], [optimizer]


def rl(watch: Watch) -> Any:
    """Learn to go right on a line, by policy gradients."""
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    with watch(policy, optimizer) as run:
        for _ in range(STEPS):
            place, logs, rewards = 0.0, [], []
            for _ in range(5):
                chosen = torch.distributions.Categorical(logits=policy(torch.tensor([place])))
                action = chosen.sample()
                logs.append(chosen.log_prob(action))
                place += 1.0 if action.item() else -1.0
                rewards.append(place)
            returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
            returns = (returns - returns.mean()) / (returns.std() + 1e-6)
            loss = -(torch.stack(logs) * returns).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run, [policy], [optimizer]


def siamese(watch: Watch) -> Any:
    """Train one encoder on pairs, with a triplet loss."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.PReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.05)
    a, b, c = torch.randn(3, 6, 4)
    with watch(encoder, optimizer) as run:
        for _ in range(STEPS):
            anchor, near, far = (F.normalize(encoder(each), dim=-1) for each in (a, b, c))
            loss = F.triplet_margin_loss(anchor, near, far) + (1 - F.cosine_similarity(anchor, near)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run, [encoder], [optimizer]


def pinn(watch: Watch) -> Any:
    """Solve an equation with second derivatives by a network, then by L-BFGS."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    t = torch.linspace(0, 1, 7)[:, None].requires_grad_()

    def closure() -> Any:
        optimizer.zero_grad()
        u = model(t)
        slope = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
        second = torch.autograd.grad(slope.sum(), t, create_graph=True)[0]
        loss = (second + u).pow(2).mean() + (u[0] - 1).pow(2).sum()
        loss.backward()
        return loss

    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.step(closure)
    return run, [model], [optimizer]


def amp(watch: Watch) -> Any:
    """Train in bfloat16 by autocast."""
    torch.manual_seed(0)
    model = ViT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.randn(4, 1, 8, 8), torch.randint(0, 3, (4,))
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return run, [model], [optimizer]


class Straight(torch.autograd.Function):
    """Round, with the gradient of what was rounded."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad.clamp(-1, 1)


def accumulation(watch: Watch) -> Any:
    """Accumulate gradients over micro-batches, clip them, with hooks, a function of one's own, and evaluations."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model[0].weight.register_hook(lambda grad: grad * 0.5)
    model[1].register_forward_hook(lambda module, args, out: out + 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = torch.randn(STEPS, 3, 5, 4)
    best = float("inf")
    with watch(model, optimizer) as run:
        for batches in data:
            optimizer.zero_grad()
            for x in batches:
                loss = Straight.apply(model(x) * 4).pow(2).mean() / len(batches)
                loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            with torch.no_grad():
                best = min(best, model(batches[0]).pow(2).mean().item())
    return run, [model], [optimizer]


def fused(watch: Watch) -> Any:
    """Train with fused AdamW, an average of the weights, and weights frozen by hand."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Softplus(), nn.LayerNorm(6), nn.Linear(6, 2))
    model[0].bias.requires_grad_(False)
    average = [each.detach().clone() for each in model.parameters()]
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2, fused=True)
    x, y = torch.randn(8, 4), torch.randn(8, 2)
    with watch(model, optimizer) as run:
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.smooth_l1_loss(model(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for mean, each in zip(average, model.parameters(), strict=True):
                    mean.lerp_(each, 0.1)
    return run, [model], [optimizer]


SCRIPTS: dict[str, Callable[[Watch], Any]] = {
    each.__name__: each
    for each in (cnn, unet, lstm, gru, vit, gpt, moe, gan, vae, rl, siamese, pinn, amp, accumulation, fused)
}
