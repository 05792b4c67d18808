"""Diagrams: what is seen of a graph, how it looks, and the forms in which it is written."""
