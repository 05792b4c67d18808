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
from contextlib import suppress
from pathlib import Path

_MAGIC = b"graphnn native 1\n"
_DIGEST = hashlib.sha256().digest_size
_LARGEST = 2**26
_MOST_ENTRIES = 1024
_OFF = ("", "0", "off", "none")


def folder() -> Path | None:
    """Return the folder, made if need be, or None where there is none that is safe.

    ``GRAPHNN_CACHE`` names another, or switches it off: ``0``, ``off``, ``none`` or nothing.
    """
    named = os.environ.get("GRAPHNN_CACHE")
    if not hasattr(os, "getuid") or (named is not None and named.lower() in _OFF):
        return None
    try:
        base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphnn"
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = base / "native"
        place.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(place)
    except (OSError, RuntimeError, ValueError):
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return place if private else None


def load(key: str) -> bytes | None:
    """Return what was kept under a key, or None if there is nothing that may be run."""
    place = folder()
    if place is None:
        return None
    try:
        file = os.open(place / _name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
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
    place = folder()
    if place is None or len(code) > _LARGEST // 2:
        return
    temporary = place / f".{secrets.token_hex(8)}"
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(_MAGIC + _digest(key, code) + code)
        temporary.replace(place / _name(key))
        _make_room(place)
    except OSError:
        with suppress(OSError):
            temporary.unlink()


def _make_room(place: Path) -> None:
    """Remove the older half where there are too many entries."""
    entries = list(os.scandir(place))
    if len(entries) > _MOST_ENTRIES:
        entries.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime)
        for entry in entries[: len(entries) // 2]:
            with suppress(OSError):
                Path(entry.path).unlink()


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(_MAGIC + hashlib.sha256(key.encode()).digest() + code).digest()
