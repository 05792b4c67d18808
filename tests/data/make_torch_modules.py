"""PyTorch modules as graphs: their values and every gradient, against PyTorch's own.

``make_torch_modules.py`` prints a table; ``--write FOLDER`` keeps the small modules as models, with figures that
``tests/satellites/torch/test_torch_modules.py`` reads. Needs torch, torchvision and onnxscript.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import graphnn as gn


class Convolutional(nn.Module):
    """Convolutions, batch norm and pooling: a small LeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 4, 3, stride=2)
        self.head = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.max_pool2d(torch.relu(self.norm(self.first(x))), 2)
        h = torch.tanh(self.second(h))
        return torch.log_softmax(self.head(h.flatten(1)), -1)


class Separable(nn.Module):
    """A depthwise convolution, an activation of MobileNet, and channel attention."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.point = nn.Conv2d(4, 6, 1)
        self.squeeze = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.hardswish(self.point(nn.functional.relu6(self.depth(x))))
        gate = torch.sigmoid(self.squeeze(h.mean((2, 3))))
        return (h * gate[:, :, None, None]).sum((2, 3))


class Residual(nn.Module):
    """Two convolutions with a way around them, and group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.two = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.silu(x + self.two(nn.functional.gelu(self.norm(self.one(x)))))


class Decoder(nn.Module):
    """A transposed convolution, bilinear enlargement, and a concatenation: a small U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.last = nn.Conv2d(6, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.down(x))
        wide = nn.functional.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(torch.cat([self.up(h), wide], 1))


class Texts(nn.Module):
    """An embedding, an LSTM and the mean of its states."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embed(tokens))
        return self.head(states.mean(1))


