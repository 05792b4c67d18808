r"""One checked, atomic file of JSON and raw arrays.

A file is a row of blocks: the preamble, the header, then every array. Behind each block stands a BLAKE2b
digest of 16 bytes, taken over the digest before it and the block, so that the last one vouches for the
whole file and no block can be altered, dropped or moved unseen.

- The preamble, 48 bytes, little-endian: the magic bytes ``\x89gnn\r\n\x1a\n``, the layout of this page
  (uint32), the version of the content (uint32), its kind (16 ASCII bytes, padded with NUL), the size of the
  header (uint64) and of the whole file (uint64). It stays like this in every future layout.
- The header: UTF-8 JSON, ``{"arrays": [[name, dtype, shape], ...], "data": ...}``.
- An array: its elements, little-endian and in C order.

Nothing in a file is ever run or imported, and what a file asks for is compared with what it stores before
anything is allocated.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from io import BufferedReader, BytesIO
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeAlias

import numpy as np

from .._util.text import short_repr
from ..errors import DtypeError, FileFormatError, UsageError
from .atomic_file import replacing
from .paths import StrPath, path_of

__all__ = ["pack", "peek", "read", "unpack", "write"]

MAGIC = b"\x89gnn\r\n\x1a\n"  # as PNG's: a transfer as text, or over seven bits, shows at once
LAYOUT = 1
MAX_HEADER = 2**30  # bytes
MAX_ARRAYS = 2**22
MAX_NDIM = 64
MAX_DEPTH = 100  # of lists and objects within each other

_PREAMBLE = struct.Struct("<8sII16sQQ")
_DIGEST_SIZE = 16
_KIND = re.compile(r"[a-z]{1,16}")
_STR = frozenset({str})
_SCALARS = frozenset({type(None), bool, int, float, str})
DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
_DTYPE_NAMES = ", ".join(DTYPES)
_MAX_SIZE = sys.maxsize // 8  # elements, of at most eight bytes each
_ONE_KIND_OF_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE = bytes(set(range(256)) - set(b'{}[]"'))

Array: TypeAlias = "np.ndarray[Any, Any]"


class _Entry(NamedTuple):
    """An array as the header announces it."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def write(path: StrPath, kind: str, data: object, arrays: Mapping[str, Array], *, version: int = 1) -> None:
    """Write `data` and `arrays` to one file, wholly or not at all.

    The bytes go to a temporary file in the same folder, which takes the place of `path` once everything is
    on the disk. Until then, and whatever fails, a file that was there stays as it was. Temporary files
    left behind by saves to `path` that were killed are removed; those of saves under way are not touched.

    A symbolic link is followed. A file that is replaced hands on its permissions; a new one gets those
    that ``open`` would give it. The same content in the same order gives the same bytes.

    Parameters
    ----------
    path : str or path-like
        Where to; the folder must exist.
    kind : str
        What the file is, ``"graph"`` say: 1 to 16 letters of a to z.
    data : None, bool, int, float, str, list, dict
        Plain data of exactly these types, nested up to 100 deep, the keys of a dict strings. Floats come
        back to the bit, −0.0 and the infinities too; a NaN comes back as NaN (its sign and payload are kept
        in arrays only).
    arrays : mapping of str to ndarray
        Of any shape and strides, of a boolean, integer or real dtype, in any byte order; big-endian ones
        come back native. The names are free.
    version : int
        Version of the content: `read` refuses files of a newer one than it is asked for.

    Raises
    ------
    UsageError
        If `data` is not plain, or something in `arrays` is not an ndarray or its name is not a string. (A TypeError.)
    DtypeError
        If the dtype of an array is not among those a file holds. (A TypeError.)
    FileFormatError
        If `kind` or `version` cannot be stored, `data` is nested too deeply, there is too much of it, or
        `path` is a device, a pipe or the like. (A ValueError.)
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> from pathlib import Path
    >>> path = Path(folder.name, "small.gnn")
    >>> write(path, "graph", {"lo": -0.0, "hi": float("inf")}, {"w": np.eye(2)})
    >>> read(path, "graph")
    ({'lo': -0.0, 'hi': inf}, {'w': array([[1., 0.], [0., 1.]])})
    >>> write(path, "graph", {"lo": np.float64(0)}, {})
    Traceback (most recent call last):
        ...
    graphnn.errors.UsageError: data['lo'] is a numpy.float64; a file holds None, bool, int, float, str, list
    and dict, exactly: convert it, or pass it as an array
      at <doctest ...>:1
    >>> folder.cleanup()
    """
    first, stored = _blocks(kind, data, arrays, version)
    with replacing(path_of(path)) as file:
        _write_blocks(file, first, stored)


