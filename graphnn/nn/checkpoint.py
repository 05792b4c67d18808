"""What a checkpoint holds: its fields, read with care, and the states of generators as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileFormatError, ValueRangeError
from ..graph import Array, Node, sealed
from ..graph.dimensions import shown

if TYPE_CHECKING:
    from .init import Rng

# Where in its buffer a generator stands, which NumPy takes unchecked.
_BUFFERS = {"pos": 624, "buffer_pos": 4}


def listed(plan: Mapping[str, int]) -> str:
    """Return numbers with their names, for an error."""
    return ", ".join(f"{name} = {number:,}" for name, number in plan.items())


def field(data: Any, name: str, *kinds: type) -> Any:
    """Return an entry of what was read; ints are not negative."""
    value = data[name]
    if type(value) not in kinds or (type(value) is int and value < 0):
        raise FileFormatError(f'its entry "{name}" is not valid')
    return value


def check_figures(name: str, values: list[Any], shape: tuple[Any, ...]) -> None:
    """Refuse what are not the numbers of as many epochs, each of the figure's shape."""
    found = np.asarray(values)
    if found.shape != shape or found.dtype.kind not in "biuf":
        raise FileFormatError(f'its figures "{name}" are not valid')


def fitting(node: Node, array: Array) -> Array:
    """Return an array that is to be the value of a node.

    Raises
    ------
    FileFormatError
        When its shape or dtype is another.
    """
    if array.shape != node.shape or array.dtype != node.dtype:
        raise FileFormatError(
            f'it is a checkpoint of another graph: there, "{node.name}" is {shown(array.shape)} {array.dtype}, '
            f"and here {node.spec}"
        )
    return sealed(array)


def state_of(rng: Rng) -> Any:
    """Return the state of a generator."""
    return rng.bit_generator.state if isinstance(rng, np.random.Generator) else rng.get_state(legacy=False)


def set_state(rng: Rng, plain: Any) -> None:
    """Give a generator a state that `as_plain` made, or leave it as it was."""
    before = state_of(rng)
    if plain["bit_generator"] != before["bit_generator"]:
        raise ValueRangeError(
            f"the checkpoint was shuffled by {plain['bit_generator']}, and rng is {before['bit_generator']}: "
            "resume with a generator of the same kind"
        )
    try:
        _give(rng, _like(before, plain))
    except BaseException:
        _give(rng, before)
        raise


def _give(rng: Rng, state: Any) -> None:
    if isinstance(rng, np.random.Generator):
        rng.bit_generator.state = state
    else:
        rng.set_state(state)


def as_plain(value: Any) -> Any:
    """Return a generator's state as plain data."""
    if isinstance(value, Mapping):
        return {key: as_plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _like(template: Any, plain: Any, most: int | None = None) -> Any:
    """Return plain data in the form of another state."""
    if isinstance(template, Mapping):
        return {key: _like(part, plain[key], _BUFFERS.get(key)) for key, part in template.items()}
    if type(plain) is not type(as_plain(template)):
        raise FileFormatError("its state of the generator that shuffles is not valid")
    made = np.array(plain, template.dtype) if isinstance(template, np.ndarray) else type(template)(plain)
    if np.shape(made) != np.shape(template) or (most is not None and not 0 <= made <= most):
        raise FileFormatError("its state of the generator that shuffles is not valid")
    return made
