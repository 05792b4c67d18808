import json
import math
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from forging import overwrite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphnn.errors import DtypeError, FileFormatError, GraphnnError, UsageError
from graphnn.io import container
from graphnn.io.container import peek, read, write

MIB = 2**20

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only: fork, permissions and links")


def identical(a: Any, b: Any) -> bool:
    """Tell whether two plain values have the same types, bits and order of keys; a NaN is a NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(identical, a.values(), b.values()))
    return bool(a == b)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def npy(array: np.ndarray[Any, Any]) -> bytes:
    packed = BytesIO()
    np.save(packed, array)
    return packed.getvalue()


def forged(text: bytes, *arrays: np.ndarray[Any, Any] | bytes, first: str = "graph.json") -> bytes:
    """Return the archive that the standard library makes, its checksums right, whatever the JSON says."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(first, text)
        for number, array in enumerate(arrays):
            archive.writestr(f"{number}.npy", array if isinstance(array, bytes) else npy(array))
    return packed.getvalue()


def announcing(*lines: Any) -> bytes:
    """Return the JSON that announces arrays, in the members that `forged` gives them."""
    return json.dumps({"version": 1, "arrays": lines, "data": None}).encode()


def line(number: int, name: str, dtype: str, shape: Any) -> list[Any]:
    return [name, f"{number}.npy", dtype, shape]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gnn"


@pytest.fixture
def small(path: Path) -> bytes:
    write(path, "graph", {"a": [1.5, "é"]}, {"w": np.arange(3.0), "": np.array(True)})
    return path.read_bytes()


def refusal(path: Path, content: bytes, **asked: Any) -> str:
    """Return the message with which reading a file of this content is refused."""
    overwrite(path, content)
    with pytest.raises(FileFormatError) as caught:
        read(path, "graph", **asked)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(repr(str(path)))
    return message


# Round trips

any_text = st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from('[]{}"\\\x00\ud83d\ude00/<'))
any_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([-0.0, 5e-324, 2.0**1023, -math.inf, 2**70])
    | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=30,
)
any_dtype = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?")
)


@st.composite
def any_array(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = draw(
        hnp.arrays(any_dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    )
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[:: draw(st.sampled_from([-1, 2]))]
    if draw(st.booleans()):
        array = np.broadcast_to(array, (2, *array.shape))
    if draw(st.booleans()):
        array.flags.writeable = False
    return array


@settings(max_examples=100)
@given(any_data, st.dictionaries(any_text, any_array(), max_size=5), st.sampled_from(["graph", "trace"]))
def test_what_was_written_comes_back_to_the_bit(data: Any, arrays: dict[str, np.ndarray[Any, Any]], kind: str) -> None:
    with TemporaryDirectory() as folder, patch("os.fsync"):  # nothing is to outlive the test
        path = Path(folder, "file")
        write(path, kind, data, arrays)
        first = path.read_bytes()
        data_back, arrays_back = read(path, kind)
        assert peek(path) == kind
        assert identical(data_back, data)
        assert list(arrays_back) == list(arrays)
        for name, array in arrays.items():
            back = arrays_back[name]
            assert type(back) is np.ndarray
            assert back.dtype == array.dtype.newbyteorder("=")
            assert back.dtype.isnative
            assert back.shape == array.shape
            assert back.tobytes() == array.astype(back.dtype).tobytes()
            assert back.flags.writeable
            assert back.flags.c_contiguous
            assert back.base is None
        write(path, kind, data_back, arrays_back)
        assert path.read_bytes() == first
        assert names_in(path.parent) == ["file"]


def test_the_standard_library_and_numpy_read_what_is_described(path: Path) -> None:
    write(path, "trace", {"lo": -0.0, "hi": math.inf, "é": None}, {"w": np.array([[1, 2]], ">i2")}, version=3)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["trace.json", "w.npy"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("trace.json").decode() == (
            '{"version":3,"arrays":[["w","w.npy","int16",[1,2]]],"data":{"lo":-0.0,"hi":Infinity,"é":null}}'
        )
        assert archive.read("w.npy") == npy(np.array([[1, 2]], "<i2"))
    with np.load(path) as loaded:
        assert loaded["w"].tolist() == [[1, 2]]


def test_an_archive_of_the_standard_library_is_read(path: Path) -> None:
    overwrite(path, forged(announcing(line(0, "w", "int16", [2])), np.array([1, 2], "<i2")))
    for mmap in (False, True):  # there, nothing is aligned
        assert read(path, "graph", mmap=mmap)[1]["w"].tolist() == [1, 2]


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_unzip_finds_it_sound(path: Path) -> None:
    arrays = {name: np.arange(3) for name in ("dense_1/weight", "é/b", "../../x", "C:/x", "")}
    write(path, "graph", None, arrays)
    done = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=True)
    assert "No errors detected" in done.stdout
    subprocess.run(["unzip", "-q", path, "-d", path.parent / "out"], check=True)
    assert np.load(path.parent / "out" / "dense_1" / "weight.npy").tolist() == [0, 1, 2]
    assert names_in(path.parent) == ["model.gnn", "out"]


def test_an_array_can_be_mapped_at_its_members_offset(path: Path) -> None:
    arrays = {"a": np.arange(7, dtype="int8"), "x" * 150: np.arange(12.0).reshape(3, 4), "b": np.array(3, np.float32)}
    write(path, "graph", {"any": "thing"}, arrays)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist()[1:]:
            names, extra = struct.unpack_from("<2H", content, info.header_offset + 26)
            at = info.header_offset + 30 + names + extra
            elements = at + 10 + int.from_bytes(content[at + 8 : at + 10], "little")
            array = arrays[info.filename.removesuffix(".npy")]
            assert (at % 64, elements % 64) == (0, 0)
            assert np.memmap(path, array.dtype, "r", elements, array.shape).tobytes() == array.tobytes()


NAMES = {
    "dense_1/weight": "dense_1/weight",
    "é.1 (two)": "é.1 (two)",
    "W": "W",
    "w": "array-3",  # the same as the one before where upper and lower case are one
    "": "array-4",
    "/etc/passwd": "array-5",
    "../../x": "array-6",
    "a/./b": "array-7",
    "a//b": "array-8",
    "a\\b": "array-9",
    "C:x": "array-10",
    "a\0b": "array-11",
    "\x1b[2J": "array-12",
    "\ud800": "array-13",
    "x" * 10_000: "array-14",
    "array-1": "array-15",
    "w.npy": "array-16",  # NumPy would not tell it from w
    "graph.json/x": "array-17",
    "a/" * 90 + "a": "a/" * 90 + "a",
}


def test_a_member_is_called_after_its_array_where_that_is_harmless(path: Path) -> None:
    write(path, "graph", None, {name: np.array(i) for i, name in enumerate(NAMES)})
    assert {name: int(array) for name, array in read(path, "graph")[1].items()} == {n: i for i, n in enumerate(NAMES)}
    with np.load(path) as loaded:
        assert loaded.files == ["graph.json", *NAMES.values()]
        assert [int(loaded[key]) for key in NAMES.values()] == list(range(len(NAMES)))


def test_mapped_arrays_are_in_the_file_and_read_only(path: Path) -> None:
    arrays = {
        "w": np.arange(6.0).reshape(2, 3),
        "none": np.zeros((0, 3)),
        "one": np.array(2.5),
        "mask": np.ones(3, bool),
    }
    write(path, "graph", None, arrays)
    for verify in (True, False):
        _, mapped = read(path, "graph", mmap=True, verify=verify)
        for name, array in arrays.items():
            assert (mapped[name].dtype, mapped[name].shape) == (array.dtype, array.shape)
            assert mapped[name].tobytes() == array.tobytes()
            assert mapped[name].flags.writeable == (name == "mask")
            assert mapped[name].flags.aligned
    at = path.read_bytes().index(arrays["w"].tobytes())
    with path.open("r+b") as file:
        file.seek(at)
        file.write(np.float64(9).tobytes())
    assert mapped["w"][0, 0] == 9.0
    assert read(path, "graph", mmap=True, verify=False)[1]["w"][0, 0] == 9.0
    for mmap in (False, True):
        with pytest.raises(FileFormatError, match="is damaged: the CRC-32 of its member 'w"):
            read(path, "graph", mmap=mmap)


def test_mapping_takes_no_memory_for_arrays(path: Path) -> None:
    write(path, "graph", None, {str(i): np.ones(MIB) for i in range(3)})
    tracemalloc.start()
    try:
        _, arrays = read(path, "graph", mmap=True)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    assert all(array.sum() == MIB for array in arrays.values())


def test_more_arrays_are_mapped_than_files_may_be_open(path: Path) -> None:
    resource = pytest.importorskip("resource")
    count = 2000
    write(path, "graph", None, {str(i): np.array([i]) for i in range(count)})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, limits[0]), limits[1]))
    try:
        _, arrays = read(path, "graph", mmap=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [int(array[0]) for array in arrays.values()] == list(range(count))


def test_byte_order_and_strides_leave_no_trace(tmp_path: Path) -> None:
    plain = np.arange(12, dtype="<f4").reshape(3, 4)
    variants = [plain, plain.astype(">f4"), np.asfortranarray(plain), np.repeat(plain, 2, axis=1)[:, ::2]]
    contents = set()
    for number, variant in enumerate(variants):
        write(tmp_path / str(number), "graph", None, {"w": variant})
        contents.add((tmp_path / str(number)).read_bytes())
    assert len(contents) == 1


def test_booleans_are_stored_as_0_and_1(path: Path) -> None:
    write(path, "graph", None, {"mask": np.array([0, 2, 255], np.uint8).view(bool)})
    assert read(path, "graph")[1]["mask"].view(np.uint8).tolist() == [0, 1, 1]


def test_64_dimensions(path: Path) -> None:
    array = np.ones((1,) * 63 + (2,))
    write(path, "graph", None, {"deep": array})
    assert read(path, "graph")[1]["deep"].shape == array.shape


def test_a_large_array_is_neither_copied_to_write_nor_held_twice_to_read(path: Path) -> None:
    arrays = {"a": np.ones(MIB), "b": np.ones((1024, 1024)).T}  # 8 MiB each, the second to be copied
    tracemalloc.start()
    try:
        write(path, "graph", None, {"a": arrays["a"]})
        assert tracemalloc.get_traced_memory()[1] < MIB
        tracemalloc.reset_peak()
        write(path, "graph", None, arrays | {"c": arrays["b"]})
        assert tracemalloc.get_traced_memory()[1] < 10 * MIB
        tracemalloc.reset_peak()
        back = read(path, "graph")
        assert tracemalloc.get_traced_memory()[1] < 25 * MIB
    finally:
        tracemalloc.stop()
    assert len(back[1]) == 3


# What does not go into a file


def nested(depth: int) -> list[Any]:
    data: list[Any] = []
    for _ in range(depth - 1):
        data = [data]
    return data


def holding_itself() -> list[Any]:
    data: list[Any] = [1]
    data.append(data)
    return data


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((1, 2), UsageError, r"data is a tuple; a file holds"),
        ({"a": [0, {"b": {1}}]}, UsageError, r"data\['a'\]\[1\]\['b'\] is a set;"),
        ([np.float64(1)], UsageError, r"data\[0\] is a numpy\.float64;"),
        ({"a": {"b": 0, 1: 2}}, UsageError, r"data\['a'\] has the key 1, a int;"),
        ({"x" * 1000: ()}, UsageError, r"data\['x+…\] is a tuple"),
        (nested(101), FileFormatError, r"nested more than 100 deep"),
        (holding_itself(), FileFormatError, r"holds itself"),
        pytest.param(10**5000, FileFormatError, r"integer that a str should hold", id="5,000 digits"),
    ],
)
def test_data_that_would_not_come_back_is_refused(
    path: Path, data: Any, error: type[GraphnnError], message: str
) -> None:
    write(path, "graph", "before", {})
    with pytest.raises(error, match=message):
        write(path, "graph", data, {})
    assert read(path, "graph") == ("before", {})
    assert names_in(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"w": np.array([None])}, DtypeError, r"arrays\['w'\] has dtype 'object'; a file holds bool, int8, "),
        ({"w": np.array(["a"])}, DtypeError, r"'str32'"),
        ({"w": np.array([1j])}, DtypeError, r"'complex128'"),
        ({"w": np.zeros(2, "f8,i4")}, DtypeError, r"'void96'"),
        ({"w": np.array(["2020"], "M8[D]")}, DtypeError, r"'datetime64\[D\]'"),
        ({"w": [1.0]}, UsageError, r"arrays\['w'\] is a list not a plain ndarray; np\.asarray"),
        ({"w": np.float32(1)}, UsageError, r"is a numpy\.float32"),
        ({"w": np.ma.masked_array([1.0], [True])}, UsageError, r"MaskedArray"),
        ({1: np.ones(2)}, UsageError, r"the name of an array is 1, which is not a str"),
    ],
)
def test_arrays_that_cannot_be_stored_are_refused(
    path: Path, arrays: Any, error: type[GraphnnError], message: str
) -> None:
    with pytest.raises(error, match=message):
        write(path, "graph", None, arrays)
    assert names_in(path.parent) == []


@pytest.mark.parametrize("kind", ["", "Graph", "graph\n", "a" * 17, "é"])
def test_a_kind_that_cannot_be_stored_is_refused(path: Path, kind: str) -> None:
    with pytest.raises(FileFormatError, match="1 to 16 letters"):
        write(path, kind, None, {})


@pytest.mark.parametrize("version", [0, -1, 2**32])
def test_a_version_that_cannot_be_stored_is_refused(path: Path, version: int) -> None:
    with pytest.raises(FileFormatError, match=f"version {version} cannot"):
        write(path, "graph", None, {}, version=version)


def test_caps_hold_when_writing_and_when_reading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, "graph", "x" * 100, {name: np.ones(1) for name in "abc"})
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(container, "MAX_ARRAYS", 2)
        with pytest.raises(FileFormatError, match="3 arrays were given; a file holds up to 2"):
            write(path, "graph", None, {name: np.ones(1) for name in "abc"})
        assert "announces 3 arrays" in refusal(path, content)
    with monkeypatch.context() as patch:
        patch.setattr(container, "MAX_JSON", 80)
        with pytest.raises(FileFormatError, match=r"135 bytes as JSON; a file holds up to 80"):
            write(path, "graph", "x" * 100, {})
        assert "bytes of JSON; a file holds up to 80" in refusal(path, content)


# Damaged, foreign, newer, hostile files


def test_truncation_at_every_byte_is_refused(path: Path, small: bytes) -> None:
    for length in range(len(small)):
        message = refusal(path, small[:length])
        assert "truncated" in message if length else "is empty" in message


