"""The thresholds of the compiler, in one object."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The thresholds of the compiler. Sizes are numbers of elements unless they say bytes.

    Attributes
    ----------
    threads : int
        The number of threads for elementwise operations on large arrays.
    traced : int
        The most instructions that an operation's `forward` is traced to; with more, it is called.
    folded : int
        The largest value made of constants alone that is computed when the plan is made.
    spread_from, spread_to : int
        Above `spread_from`, the number in a maximum or minimum is repeated to a whole array, which is faster; above
        `spread_to`, only to one row.
    repeated, narrow, narrow_repeated : int
        Up to `repeated`, a smaller operand of arithmetic is first repeated to the whole shape, which is faster. Where
        rows are narrower than `narrow`, this holds up to `narrow_repeated`.
    masked : int
        From here on, `where` is computed with bit masks.
    tall : int
        How many times as many rows as columns make it faster to reduce over columns by one call for each.
    large : int
        Bytes from which a value is computed in blocks of rows.
    narrow_row : int
        A row narrower than this that is broadcast over all rows is first repeated to a block, which is faster.
    written_over : int
        Bytes from which a returned value is written over an operand: less memory passes through the cache.
    table : int
        Bytes of a table from which an update of few of its rows writes only these.
    lines : int
        From so many lines on, what Python compiles of a plan goes on in another function.
    sorted_buffers : int
        Up to so many buffers, the arena is also laid out with the largest buffers first.
    backend : str
        Whose plan it is, and those of the bodies of its loops. To all but NumPy's, passes over elements cost little.
    """

    threads: int = 1
    traced: int = 48
    folded: int = 2**16
    spread_from: int = 256
    spread_to: int = 2**16
    repeated: int = 2048
    narrow: int = 8
    narrow_repeated: int = 2**15
    masked: int = 2048
    tall: int = 4
    large: int = 2**18
    narrow_row: int = 256
    written_over: int = 2**15
    table: int = 2**18
    lines: int = 1000
    sorted_buffers: int = 500
    backend: str = "numpy"
