"""Archives that lie: records of a zip archive taken apart, changed and put together again, their checksums right."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any
from zipfile import ZipFile

import numpy as np
from forging import overwrite

from graphnn.errors import FileFormatError
from graphnn.io import container
from graphnn.io.graph_files import VERSION

_LOCAL, _CENTRAL = Struct("<4s5H3I2H"), Struct("<4s6H3I5H2I")
_END = Struct("<4s4H2IH")
NUMBERS = [0, 1, 2, 8, 9, 20, 45, 63, 64, 99, 2**11, 2**15, 2**16 - 1, 2**31, 2**32 - 2, 2**32 - 1]
NAMES = [b"", b"w.npy", b"W.npy", b"../../x.npy", b"graph.json", b"trace.json", b"/etc/passwd", b"a\0b", b"\xff\xfe"]
NAMES += [b"x" * 60_000, b"array-1.npy", b"a\\b.npy", "é.npy".encode(), b"C:x.npy"]
HEADS = [
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (6,), }",
    "{'descr': '>f8', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), 'x': __import__('graphnn_canary')}",
    "(" * 5000,
    "-" * 9000 + "1",
    "",
]


@dataclass
class Record:
    """A member: its header, its line in the directory, and its content. Fields are those after the signature."""

    name: bytes
    content: bytes
    flags: int = 0
    extra: bytes = b""
    shown: bytes | None = None
    """The name in the directory."""
    local: dict[int, int] = field(default_factory=dict)
    central: dict[int, int] = field(default_factory=dict)
    """Fields that lie, by their position."""
    central_extra: bytes = b""
    comment: bytes = b""


def taken_apart(content: bytes) -> list[Record]:
    """Return the members of a sound archive."""
    records = []
    with ZipFile(BytesIO(content)) as archive:
        for info in archive.infolist():
            *_, names, extra = _LOCAL.unpack_from(content, info.header_offset)
            at = info.header_offset + _LOCAL.size
            name, padding = content[at : at + names], content[at + names : at + names + extra]
            records.append(Record(name, archive.read(info), info.flag_bits, padding))
    return records


def put_together(records: list[Record], end: dict[int, int] | None = None, comment: bytes = b"") -> bytes:
    """Return an archive as the format's specification lays it out, but for the fields that lie."""
    content = bytearray()
    lines = []
    for record in records:
        fields = [20, record.flags, 0, 0, 33, zlib.crc32(record.content), len(record.content), len(record.content)]
        line = [788, *fields, len(shown := record.name if record.shown is None else record.shown)]
        line += [len(record.central_extra), len(record.comment), 0, 0, 0o644 << 16, len(content)]
        local = [*fields, len(record.name), len(record.extra)]
        content += _LOCAL.pack(b"PK\3\4", *_lying(local, record.local, "5H3I2H"))
        content += record.name + record.extra + record.content
        packed = _CENTRAL.pack(b"PK\1\2", *_lying(line, record.central, "6H3I5H2I"))
        lines.append(packed + shown + record.central_extra + record.comment)
    directory = b"".join(lines)
    told = [0, 0, len(records), len(records), len(directory), len(content), len(comment)]
    return bytes(content) + directory + _END.pack(b"PK\5\6", *_lying(told, end or {}, "4H2IH")) + comment


def _lying(fields: list[int], lies: dict[int, int], layout: str) -> list[int]:
    widths = _widths(layout)
    return [lies.get(i, value) % (2**16 if widths[i] == "H" else 2**32) for i, value in enumerate(fields)]


def _widths(layout: str) -> str:
    count, widths = "", ""
    for sign in layout:
        if sign.isdigit():
            count += sign
        else:
            widths, count = widths + sign * int(count or 1), ""
    return widths


# --- lies -------------------------------------------------------------------------------------------------------


def _number(rng: np.random.Generator, near: int) -> int:
    choice = int(rng.integers(3))
    return [near + int(rng.integers(-70, 70)), NUMBERS[rng.integers(len(NUMBERS))], int(rng.integers(2**32))][choice]


def _field(rng: np.random.Generator, records: list[Record]) -> None:
    record = records[rng.integers(len(records))]
    lies, count = (record.local, 10) if rng.random() < 0.5 else (record.central, 16)
    lies[int(rng.integers(count))] = _number(rng, len(record.content))


def _name(rng: np.random.Generator, records: list[Record]) -> None:
    record, name = records[rng.integers(len(records))], NAMES[rng.integers(len(NAMES))]
    place = rng.integers(3)
    if place == 0:
        record.name, record.shown = name, record.name
    elif place == 1:
        record.shown = name
    else:
        record.name = name


def _order(rng: np.random.Generator, records: list[Record]) -> None:
    a, b, way = int(rng.integers(len(records))), int(rng.integers(len(records))), rng.integers(4)
    if way == 0:
        records[a], records[b] = records[b], records[a]
    elif way == 1:
        records.insert(b, replace(records[a]))
    elif way == 2 and len(records) > 1:
        del records[a]
    else:
        records.insert(b, Record(NAMES[rng.integers(len(NAMES))], b"hidden"))


def _head(rng: np.random.Generator, records: list[Record]) -> None:
    record = records[int(rng.integers(1, len(records)))] if len(records) > 1 else records[0]
    text = HEADS[rng.integers(len(HEADS))].encode()
    version = bytes([int(rng.choice([1, 1, 1, 2, 3, 0, 255])), 0])
    width = 2 if version[0] < 2 else 4
    length = len(text) if rng.random() < 0.8 else _number(rng, len(text)) % 2**16
    elements = record.content[128:] if rng.random() < 0.8 else bytes(int(rng.integers(99)))
    record.content = b"\x93NUMPY" + version + length.to_bytes(width, "little") + text + elements


def _content(rng: np.random.Generator, records: list[Record]) -> None:
    """Change bytes within a member, its checksum right."""
    record = records[rng.integers(len(records))]
    content = bytearray(record.content or b"\0")
    way = rng.integers(3)
    if way == 0:
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    elif way == 1:
        del content[rng.integers(len(content)) :]
    else:
        content += bytes(int(rng.integers(1, 99)))
    record.content = bytes(content)


def _announcement(rng: np.random.Generator, records: list[Record]) -> None:
    """Let the JSON announce something else."""
    try:
        told = json.loads(records[0].content)
        line = told["arrays"][rng.integers(len(told["arrays"]))]
        place = int(rng.integers(len(line)))
    except (ValueError, KeyError, TypeError, IndexError):
        return
    values: list[Any] = [[2**40], [2**62, 4], [0, 2**64], [], [3, 2], [-1], "float64", "object", "<f8", "bool", "w.npy"]
    values += [1, None, True, "../../x", "\ud800", "array-2.npy", "x" * 70_000, "é.npy"]
    value = values[rng.integers(len(values))]
    way = rng.integers(5)
    if way == 0:
        told["arrays"] = [*told["arrays"], line]
    elif way == 1:
        told[["version", "arrays", "data", "more"][rng.integers(4)]] = value
    elif isinstance(line, list):
        line[place] = value
    records[0].content = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _compressed(rng: np.random.Generator, records: list[Record]) -> None:
    """Compress a member, in earnest."""
    record = records[rng.integers(len(records))]
    whole = record.content if rng.random() < 0.5 else bytes(2**20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    record.content = packer.compress(whole) + packer.flush()
    told = {2: 8, 5: zlib.crc32(whole), 7: len(whole)}
    record.local |= told
    record.central |= {place + 1: value for place, value in told.items()}


def _extra(rng: np.random.Generator, records: list[Record]) -> None:
    """Add a record of zip64, of a name in Unicode, or anything, here or there."""
    record = records[rng.integers(len(records))]
    numbers = [_number(rng, len(record.content)).to_bytes(9, "little", signed=True)[:8] for _ in range(rng.integers(4))]
    body = b"".join(numbers) if rng.random() < 0.8 else bytes(int(rng.integers(40)))
    kind = [1, 0x7075, 0xD935, 0x9901, 7][rng.integers(5)]
    length = len(body) if rng.random() < 0.8 else int(rng.integers(2**16))
    found = kind.to_bytes(2, "little") + length.to_bytes(2, "little") + body
    if rng.random() < 0.5:
        record.extra += found
    else:
        record.central_extra += found
        for place in rng.choice([7, 8, 15], size=int(rng.integers(3)), replace=False):
            record.central[int(place)] = 2**32 - 1


def _comment(rng: np.random.Generator, records: list[Record]) -> None:
    records[rng.integers(len(records))].comment = b"PK\5\6" * int(rng.integers(1, 20))


_HARMLESS: list[Callable[[np.random.Generator, list[Record]], None]] = [_field, _field, _field, _name, _order, _extra]
_HARMLESS += [_compressed, _comment]
"""Lies that leave what the members hold as it was: what is read then is what was written."""
_OTHER: list[Callable[[np.random.Generator, list[Record]], None]] = [_head, _head, _content, _announcement]


def sound() -> bytes:
    """Return a small archive with all kinds of names."""
    arrays = {"w": np.arange(6.0).reshape(2, 3), "é/b": np.array([True, False]), "../../x": np.float32([7.0])}
    arrays |= {"": np.array(3), "layer_1/bias": np.zeros(0)}
    return container.pack("graph", {"a": [1.5, "é"]}, arrays, version=VERSION)


def forged(rng: np.random.Generator, content: bytes) -> tuple[bytes, bool]:
    """Return a forged archive, and whether what is read of it, if it is, must be what the sound one holds."""
    way = rng.random()
    if way < 0.1:
        flipped = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        return bytes(flipped), True
    if way < 0.15:
        at, more = int(rng.integers(len(content))), rng.bytes(int(rng.integers(1, 99)))
        return [content[:at], more + content, content + more, content[:at] + more + content[at:]][rng.integers(4)], True
    records, end, comment, same = taken_apart(content), {}, b"", True
    for _ in range(int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))):
        draw = rng.random()
        if draw < 0.15:
            end[int(rng.integers(7))] = _number(rng, len(content))
        elif draw < 0.2:
            comment = rng.bytes(int(rng.integers(1, 40)))
        else:
            lies = _HARMLESS if draw < 0.65 else _OTHER
            same &= lies is _HARMLESS
            lies[rng.integers(len(lies))](rng, records)
        if not records:
            break
    forged = put_together(records, end, comment)
    if rng.random() < 0.05:  # an end for archives beyond 4 GiB
        at = forged.rfind(b"PK\5\6")
        numbers = [_number(rng, len(content)) % 2**32 for _ in range(6)]
        large = Struct("<4sQ2H2I4Q").pack(b"PK\6\6", 44, 45, 45, *numbers)
        large += Struct("<4sIQI").pack(b"PK\6\7", numbers[0] % 3, at, 1)
        forged = forged[:at] + large + forged[at:]
    return forged, same