def test_every_bit_flip_is_refused_or_changes_nothing(path: Path, small: bytes) -> None:
    sound = read(path, "graph")
    harmless = set()
    for position in range(len(small)):
        for bit in range(8):
            flipped = bytearray(small)
            flipped[position] ^= 1 << bit
            overwrite(path, flipped)
            try:
                data, arrays = read(path, "graph")
            except FileFormatError as error:
                assert str(error).startswith(repr(str(path)))  # noqa: PT017
                continue
            harmless.add(position)
            assert identical(data, sound[0])
            assert list(arrays) == list(sound[1])
            for name, array in sound[1].items():
                assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
                assert arrays[name].tobytes() == array.tobytes()
    directory = small.index(b"PK\1\2")
    with zipfile.ZipFile(BytesIO(small)) as archive:
        contents = [
            small.index(archive.read(info), info.header_offset) + i
            for info in archive.infolist()
            for i in range(info.file_size)
        ]
    assert not harmless & set(contents)  # only in dates, versions, attributes and padding
    assert len([position for position in harmless if position >= directory]) < 0.5 * (len(small) - directory)


def test_members_moved_or_dropped_or_added_are_refused(path: Path) -> None:
    zeros, ones, lines = np.zeros(2), np.ones(2), [line(0, "a", "float64", [2]), line(1, "b", "float64", [2])]
    assert "does not have the member '1.npy' as" in refusal(path, forged(announcing(*lines[::-1]), zeros, ones))
    assert "announces 2 arrays and has 1 members beside its JSON" in refusal(path, forged(announcing(*lines), zeros))
    assert "announces 1 arrays and has 2" in refusal(path, forged(announcing(lines[0]), zeros, ones))
    content = forged(announcing(*lines), zeros, ones)
    assert "truncated: " in refusal(path, content[:-32])
    assert "truncated: " in refusal(path, content + b"more")


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), b"\x93NUMPY" * 9, b"\x89gnn\n\x1a\n" + bytes(90)])
def test_a_file_of_something_else_is_refused(path: Path, content: bytes) -> None:
    assert "is not a graphnn file" in refusal(path, content)
    with pytest.raises(FileFormatError, match="is not a graphnn file"):
        peek(path)


def test_a_file_of_the_former_format_is_refused_by_name(path: Path) -> None:
    message = refusal(path, b"\x89gnn\r\n\x1a\n" + bytes(90))
    assert "was written by an earlier graphnn, whose own format this one does not read: make it again" in message


def test_another_kind_is_refused(path: Path) -> None:
    write(path, "trace", None, {}, version=7)
    with pytest.raises(FileFormatError, match=r"model\.gnn' holds a trace where a graph was asked for"):
        read(path, "graph")
    assert peek(path) == "trace"


def test_a_newer_version_is_refused_with_both_numbers(path: Path) -> None:
    write(path, "graph", "new", {}, version=12)
    content = path.read_bytes()
    assert "is version 12 of a graph; this graphnn reads up to version 11" in refusal(path, content, version=11)
    assert read(path, "graph", version=12) == read(path, "graph", version=13) == ("new", {})


def entry(text: bytes, *arrays: Any, **packing: Any) -> bytes:
    """Return an archive with the last member packed in another way."""
    packed = BytesIO(forged(text, *arrays[:-1]))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(f"{len(arrays) - 1}.npy", npy(arrays[-1]), **packing)
    return packed.getvalue()


def flagged(content: bytes, flag: int) -> bytes:
    """Return an archive with a flag set for its last member, in both places."""
    changed = bytearray(content)
    changed[content.rindex(b"PK\3\4") + 6] |= flag
    changed[content.rindex(b"PK\1\2") + 8] |= flag
    return bytes(changed)


