"""The state of a generator of random numbers as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileFormatError, ValueRangeError

if TYPE_CHECKING:
    from .init import Rng

# Positions in a generator's buffer, with the largest each may have: NumPy does not check them.
_BUFFERS = {"pos": 624, "buffer_pos": 4}


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
