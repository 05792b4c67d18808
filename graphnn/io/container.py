"""One checked, atomic file of JSON and arrays: an ordinary zip archive, as ``numpy.load`` and ``unzip`` read it.

Its members are stored, not compressed, one after the other from the first byte on:

- First JSON in UTF-8, called after the kind of the file, ``graph.json`` say: ``{"version": …, "arrays": [[name, member,
  dtype, shape], …], "data": …}``.
- Then each array in NumPy's format, little-endian and in C order; of bfloat16, which that does not name, the bits as
  uint16. Its member is called after it, ``dense_1/weight.npy``
  say; where its name would not do in an archive (``../x``, or 10,000 characters), ``array-7.npy`` after its number.

The content of each member begins at a multiple of 64 bytes, and so do the elements of its array, so that they can be
mapped. The CRC-32 of each member tells of damage.

Nothing in a file is ever run or imported, and what a file asks for is compared with what it stores before anything is
allocated.
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
from functools import lru_cache
from io import BufferedReader, BytesIO
from mmap import ACCESS_READ
from mmap import mmap as _map
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeAlias
from zipfile import ZIP64_LIMIT, ZipFile, ZipInfo
from zlib import crc32

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from .._util.text import short_repr
from ..core.storage_dtypes import NAME, dtype_named
from ..errors import DtypeError, FileFormatError, UsageError
from .atomic_file import replacing
from .paths import StrPath, path_of

__all__ = ["pack", "peek", "read", "unpack", "write"]

MAX_JSON = 2**30  # bytes
MAX_ARRAYS = 2**22
MAX_NDIM = 64
MAX_DEPTH = 100  # of lists and objects within each other

_FORMER = b"\x89gnn\r\n\x1a\n"  # that files began with when they were no archives
_ALIGNMENT = 64
_PADDING = 0xD935  # an extra field for alignment, as Android's zipalign writes it
_IN_UTF8 = 0x800  # the only flag that a member may have
_IN_ZIP64 = 2**32 - 1  # in the place of a size that stands elsewhere
_LOCAL = struct.Struct("<4s5H3I2H")  # the header of a member, in front of its name
_END = struct.Struct("<4s4H2IH")  # the end of an archive
_LONGEST_NAME = 200  # bytes
_KIND = re.compile(r"[a-z]{1,16}")
_STR = frozenset({str})
_SCALARS = frozenset({type(None), bool, int, float, str})
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("bfloat16", "float16", "float32", "float64"),
)
"""The names of the dtypes that a file holds."""
_DTYPE_NAMES = ", ".join(DTYPES)
_MAX_SIZE = sys.maxsize // 8  # elements, of at most eight bytes each
_ONE_KIND_OF_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE = bytes(set(range(256)) - set(b'{}[]"'))

Array: TypeAlias = "np.ndarray[Any, Any]"


class _Entry(NamedTuple):
    """An array as the JSON announces it."""

    name: str
    member: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def dtype_of(name: object) -> np.dtype[Any]:
    """Return the dtype of a name that a file gives.

    Raises
    ------
    FileFormatError
        When a file holds none of that name.
    UsageError
        When it is bfloat16, and ml_dtypes is not installed.
    """
    if type(name) is not str or name not in DTYPES:
        raise FileFormatError(f"{short_repr(name)} is not a dtype; there are {_DTYPE_NAMES}")
    return dtype_named(name)


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
        come back native. The bits of a bfloat16 are stored as uint16, with its name in the JSON. The names are free.
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
    text, entries = _text_and_entries(kind, data, arrays, version)
    with replacing(path_of(path)) as file:
        _write_archive(file, f"{kind}.json", text, entries, arrays)


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
    _write_archive(file, f"{kind}.json", *_text_and_entries(kind, data, arrays, version), arrays)
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


def read(
    path: StrPath, kind: str, *, version: int = 1, mmap: bool = False, verify: bool = True
) -> tuple[Any, dict[str, Array]]:
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
    mmap : bool
        Whether the arrays are mapped: they are read-only then, and what of them is used is read when it is used.
        Boolean ones are read.
    verify : bool
        Whether mapped arrays are compared with their CRC, for which all of them is read once. What is not mapped is
        always compared.

    Returns
    -------
    data : None, bool, int, float, str, list, dict
        Equal to the data written, dicts in the same order.
    arrays : dict of str to ndarray
        In the order written; native and C-contiguous; the caller's own and writable unless they are mapped.

    Raises
    ------
    FileFormatError
        If the file is not a graphnn file, is of another kind, comes from a newer version, is truncated or
        damaged, holds more than it says, or asks for more than it stores. (A ValueError.)
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
    >>> np.load(path)["x"]
    array([0., 1., 2.])
    >>> read(path, "graph")
    Traceback (most recent call last):
        ...
    graphnn.errors.FileFormatError: '...small.gnn' holds a trace where a graph was asked for
      at <doctest ...>:1
    >>> folder.cleanup()
    """
    with _opened(path) as reader:
        if mmap and reader.size:
            reader.mapped, reader.verify = (
                np.frombuffer(_map(reader.file.fileno(), 0, access=ACCESS_READ), "u1"),
                verify,
            )
        return _held(reader, kind, version)


