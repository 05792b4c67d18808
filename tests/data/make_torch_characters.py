"""Write torch_characters.npz: the losses of a transformer of characters in PyTorch, over 300 steps of Adam.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_characters.py``.

Everything is in float64. The text is that of examples/lesson_transformer.py, which is frozen, and so is the network,
with fewer units. The file has the first weights, where each piece of each batch begins, and the loss before each step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

TEXT = Path(__file__).parents[2] / "examples" / "lesson_transformer.txt"
STEPS, RATE, BATCH = 300, 0.003, 8
LENGTH, UNITS, HEADS, BLOCKS = 16, 16, 2, 2


class Positions(nn.Module):
    """Adds a trained vector to each position."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(LENGTH, UNITS) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight


class Causal(nn.TransformerEncoderLayer):
    """A block in which no position looks at those behind it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        return super().forward(x, src_mask=hidden)


def main() -> None:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    text = TEXT.read_text(encoding="utf-8")
    symbols = sorted(set(text))
    numbers = torch.tensor([symbols.index(symbol) for symbol in text])
    blocks = [
        Causal(UNITS, HEADS, 4 * UNITS, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        for _ in range(BLOCKS)
    ]
    network = nn.Sequential(
        nn.Embedding(len(symbols), UNITS),
        Positions(),
        *blocks,
        nn.LayerNorm(UNITS),
        nn.Linear(UNITS, len(symbols)),
    )
    arrays = {f"state/{name}": value.numpy().copy() for name, value in network.state_dict().items()}
    starts = np.random.default_rng(0).integers(0, len(text) - LENGTH, (STEPS, BATCH)).astype(np.int32)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    losses = []
    for begin in torch.from_numpy(starts).long():
        places = begin[:, None] + torch.arange(LENGTH)
        logits = network(numbers[places])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), numbers[places + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    path = Path(__file__).with_name("torch_characters.npz")
    np.savez_compressed(path, starts=starts, losses=np.array(losses), torch=torch.__version__, **arrays)


if __name__ == "__main__":
    main()
