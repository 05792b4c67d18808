"""PyTorch modules as graphs.

Needs: onnx.
"""