def pack(kind: str, data: object, arrays: Mapping[str, Array], *, version: int = 1) -> bytes:
    """Return the bytes of the file that `write` would write.

    Parameters
    ----------
    kind, data, arrays, version
        As `write` takes them.

    Raises
    ------
    GraphnnError
        As `write` does.
    """
    file = BytesIO()
    _write_blocks(file, *_blocks(kind, data, arrays, version))
    return file.getvalue()


def unpack(block: bytes, kind: str, *, version: int = 1) -> tuple[Any, dict[str, Array]]:
    """Return what `pack` made bytes of, checked as `read` checks a file.

    Parameters
    ----------
    block : bytes
    kind, version
        As `read` takes them.

    Raises
    ------
    FileFormatError
        As `read` does.

    Examples
    --------
    >>> unpack(pack("trace", ["a", 1], {"x": np.arange(3.0)}), "trace")
    (['a', 1], {'x': array([0., 1., 2.])})
    """
    return _held(_Reader(BytesIO(block), "the bytes", len(block)), kind, version)


def read(path: StrPath, kind: str, *, version: int = 1) -> tuple[Any, dict[str, Array]]:
    """Read back what `write` wrote: everything, or an error.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        What it must be.
    version : int
        The newest version of the content that the caller understands. Older ones are handed over as they
        are.

    Returns
    -------
    data : None, bool, int, float, str, list, dict
        Equal to the data written, dicts in the same order.
    arrays : dict of str to ndarray
        In the order written; writable, native, C-contiguous, and the caller's own.

    Raises
    ------
    FileFormatError
        If the file is not a graphnn file, is of another kind, comes from a newer version, is truncated,
        damaged or longer than it says, or asks for more than it stores. (A ValueError.)
    OSError
        If the file is not there, or may not be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> from pathlib import Path
    >>> path = Path(folder.name, "small.gnn")
    >>> write(path, "trace", ["a", 1], {"x": np.arange(3.0)})
    >>> data, arrays = read(path, "trace")
    >>> data, arrays["x"]
    (['a', 1], array([0., 1., 2.]))
    >>> read(path, "graph")
    Traceback (most recent call last):
        ...
    graphnn.errors.FileFormatError: '...small.gnn' holds a trace where a graph was asked for
      at <doctest ...>:1
    >>> folder.cleanup()
    """
    with _opened(path) as reader:
        return _held(reader, kind, version)


def peek(path: StrPath) -> str:
    """Return the kind of a file, having read no more than its preamble.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    str
        The kind it was written as.

    Raises
    ------
    FileFormatError
        If the file is not a graphnn file, its preamble is damaged, or its size is not what that says.
        (A ValueError.)
    OSError
        If the file is not there, or may not be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> from pathlib import Path
    >>> path = Path(folder.name, "small.gnn")
    >>> write(path, "trace", None, {})
    >>> peek(path)
    'trace'
    >>> folder.cleanup()
    """
    with _opened(path) as reader:
        return reader.preamble()[0]


@contextmanager
def _opened(path: StrPath) -> Iterator[_Reader]:
    path = path_of(path)
    # Opening a pipe that nobody writes to would wait for ever.
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileFormatError(f"{os.fspath(path)!r} is not a regular file")
    with path.open("rb") as file:
        info = os.fstat(file.fileno())
        reader = _Reader(file, path, info.st_size)
        if not stat.S_ISREG(info.st_mode):
            reader.refuse("is not a regular file, so that its size cannot be checked; copy it to one")
        yield reader


