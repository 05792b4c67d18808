"""ONNX models: `from_onnx` reads them, `to_onnx` writes them."""
