"""Draw the pictures of README.md: the network of the demonstration, as DOT text and as SVG.

python docs/images/make.py

A test holds the DOT text current.
"""

from pathlib import Path

import graphnn as gn
from graphnn import demo
from graphnn.view import Diagram

HERE = Path(__file__).parent
PICTURES = {"network": "op", "layers": "layer"}


def diagrams() -> dict[str, Diagram]:
    """Return the diagram of each picture, by its name."""
    fetches, _ = demo.build()
    return {name: gn.draw(fetches["loss"], detail=detail) for name, detail in PICTURES.items()}


if __name__ == "__main__":
    for name, diagram in diagrams().items():
        for suffix in (".dot", ".svg"):
            diagram.save(HERE / f"{name}{suffix}")