EIGHT = line(0, "w", "int8", [8])
WHOLE = npy(np.arange(8, dtype="int8"))
HEAD = 128
FORGED = {
    "kind of capitals": forged(announcing(), first="Graph.json"),
    "kind with NUL": forged(announcing(), first="gr_ph.json").replace(b"gr_ph", b"gr\0ph"),
    "no kind": forged(announcing(), first=".json"),
    "no JSON": forged(b""),
    "null": forged(b"null"),
    "list": forged(b"[]"),
    "unbalanced": forged(b"{"),
    "unbalanced the other way": forged(b"]["),
    "brackets mixed": forged(b'{"version":1,"arrays":[},"data":0]'),
    "not UTF-8": forged(b"\xff"),
    "UTF-16": forged('{"version":1,"arrays":[],"data":0}'.encode("utf-16")),
    "5,000 digits": forged(b'{"version":1,"arrays":[],"data":' + b"9" * 5000 + b"}"),
    "no data": forged(b'{"version":1,"arrays":[]}'),
    "no arrays": forged(b'{"version":1,"data":0}'),
    "no version": forged(b'{"arrays":[],"data":0}'),
    "version 0": forged(b'{"version":0,"arrays":[],"data":0}'),
    "version of text": forged(b'{"version":"1","arrays":[],"data":0}'),
    "version true": forged(b'{"version":true,"arrays":[],"data":0}'),
    "arrays by name": forged(b'{"version":1,"arrays":{},"data":0}'),
    "something more": forged(b'{"version":1,"arrays":[],"data":0,"code":"import os"}'),
    "a name twice": forged(announcing(line(0, "w", "int8", [1]), line(1, "w", "int8", [1])), *np.int8([[1], [1]])),
    "a member twice": forged(announcing(line(0, "w", "int8", [1]), line(0, "v", "int8", [1])), np.int8([1])),
    "an element less": forged(announcing(EIGHT), WHOLE[:-1]),
    "an element more": forged(announcing(EIGHT), WHOLE + b"\0"),
    "another shape": forged(announcing(EIGHT), np.arange(8, dtype="int8").reshape(2, 4)),
    "another dtype": forged(announcing(EIGHT), np.arange(8, dtype="uint8")),
    "a head alone": forged(announcing(EIGHT), WHOLE[:HEAD]),
    "half a head": forged(announcing(EIGHT), WHOLE[: HEAD // 2]),
    "no head": forged(announcing(EIGHT), b""),
    "Fortran's order": forged(announcing(line(0, "w", "int8", [2, 4])), np.zeros((2, 4), "int8", order="F")),
    "code for a head": forged(announcing(EIGHT), WHOLE.replace(b"False", b"exit()")),
    "an object": forged(announcing(EIGHT), WHOLE.replace(b"|i1", b"|O")),
    "another version of NumPy's format": forged(announcing(EIGHT), WHOLE.replace(b"NUMPY\1", b"NUMPY\2")),
    "a boolean of 2": forged(announcing(line(0, "w", "bool", [8])), WHOLE.replace(b"|i1", b"|b1")),
    "compressed": entry(announcing(EIGHT), np.arange(8, dtype="int8"), compress_type=zipfile.ZIP_DEFLATED),
    "encrypted": flagged(forged(announcing(EIGHT), WHOLE), 1),
    "its sizes after it": flagged(forged(announcing(EIGHT), WHOLE), 8),
    "something before it": b"#!/bin/sh\n" + forged(announcing(EIGHT), WHOLE),
    "something after it": forged(announcing(EIGHT), WHOLE) + b"\0",
    "a comment": forged(announcing(EIGHT), WHOLE)[:-2] + b"\4\0PK\5\6",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_a_forged_file_is_refused(path: Path, content: bytes) -> None:
    refusal(path, content)


@pytest.mark.parametrize(
    "line",
    [
        0,
        [],
        ["w", "0.npy", "int8"],
        ["w", "0.npy", "int8", [1], 0],
        [["w"], "0.npy", "int8", [1]],
        ["w", 0, "int8", [1]],
        ["w", None, "int8", [1]],
        ["w", "0.npy", ["int8"], [1]],
        ["w", "0.npy", "object", [1]],
        ["w", "0.npy", "O", [1]],
        ["w", "0.npy", ">f4", [1]],
        ["w", "0.npy", "complex64", [1]],
        ["w", "0.npy", "os.system", [1]],
        ["w", "0.npy", "int8", 1],
        ["w", "0.npy", "int8", [1.0]],
        ["w", "0.npy", "int8", [True]],
        ["w", "0.npy", "int8", [-1, -1]],
        ["w", "0.npy", "int8", [None]],
        ["w", "0.npy", "int8", [1] * 65],
        ["w", "0.npy", "int8", [0, 2**64]],
        ["w", "0.npy", "int8", [0, 2**40, 2**40]],
        ["w", "0.npy", "float64", [2**61]],
        ["w", "0.npy", "int8", [10**4000] * 64],
    ],
    ids=lambda line: json.dumps(line)[:40],
)
def test_a_forged_announcement_is_refused(path: Path, line: Any) -> None:
    assert "announces the array" in refusal(path, forged(announcing(line), np.int8([1])))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(
            st.text(max_size=2),
            st.sampled_from(["0.npy", "1.npy", "x"]),
            st.sampled_from(["int8", "bool", "float64", "object"]),
            st.lists(st.integers(-1, 3) | st.sampled_from([2**31, 2**62, 2**64]), max_size=3),
        ),
        max_size=3,
    ),
    arrays=st.lists(hnp.arrays(st.sampled_from(["int8", "bool", "float64"]), hnp.array_shapes(max_side=3)), max_size=3),
)
def test_a_forged_announcement_is_read_as_it_is_or_refused(path: Path, lines: list[Any], arrays: list[Any]) -> None:
    overwrite(path, forged(announcing(*lines), *arrays))
    try:
        _, back = read(path, "graph")
    except FileFormatError:
        return
    assert [[array.dtype.name, [*array.shape]] for array in back.values()] == [[*line[2:]] for line in lines]
    assert [array.tobytes() for array in back.values()] == [array.tobytes() for array in arrays]


def told(content: bytes, **sizes: int) -> bytes:
    """Return an archive whose last member, or whose directory, tells other sizes."""
    changed = bytearray(content)
    local, central, end = (content.rindex(sign) for sign in (b"PK\3\4", b"PK\1\2", b"PK\5\6"))
    places = {"member": (local + 18, local + 22, central + 20, central + 24), "directory": (end + 12,)}
    for what, size in sizes.items():
        for place in places[what]:
            changed[place : place + 4] = size.to_bytes(4, "little")
    return bytes(changed)


ONE = np.int8([1])
GREEDY = {
    "8 TiB": forged(announcing(line(0, "w", "float64", [2**40])), ONE),
    "8 TiB in dimensions": forged(announcing(line(0, "w", "int8", [2**20, 2**20, 8])), ONE),
    "8 TiB in both": forged(announcing(line(0, "w", "int8", [2**40])), npy(ONE).replace(b"(1,)", b"(%d,)" % 2**40)),
    "the same bytes twice": forged(
        announcing(*(line(i, str(i), "int8", [4 * MIB]) for i in range(2))), np.zeros(4 * MIB, "int8"), ONE
    ),
    "a hundred times": forged(
        announcing(*(line(i, str(i), "int8", [MIB]) for i in range(100))), np.zeros(MIB, "int8"), *[ONE] * 99
    ),
    "a member": told(forged(announcing(line(0, "w", "int8", [2**31])), ONE), member=2**31 + 128),
    "JSON": told(forged(announcing()), member=2**30),
    "JSON beyond its cap": told(forged(announcing()), member=2**32 - 2),
    "a directory": told(forged(announcing()), directory=2**31),
}


@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY)
def test_what_is_asked_for_is_not_allocated_before_it_is_known_to_be_there(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"asks for|has a directory that is not"):
            read(path, "graph")
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_the_size_asked_for_and_the_size_there_are_in_the_message(path: Path) -> None:
    content = forged(announcing(line(0, "w", "float64", [2**40])), np.int8([1]))
    message = refusal(path, content)
    assert "asks for 8,796,093,022,208 bytes for array 'w' of shape (1099511627776,)" in message
    left = content.index(b"PK\1\2") - content.rindex(b"PK\3\4")
    assert f"{left:,} are left" in message