class Gated(nn.Module):
    """A GRU, and its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0][:, -1]


class Attention(nn.Module):
    """Attention written out, with a causal mask and layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(batch, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (width // 2) ** 0.5
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


class Quantized(nn.Module):
    """A small VQ-VAE: the nearest entry of a codebook, with a straight-through gradient and two losses."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 3)
        self.codebook = nn.Embedding(5, 3)
        self.decode = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.encode(x)
        table = self.codebook.weight
        near = (h.square().sum(1, keepdim=True) - 2 * h @ table.t() + table.square().sum(1)).argmin(1)
        found = self.codebook(near)
        losses = (found - h.detach()).square() + 0.25 * (found.detach() - h).square()
        return torch.cat([self.decode(h + (found - h).detach()), losses], 1)


class Solved(nn.Module):
    """What the exporter has no ONNX for: inverses, solutions, factors and determinants of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.mix(x)
        spread = h @ h.mT + torch.eye(3)
        lower = torch.linalg.cholesky(spread)
        right = torch.linalg.solve_triangular(lower.mT, h, upper=True, left=False)
        logs = torch.linalg.slogdet(h + 2 * torch.eye(3))
        found = torch.linalg.inv(spread) + torch.linalg.solve(spread, h) + torch.linalg.cholesky(spread, upper=True)
        single = torch.linalg.solve(spread, h[..., 0]) + (logs[0] * logs[1])[:, None]
        return torch.cat([found, right, torch.linalg.solve(spread, h, left=False), single[..., None]], -1)


class Apart(nn.Module):
    """What else it has no ONNX for: distances, products so far, places in order, means of what is scattered."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.mix(x)
        many = h.repeat(7, 1)
        near = (
            torch.cdist(h, h + 1) + torch.cdist(h, h + 1, p=1.0) + torch.cdist(h, many + 1)[:, 4:8] + torch.cdist(h, h)
        )
        after = torch.cumprod(h, -1) + torch.hypot(h, h[:1])
        place = torch.searchsorted(h.sort(-1)[0], h.flip(0), right=True).to(h.dtype)
        middle = h.median(1, keepdim=True)[0] + h.kthvalue(2, 1, True)[0] + h.median(0)[0] * h
        to = torch.tensor([[1, 0, 3, 0, 2], [1, 0, 3, 1, 2], [0, 2, 1, 0, 2], [1, 1, 1, 1, 1]])
        means = torch.zeros(4, 5).scatter_reduce(0, to, h, "mean", include_self=False)
        means = means + torch.ones(4, 5).scatter_reduce(0, to, h, "mean")
        for kind in ("sum", "prod", "amax", "amin"):
            means = means + torch.ones(4, 5).scatter_reduce(0, to, h, kind, include_self=kind in ("sum", "amax"))
        pooled = nn.functional.adaptive_max_pool2d((h[:, :, None] * h[:, None])[None], (5, 3))[0]
        return torch.cat([near, after * place, middle, means, pooled.flatten(1)], 1)


class Volumes(nn.Module):
    """Convolutions of volumes with batch norm, and so without a bias, and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(4)
        self.second = nn.Conv3d(4, 4, (1, 3, 3), stride=(1, 2, 2), groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.max_pool3d(torch.relu(self.norm(self.first(x))), 2)
        return torch.tanh(self.second(h)) + self.second(h[0]).mean()


class Windows(nn.Module):
    """Attention inside windows, and over rows: PyTorch's own, on queries of five axes and of three."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.offset = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attend = nn.functional.scaled_dot_product_attention
        batch, heads, windows, length, width = len(x), 2, 3, 4, 2
        parts = self.qkv(x).reshape(batch, windows, length, 3, heads, width).permute(3, 0, 4, 1, 2, 5)
        q, k, v = parts
        near = (torch.arange(12).reshape(3, 4, 1) + torch.arange(4)) % 5 > torch.tensor([[[0]], [[1]], [[9]]])
        found = attend(q, k, v) + attend(q, k, v, attn_mask=near) + attend(q, k, v, attn_mask=self.offset[:, None])
        q, k, v = parts[:, :, 0].flatten(2, 3).reshape(3, batch, windows * length, width)
        rows = attend(q, k[:, :7], v[:, :7], is_causal=True, scale=0.4).reshape(batch, 1, windows, length, width)
        return found + rows


def small() -> Iterator[tuple[str, nn.Module, tuple[torch.Tensor, ...]]]:
    """Yield (name, module, examples) of small modules."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape)

    yield "perceptron", nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)), (normal(5, 4),)
    yield "convolutional", Convolutional(), (normal(2, 1, 14, 14),)
    yield "separable", Separable(), (normal(2, 4, 6, 6),)
    yield "residual", Residual(), (normal(2, 4, 5, 5),)
    yield "decoder", Decoder(), (normal(2, 2, 8, 8),)
    yield "texts", Texts(), (torch.randint(0, 11, (3, 6)),)
    yield "gated", Gated(), (normal(2, 5, 3),)
    yield "attention", Attention(), (normal(2, 6, 8),)
    yield "encoder", nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (normal(2, 5, 8),)
    yield (
        "mixed",
        nn.Sequential(nn.Linear(4, 6), nn.ELU(), nn.LayerNorm(6), nn.PReLU(), nn.Linear(6, 6), nn.Softplus()),
        (normal(3, 4),),
    )
    yield (
        "waves",
        nn.Sequential(nn.Conv1d(2, 4, 3, dilation=2), nn.LeakyReLU(), nn.AvgPool1d(2), nn.Conv1d(4, 1, 2)),
        (normal(2, 2, 12),),
    )
    yield "quantized", Quantized(), (normal(6, 4),)
    yield "solved", Solved(), (normal(2, 3, 3),)
    yield "apart", Apart(), (normal(4, 5),)
    yield "volumes", Volumes(), (normal(2, 1, 4, 6, 8),)
    yield "windows", Windows(), (normal(2, 3, 4, 4),)


def large() -> Iterator[tuple[str, nn.Module, tuple[torch.Tensor, ...]]]:
    """Yield (name, module, examples) of the architectures of torchvision."""
    from torchvision import models

    image = torch.randn(2, 3, 224, 224)
    for name in (
        "resnet18",
        "mobilenet_v3_small",
        "efficientnet_b0",
        "densenet121",
        "convnext_tiny",
        "swin_t",
        "vit_b_16",
    ):
        yield name, getattr(models, name)(weights=None), (image,)


def gradients(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return PyTorch's output, and the gradients of its weighted sum."""
    output = module(*examples)
    module.zero_grad()
    (output * torch.from_numpy(weights_of(output.shape))).sum().backward()
    return output.detach().numpy(), {name: p.grad.numpy().copy() for name, p in module.named_parameters()}


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    """Return what the elements of an output are multiplied by, for one number to differentiate."""
    return np.sin(1 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)


def ours(graph: gn.Graph, examples: tuple[np.ndarray, ...]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return graphnn's."""
    (output,) = graph.outputs.values()
    weights = list(graph.parameters)
    found = gn.grad(gn.sum(output * weights_of(output.shape)), weights)
    feed = dict(zip(graph.placeholders, examples, strict=True))
    value, *slopes = gn.run([output, *found], feed)
    return value, {node.name: slope for node, slope in zip(weights, slopes, strict=True)}


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference, relative to the largest element."""
    return float(np.abs(one - other).max(initial=0) / max(np.abs(other).max(initial=0), 1e-6))


def compared(name: str, module: nn.Module, examples: tuple[torch.Tensor, ...]) -> str:
    """Return a line of the table."""
    module.eval()
    start = time.perf_counter()
    graph = gn.from_torch(module, *examples, trainable=True)
    took = time.perf_counter() - start
    value, slopes = gradients(module, examples)
    got, found = ours(graph, tuple(each.numpy() for each in examples))
    worst = max(slopes, key=lambda key: gap(found[key], slopes[key]))
    lines = sum(node.origin.file.endswith(".py") for node in graph)
    return (
        f"{name:20} {len(graph):6} nodes  {took:5.1f} s  output {gap(got, value):.1e}  "
        f"{len(slopes)} gradients, worst {gap(found[worst], slopes[worst]):.1e} ({worst})  lines {lines}/{len(graph)}"
    )


def shortened(model: Any) -> Any:
    """Return a model with only those metadata of nodes that are read, and the lines of this file without its folder."""
    for node in model.graph.node:
        kept = {entry.key: entry.value for entry in node.metadata_props}
        del node.metadata_props[:]
        for key in ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.stack_trace"):
            text = kept.get(key, "")
            if "trace" in key:
                lines = re.findall(r'File "[^"]*make_torch_modules.py", (line \d+)', text)
                text = "\n".join(f'File "make_torch_modules.py", {line}, in forward' for line in lines)
            node.metadata_props.add(key=key, value=text)
        if "aten.detach." in kept.get("pkg.torch.onnx.fx_node", ""):
            node.metadata_props.add(key="pkg.torch.onnx.fx_node", value=kept["pkg.torch.onnx.fx_node"])
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    return model


class Keeping(torch.fx.Interpreter):
    """Runs an exported program, and keeps what PyTorch computes on the way, by the names of its nodes."""

    def __init__(self, program: Any) -> None:
        super().__init__(program.module())
        self.kept: dict[str, np.ndarray] = {}

    def run_node(self, node: Any) -> Any:
        value = super().run_node(node)
        if node.op == "call_function" and isinstance(value, torch.Tensor):
            self.kept[node.name] = value.detach().numpy()
        return value


def write(folder: Path) -> None:
    """Keep the small modules as models, with their figures and all values in between."""
    from graphnn.torch.aten_export import as_they_are

    for name, module, examples in small():
        module.eval()
        value, slopes = gradients(module, examples)
        program = torch.onnx.export(
            module,
            examples,
            dynamo=True,
            optimize=False,
            verbose=False,
            custom_translation_table=as_they_are(torch),
        )
        (folder / f"{name}.onnx").write_bytes(shortened(program.model_proto).SerializeToString())
        arrays = {f"input/{k}": each.numpy() for k, each in enumerate(examples)} | {"output": value}
        keeping = Keeping(program.exported_program)
        keeping.run(*examples)
        arrays |= {f"value/{key}": each for key, each in keeping.kept.items()}
        np.savez_compressed(folder / f"{name}.npz", **arrays, **{f"gradient/{key}": g for key, g in slopes.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.write:
        write(arguments.write)
        return
    modules: Callable[[], Iterator[tuple[str, nn.Module, tuple[torch.Tensor, ...]]]] = (
        large if arguments.large else small
    )
    for each in modules():
        sys.stdout.write(f"{compared(*each)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
