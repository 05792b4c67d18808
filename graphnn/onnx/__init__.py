"""ONNX models: `from_onnx` reads them, `writing` writes them."""

from .from_onnx import from_onnx

__all__ = ["from_onnx"]
