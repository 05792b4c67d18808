"""Compiled steps: a schedule lowered to instructions, fused, given memory, and written as NumPy."""
