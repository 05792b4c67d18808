"""Formulas: what nodes compute, as a lecture writes it."""
