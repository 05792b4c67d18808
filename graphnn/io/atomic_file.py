"""One file in the place of another: wholly, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from ..errors import FileFormatError

if sys.platform != "win32":
    import fcntl

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF}


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write to that takes the place of `path` once the block has ended without an error.

    If it is not to be durable, nothing waits for the disk: after a loss of power, it may be lost.
    """
    target = Path(os.path.realpath(path))
    replaced = _replaceable(target)
    prefix = f".graphnn-{blake2b(os.fsencode(target.name), digest_size=8).hexdigest()}-"
    _remove_litter(target.parent, prefix)
    file: BinaryIO | None = None
    try:
        file = _temporary_file(target.parent, prefix, 0o666 if replaced is None else 0o600)
        with file:
            yield file
            file.flush()
            if replaced is not None:
                _hand_on_permissions(replaced, file)
            if durable:
                os.fsync(file.fileno())
            if sys.platform == "win32":
                file.close()  # there, an open file cannot be renamed
            Path(file.name).replace(target)
    except BaseException:
        _remove(file)
        raise
    if durable:
        _sync_folder(target.parent)


def _replaceable(target: Path) -> os.stat_result | None:
    """Return the status of the file to be replaced, if there is one, or raise what writing to it would."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise FileFormatError(f"{str(target)!r} is not a regular file, and will not be replaced by one")
    os.close(os.open(target, os.O_WRONLY))
    return status


def _hand_on_permissions(replaced: os.stat_result, file: BinaryIO) -> None:
    if sys.platform != "win32":
        for owner, group in (-1, replaced.st_gid), (replaced.st_uid, -1):
            with suppress(PermissionError):  # only root may give a file to any owner
                os.fchown(file.fileno(), owner, group)
        os.fchmod(file.fileno(), stat.S_IMODE(replaced.st_mode) & 0o777)


def _temporary_file(folder: Path, prefix: str, mode: int) -> BinaryIO:
    """Open a new file, locked for as long as it is open: by that, other saves know it from litter."""
    while True:
        name = folder / f"{prefix}{secrets.token_hex(8)}.tmp"
        file: BinaryIO | None = None
        try:
            file = open(name, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
            if sys.platform != "win32":
                with suppress(OSError):  # without locks in the file system, no save takes anything for litter
                    fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # another save took it for litter, in the moment before it was locked
        except BaseException as error:
            _remove(file)
            if isinstance(error, OSError):
                error.filename = str(folder)  # the user knows of no temporary file
            raise


def _remove(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()
        Path(file.name).unlink(missing_ok=True)


def _remove_litter(folder: Path, prefix: str) -> None:
    """Remove the temporary files of dead saves; those of living ones are locked (on Windows: open)."""
    with suppress(OSError):  # in a folder that cannot be listed, a file can still be saved
        for path in list(folder.glob(f"{prefix}*.tmp")):
            with suppress(OSError):
                _remove_unless_locked(path)


def _remove_unless_locked(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()  # still under the lock, so that a save that has just made it finds out
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise
