"""Ordinary PyTorch scripts with one planted fault each, and their healthy twins.

A script is a function of ``watch`` (``gn.watch``, or what stands in for it) and of
``faulty``: it makes a model, watches one or more steps and returns the run. The line
that a report should name ends in the comment ``# planted: NAME``.
"""

import contextlib
import inspect
import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class Attention(nn.Module):
    """Causal self-attention with one head, written by hand."""

    def __init__(self, width=64, faulty=""):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.faulty = faulty

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.faulty == "missing_scale":
            scores = q @ k.transpose(-2, -1)  # planted: missing_scale
        future = torch.triu(torch.ones(x.shape[1], x.shape[1]), diagonal=1)
        if self.faulty == "zero_times_inf":
            scores = scores + future * float("-inf")  # planted: zero_times_inf
        else:
            scores = scores.masked_fill(future.bool(), float("-inf"))
        weights = F.softmax(scores, dim=-1)
        if self.faulty == "wrong_axis":
            weights = F.softmax(scores.nan_to_num(neginf=-1e4), dim=0)  # planted: wrong_axis
        return weights @ v


class Reader(nn.Module):
    """A small language model around the attention."""

    def __init__(self, faulty=""):
        super().__init__()
        self.embedding = nn.Embedding(16, 64)
        self.attention = Attention(64, faulty)
        self.head = nn.Linear(64, 16)

    def forward(self, tokens):
        return self.head(self.attention(self.embedding(tokens)))


def network(*, norm=False):
    layers = [nn.Linear(8, 16), *([nn.BatchNorm1d(16)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def rows():
    torch.manual_seed(0)
    x = torch.randn(32, 8)
    return x, x[:, :3].argmax(1)


def read_tokens(watch, fault):
    torch.manual_seed(0)
    tokens = torch.randint(16, (8, 13))
    x, y = tokens[:, :-1], tokens[:, 1:]
    if fault == "labels_shifted":
        y = tokens[:, :-1]
    model = Reader(fault)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())  # planted: labels_shifted
        loss.backward()
        optimizer.step()
    return run


def zero_times_inf(watch, faulty):
    return read_tokens(watch, "zero_times_inf" if faulty else "")


def wrong_axis(watch, faulty):
    return read_tokens(watch, "wrong_axis" if faulty else "")


def missing_scale(watch, faulty):
    return read_tokens(watch, "missing_scale" if faulty else "")


def labels_shifted(watch, faulty):
    return read_tokens(watch, "labels_shifted" if faulty else "")


def layer_left_out(watch, faulty):
    (x, y), model = rows(), network()
    optimizer = torch.optim.AdamW(model.parameters())
    if faulty:
        optimizer = torch.optim.AdamW(model[0].parameters())
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # planted: layer_left_out
        optimizer.step()
    return run


def ascent(watch, faulty):
    (x, y), model = rows(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if faulty:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()  # planted: ascent
    return run


class Branches(nn.Module):
    def __init__(self, faulty):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 3)
        self.faulty = faulty

    def forward(self, x):
        right = self.right(x)
        if self.faulty:
            right = right.detach()  # planted: detached_branch
        return self.head(F.relu(self.left(x) + right))


def detached_branch(watch, faulty):
    (x, y), model = rows(), Branches(faulty)
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return run


def double_softmax(watch, faulty):
    (x, y), model = rows(), network()
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        scores = model(x)
        if faulty:
            scores = F.softmax(scores, dim=1)  # planted: double_softmax
        F.cross_entropy(scores, y).backward()
        optimizer.step()
    return run


def eval_batch_norm(watch, faulty):
    (x, y), model = rows(), network(norm=True)
    optimizer = torch.optim.AdamW(model.parameters())
    if faulty:
        model.eval()
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)  # planted: eval_batch_norm
        loss.backward()
        optimizer.step()
    return run


def never_zeroed(watch, faulty):
    (x, y), model = rows(), network()
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer, steps="last") as run:
        for _ in range(3):
            if not faulty:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()  # planted: never_zeroed
            optimizer.step()
    return run


class Stack(nn.Module):
    def __init__(self, faulty):
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        if faulty:
            self.layers = nn.ModuleList([nn.Linear(16, 16)] * 3)

    def forward(self, x):
        x = F.relu(self.first(x))
        for layer in self.layers:
            x = x + F.relu(layer(x))  # planted: tied_by_accident
        return self.last(x)


def tied_by_accident(watch, faulty):
    (x, y), model = rows(), Stack(faulty)
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return run


class Squares(nn.Module):
    def __init__(self, faulty):
        super().__init__()
        self.inner, self.head, self.faulty = nn.Linear(8, 16), nn.Linear(16, 3), faulty

    def forward(self, x):
        x = self.inner(x) * 40
        if self.faulty:
            x = ((x.half() + 300) ** 2).float()  # planted: overflow_float16
        else:
            x = (x + 300) ** 2
        return self.head(x / 1e5)


def overflow_float16(watch, faulty):
    (x, y), model = rows(), Squares(faulty)
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as run:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return run


SCRIPTS = (
    zero_times_inf, wrong_axis, missing_scale, labels_shifted, layer_left_out, ascent,
    detached_branch, double_softmax, eval_batch_norm, never_zeroed, tied_by_accident,
    overflow_float16,
)  # fmt: skip


def planted_line(name):
    """The line of this file that a report of the fault should name."""
    lines = inspect.getsource(inspect.getmodule(planted_line)).splitlines()
    (line,) = [i for i, text in enumerate(lines, 1) if text.endswith(f"# planted: {name}")]
    return line


@contextlib.contextmanager
def unwatched(_model, _optimizer=None, **_settings):
    """Stand in for ``gn.watch`` where a script should only run."""
    yield None