def peek(path: StrPath) -> str:
    """Return the kind of a file, having read no more than the name of its first member.

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
        If the file does not begin as a graphnn file does. (A ValueError.)
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
        return reader.kind()


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
    held = reader.kind()
    if held != kind:
        reader.refuse(f"holds a {held} where a {kind} was asked for")
    first, *members = reader.directory()
    data, entries = reader.announced(first, kind, version)
    reader.compare(members, entries)
    arrays = {entry.name: reader.array(member, entry) for member, entry in zip(members, entries, strict=True)}
    if (hidden := reader.directory_at - reader.file.tell()) != 0:
        reader.refuse_damaged(f"has {hidden:,} bytes that belong to no member")
    return data, arrays


# What goes into a file


def _text_and_entries(
    kind: str, data: object, arrays: Mapping[str, Array], version: int
) -> tuple[bytes, list[list[Any]]]:
    """Return the JSON of a file, and what it announces."""
    if not _KIND.fullmatch(kind):
        raise FileFormatError(f"kind {short_repr(kind)} cannot be stored; 1 to 16 letters of a to z can")
    if not 0 < version < 2**32:
        raise FileFormatError(f"version {version} cannot be stored; 1 to 4294967295 can")
    taken: set[str] = set()
    entries = [_announced(name, array, number, taken) for number, (name, array) in enumerate(arrays.items())]
    return _encoded(version, entries, data), entries


def _write_archive(
    file: BinaryIO, first: str, text: bytes, entries: Iterable[list[Any]], arrays: Mapping[str, Array]
) -> None:
    archive = ZipFile(file, "w")
    try:
        _add(archive, file, first, text)
        for name, member, _, shape in entries:
            head = _npy_head(_stored_dtype(arrays[name].dtype).newbyteorder("<"), tuple(shape))
            _add(archive, file, member, head, _bytes_of(_as_stored(arrays[name])))
        archive.close()
    finally:
        archive.fp = None  # else one that was not closed would write to the file when it is collected


def _add(archive: ZipFile, file: BinaryIO, name: str, *content: bytes | memoryview) -> None:
    """Add a member, the same in every process and at every time, whose content begins at a multiple of 64 bytes."""
    info = ZipInfo(name)  # of 1980, the first year that an archive knows
    info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, to be read by all when it is extracted
    info.file_size = sum(map(len, content))
    large = info.file_size > ZIP64_LIMIT // 2  # well before zipfile would find that out by itself
    start = file.tell() + _LOCAL.size + len(name.encode()) + 6 + 20 * large
    padding = -start % _ALIGNMENT
    info.extra = struct.pack("<3H", _PADDING, 2 + padding, _ALIGNMENT) + bytes(padding)
    with archive.open(info, "w", force_zip64=large) as member:
        for part in content:
            member.write(part)
    info.extra = b""  # the directory needs none


@lru_cache(4096)
def _npy_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return what NumPy writes in front of the elements of an array."""
    head = BytesIO()
    descr = dtype_to_descr(dtype.newbyteorder("<"))
    write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    return head.getvalue()


