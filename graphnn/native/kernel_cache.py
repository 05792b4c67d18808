"""Compiled code on disk, so that the next process need not compile it again.

What is loaded from here is run. So a folder or a file counts only if it is this user's own, if nobody else can write to
it, and if no link leads to it. An entry belongs to one text on one processor with the same versions of everything that
compiles it, and its digest must be right.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MAGIC = b"graphnn native 1\n"
_DIGEST = hashlib.sha256().digest_size
_LARGEST = 2**26
_MOST_ENTRIES = 1024
_OFF = ("", "0", "off", "none")


def folder() -> Path | None:
    """Return where entries are kept, or None where nothing is.

    ``GRAPHNN_CACHE`` names another folder, or switches it off: ``0``, ``off``, ``none`` or nothing.
    """
    named = os.environ.get("GRAPHNN_CACHE")
    # A program that runs with the rights of another user takes nothing that the one who calls it may name.
    if os.name != "posix" or os.getuid() != os.geteuid() or (named is not None and named.lower() in _OFF):
        return None
    if named:
        return Path(named) / "native"
    above = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        above = above if above.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return above / "graphnn" / "native" if above.is_absolute() else None


@contextmanager
def _opened() -> Iterator[int | None]:
    """Yield the folder, made if need be, or None where it is not safe.

    It is open, and what is done in it is done there: nobody can put another one in its place meanwhile.
    """
    place, opened = folder(), None
    try:
        if place is not None:
            with suppress(OSError, ValueError):
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                place.mkdir(mode=0o700, exist_ok=True)
                opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(opened) if opened is not None else None
        yield opened if found and found.st_uid == os.getuid() and not found.st_mode & 0o077 else None
    finally:
        if opened is not None:
            os.close(opened)


def load(key: str) -> bytes | None:
    """Return what was kept under a key, or None if there is nothing that may be run."""
    with _opened() as place:
        if place is None:
            return None
        try:
            file = os.open(_name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=place)
        except OSError:
            return None
    try:
        found = os.fstat(file)
        mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_nlink == 1
        if not mine or found.st_mode & 0o022 or not len(_MAGIC) + _DIGEST < found.st_size <= _LARGEST:
            return None
        entry = _whole(file, found.st_size)
    except OSError:
        return None
    finally:
        os.close(file)
    head, code = entry[: len(_MAGIC) + _DIGEST], entry[len(_MAGIC) + _DIGEST :]
    return code if head == _MAGIC + _digest(key, code) and len(entry) == found.st_size else None


def _whole(file: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def keep(key: str, code: bytes) -> None:
    """Keep code under a key: all of it or nothing. Where that cannot be done, nothing happens."""
    with _opened() as place:
        if place is None or len(code) > _LARGEST // 2:
            return
        temporary = f".{secrets.token_hex(8)}"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=place), "wb") as opened:
                opened.write(_MAGIC + _digest(key, code) + code)
            os.replace(temporary, _name(key), src_dir_fd=place, dst_dir_fd=place)
            _make_room(place)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=place)


def _make_room(place: int) -> None:
    """Remove the older half where there are too many entries."""
    with os.scandir(place) as entries:
        found = list(entries)
    if len(found) > _MOST_ENTRIES:
        found.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in found[: len(found) // 2]:
            with suppress(OSError):
                os.unlink(entry.name, dir_fd=place)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(_MAGIC + hashlib.sha256(key.encode()).digest() + code).digest()
