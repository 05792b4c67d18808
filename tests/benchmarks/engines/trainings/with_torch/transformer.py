"""A causal transformer, which is to know the next token."""

import torch
from torch import nn, optim
from torch.nn import functional


class Transformer(nn.Module):
    def __init__(self, tokens, length, units, heads, layers):
        super().__init__()
        self.tokens = nn.Embedding(tokens, units)
        self.places = nn.Embedding(length, units)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                units, heads, 4 * units, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(units)
        self.logits = nn.Linear(units, tokens)

    def forward(self, text):
        length = text.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        h = self.tokens(text) + self.places(torch.arange(length))
        for block in self.blocks:
            h = block(h, src_mask=mask, is_causal=True)
        return self.logits(self.norm(h))


def training(tokens=64, length=32, units=64, heads=4, layers=2):
    model = Transformer(tokens, length, units, heads, layers)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def step(text, following):
        loss = functional.cross_entropy(model(text).flatten(0, 1), following.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return model, step