def _held(reader: _Reader, kind: str, version: int) -> tuple[Any, dict[str, Array]]:
    """Return the data and arrays of a file, which must be of a kind."""
    held, written, header_size = reader.preamble()
    if held != kind:
        reader.refuse(f"holds a {held} where a {kind} was asked for")
    if written > version:
        reader.refuse_newer(f"version {written} of a {kind}", version)
    data, entries = reader.header(header_size)
    return data, {entry.name: reader.array(entry) for entry in entries}


# What goes into a file


def _blocks(kind: str, data: object, arrays: Mapping[str, Array], version: int) -> tuple[list[bytes], list[Array]]:
    """Return the first blocks of a file, and the arrays that come after them."""
    if not _KIND.fullmatch(kind):
        raise FileFormatError(f"kind {short_repr(kind)} cannot be stored; 1 to 16 letters of a to z can")
    if not 0 < version < 2**32:
        raise FileFormatError(f"version {version} cannot be stored; 1 to 4294967295 can")
    named = list(arrays.items())
    header = _encoded_header(data, [_announced(name, array) for name, array in named])
    blocks = [_PREAMBLE.size, len(header), *(array.nbytes for _, array in named)]
    total = sum(blocks) + _DIGEST_SIZE * len(blocks)
    preamble = _PREAMBLE.pack(MAGIC, LAYOUT, version, kind.encode(), len(header), total)
    return [preamble, header], [array for _, array in named]


def _write_blocks(file: BinaryIO, first: Iterable[bytes], arrays: Iterable[Array]) -> None:
    digest = b""
    for block in first:
        digest = _write_block(file, digest, block)
    for array in arrays:
        digest = _write_block(file, digest, _bytes_of(_as_stored(array)))


def _announced(name: object, array: object) -> list[object]:
    """Return an array's line in the header."""
    if type(name) is not str:
        raise UsageError(f"the name of an array is {short_repr(name)}, which is not a str")
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise UsageError(
            f"arrays[{short_repr(name)}] is a {_type_name(array)} not a plain ndarray; np.asarray makes it one"
        )
    if array.dtype.name not in DTYPES:
        raise DtypeError(
            f"arrays[{short_repr(name)}] has dtype {short_repr(array.dtype.name)}; a file holds {_DTYPE_NAMES}"
        )
    return [name, array.dtype.name, list(array.shape)]


def _encoded_header(data: object, directory: list[list[object]]) -> bytes:
    if len(directory) > MAX_ARRAYS:
        raise FileFormatError(f"{len(directory):,} arrays were given; a file holds up to {MAX_ARRAYS:,}")
    _check_plain(data)
    try:
        text = json.dumps(
            {"arrays": directory, "data": data},
            ensure_ascii=False,
            check_circular=False,
            separators=(",", ":"),
        )
    except ValueError as error:
        raise FileFormatError(f"data holds an integer that a str should hold: {error}") from error
    # Escaped, two surrogates in a row would come back as the one character they stand for in UTF-16.
    header = text.encode("utf-8", "surrogatepass")
    if len(header) > MAX_HEADER:
        raise FileFormatError(
            f"data takes {len(header):,} bytes as JSON; a file holds up to {MAX_HEADER:,}: use arrays"
        )
    return header


def _check_plain(data: object) -> None:
    """Refuse what JSON would change (a tuple, a key that is not a str, a subclass of float) or recurse into."""
    level = [] if type(data) in _SCALARS else [data]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            items: Iterable[object]
            if type(value) is dict and _STR.issuperset(map(type, value)):
                items = value.values()
            elif type(value) is list:
                items = value
            else:
                raise _not_plain(data, value)
            if not _SCALARS.issuperset(map(type, items)):
                inner += [item for item in items if type(item) not in _SCALARS]
        if not inner:
            return
        level = inner
    raise FileFormatError(
        f"{_place_of(level[0], data)} is nested more than {MAX_DEPTH} deep, or holds itself;"
        f" a file holds up to {MAX_DEPTH} lists and dicts within each other"
    )