def fault_of(content: bytes, path: Path, sound: bytes | None, seen: Counter[str]) -> str | None:
    """Read a file of this content, with and without a map; return what is wrong with how that ends, or None.

    Given the sound file, what is read must be what that holds.
    """
    overwrite(path, content)
    same = None if sound is None else container.unpack(sound, "graph", version=VERSION)
    outcomes = []
    for mmap, verify in ((False, True), (True, True), (True, False)):
        try:
            outcome: Any = container.read(path, "graph", version=VERSION, mmap=mmap, verify=verify)
        except FileFormatError as error:
            text = str(error)
            cause = error.__cause__
            if not text.startswith(repr(str(path))) or isinstance(cause, (MemoryError, RecursionError, SystemError)):
                return f"refused by {text[:300]!r} of {cause!r}"
            outcome = None
        except Exception as error:  # noqa: BLE001 # that is what is looked for
            return f"raised {type(error).__name__}: {str(error)[:300]}"
        if outcome is not None and same is not None and verify and not _equal(outcome, same):
            return f"read other content than was written: {str(outcome)[:300]}"
        outcomes.append(outcome)
    read, mapped, _ = outcomes
    seen["refused" if read is None else "read"] += 1
    if (read is None) != (mapped is None) or (read is not None and not _equal(read, mapped)):
        return "is another thing when it is mapped"
    if read is not None:
        with np.load(path) as opened:
            told = {name: member for name, member, _, _ in json.loads(ZipFile(path).read("graph.json"))["arrays"]}
            if not _equal(read, (read[0], {name: opened[member] for name, member in told.items()})):
                return "is not what NumPy reads"
    return None


def _equal(a: Any, b: Any) -> bool:
    return (
        repr(a[0]) == repr(b[0])
        and list(a[1]) == list(b[1])
        and all(
            (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
            for x, y in zip(a[1].values(), b[1].values(), strict=True)
        )
    )
