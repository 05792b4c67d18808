"""A model of a billion parameters on one machine: what it takes to read, run, and inspect it where its weights are.

    python tests/benchmarks/large.py                      # 1.03 billion numbers of bfloat16: a file of 2 GB in /tmp
    python tests/benchmarks/large.py --size small         # some thousand, in seconds
    python tests/benchmarks/large.py --parts read,forward

The model is one like Llama's: RMSNorm, rotary places, grouped queries, SwiGLU. Its weights are random, and written one
by one. Each part runs in a process of its own. Memory is the most that the process has held, mapped pages of the
file with it. Logits are compared with PyTorch's: in float32, and in bfloat16, where each result is rounded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn
from graphnn.io.safetensors import read_safetensors

told = sys.stdout.write


@dataclass(frozen=True)
class Size:
    """The sizes of a model."""

    width: int = 2048
    layers: int = 20
    heads: int = 32
    groups: int = 8
    inner: int = 5632
    words: int = 32000


SIZES = {"billion": Size(), "small": Size(32, 2, 4, 2, 48, 64)}
TOKENS = 32


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.float()
        return self.weight * (h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype)


def turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Return queries or keys with their places turned in."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Attention(nn.Module):
    """Causal attention, whose queries share keys and values in groups."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, self.groups, self.head = size.heads, size.groups, size.width // size.heads
        self.q = nn.Linear(size.width, size.width, bias=False)
        self.k = nn.Linear(size.width, size.groups * self.head, bias=False)
        self.v = nn.Linear(size.width, size.groups * self.head, bias=False)
        self.o = nn.Linear(size.width, size.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q = self.q(x).view(batch, tokens, self.heads, self.head).transpose(1, 2)
        k = self.k(x).view(batch, tokens, self.groups, self.head).transpose(1, 2)
        v = self.v(x).view(batch, tokens, self.groups, self.head).transpose(1, 2)
        rates = 10000.0 ** (-torch.arange(0, self.head, 2, dtype=torch.float32) / self.head)
        angles = torch.outer(torch.arange(tokens, dtype=torch.float32), rates).repeat(1, 2)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        q, k = turned(q, cos, sin), turned(k, cos, sin)
        k, v = (each.repeat_interleave(self.heads // self.groups, 1) for each in (k, v))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(seen.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Attention and SwiGLU, each behind a norm and beside a way around it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.before, self.attention, self.between = Norm(size.width), Attention(size), Norm(size.width)
        self.gate = nn.Linear(size.width, size.inner, bias=False)
        self.up = nn.Linear(size.width, size.inner, bias=False)
        self.down = nn.Linear(size.inner, size.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.before(x))
        h = self.between(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    """The model."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.words = nn.Embedding(size.words, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm, self.head = Norm(size.width), nn.Linear(size.width, size.words, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def empty(size: Size, dtype: torch.dtype = torch.float32) -> Llama:
    """Return the model without numbers, in the dtype that it computes in."""
    with torch.device("meta"):
        return Llama(size).to(dtype).eval()


def tokens(size: Size) -> torch.Tensor:
    """Return what the model reads."""
    return torch.arange(TOKENS)[None] * 7919 % size.words


def write(path: Path, size: Size) -> int:
    """Write the weights, one after the other, and return their count."""
    shapes = {name: tuple(each.shape) for name, each in empty(size).named_parameters()}
    header, at = {}, 0
    for name, shape in shapes.items():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            numbers = rng.standard_normal(shape, np.float32)
            numbers *= 1 / np.sqrt(shape[-1])
            numbers += len(shape) == 1  # a norm's
            file.write((numbers.view(np.uint32) >> 16).astype("<u2").tobytes())
    return at // 2


def memory(what: str) -> float:
    """Return the megabytes that this process has now ("VmRSS"), or has had at most ("VmHWM")."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def opened(path: Path, size: Size, dtype: torch.dtype = torch.float32) -> gn.Graph:
    """Return the graph of the model, whose weights are those of the file."""
    return gn.from_torch(empty(size, dtype), tokens(size), weights=path, check=False)


def by_torch(path: Path, size: Size, dtype: torch.dtype) -> np.ndarray:
    """Return PyTorch's own logits."""
    module = empty(size, dtype).to_empty(device="cpu")
    with torch.no_grad():
        for name, array in read_safetensors(path).items():
            module.get_parameter(name).copy_(torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16))
        return module(tokens(size)).float().numpy()


def loss_of(g: gn.Graph) -> gn.Node:
    """Return a number of the last logits, as a result to explain."""
    return g.outputs["output"][0, -1, 7]


def feed_of(size: Size) -> dict[str, np.ndarray]:
    """Return what the graph is fed."""
    return {"tokens": tokens(size).numpy()}


def read(path: Path, size: Size) -> Any:
    """Read the model: the modules of PyTorch's export are imported before."""
    gn.from_torch(nn.Linear(2, 2), torch.ones(2, 2))
    before, start = memory("VmRSS"), time.perf_counter()
    g = opened(path, size)
    return {"seconds": time.perf_counter() - start, "more": memory("VmHWM") - before, "nodes": len(g)}


def forward(path: Path, size: Size) -> Any:
    """Return the logits in float32 arithmetic."""
    g = opened(path, size)
    return gn.run(g.outputs["output"], feed_of(size))


def rounded(path: Path, size: Size) -> Any:
    """Return the logits in bfloat16 arithmetic."""
    g = opened(path, size, torch.bfloat16)
    return gn.run(g.outputs["output"], feed_of(size)).astype(np.float32)


def summary(path: Path, size: Size) -> Any:
    """Print the table of the layers."""
    return {"lines": len(str(gn.summary(opened(path, size))).splitlines())}


def draw(path: Path, size: Size) -> Any:
    """Draw it with its layers folded."""
    return {"characters": len(gn.draw(opened(path, size), detail="layer").source)}


def health(path: Path, size: Size) -> Any:
    """Check it, with the derivatives of one result."""
    found = gn.check_health(opened(path, size), feed_of(size))
    return {"findings": [each.code for each in found]}


def saliency(path: Path, size: Size) -> Any:
    """Tell how much each embedded token matters to one logit."""
    g = opened(path, size)
    made = gn.saliency.gradient_input(loss_of(g), g["words"])
    return {"size": float(np.abs(gn.run(made, feed_of(size))).sum())}


def patch(path: Path, size: Size) -> Any:
    """Run it with what one block gives set to zero."""
    g = opened(path, size)
    found = gn.run(gn.patched(loss_of(g), {g["blocks.1"]: 0.0}), feed_of(size))
    return {"logit": float(found)}


def torch32(path: Path, size: Size) -> Any:
    """Return PyTorch's logits in float32."""
    return by_torch(path, size, torch.float32)


def torch16(path: Path, size: Size) -> Any:
    """Return PyTorch's logits in bfloat16."""
    return by_torch(path, size, torch.bfloat16)


_PARTS = (read, forward, torch32, rounded, torch16, summary, draw, health, saliency, patch)
PARTS = {each.__name__: each for each in _PARTS}


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Return how far logits are apart, relative to their length."""
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64)))


def compared(found: dict[str, np.ndarray]) -> list[str]:
    """Return how far the logits of the parts are apart."""
    lines = []
    if {"forward", "torch32"} <= found.keys():
        lines.append(f"float32: {apart(found['forward'], found['torch32']):.1e} from PyTorch's")
        known = [name for name in ("rounded", "torch16") if name in found]
        lines += [f"{name}: {apart(found[name], found['torch32']):.4f} from PyTorch's float32" for name in known]
    return lines


def main() -> None:
    """Run the parts, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="billion")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    size, path = SIZES[given.size], given.folder / f"large-{given.size}.safetensors"
    if given.part:
        start = time.perf_counter()
        made = PARTS[given.part](path, size)
        if isinstance(made, np.ndarray):
            np.save(given.folder / f"large-{given.size}-{given.part}.npy", made)
            made = {"shape": made.shape}
        told(f"{given.part}: {time.perf_counter() - start:.1f} s, {memory('VmHWM'):.0f} MB at most, {made}\n")
        return
    if not path.exists():
        told(f"{write(path, size):,} numbers in {path}\n")
    found = {}
    for part in given.parts.split(","):
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)
        if (saved := given.folder / f"large-{given.size}-{part}.npy").exists():
            found[part] = np.load(saved)
    told("\n".join([*compared(found), ""]))


if __name__ == "__main__":
    main()
