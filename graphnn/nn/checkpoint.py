"""The contents of a checkpoint: checks of its entries, and the state of a random generator as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileFormatError, ValueRangeError
from ..graph import Array, Graph, Node, sealed
from ..graph.dimensions import shown
from .layer import snake

if TYPE_CHECKING:
    from .init import Rng

# Positions in a generator's buffer, with the largest each may have: NumPy does not check them.
_BUFFERS = {"pos": 624, "buffer_pos": 4}


def listed(numbers: Mapping[str, int]) -> str:
    """Return numbers with their names, for an error."""
    return ", ".join(f"{name} = {number:,}" for name, number in numbers.items())


def fields(data: Any, **kinds: type | tuple[type, ...]) -> list[Any]:
    """Return entries of what was read, by the types they must have; an int must not be negative."""
    values = [data[name] for name in kinds]
    for (name, kind), value in zip(kinds.items(), values, strict=True):
        if type(value) not in (kind if isinstance(kind, tuple) else (kind,)) or (type(value) is int and value < 0):
            raise FileFormatError(f'its entry "{name}" is not valid')
    return values


def check_figures(name: str, values: Any, shape: tuple[Any, ...]) -> None:
    """Raise an error unless these are the figures of as many epochs, each of the right shape."""
    found = np.asarray(values)
    if type(values) is not list or found.shape != shape or found.dtype.kind not in "biuf":
        raise FileFormatError(f'its figures "{name}" are not valid')


def renamed(state: Sequence[Any], graph: Graph) -> dict[str, str]:
    """Return the names of parameters in a checkpoint that have another name in the graph now, with that name.

    Layers in attributes were once named after their class, as all others: ``dense_1`` for what is now ``query``.
    """
    found: dict[str, str] = {}
    for old, node in zip(state, graph.state, strict=False):
        before, now = str(old).split("/"), node.name.split("/")
        for depth, (one, other) in enumerate(zip(before, now, strict=False), start=1):
            scope = graph.scopes.get("/".join(now[:depth]))
            if one != other and not (scope and re.fullmatch(rf"{re.escape(snake(scope.kind))}_\d+", one)):
                return {}
        if len(before) != len(now):
            return {}
        found[str(old)] = node.name
    return found if len(state) == len(graph.state) else {}


def stored_value(node: Node, array: Array) -> Array:
    """Return an array of a checkpoint as the value of a node.

    Raises
    ------
    FileFormatError
        When it does not have the shape and dtype of the node.
    """
    if array.shape != node.shape or array.dtype != node.dtype:
        raise FileFormatError(
            f'it is a checkpoint of another graph: there, "{node.name}" is {shown(array.shape)} {array.dtype}, '
            f"and here {node.spec}"
        )
    return sealed(array)


def plain_state(rng: Rng | None) -> Any:
    """Return the state of a generator as plain data; None without one."""
    return None if rng is None else _plain(_state(rng))


def set_state(rng: Rng, plain: Any) -> None:
    """Give a generator a state that `plain_state` returned. If that fails, the generator stays as it was."""
    before = _state(rng)
    if plain["bit_generator"] != before["bit_generator"]:
        raise ValueRangeError(
            f"the checkpoint was shuffled by {plain['bit_generator']}, and rng is {before['bit_generator']}: "
            "resume with a generator of the same kind"
        )
    try:
        _set(rng, _like(before, plain))
    except BaseException:
        _set(rng, before)
        raise


def _state(rng: Rng) -> Any:
    return rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)


def _set(rng: Rng, state: Any) -> None:
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    else:
        rng.set_state(state)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _like(template: Any, plain: Any, most: int | None = None) -> Any:
    """Return plain data with the types and shapes of a template; an int is at most `most`."""
    if isinstance(template, Mapping):
        return {key: _like(part, plain[key], _BUFFERS.get(key)) for key, part in template.items()}
    if type(plain) is not type(_plain(template)):
        raise FileFormatError("its state of the generator that shuffles is not valid")
    made = np.array(plain, template.dtype) if isinstance(template, np.ndarray) else type(template)(plain)
    if np.shape(made) != np.shape(template) or (most is not None and not 0 <= made <= most):
        raise FileFormatError("its state of the generator that shuffles is not valid")
    return made
