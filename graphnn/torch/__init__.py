"""PyTorch modules as graphs. It needs `onnx`."""