def _member_of(name: str, number: int, taken: set[str]) -> str:
    """Return what the member of an array is called: after the array, if that is harmless whoever unpacks it."""
    plain = name.casefold()
    if (
        name.isprintable()  # else with a surrogate, say
        and not {"\\", ":"} & {*name}
        and not any(part in ("", ".", "..") or part.endswith((".npy", ".json")) for part in plain.split("/"))
        and len(name.encode()) <= _LONGEST_NAME
        and not plain.startswith("array-")
        and plain not in taken
    ):
        taken.add(plain)
        return f"{name}.npy"
    return f"array-{number}.npy"


def _announced(name: object, array: object, number: int, taken: set[str]) -> list[Any]:
    """Return an array's line in the JSON."""
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
    return [name, _member_of(name, number, taken), array.dtype.name, list(array.shape)]


def _encoded(version: int, entries: list[list[Any]], data: object) -> bytes:
    if len(entries) > MAX_ARRAYS:
        raise FileFormatError(f"{len(entries):,} arrays were given; a file holds up to {MAX_ARRAYS:,}")
    _check_plain(data)
    try:
        text = json.dumps(
            {"version": version, "arrays": entries, "data": data},
            ensure_ascii=False,
            check_circular=False,
            separators=(",", ":"),
        )
    except ValueError as error:
        raise FileFormatError(f"data holds an integer that a str should hold: {error}") from error
    # Escaped, two surrogates in a row would come back as the one character they stand for in UTF-16.
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_JSON:
        raise FileFormatError(f"data takes {len(encoded):,} bytes as JSON; a file holds up to {MAX_JSON:,}: use arrays")
    return encoded


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
    kind = _stored_dtype(array.dtype)
    plain = array.view(kind) if array.dtype.name == NAME else array
    stored: Array = np.asarray(plain, dtype=kind.newbyteorder("<"), order="C")
    if _has_odd_bool(stored):
        stored = stored.view(np.uint8) != 0
    return stored


def _stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a member: NumPy's format has no name for bfloat16, whose bits it holds as uint16."""
    return np.dtype(np.uint16) if dtype.name == NAME else dtype.newbyteorder("=")


def _has_odd_bool(array: Array) -> bool:
    """Tell whether a boolean array has a byte other than 0 and 1, on which NumPy's results are undefined."""
    return array.dtype == np.bool_ and bool(array.view(np.uint8).max(initial=0) > 1)


def _bytes_of(array: Array) -> memoryview:
    """Return the memory of a C-contiguous array, which may be empty or 0-d, as bytes."""
    return array.reshape(-1).view(np.uint8).data


# What comes out of a file


