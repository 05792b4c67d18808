"""What layers and functions that are one box compute, as a lecture writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .picture import Box

_NORMALIZED = "(x − mean) / √(variance + ε) · γ + β"
_LEAST_KERNEL = 2  # axes: more are of a kernel: channels out, channels in, and those of the window
FORMULAS = {
    "ReLU": "max(x, 0)",
    "Sigmoid": "1 / (1 + e⁻ˣ)",
    "Softmax": "eˣ / Σ eˣ",
    "softmax": "eˣ / Σ eˣ",
    "log_softmax": "x − log Σ eˣ",
    "softmax_crossentropy": "mean of −log softmax(x)[label]",
    "crossentropy": "mean of −Σ y log p",
    "mse": "mean of (x − y)²",
    "BatchNorm": f"{_NORMALIZED}, over the batch",
    "LayerNorm": f"{_NORMALIZED}, over features",
    "layer_norm": f"{_NORMALIZED}, over features",
    "batch_norm": f"{_NORMALIZED}, over the batch",
    "Embedding": "row x of the weight",
    "Dropout": "x · mask / (1 − rate)",
    "MultiHeadAttention": "softmax(Q Kᵀ / √d) V",
    "scaled_dot_product_attention": "softmax(Q Kᵀ / √d) V",
    "attention": "softmax(Q Kᵀ / √d) V",
}
"""By the kind of the scope."""
_AFFINE = {"multiply", "add"}
_NEEDED = {"Dropout": {"random_uniform"}, "BatchNorm": _AFFINE, "LayerNorm": _AFFINE}
"""Operations without which it computes something else: a dropout in use, a normalization without γ and β."""


def formula_of(box: Box) -> str:
    """Return what a layer or function that is one box computes; empty where it is not known."""
    if box.scope is None or box.phase != "forward":
        return ""
    kind, names = box.scope.kind or "", {node.op.name for node in box.nodes if node.inputs}
    if kind == "Dense":  # with another operation in it, it is not known
        return {("add", "matmul"): "x W + b", ("matmul",): "x W"}.get(tuple(sorted(names)), "")
    if not _NEEDED.get(kind, set()) <= names:
        return ""
    if kind in FORMULAS:
        return FORMULAS[kind]
    if kind.startswith("Conv"):
        kernels = [node.shape for node in box.nodes if node.op.is_parameter and len(node.shape) > _LEAST_KERNEL]
        if len(kernels) == 1:
            _, channels, *window = kernels[0]
            return f"Σ over {' × '.join(map(str, window))} window and {channels} channel{'s' * (channels != 1)}"
    sums = [said for node in box.nodes if node.op.contracts and (said := node.op.in_words(node.inputs))]
    return sums[0] if len(sums) == 1 else ""
