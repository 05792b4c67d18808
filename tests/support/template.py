"""Programs in copies of a process that has loaded what ``import graphnn`` does, and no more of the library.

The process is this file, run as a program. It reads one request a line, and answers with the exit code of the copy.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from places import ROOT


class Template:
    """A process that is copied for each program.

    Parameters
    ----------
    folder : Path
        Where compiled bytecode of the library is kept, and what programs print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, str(folder / "bytecode")],
            # What has threads is not to be copied.
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Return how ``python -W error`` with these arguments, a file or "-c" and code first, ended and what it said.

        It has the environment of this process and `env`, and two minutes.
        """
        given = list(map(str, arguments))
        said = [self._folder / name for name in ("out", "err")]
        request = given, str(cwd), {**os.environ, **(env or {})}, list(map(str, said))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(given, code, *(path.read_text(encoding="utf-8") for path in said))


def _next_request() -> Any:
    """Return the next request, in a copy of this process."""
    while request := sys.stdin.readline():
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            copy = os.fork()
        if not copy:
            return json.loads(request)
        _, status = os.waitpid(copy, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    sys.exit()


def _become(arguments: list[str], folder: str, environment: dict[str, str], said: list[str]) -> tuple[str, str]:
    """Be as a process that was started like that; return the code, and the name of its file."""
    signal.alarm(120)
    for number, name in enumerate([os.devnull, *said]):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if arguments[0] == "-c":
        _, code, *more = arguments
        sys.argv, sys.path[0] = ["-c", *more], ""
        return code, "<string>"
    sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
    return Path(arguments[0]).read_text(encoding="utf-8"), arguments[0]


def _leave() -> None:
    """End this process at once, where its program has ended: the system takes back faster what was loaded before."""
    if _ended:
        vars(main).clear()  # what the program made ends as it would
        gc.collect()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended[0])


if __name__ == "__main__":
    _ended: list[int] = []  # the exit code of the program
    atexit.register(_leave)  # the first, so that it comes last

    import graphviz  # noqa: F401 - what takes long to load, and what is compiled already
    import matplotlib.figure  # noqa: F401
    import networkx  # noqa: F401
    import numpy  # noqa: F401
    import sklearn.datasets  # noqa: F401

    # What the library consists of is compiled by the first program that needs it, and by no other.
    sys.pycache_prefix, sys.dont_write_bytecode = sys.argv[1], False
    import graphnn  # noqa: F401

    gc.collect()
    gc.freeze()
    code, name = _become(*_next_request())
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if name != "<string>":
        main.__file__ = name
    try:
        exec(compile(code, name, "exec", dont_inherit=True), vars(main))  # noqa: S102 - it is what is to be tried
    except SystemExit as left:
        _ended += [left.code or 0] if isinstance(left.code, int | None) else []
        raise
    _ended.append(0)
