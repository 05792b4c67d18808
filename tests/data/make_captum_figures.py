"""Saliency of an image model by Captum, for ``tests/satellites/interventions/with_onnx/test_saliency_of_captum.py``.

It writes two files beside itself: ``captum_figures.onnx``, a small model in float64, and ``captum_figures.npz``, its
images and Captum's figures. Needs torch, onnxscript and captum.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum import attr
from torch import nn


class Image(nn.Module):
    """Convolution, relu, pooling, convolution, relu and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3)
        self.hidden = nn.Linear(6 * 4 * 3, 10)
        self.head = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.max_pool2d(torch.relu(self.first(x)), 2)
        h = torch.relu(self.second(h))
        return self.head(torch.relu(self.hidden(h.flatten(1))))


def figures(model: nn.Module, images: torch.Tensor, target: int) -> dict[str, np.ndarray]:
    """Return what Captum gives."""
    generator = torch.Generator().manual_seed(1)
    start = torch.rand(images.shape, generator=generator, dtype=images.dtype)
    cover = torch.tensor([0.25, -0.5], dtype=images.dtype).reshape(1, 2, 1, 1)
    found: dict[str, Any] = {"images": images, "start": start, "cover": cover, "output": model(images)}
    found["saliency"] = attr.Saliency(model).attribute(images, target=target)
    found["input x gradient"] = attr.InputXGradient(model).attribute(images, target=target)
    integrated = attr.IntegratedGradients(model)
    for method in ("gausslegendre", "riemann_left", "riemann_middle", "riemann_right"):
        found[f"integrated/{method}"] = integrated.attribute(images, start, target=target, n_steps=20, method=method)
    found["integrated/zero"] = integrated.attribute(images, target=target, n_steps=7)
    occlusion = attr.Occlusion(model)
    for window, stride in (((2, 3, 3), (2, 1, 1)), ((2, 4, 3), (2, 3, 2)), ((1, 5, 5), (1, 5, 4))):
        name = f"occlusion/{window[0]} {window[1]} {window[2]} by {stride[0]} {stride[1]} {stride[2]}"
        found[name] = occlusion.attribute(images, window, stride, baselines=cover, target=target)
    noises, found["smooth"] = noisy(lambda: smooth(model, images, target))
    found["noise"] = noises[0].reshape(len(images), -1, *images.shape[1:]).transpose(0, 1)
    return {name: value.detach().numpy() for name, value in found.items()}


def smooth(model: nn.Module, images: torch.Tensor, target: int) -> torch.Tensor:
    """Return the mean gradient of five points with noise."""
    gradients = attr.NoiseTunnel(attr.Saliency(model))
    return gradients.attribute(images, nt_samples=5, stdevs=0.3, target=target, abs=False)


def noisy(function: Callable[[], Any]) -> tuple[list[torch.Tensor], Any]:
    """Return the noise that is drawn in a function, and what it returns."""
    drawn: list[torch.Tensor] = []
    normal = torch.normal

    def kept(*args: Any, **kwargs: Any) -> torch.Tensor:
        drawn.append(normal(*args, **kwargs))
        return drawn[-1]

    torch.normal = kept
    try:
        return drawn, function()
    finally:
        torch.normal = normal


def main() -> None:
    torch.manual_seed(0)
    model = Image().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 2.5  # as they are drawn, the figures are hardly larger than what they may differ by
    images = torch.randn(2, 2, 12, 10, dtype=torch.float64)
    program = torch.onnx.export(
        model, (images,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False
    )
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.value_info[:]
    del proto.metadata_props[:]
    Path(__file__).with_name("captum_figures.onnx").write_bytes(proto.SerializeToString())
    np.savez_compressed(Path(__file__).with_name("captum_figures.npz"), **figures(model, images, 3))


if __name__ == "__main__":
    main()