class _Reader:
    """The members of one file, in their order, each checked before it is used."""

    def __init__(self, file: BufferedReader | BytesIO, path: StrPath, size: int) -> None:
        self.file = file
        self.path = os.fspath(path)
        self.size = size
        self.mapped: Array | None = None
        self.verify = True
        self.directory_at = 0

    def refuse(self, what: str) -> NoReturn:
        raise FileFormatError(f"{self.path!r} {what}")

    def refuse_damaged(self, what: str) -> NoReturn:
        self.refuse(f"{what}; take another copy of it, or save it again")

    def kind(self) -> str:
        """Return the kind, which the first member is called after."""
        head = self.file.read(_LOCAL.size)
        if head.startswith(_FORMER):
            self.refuse(
                "was written by an earlier graphnn, whose own format this one does not read: make it again with this"
                " one"
            )
        if not head or not b"PK\3\4".startswith(head[:4]):
            found = f"begins with {head[:8]!r}" if head else "is empty"
            self.refuse(
                f"is not a graphnn file: it {found}, and one is a zip archive, which begins with b'PK\\x03\\x04'"
            )
        size = _LOCAL.unpack(head)[-2] if len(head) == _LOCAL.size else 1
        name = self.file.read(size).decode("latin-1")
        self.file.seek(0)
        if len(name) < size:
            self.refuse_truncated()
        if not name.endswith(".json") or not _KIND.fullmatch(name[:-5]):
            self.refuse(
                f"is not a graphnn file: it is a zip archive whose first member is {short_repr(name)}, "
                "and that of one is graph.json, trace.json or the like"
            )
        return name[:-5]

    def refuse_truncated(self) -> NoReturn:
        self.refuse_damaged(f"is truncated: {self.size:,} bytes are there, which do not end as a zip archive does")

    def directory(self) -> list[ZipInfo]:
        """Return what the directory of the archive says, which is still to be compared with the members."""
        self.file.seek(max(0, self.size - _END.size))
        end = self.file.read()
        if len(end) < _END.size or not end.startswith(b"PK\5\6") or any(end[-2:]):
            # After a comment, or something else that was appended, it is not the end that one sees here.
            self.refuse_truncated()
        try:
            archive = ZipFile(self.file)
        except Exception as error:
            # It may be anybody's, and zipfile raises what comes up.
            raise FileFormatError(
                f"{self.path!r} has a directory that is not one of a zip archive ({error}); take another copy of it, or"
                " save it again"
            ) from error
        members = archive.infolist()
        self.directory_at, archive.fp = archive.start_dir, None
        self.file.seek(0)
        if not members:
            self.refuse_damaged("has a directory without members")
        return members

    def announced(self, member: ZipInfo, kind: str, version: int) -> tuple[Any, list[_Entry]]:
        """Return the data in the JSON, and the arrays that it announces."""
        name = f"{kind}.json"
        self._enter(member, name)
        if member.file_size > MAX_JSON:
            self.refuse_damaged(f"has {member.file_size:,} bytes of JSON; a file holds up to {MAX_JSON:,}")
        block = bytearray(member.file_size)
        self._fill(block, b"", member)
        if not _is_shallow(block, MAX_DEPTH + 1):
            self.refuse_damaged(f"has brackets in its JSON that are unbalanced or over {MAX_DEPTH} deep")
        try:
            content = json.loads(block.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            self.refuse_damaged(f"has a member {name!r} that is not JSON ({error})")
        match content:
            case {"version": int(written)} if written > version:
                self.refuse(
                    f"is version {written} of a {kind}; this graphnn reads up to version {version}: "
                    "a newer graphnn will read it"
                )
            case {"version": int(written), "arrays": [*lines], "data": data} if (
                len(content) == 3 and type(written) is int and written > 0
            ):
                if len(lines) > MAX_ARRAYS:
                    self.refuse(f"announces {len(lines):,} arrays; a file holds up to {MAX_ARRAYS:,}")
                return data, list(map(self._entry, lines))
        self.refuse_damaged("has JSON without a version, a list of arrays, and data")

    def _entry(self, line: Any) -> _Entry:
        match line:
            case [str(name), str(member), str(dtype), list(shape)] if dtype in DTYPES and _is_shape(shape):
                return _Entry(name, member, dtype_of(dtype), tuple(shape))
        self.refuse_damaged(
            f"announces the array {short_repr(line)}; it takes a name, a member, a dtype among {_DTYPE_NAMES}, and a"
            f" shape of up to {MAX_NDIM} dimensions"
        )

    def compare(self, members: list[ZipInfo], entries: list[_Entry]) -> None:
        """Compare what the arrays take with what is there, all of them together, before any has memory."""
        if len({entry.name for entry in entries}) < len(entries):
            self.refuse_damaged("announces two arrays of one name")
        if len(members) != len(entries):
            self.refuse_damaged(f"announces {len(entries):,} arrays and has {len(members):,} members beside its JSON")
        left = self.directory_at - self.file.tell()
        for entry in entries:
            size = math.prod(entry.shape) * entry.dtype.itemsize
            if size > left:
                self.refuse_damaged(
                    f"asks for {size:,} bytes for array {short_repr(entry.name)} of shape {short_repr(entry.shape)},"
                    f" and {left:,} are left"
                )
            left -= size

    def array(self, member: ZipInfo, entry: _Entry) -> Array:
        self._enter(member, entry.member)
        stored = _stored_dtype(entry.dtype).newbyteorder("<")
        wanted = _npy_head(stored, entry.shape)
        head = self.file.read(10)
        head += self.file.read(int.from_bytes(head[8:], "little"))
        size = math.prod(entry.shape) * entry.dtype.itemsize
        # What NumPy writes, with as many spaces at its end as this or another version of it takes.
        if _without_spaces(head) != _without_spaces(wanted) or member.file_size != len(head) + size:
            self.refuse_damaged(
                f"announces the array {short_repr(entry.name)} as {entry.dtype.name} of shape"
                f" {short_repr(entry.shape)}, and its member, of {member.file_size:,} bytes, says otherwise"
            )
        array: Array
        start = self.file.tell()
        if self.mapped is None or entry.dtype == np.bool_ or start % _ALIGNMENT:
            array = np.empty(entry.shape, stored)
            self._fill(_bytes_of(array), head, member)
        else:
            array = np.ndarray(entry.shape, stored, self.mapped, start)
            self.file.seek(start + size)
            if self.verify:
                self._check(_bytes_of(array), head, member)
        if _has_odd_bool(array):
            self.refuse(f"has bytes for booleans that are neither 0 nor 1 in array {short_repr(entry.name)}")
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return native.view(entry.dtype) if entry.dtype.name == NAME else native

    def _enter(self, member: ZipInfo, name: str) -> None:
        """Go to the content of a member, which begins where the one before has ended."""
        at, stored = self.file.tell(), member.file_size
        head = self.file.read(_LOCAL.size).ljust(_LOCAL.size, b"\0")
        sign, _, flags, method, _, _, crc, packed, size, length, more = _LOCAL.unpack(head)
        told = self.file.read(length + more)[:length]
        left = self.directory_at - self.file.tell()
        if (
            (at, name, 0, stored) != (member.header_offset, member.orig_filename, method, member.compress_size)
            or (sign, told, flags, crc) != (b"PK\3\4", name.encode(), member.flag_bits, member.CRC)
            or (flags & ~_IN_UTF8, member.compress_type, member.volume, member.comment) != (0, 0, 0, b"")
            or {packed, size} - {stored, _IN_ZIP64}
            or stored > left
        ):
            self.refuse_damaged(
                f"does not have the member {short_repr(name)} as a graphnn file stores it: it is compressed, encrypted"
                f" or moved, asks for {stored:,} bytes where {left:,} are left, or the JSON, the directory and its own"
                " header do not agree"
            )

    def _fill(self, block: bytearray | memoryview, head: bytes, member: ZipInfo) -> None:
        """Read the rest of a member into the memory given, and hold it against its CRC."""
        if self.file.readinto(block) < len(block):
            self.refuse_truncated()
        self._check(block, head, member)

    def _check(self, block: bytearray | memoryview, head: bytes, member: ZipInfo) -> None:
        found = crc32(block, crc32(head))
        if found != member.CRC:
            self.refuse_damaged(
                f"is damaged: the CRC-32 of its member {short_repr(member.filename)} is {found:08x} where"
                f" {member.CRC:08x} was stored"
            )


def _without_spaces(head: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what an array's head says, without its length and the spaces before its last character."""
    return head[:8], head[10:-1].rstrip(b" "), head[-1:]


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
