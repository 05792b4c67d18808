"""Trainings while they go on: curves on a page, in a notebook, and in a terminal."""