def test_nesting_up_to_the_cap(path: Path) -> None:
    write(path, "graph", nested(100), {})
    assert read(path, "graph")[0] == nested(100)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [101, 1_000_000])
def test_deep_nesting_is_refused_without_recursion(
    path: Path, opening: bytes, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = b"]" if opening == b"[" else b"}"
    content = forged(b'{"version":1,"arrays":[],"data":' + opening * depth + b"0" + closing * depth + b"}")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        assert "100 deep" in refusal(path, content)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_strings_do_not_nest(path: Path) -> None:
    data = {"[" * 500: ["]" * 500, '"[' * 500, "\\[" * 500, '\\"{' * 500, "\\"], "": ["", "", '"', "\\\\"]}
    write(path, "graph", data, {})
    assert read(path, "graph")[0] == data


def test_a_name_in_a_message_is_escaped_and_short(path: Path) -> None:
    name = "\x1b[31m\n" + "x" * 10_000
    message = refusal(path, forged(announcing(line(0, name, "int8", [2])), ONE))
    assert message.partition("\n  at ")[0].isprintable()
    assert len(message) < 500


def test_a_device_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="is not a regular file"):
        read(os.devnull, "graph")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", "graph")
    with pytest.raises(FileNotFoundError):
        peek(tmp_path / "none")


# Saving over a file that is there


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["os.fsync", "os.fchmod", "pathlib.Path.replace", "graphnn.io.container._bytes_of"])
@posix
def test_a_failure_leaves_the_old_file_and_no_litter(
    path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step, failing(error))
        with pytest.raises(type(error)) as caught:
            write(path, "graph", "new", {"w": np.ones(100_000)})
    assert caught.value is error
    assert path.read_bytes() == small
    assert names_in(path.parent) == [path.name]


