"""Compiled code on disk: only what this user's own processes have kept is loaded."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphnn.native import fused_kernel_loops, fused_kernels, kernel_cache, llvm, ufunc_addresses


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An entry in a cache of its own."""
    monkeypatch.setenv("GRAPHNN_CACHE", str(tmp_path / "cache"))
    kernel_cache.keep("key", b"code" * 100)
    place = kernel_cache.folder()
    assert place is not None
    (entry,) = place.iterdir()
    assert kernel_cache.load("key") == b"code" * 100
    yield entry
    place.chmod(0o700)


def _flip(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[-7] ^= 1
    entry.write_bytes(data)


def _link(entry: Path) -> None:
    entry.rename(entry.parent / "elsewhere")
    entry.symlink_to("elsewhere")


def _hard_link(entry: Path) -> None:
    (entry.parent / "twin").hardlink_to(entry)


def _linked_folder(entry: Path) -> None:
    folder = entry.parent
    folder.rename(folder.parent / "moved")
    folder.symlink_to("moved")


SPOILT: dict[str, Callable[[Path], object]] = {
    "cut": lambda entry: entry.write_bytes(entry.read_bytes()[:-5]),
    "empty": lambda entry: entry.write_bytes(b""),
    "longer": lambda entry: entry.write_bytes(entry.read_bytes() + b"x"),
    "altered": _flip,
    "of another version": lambda entry: entry.write_bytes(entry.read_bytes().replace(b"native 1", b"native 0")),
    "reached by a link": _link,
    "with a second name": _hard_link,
    "in a folder reached by a link": _linked_folder,
    "writable by others": lambda entry: entry.chmod(0o622),
    "in a folder that others can read": lambda entry: entry.parent.chmod(0o755),
    "a folder": lambda entry: (entry.unlink(), entry.mkdir()),
    "a pipe": lambda entry: (entry.unlink(), os.mkfifo(entry, 0o600)),
}


@pytest.mark.parametrize("how", SPOILT)
def test_an_entry_that_is_not_safe_is_not_loaded(kept: Path, how: str) -> None:
    SPOILT[how](kept)
    assert kernel_cache.load("key") is None


def test_an_entry_of_another_user_is_not_loaded(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uid in ("getuid", "geteuid"):
        monkeypatch.setattr(os, uid, lambda: kept.stat().st_uid + 1)
    assert kernel_cache.load("key") is None
    kernel_cache.keep("other", b"code")
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("uid", ["getuid", "geteuid"])
def test_with_the_rights_of_another_user_nothing_is_loaded_or_kept(
    kept: Path, monkeypatch: pytest.MonkeyPatch, uid: str
) -> None:
    monkeypatch.setattr(os, uid, lambda: kept.stat().st_uid + 1)
    kernel_cache.keep("other", b"code")
    assert (kernel_cache.folder(), kernel_cache.load("key")) == (None, None)
    assert list(kept.parent.iterdir()) == [kept]


def test_a_folder_that_is_put_in_the_place_of_a_safe_one_is_not_read(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, opened = kept.parent, os.open

    def swapped(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == kept.name and safe.is_dir() and not safe.is_symlink():
            planted = safe.rename(safe.with_name("moved")).with_name("planted")
            planted.mkdir(0o700)
            (planted / kept.name).write_bytes(
                kernel_cache._MAGIC + kernel_cache._digest("key", b"planted") + b"planted"
            )
            safe.symlink_to(planted)
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    assert kernel_cache.load("key") == b"code" * 100
    assert safe.is_symlink()
    assert kernel_cache.load("key") is None


PLACES: dict[str, tuple[dict[str, str | None], str | None]] = {
    "none is named": ({"HOME": "/home/a"}, "/home/a/.cache/graphnn/native"),
    "for all programs": ({"XDG_CACHE_HOME": "/c", "HOME": "/home/a"}, "/c/graphnn/native"),
    "not from the root": ({"XDG_CACHE_HOME": "c", "HOME": "/home/a"}, "/home/a/.cache/graphnn/native"),
    "a home not from the root": ({"HOME": "a"}, None),
    "named": ({"GRAPHNN_CACHE": "/d"}, "/d/native"),
    "off": ({"GRAPHNN_CACHE": "OFF", "HOME": "/home/a"}, None),
}


@pytest.mark.parametrize("what", PLACES)
def test_where_entries_are_kept(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    given, expected = PLACES[what]
    for name in ("GRAPHNN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    assert kernel_cache.folder() == (expected and Path(expected))


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHNN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    kernel_cache.keep("key", b"code")
    assert (kernel_cache.folder(), kernel_cache.load("key")) == (None, None)


@pytest.mark.parametrize("named", ["file", "file/cache", "a" * 5000, "/proc/cache"])
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRAPHNN_CACHE", str(tmp_path / named))
    assert _squares(llvm.Engine())
    assert kernel_cache.load("key") is None


def test_an_entry_of_another_key_is_not_loaded(kept: Path) -> None:
    kept.rename(kept.with_name(kernel_cache._name("other")))
    assert kernel_cache.load("other") is None


def test_a_cache_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHNN_CACHE", "off")
    kernel_cache.keep("key", b"code")
    assert kernel_cache.folder() is None
    assert kernel_cache.load("key") is None


def _squares(other: llvm.Engine) -> bool:
    """Tell whether an engine compiles a kernel rightly."""
    each = fused_kernels.Operand("d", "each")
    lines = (fused_kernels.Line("multiply", "dd", "d", (0, 0)), fused_kernels.Line("subtract", "dd", "d", (1, 0)))
    name, text = fused_kernel_loops.written(fused_kernels.Kernel(1, (each,), lines, ((2, each),)), 32)
    x, out = np.arange(11.0), np.empty(11)
    (address,) = other.functions([(name, text)])
    ufunc_addresses.call(ufunc_addresses.Loop(address, 0), [x.ctypes.data, out.ctypes.data], [11], [8, 8])
    return bool(out.tolist() == (x * x - x).tolist())


@pytest.mark.usefixtures("kept")
def test_code_from_the_cache_is_what_was_compiled() -> None:
    assert _squares(llvm.Engine())
    assert _squares(llvm.Engine())


_OTHERS = """
import numpy as np, graphnn as gn
x = gn.Graph().placeholder("x", (5,))
step = gn.compile(gn.sqrt(x) * 2 + 1, backend="native")
[step({x: np.full(5, 4.0)}) for _ in range(3)]
assert step({x: np.full(5, 4.0)}).tolist() == [5.0] * 5 and step.backend == "native"
"""


def test_processes_that_start_at_once_share_a_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "GRAPHNN_CACHE": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    others = [subprocess.Popen([sys.executable, "-W", "error", "-c", _OTHERS], env=environment) for _ in range(3)]
    assert [other.wait(120) for other in others] == [0] * 3
    assert {entry.name[0] for entry in (tmp_path / "native").iterdir()}.isdisjoint(".")


def test_the_cache_never_grows_without_end(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "_MOST_ENTRIES", 10)
    for number in range(40):
        kernel_cache.keep(f"key {number}", b"code")
    assert len(list(kept.parent.iterdir())) <= 10
