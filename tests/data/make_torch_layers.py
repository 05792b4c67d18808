"""Write torch_layers.npz: what PyTorch's layers compute, their gradients, and their weights after 50 steps of SGD.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_layers.py``.

Everything is in float64. The weights and the inputs of each case are random. The loss is the mean square of the
difference between the results and random targets, added up over the results.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS, RATE = 50, 0.05

Case = tuple[Callable[[], nn.Module], list[Any], Callable[..., Any]]


def normal(*shape: int) -> Any:
    return lambda rng: rng.normal(size=shape)


def plainly(module: nn.Module, *inputs: torch.Tensor) -> Any:
    return module(*inputs)


def first(module: nn.Module, *inputs: torch.Tensor) -> Any:
    return module(*inputs)[0]


def mask(time: int, lengths: list[int]) -> Any:
    """Return which positions are kept."""
    return np.arange(time) < np.array(lengths)[:, None]


def causal(time: int) -> torch.Tensor:
    """Return which keys are hidden from which queries, as PyTorch has it."""
    return torch.ones(time, time, dtype=torch.bool).triu(1)


def packed(module: nn.Module, x: torch.Tensor, kept: torch.Tensor) -> Any:
    """Return the results and last states of a recurrent layer for sequences of several lengths."""
    rows = nn.utils.rnn.pack_padded_sequence(x, kept.sum(1), batch_first=True, enforce_sorted=False)
    results, states = module(rows)
    padded, _ = nn.utils.rnn.pad_packed_sequence(results, batch_first=True, total_length=x.shape[1])
    return (padded, *states) if isinstance(states, tuple) else (padded, states)


CASES: dict[str, Case] = {
    "batch_norm": (lambda: nn.BatchNorm1d(3), [normal(5, 3)], plainly),
    "batch_norm_2d": (lambda: nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), [normal(4, 3, 2, 2)], plainly),
    "layer_norm": (lambda: nn.LayerNorm(4), [normal(3, 2, 4)], plainly),
    "layer_norm_2": (lambda: nn.LayerNorm([2, 4], eps=1e-3), [normal(3, 2, 4)], plainly),
    "group_norm": (lambda: nn.GroupNorm(2, 4), [normal(3, 4, 2, 3)], plainly),
    "group_norm_flat": (lambda: nn.GroupNorm(2, 4), [normal(3, 4)], plainly),
    "rms_norm": (lambda: nn.RMSNorm(4), [normal(3, 4)], plainly),
    "instance_norm": (lambda: nn.InstanceNorm2d(3), [normal(2, 3, 3, 2)], plainly),
    "instance_norm_weighted": (lambda: nn.InstanceNorm1d(3, affine=True), [normal(2, 3, 5)], plainly),
    "conv_1d": (lambda: nn.Conv1d(2, 3, 3, padding=1, dilation=2), [normal(2, 2, 8)], plainly),
    "conv_2d": (lambda: nn.Conv2d(2, 3, (3, 2), stride=2, padding=(1, 0)), [normal(2, 2, 5, 6)], plainly),
    "conv_2d_same": (lambda: nn.Conv2d(2, 4, 3, padding="same", groups=2, bias=False), [normal(2, 2, 4, 5)], plainly),
    "conv_2d_depthwise": (lambda: nn.Conv2d(3, 6, 2, groups=3), [normal(2, 3, 4, 4)], plainly),
    "conv_3d": (lambda: nn.Conv3d(1, 2, 2, stride=(1, 2, 1)), [normal(2, 1, 3, 4, 3)], plainly),
    "conv_transpose_1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2, padding=1), [normal(2, 2, 4)], plainly),
    "conv_transpose_2d": (
        lambda: nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
        [normal(2, 2, 3, 4)],
        plainly,
    ),
    "conv_transpose_3d": (lambda: nn.ConvTranspose3d(1, 2, 2, bias=False), [normal(1, 1, 2, 3, 2)], plainly),
    "max_pool_1d": (lambda: nn.MaxPool1d(3, 2, padding=1), [normal(2, 2, 7)], plainly),
    "max_pool_2d": (lambda: nn.MaxPool2d(2), [normal(2, 2, 4, 6)], plainly),
    "max_pool_3d": (lambda: nn.MaxPool3d((2, 1, 2), stride=1, dilation=(1, 1, 2)), [normal(1, 2, 3, 3, 4)], plainly),
    "average_pool_1d": (lambda: nn.AvgPool1d(2), [normal(2, 2, 6)], plainly),
    "average_pool_2d": (lambda: nn.AvgPool2d(3, 2, padding=1), [normal(2, 2, 5, 6)], plainly),
    "average_pool_2d_uncounted": (
        lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        [normal(2, 2, 5, 6)],
        plainly,
    ),
    "average_pool_3d": (lambda: nn.AvgPool3d(2), [normal(1, 2, 2, 4, 2)], plainly),
    "global_average_pool_2d": (
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        [normal(2, 3, 3, 4)],
        plainly,
    ),
    "global_max_pool_1d": (lambda: nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()), [normal(2, 3, 5)], plainly),
    "adaptive_average_pool_2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), [normal(2, 2, 5, 7)], plainly),
    "adaptive_average_pool_1d": (lambda: nn.AdaptiveAvgPool1d(3), [normal(2, 2, 7)], plainly),
    "adaptive_max_pool_2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), [normal(2, 2, 5, 7)], plainly),
    "adaptive_max_pool_3d": (lambda: nn.AdaptiveMaxPool3d(2), [normal(1, 2, 3, 4, 3)], plainly),
    "up_sample": (lambda: nn.Upsample(scale_factor=(2, 3)), [normal(2, 2, 3, 2)], plainly),
    "up_sample_linear": (lambda: nn.Upsample(scale_factor=3, mode="linear"), [normal(2, 2, 4)], plainly),
    "up_sample_bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), [normal(2, 2, 3, 4)], plainly),
    "network": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding="same", bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 3, 3, stride=2, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12, 12),
            nn.Linear(12, 5),
        ),
        [normal(4, 1, 10, 10)],
        plainly,
    ),
    "embedding": (lambda: nn.Embedding(5, 3), [lambda rng: rng.integers(0, 5, (2, 4))], plainly),
    "rnn": (lambda: nn.RNN(3, 4, batch_first=True), [normal(2, 5, 3)], first),
    "rnn_relu": (lambda: nn.RNN(3, 4, 2, nonlinearity="relu", batch_first=True), [normal(2, 5, 3)], first),
    "lstm": (lambda: nn.LSTM(3, 4, batch_first=True), [normal(2, 5, 3)], first),
    "lstm_no_bias": (lambda: nn.LSTM(3, 4, bias=False, batch_first=True), [normal(2, 5, 3)], first),
    "lstm_states": (
        lambda: nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True),
        [normal(2, 4, 3), normal(4, 2, 2), normal(4, 2, 2)],
        lambda module, x, h, c: (lambda y, last: (y, *last))(*module(x, (h, c))),
    ),
    "lstm_masked": (
        lambda: nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True),
        [normal(3, 4, 3), lambda rng: mask(4, [4, 1, 3])],
        packed,
    ),
    "gru": (lambda: nn.GRU(3, 4, 2, batch_first=True), [normal(2, 5, 3)], first),
    "gru_states": (
        lambda: nn.GRU(3, 2, batch_first=True, bidirectional=True),
        [normal(2, 4, 3), normal(2, 2, 2)],
        plainly,
    ),
    "gru_masked": (
        lambda: nn.GRU(3, 4, batch_first=True),
        [normal(3, 4, 3), lambda rng: mask(4, [2, 4, 3])],
        packed,
    ),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        [normal(2, 5, 4)],
        lambda module, x: module(x, x, x, need_weights=False)[0],
    ),
    "attention_causal": (
        lambda: nn.MultiheadAttention(4, 2, bias=False, batch_first=True),
        [normal(2, 5, 4)],
        lambda module, x: module(x, x, x, attn_mask=causal(5), need_weights=False)[0],
    ),
    "attention_padded": (
        lambda: nn.MultiheadAttention(4, 1, batch_first=True),
        [normal(3, 5, 4), lambda rng: mask(5, [5, 2, 3])],
        lambda module, x, kept: module(x, x, x, key_padding_mask=~kept, need_weights=False)[0],
    ),
    "attention_cross": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True),
        [normal(2, 3, 4), normal(2, 6, 3), normal(2, 6, 5), lambda rng: rng.random((2, 3, 6)) < 0.7],
        lambda module, q, k, v, kept: module(q, k, v, attn_mask=~kept.repeat_interleave(2, dim=0), need_weights=False)[
            0
        ],
    ),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True),
        [normal(3, 5, 4), lambda rng: mask(5, [5, 2, 3])],
        lambda module, x, kept: module(x, src_key_padding_mask=~kept),
    ),
    "transformer_before": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, activation="gelu", norm_first=True, batch_first=True),
        [normal(2, 5, 4)],
        lambda module, x: module(x, src_mask=causal(5)),
    ),
}


def figures(name: str, case: Case) -> dict[str, Any]:
    """Return all arrays of a case, under its name."""
    make, draws, call = case
    rng = np.random.default_rng(sum(map(ord, name)))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = make().to(torch.float64)
    for parameter in module.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape) * 0.5)
    inputs = [torch.tensor(draw(rng)) for draw in draws]
    for each in inputs:
        each.requires_grad_(each.is_floating_point())
    found: dict[str, Any] = {f"in/{i}": each for i, each in enumerate(inputs)}
    found |= {f"state/{key}": value.clone() for key, value in module.state_dict().items()}
    targets: list[torch.Tensor] = []
    for step in range(STEPS):
        results = call(module, *inputs)
        results = results if isinstance(results, tuple) else (results,)
        targets = targets or [torch.tensor(rng.normal(size=result.shape)) for result in results]
        loss = sum(((result - target) ** 2).mean() for result, target in zip(results, targets, strict=True))
        leaves = [*inputs, *module.parameters()]
        for leaf in leaves:
            leaf.grad = None
        if any(leaf.requires_grad for leaf in leaves):
            loss.backward()
        if step == 0:
            found |= {f"out/{i}": each for i, each in enumerate(results)}
            found |= {f"target/{i}": each for i, each in enumerate(targets)}
            found |= {f"slope/{i}": each.grad for i, each in enumerate(inputs) if each.grad is not None}
            found |= {f"grad/{key}": each.grad.clone() for key, each in module.named_parameters()}
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= RATE * parameter.grad
    found |= {f"after/{key}": value for key, value in module.state_dict().items()}
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    results = call(module, *inputs)
    found["evaluated"] = results[0] if isinstance(results, tuple) else results
    return {f"{name}/{key}": value.detach().numpy() for key, value in found.items()}


def write(arrays: dict[str, Any]) -> None:
    """Write all arrays as one, which takes a third of the space, and where each is in it."""
    places = json.dumps({key: [array.dtype.name, list(array.shape)] for key, array in arrays.items()})
    values = np.concatenate([array.ravel().astype(np.float64) for array in arrays.values()])
    np.savez_compressed(Path(__file__).with_name("torch_layers.npz"), values=values, places=np.array(places))


if __name__ == "__main__":
    arrays: dict[str, Any] = {}
    for name, case in CASES.items():
        arrays |= figures(name, case)
    write(arrays)
