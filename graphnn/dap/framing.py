"""Messages of the Debug Adapter Protocol as they travel: a header with Content-Length, then JSON."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

MOST = 4 * 2**20
"""The largest body, in bytes."""
_FIELDS = b"content-length", b"content-type"
_LONGEST_LINE = 1024
_MOST_LINES = 16


class BrokenFrame(Exception):
    """What arrives is not a message, so that nothing tells where the next one begins."""


def read_body(stream: BinaryIO) -> bytes | None:
    """Return the body of the next message, or None at the end of the input.

    Raises
    ------
    BrokenFrame
        When the header declares no size, a size beyond `MOST`, or more than arrives.
    """
    size = -1
    for count in range(_MOST_LINES):
        line = stream.readline(_LONGEST_LINE)
        if not line and not count:
            return None
        if not line.endswith(b"\n"):
            raise BrokenFrame("the header of a message ends early, or is too long")
        line = line.strip()
        if not line:
            break
        name, _, number = line.partition(b":")
        if name.lower() not in _FIELDS:  # a request of HTTP, say, by which a page of a browser would drive this
            raise BrokenFrame("the header of a message has a line that the protocol does not know")
        if name.lower() == b"content-length":
            number = number.strip()
            if not (number.isdigit() and len(number) < 12):
                raise BrokenFrame("Content-Length is not a number of bytes")
            size = int(number)
    else:
        raise BrokenFrame("the header of a message has too many lines")
    if size < 0:
        raise BrokenFrame("the header of a message declares no Content-Length")
    if size > MOST:
        raise BrokenFrame(f"a message of {size:,} bytes is larger than the limit of {MOST:,}")
    body = stream.read(size)
    if len(body) < size:
        raise BrokenFrame("the input ends within a message")
    return body


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def message_of(body: bytes) -> Any:
    """Return what a body says.

    Raises
    ------
    ValueError
        When it is not JSON.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def framed(message: dict[str, Any]) -> bytes:
    """Return a message with its header."""
    body = json.dumps(message, allow_nan=False).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
