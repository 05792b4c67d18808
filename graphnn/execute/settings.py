"""From which sizes on a plan does what: one object, which is handed to the compiler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """What the compiler decides by. Sizes are in elements unless they say bytes.

    Attributes
    ----------
    threads : int
        How many compute what is elementwise on large arrays.
    traced : int
        Up to how many instructions an operation's `forward` is written as; one of more is called.
    folded : int
        Up to which a value of constants alone is computed when the plan is made.
    spread_from, spread_to : int
        Between them a number is repeated to a whole array, beyond to a row of it, where that is faster.
    repeated, narrow, narrow_repeated : int
        Up to which arithmetic is faster on two whole arrays, the smaller one repeated beforehand; where rows are
        narrower than `narrow`, it is so of more of them.
    masked : int
        From which a choice is made by masks, many bits at a time.
    tall : int
        From how many rows a column on a sum takes a call for each column.
    large : int
        Bytes from which a value is computed in blocks of rows.
    narrow_row : int
        Of a row that is added to each row, up to which it is faster to repeat it to a block beforehand.
    written_over : int
        Bytes from which what is handed out is written over an operand: then less memory passes through the cache.
    sorted_buffers : int
        Buffers up to which it is tried to place the largest first, each looked at against all others.
    """

    threads: int = 1
    traced: int = 32
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
    sorted_buffers: int = 500
