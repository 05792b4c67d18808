"""Arrays from files that the command line names: checked before anything is allocated."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from ..errors import GraphnnError, MemoryBudgetError
from ..runtime.feed import memory_budget as memory_budget
from .command_registry import Misuse

if TYPE_CHECKING:
    from ..core import Array


def existing(file: str) -> Path:
    """Return the path of a file that is there.

    Raises
    ------
    Misuse
    """
    path = Path(file)
    if not path.exists() or path.is_dir():  # a pipe will do
        raise Misuse(f'there is no file "{file}"')
    return path


def arrays_of(feeds: Sequence[str], most: float) -> dict[str, Array]:
    """Return the arrays in files by placeholder name; they take up to `most` bytes in all."""
    arrays: dict[str, Array] = {}
    for text in feeds:
        name, equals, file = text.rpartition("=")
        loaded = loaded_from(existing(file), most - sum(array.nbytes for array in arrays.values()))
        if isinstance(loaded, np.ndarray):
            if not equals:
                raise Misuse(f"{file} holds one array: say for which placeholder, --feed NAME={file}")
            arrays[name] = loaded
        elif equals:
            raise Misuse(f"{file} holds arrays by name: say --feed {file}")
        else:
            arrays |= loaded
    return arrays


def loaded_from(path: Path, most: float) -> Array | dict[str, Array]:
    """Return the array in an .npy, or those in an .npz; what the file declares is checked before it is read."""
    with path.open("rb") as file:
        try:
            packed = file.read(2) == b"PK"
            file.seek(0)
            if not packed:
                return _array(file, os.fstat(file.fileno()).st_size, most)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _check_size(sum(member.file_size for member in members), most)
                arrays = {}
                for member in members:
                    # It never gives more bytes than the member declares.
                    with archive.open(member) as stream:
                        arrays[member.filename.removesuffix(".npy")] = _array(stream, member.file_size, most)
                return arrays
        except MemoryBudgetError as error:
            raise error.within(f"{path} ") from None
        except Exception as error:
            # A forged header or archive may raise SyntaxError, zlib.error, RuntimeError, …
            raise GraphnnError(f"{path} is not an .npy or .npz file of plain arrays: {error}") from error


def _array(stream: IO[bytes], size: int, most: float) -> Array:
    """Read an .npy of `size` bytes."""
    version = np.lib.format.read_magic(stream)
    if version > (2, 0):
        raise ValueError("its fields have names")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.kind not in "biufc":
        raise ValueError(f"it holds {dtype}, not numbers")
    needed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if needed > held or min(shape, default=0) < 0:
        raise ValueError(f"it declares an array {shape} of {needed:,} bytes and holds {held:,}")
    _check_size(needed, most)
    stream.seek(0)
    array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_size(size: int, most: float) -> None:
    if size > most:
        raise MemoryBudgetError(
            f"would take {size:,} bytes, where {max(int(most), 0):,} are left for feeds; "
            "graph.memory_budget sets another budget"
        )
