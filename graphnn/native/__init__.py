"""Plans without Python between the operations: NumPy's own loops by their addresses, and exact arithmetic fused."""
