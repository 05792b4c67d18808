"""A causal transformer, which is to know the next token."""

import numpy as np

import graphnn as gn
from graphnn import nn


class Transformer(nn.Layer):
    def __init__(self, tokens, length, units, heads, layers):
        self.tokens = nn.Embedding(tokens, units)
        self.places = nn.PositionEmbedding(length)
        self.blocks = [
            nn.TransformerBlock(heads, 4 * units, causal=True, norm="before", activation="gelu") for _ in range(layers)
        ]
        self.norm = nn.LayerNorm()
        self.logits = nn.Dense(tokens)

    def call(self, text):
        h = self.places(self.tokens(text))
        for block in self.blocks:
            h = block(h)
        return self.logits(self.norm(h))


def training(dtype, tokens=64, length=32, units=64, heads=4, layers=2):
    g = gn.Graph("transformer", dtype)
    text = g.placeholder("text", ("batch", length), np.int64)
    following = g.placeholder("following", ("batch", length), np.int64)
    model = Transformer(tokens, length, units, heads, layers)
    loss = nn.softmax_crossentropy(model(text), following)
    return model, gn.compile(loss, nn.AdamW(1e-3, weight_decay=0.01).updates(loss))
