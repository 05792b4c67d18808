"""The one folder whose files a client may name: nothing above or beside it, and no code unless that is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from .._util.program_functions import public_functions
from .._util.text import quoted, visible
from ..errors import UsageError

DATA = (".onnx", ".gnn", ".gnt", ".trace")
"""The endings of files that hold data only: models, graphs, traces."""
CODE = ".py"
ARRAYS = (".npz", ".npy")
LONGEST = 160
"""Characters of a file's name."""
_LOOKED_AT = 2000  # entries of folders that a listing looks at
_PROGRAM = 1_000_000  # bytes of a Python file that is read for its functions
_PROGRAMS = 40


class Folder:
    """A folder and what is below it.

    Parameters
    ----------
    path : str or Path
    allow_code : bool
        Whether a client may have a function of a Python file called.

    Raises
    ------
    UsageError
        When it is no folder.
    """

    def __init__(self, path: str | Path, allow_code: bool = False) -> None:
        self.root = Path(path).resolve()
        self.allow_code = allow_code
        if not self.root.is_dir():
            raise UsageError(f"{quoted(str(path))} is not a folder")

    def model(self, name: str) -> tuple[Path, str]:
        """Return the file of a model, and the function in it; "" where it is a file of data.

        Raises
        ------
        UsageError
            When it is not below the folder, or may not be run.
        """
        file, colon, function = name.rpartition(":")
        if not (colon and file.endswith(CODE)):
            if name.endswith(CODE):
                raise UsageError(f"{quoted(name)} is a file: name a function in it, {quoted(f'{name}:build')}")
            return self.file(name, DATA), ""
        if not self.allow_code:
            raise UsageError(
                f"{quoted(name)} is Python code, which runs only where the server was started with --allow-code; "
                f"without it, a model is a file that ends in {', '.join(DATA)}"
            )
        if not function.isidentifier():
            raise UsageError(f"{quoted(function)} is not the name of a function")
        return self.file(file, (CODE,)), function

    def file(self, name: str, endings: tuple[str, ...]) -> Path:
        """Return the path of a file below the folder that has one of these endings, with links followed.

        Raises
        ------
        UsageError
            When there is none; of what is outside, that is all that is said.
        """
        if not name or len(name) > LONGEST or not name.isprintable():
            raise UsageError(f"the name of a file has 1 to {LONGEST} characters that can be printed")
        parts = PurePosixPath(name), PureWindowsPath(name)
        if any(part.is_absolute() or part.drive or part.root or ".." in part.parts for part in parts):
            raise UsageError(f"{quoted(name)} is not a path below the folder of the server, such as models/net.onnx")
        try:
            path = (self.root / name).resolve(strict=True)
            there = path.is_relative_to(self.root) and path.is_file()
        except (OSError, RuntimeError, ValueError):  # it is not there, or links lead in a circle
            there = False
        if not there:
            raise UsageError(f"there is no file {quoted(name)} below the folder of the server")
        if path.suffix not in endings or PurePosixPath(name).suffix not in endings:
            raise UsageError(f"{quoted(name)} does not end in {' or '.join(endings)}")
        return path

    def listing(self, endings: tuple[str, ...]) -> list[str]:
        """Return the names of files with these endings, as clients name them; of a large folder, the first."""
        names = []
        for name in self._names():
            if name.endswith(endings):
                with suppress(UsageError):  # that cannot be named, or leads elsewhere
                    self.file(name, endings)
                    names.append(name)
        return sorted(names)

    def functions(self) -> list[str]:
        """Return the functions without arguments of Python files, as models; the files are read, and not run.

        One that is called ``main`` is a program, and builds nothing.
        """
        models = []
        for name in self.listing((CODE,))[:_PROGRAMS] if self.allow_code else ():
            path = self.root / name
            if path.stat().st_size > _PROGRAM:
                continue
            models += [f"{name}:{function}" for function in public_functions(path)[1]]
        return models

    def _names(self) -> Iterator[str]:
        count = 0
        for here, folders, files in os.walk(self.root):
            folders[:] = sorted(folder for folder in folders if not folder.startswith((".", "__")))
            for file in sorted(files):
                count += 1
                if count > _LOOKED_AT:
                    return
                yield Path(here, file).relative_to(self.root).as_posix()


def shown(name: str) -> str:
    r"""Return a text of a file in quotes: on one line, visible, short, with quotes in it marked.

    Examples
    --------
    >>> print(shown('a "b"\n'), len(shown("a" * 999)))
    "a \"b\"\n" 122
    """
    text = visible(name[:2000]) if name else ""
    text = text if len(text) <= 120 else f"{text[:40]}…{text[-79:]}"
    return '"' + text.replace('"', '\\"') + '"'