def _not_plain(data: object, value: object) -> UsageError:
    place = _place_of(value, data)
    if type(value) is dict:
        key = next(key for key in value if type(key) is not str)
        return UsageError(
            f"{place} has the key {short_repr(key)}, a {_type_name(key)}; a file holds dicts with str for keys"
        )
    return UsageError(
        f"{place} is a {_type_name(value)}; a file holds None, bool, int, float, str, list and dict, exactly:"
        " convert it, or pass it as an array"
    )


def _place_of(value: object, data: object) -> str:
    """Return how one would write the first place of `value` within `data`."""
    level = [("data", data)]
    while level:
        inner: list[tuple[str, object]] = []
        for place, candidate in level:
            if candidate is value:
                return place
            items: Iterable[tuple[object, object]] = ()
            if type(candidate) is dict:
                items = candidate.items()
            elif type(candidate) is list:
                items = enumerate(candidate)
            inner += [(f"{place}[{short_repr(key)}]", item) for key, item in items]
        level = inner
    return "data"


def _as_stored(array: Array) -> Array:
    """Return `array` itself if it lies in memory as it will in the file, else a copy that does."""
    stored: Array = np.asarray(array, dtype=DTYPES[array.dtype.name].newbyteorder("<"), order="C")
    if _has_odd_bool(stored):
        stored = stored.view(np.uint8) != 0
    return stored


def _has_odd_bool(array: Array) -> bool:
    """Tell whether a boolean array has a byte other than 0 and 1, on which NumPy's results are undefined."""
    return array.dtype == np.bool_ and bool(array.view(np.uint8).max(initial=0) > 1)


def _bytes_of(array: Array) -> memoryview:
    """Return the memory of a C-contiguous array, which may be empty or 0-d, as bytes."""
    return array.reshape(-1).view(np.uint8).data


def _digest(previous: bytes, block: bytes | bytearray | memoryview) -> bytes:
    state = blake2b(previous, digest_size=_DIGEST_SIZE)
    state.update(block)
    return state.digest()


def _write_block(file: BinaryIO, previous: bytes, block: bytes | memoryview) -> bytes:
    digest = _digest(previous, block)
    file.write(block)
    file.write(digest)
    return digest


# What comes out of a file


