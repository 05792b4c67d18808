"""Evaluation: one loop, a node at a time, and what is compiled from it."""