@posix
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_no_litter(path: Path, small: bytes) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (100, 5_000, 100_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                write(path, "graph", "new", {"w": np.ones(100_000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == small
        assert names_in(path.parent) == [path.name]


@posix
def test_the_disk_has_everything_before_the_name_changes_and_then_the_name(
    path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bytes]] = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append((is_folder, path.read_bytes()))
        if not is_folder:
            (temporary,) = (name for name in names_in(path.parent) if name != path.name)
            written.append((path.parent / temporary).read_bytes())

    written: list[bytes] = []
    monkeypatch.setattr(os, "fsync", fsync)
    write(path, "graph", "new", {})
    new = path.read_bytes()
    assert new == written[0] != small
    assert synced == [(False, small), (True, new)]


@posix
def test_a_folder_that_cannot_be_synced_is_no_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, expected in ((22, None), (5, OSError)):
        sync = os.fsync

        def fsync(descriptor: int, number: int = number, sync: Callable[[int], None] = sync) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            if expected is None:
                write(path, "graph", number, {})
            else:
                with pytest.raises(expected):
                    write(path, "graph", number, {})
        assert read(path, "graph")[0] == number
        assert names_in(path.parent) == [path.name]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o666])
def test_a_file_keeps_its_permissions_and_is_private_until_it_has_them(
    path: Path, small: bytes, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path.chmod(mode)
    opened = []
    open_ = os.open

    def spying(name: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        descriptor = open_(name, flags, mode, **options)
        if flags & os.O_CREAT:
            opened.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", spying)
    write(path, "graph", "new", {})
    assert opened == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("umask", [0o002, 0o027, 0o077])
def test_a_new_file_has_the_permissions_that_open_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "open").touch()
        write(tmp_path / "write", "graph", None, {})
    finally:
        os.umask(before)
    assert (tmp_path / "write").stat().st_mode == (tmp_path / "open").stat().st_mode


NOBODY = 65534


@contextmanager
def plain_user(folder: Path) -> Iterator[None]:
    """Act as a user who owns a folder and may not do everything, as root may."""
    if os.geteuid() != 0:
        yield
        return
    for owned in (folder, *folder.iterdir()):
        os.chown(owned, NOBODY, NOBODY)
    try:
        os.seteuid(NOBODY)
    except OSError:
        pytest.skip("root may write to read-only files, and this root may not become another user")
    try:
        yield
    finally:
        os.seteuid(0)


@posix
def test_a_write_protected_file_or_folder_is_respected() -> None:
    # Not below the folders that pytest makes, which nobody else may enter.
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.gnn")
        write(path, "graph", "old", {})
        before = path.read_bytes()
        with plain_user(path.parent):
            path.chmod(0o444)
            with pytest.raises(PermissionError, match=r"model\.gnn"):
                write(path, "graph", "new", {})
            path.chmod(0o644)
            path.parent.chmod(0o555)
            try:
                with pytest.raises(PermissionError) as caught:
                    write(path, "graph", "new", {})
            finally:
                path.parent.chmod(0o755)
            assert caught.value.filename == str(path.parent)
            assert path.read_bytes() == before
            write(path, "graph", "new", {})
            assert read(path, "graph") == ("new", {})


@posix
def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    for folder in ("links", "files"):
        (tmp_path / folder).mkdir()
    link, target = tmp_path / "links" / "latest", tmp_path / "files" / "run.gnn"
    link.symlink_to(Path("..", "files", "run.gnn"))
    for n in range(2):  # first the target is not there yet
        write(link, "graph", n, {})
        assert link.is_symlink()
        assert not target.is_symlink()
        assert read(target, "graph") == read(link, "graph") == (n, {})
        assert names_in(link.parent) == ["latest"]
        assert names_in(target.parent) == ["run.gnn"]


@posix
def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(FileFormatError, match="is not a regular file, and will not be replaced"):
        write(fifo, "graph", None, {})
    assert fifo.is_fifo()
    with pytest.raises(IsADirectoryError):
        write(tmp_path, "graph", None, {})
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "loop", "graph", None, {})
    assert names_in(tmp_path) == ["fifo", "loop"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "none" / "file", "graph", None, {})
    assert caught.value.filename == str(tmp_path / "none")


def test_any_name_a_file_can_have_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a[b]"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("x", "[0-9]", "n" * 255, ".hidden", " "):
        write(name, "graph", name, {})
        assert read(folder / name, "graph") == (name, {})
    assert len(names_in(folder)) == 5


# Saves that are killed, and saves side by side

# Forks a child for each line it reads, tells its process number, then each status of it. The child saves once,
# and does something at some line of container.py or before it syncs.
SAVER = """
import os, signal, sys
import numpy as np
from graphnn.io import atomic_file, container

def save(n):
    container.write(path, "graph", n, {"a": np.full(30_000, n), "b": np.full((2, 3), n, ">f4").T})

def at_line(number, act):
    def trace(frame, event, _):
        nonlocal number
        if frame.f_code.co_filename not in (container.__file__, atomic_file.__file__):
            return None
        if event == "line":
            number -= 1
            if number == 0:
                act()
        return trace
    sys.settrace(trace)

def interrupt():
    raise KeyboardInterrupt

def stop(_):
    os.kill(os.getpid(), signal.SIGSTOP)

def child(what, number):
    match what:
        case "kill":
            at_line(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        case "interrupt":
            at_line(number, interrupt)
        case "stop":
            os.fsync = stop
    save(1)

path = sys.argv[1]
save(0)  # what the first save of a process imports, the children have
for line in sys.stdin:
    what, number, path = line[:-1].split(" ", 2)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            child(what, int(number))
            code = 0
        finally:
            os._exit(code)
    print(pid, flush=True)
    status = None
    while status is None or os.WIFSTOPPED(status):
        _, status = os.waitpid(pid, os.WUNTRACED)
        print(status, flush=True)
"""


class Saver:
    """A process that saves to `path`, which may be changed, in children of its own, which may be killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "default", "-c", SAVER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | one_thread | {"PYTHONPATH": str(Path(container.__file__).parents[2])},
        )
        self.child: int | None = None

    def start(self, what: str, number: int = 0) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {number} {self.path}\n")
        self.process.stdin.flush()
        self.child = self._number()
        return self.child

    def status(self) -> int:
        """Wait for the child to end or stop."""
        status = self._number()
        if not os.WIFSTOPPED(status):
            self.child = None
        return status

    def _number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end_child(self) -> None:
        if self.child is not None:
            os.kill(self.child, signal.SIGKILL)
        while self.child is not None:
            self.status()

    def saved(self) -> int:
        """Return the number of the save that the file holds, having checked that it is whole."""
        n, arrays = read(self.path, "graph")
        assert list(arrays) == ["a", "b"]
        assert arrays["a"].shape == (30_000,)
        assert arrays["b"].shape == (3, 2)
        assert all((array == n).all() for array in arrays.values())
        return int(n)

    def litter(self) -> list[str]:
        return [name for name in names_in(self.path.parent) if name != self.path.name]


@pytest.fixture(scope="module")
def savers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saver]:
    """The process of all savers: it has loaded what a save needs."""
    saver = Saver(tmp_path_factory.mktemp("saver") / "first")
    with saver.process:
        yield saver


@pytest.fixture
def saver(savers: Saver, path: Path) -> Iterator[Saver]:
    savers.path = path
    try:
        savers.start("once")
        assert savers.status() == 0
        yield savers
    finally:
        savers.end_child()


@posix
@pytest.mark.parametrize("what", ["kill", "interrupt"])
def test_a_save_ended_at_any_line_leaves_the_old_file_or_the_new(saver: Saver, what: str) -> None:
    old = saver.path.parent / "old"
    write(saver.path, "graph", 0, {"a": np.zeros(30_000), "b": np.zeros((3, 2))})
    saver.path.rename(old)
    outcomes = set()
    line = 0
    ended = True
    while ended:
        line += 1
        overwrite(saver.path, old.read_bytes())
        saver.start(what, line)
        ended = saver.status() != 0
        litter = [name for name in saver.litter() if name != old.name]
        outcomes.add((saver.saved(), len(litter)))
        write(saver.path, "graph", None, {})
        assert saver.litter() == [old.name]
    assert line > 50
    assert outcomes >= {(0, 0), (1, 0)}
    assert outcomes <= {(0, 0), (0, 1), (1, 0)}
    assert what == "interrupt" or (0, 1) in outcomes  # killed with a temporary file there


@posix
def test_the_temporary_file_of_a_living_process_is_left_alone_and_of_a_dead_one_removed(saver: Saver) -> None:
    child = saver.start("stop")
    assert os.WIFSTOPPED(saver.status())
    (temporary,) = saver.litter()
    write(saver.path, "graph", "meanwhile", {})
    assert saver.litter() == [temporary]
    os.kill(child, signal.SIGCONT)
    while os.WIFSTOPPED(status := saver.status()):  # the sync of the folder
        assert saver.litter() == []
        os.kill(child, signal.SIGCONT)
    assert status == 0
    assert saver.saved() == 1

    child = saver.start("stop")
    assert os.WIFSTOPPED(saver.status())
    other = saver.path.with_name("other")
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(saver.status())
    assert saver.saved() == 1
    (temporary,) = saver.litter()
    write(other, "graph", None, {})
    assert saver.litter() == sorted([other.name, temporary])  # it is not the other's litter
    write(saver.path, "graph", None, {})
    assert saver.litter() == [other.name]


@posix
def test_the_temporary_file_of_another_thread_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            reached.set()
            assert go_on.wait(60)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(write, path, "graph", "first to begin", {})
        try:
            assert reached.wait(60)
            write(path, "graph", "second", {})
            assert read(path, "graph")[0] == "second"
            assert len(names_in(path.parent)) == 2
        finally:
            go_on.set()
        saving.result()
    assert read(path, "graph")[0] == "first to begin"
    assert names_in(path.parent) == [path.name]


@posix
def test_a_temporary_file_taken_for_litter_before_it_was_locked_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    flock = fcntl.flock
    taken: list[str] = []

    def late(file: Any, operation: int) -> None:
        if not taken:
            taken.append(file.name)
            Path(file.name).unlink()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write(path, "graph", "saved", {})
    assert taken
    assert read(path, "graph") == ("saved", {})


@posix
def test_a_file_system_without_locks_will_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", failing(OSError(37, "No locks available")))
    write(path, "graph", "saved", {})
    assert read(path, "graph") == ("saved", {})


@posix
def test_many_threads_save_and_read_one_file(path: Path) -> None:
    def save_and_read(n: int) -> None:
        write(path, "graph", n, {"w": np.full(10_000, n)})
        found, arrays = read(path, "graph")
        assert (arrays["w"] == found).all()

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(save_and_read, range(100)))) == 100
    assert names_in(path.parent) == [path.name]