class _Reader:
    """The blocks of one file, in their order, each checked before it is used."""

    def __init__(self, file: BufferedReader | BytesIO, path: StrPath, size: int) -> None:
        self.file = file
        self.path = os.fspath(path)
        self.size = size
        self.digest = b""

    def refuse(self, what: str) -> NoReturn:
        raise FileFormatError(f"{self.path!r} {what}")

    def refuse_newer(self, what: str, known: int) -> NoReturn:
        self.refuse(f"is {what}; this graphnn reads up to version {known}: a newer graphnn will read it")

    def refuse_damaged(self, what: str) -> NoReturn:
        self.refuse(f"{what}; take another copy of it, or save it again")

    def preamble(self) -> tuple[str, int, int]:
        """Return the kind, the version of the content, and the size of the header."""
        start = self.file.read(len(MAGIC))
        self.file.seek(0)
        if not start or not MAGIC.startswith(start):
            found = f"begins with {start!r}" if start else "is empty"
            self.refuse(f"is not a graphnn file: it {found}, and one begins with {MAGIC!r}")
        block = bytearray(_PREAMBLE.size)
        self._fill(block, "preamble")
        _, layout, version, padded_kind, header_size, total = _PREAMBLE.unpack(block)
        if layout > LAYOUT:
            self.refuse_newer(f"version {layout} of the layout of files", LAYOUT)
        kind = padded_kind.rstrip(b"\0").decode("latin-1")
        if layout != LAYOUT or not _KIND.fullmatch(kind):
            self.refuse_damaged(f"has an invalid preamble (layout {layout}, kind {short_repr(kind)})")
        if self.size < total:
            self.refuse_damaged(f"is truncated: {self.size:,} bytes are there of {total:,}")
        if self.size > total:
            self.refuse_damaged(f"has {self.size - total:,} bytes after its end at {total:,}")
        return kind, version, header_size

    def header(self, size: int) -> tuple[Any, list[_Entry]]:
        left = self.size - self.file.tell() - size - _DIGEST_SIZE
        if left < 0 or size > MAX_HEADER:
            self.refuse_damaged(
                f"asks for a header of {size:,} bytes; the file has {self.size:,} in all, and a header"
                f" up to {MAX_HEADER:,}"
            )
        block = bytearray(size)
        self._fill(block, "header")
        if not _is_shallow(block, MAX_DEPTH + 1):
            self.refuse_damaged(f"has a header with brackets unbalanced or over {MAX_DEPTH} deep")
        try:
            header = json.loads(block.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            self.refuse_damaged(f"has a header that is not JSON ({error})")
        match header:
            case {"arrays": list(directory), "data": data} if len(header) == 2:
                return data, self._entries(directory, left)
        self.refuse_damaged("has a header without a list of arrays and data")

    def _entries(self, directory: list[Any], left: int) -> list[_Entry]:
        """Return the arrays announced, having compared what they take together with the `left` bytes."""
        if len(directory) > MAX_ARRAYS:
            self.refuse(f"announces {len(directory):,} arrays; a file holds up to {MAX_ARRAYS:,}")
        entries: dict[str, _Entry] = {}
        for line in directory:
            entry = self._entry(line)
            if entry.name in entries:
                self.refuse_damaged(f"has two arrays named {short_repr(entry.name)}")
            size = math.prod(entry.shape) * entry.dtype.itemsize + _DIGEST_SIZE
            if size > left:
                self.refuse_damaged(
                    f"asks for {size:,} bytes for array {short_repr(entry.name)} of shape {short_repr(entry.shape)}"
                    f" and its digest, and {left:,} are left"
                )
            left -= size
            entries[entry.name] = entry
        if left:
            self.refuse_damaged(f"has {left:,} bytes that belong to no array")
        return list(entries.values())

    def _entry(self, line: Any) -> _Entry:
        match line:
            case [str(name), str(dtype), list(shape)] if dtype in DTYPES and _is_shape(shape):
                return _Entry(name, DTYPES[dtype].newbyteorder("<"), tuple(shape))
        self.refuse_damaged(
            f"announces the array {short_repr(line)}; it takes a name, a dtype among {_DTYPE_NAMES}, and a"
            f" shape of up to {MAX_NDIM} dimensions"
        )

    def array(self, entry: _Entry) -> Array:
        array: Array = np.empty(entry.shape, entry.dtype)
        self._fill(_bytes_of(array), f"array {short_repr(entry.name)}")
        if _has_odd_bool(array):
            self.refuse(f"has bytes for booleans that are neither 0 nor 1 in array {short_repr(entry.name)}")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def _fill(self, block: bytearray | memoryview, what: str) -> None:
        """Read a block into the memory given, and hold it against the digest after it."""
        stored = self.file.readinto(block)
        digest = self.file.read(_DIGEST_SIZE)
        if stored < len(block) or len(digest) < _DIGEST_SIZE:
            self.refuse_damaged(f"is truncated: {self.size:,} bytes are there, which end within its {what}")
        self.digest = _digest(self.digest, block)
        if digest != self.digest:
            self.refuse_damaged(
                f"is damaged: the checksum of its {what} is {self.digest.hex()} where {digest.hex()} was stored"
            )


def _is_shape(shape: list[Any]) -> bool:
    return (
        len(shape) <= MAX_NDIM
        and all(type(size) is int and size >= 0 for size in shape)
        # NumPy wants the product of the other dimensions in bounds even where one of them is 0.
        and math.prod(size or 1 for size in shape) <= _MAX_SIZE
    )


def _is_shallow(text: bytearray, depth: int) -> bool:
    """Tell whether the brackets of a JSON text are balanced and at most `depth` deep.

    Without recursion, since the text may be anybody's: the json module recurses, into a crash of the
    interpreter where the recursion limit has been raised.
    """
    without_escapes = text.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets_and_quotes = without_escapes.translate(_ONE_KIND_OF_BRACKET, _NO_STRUCTURE)
    # Two quotes that are now adjacent hold nothing between them, be it inside or outside of a string.
    brackets = b"".join(brackets_and_quotes.replace(b'""', b"").split(b'"')[::2])
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")
    return not brackets


# What messages are made of


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
