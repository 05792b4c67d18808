"""Arrays between pages of memory that nobody may touch: to read or write beside them ends the process."""

import ctypes
import mmap
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
_NOTHING = 0
"""What may be done with a page."""


def guarded(array: Array, at_end: bool) -> Array:
    """Return the same numbers, right before a page that nobody may touch, or right after one."""
    pages = max(1, -(-array.nbytes // mmap.PAGESIZE))
    whole = np.frombuffer(mmap.mmap(-1, (pages + 2) * mmap.PAGESIZE), np.uint8)
    first = whole.ctypes.data
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for page in (first, first + (pages + 1) * mmap.PAGESIZE):
        assert protect(page, mmap.PAGESIZE, _NOTHING) == 0
    start = mmap.PAGESIZE + (pages * mmap.PAGESIZE - array.nbytes) * at_end
    made = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    made[...] = array
    return made
