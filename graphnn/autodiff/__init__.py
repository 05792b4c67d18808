"""Derivatives as nodes of the same graph."""
