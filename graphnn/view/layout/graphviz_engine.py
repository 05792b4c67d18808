"""The program that lays out DOT: the system's Graphviz, or graphviz-pure from a wheel; never without a time limit."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sysconfig
from typing import NamedTuple

from ...errors import DrawingError

NO_ENGINE = (
    "there is no Graphviz, which this needs: install the wheel, pip install 'graphnn[dot]', or the system's package, "
    "which brings `dot` (apt install graphviz, brew install graphviz, winget install graphviz); "
    'without either there are SVG and PDF, .save("name.svg"), and the DOT text, .source or .save("name.dot")'
)


class TookTooLong(DrawingError):
    """Laying out was ended, for it took longer than was allowed."""


class Engine(NamedTuple):
    """An executable that takes DOT on its standard input.

    Attributes
    ----------
    path : str
    pure : bool
        Whether it is graphviz-pure.
    """

    path: str
    pure: bool


def find_engine() -> Engine | None:
    """Return the system's `dot`, else graphviz-pure of this environment or on the PATH, else None."""
    dot = shutil.which("dot")
    return _wheel() if dot is None else Engine(dot, pure=False)


def _wheel() -> Engine | None:
    user = sysconfig.get_preferred_scheme("user")
    places = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user), os.environ.get("PATH", os.defpath)]
    pure = shutil.which("graphviz-pure", path=os.pathsep.join(places))
    return Engine(pure, pure=True) if pure is not None else None


def lay_out(source: str, timeout: float) -> bytes:
    """Return a DOT text laid out, as SVG.

    Parameters
    ----------
    source : str
    timeout : float
        Seconds; the program is ended after that.

    Returns
    -------
    bytes

    Raises
    ------
    DrawingError
        When there is no engine, or it fails; `TookTooLong` when it takes longer.
    """
    return _made(find_engine(), ["-Kdot", "-Tsvg"], source, timeout)


def paint(source: str, form: str, dots: float, timeout: float) -> bytes:
    """Return a DOT text that says where everything is, as a bitmap.

    By graphviz-pure first, which brings its fonts.

    Parameters
    ----------
    source : str
        As `dot_of_paint` writes it.
    form : "png" or "jpg"
    dots : float
        For each inch.
    timeout : float

    Returns
    -------
    bytes

    Raises
    ------
    DrawingError
        As `lay_out`.
    """
    return _made(_wheel() or find_engine(), ["-Kneato", "-n2", f"-T{form}", f"-Gdpi={dots:g}"], source, timeout)


def _made(engine: Engine | None, wanted: list[str], source: str, timeout: float) -> bytes:
    if engine is None:
        raise DrawingError(NO_ENGINE)
    command = [engine.path, *wanted]
    try:
        status, picture, said = _run(command, source.encode(), timeout)
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f'{engine.path} took more than {timeout:g} s for the picture: draw fewer boxes (detail="layer"), '
            "or allow it more (timeout=…); .source is the DOT text, for another engine"
        ) from None
    except OSError as error:
        raise DrawingError(f"{engine.path} could not be started: {error}") from error
    if status or not picture:
        reason = said.decode(errors="replace").strip()[-500:] or f"exit status {status}"
        raise DrawingError(f"{engine.path} could not lay out the picture: {reason}")
    return picture


def _run(command: list[str], given: bytes, timeout: float) -> tuple[int, bytes, bytes]:
    # A session of its own, so that what the command may have started itself ends with it: a child left over would
    # keep the pipes open, and reading them would never end.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            picture, said = process.communicate(given, timeout)
        except BaseException:
            _end(process)
            raise
        return process.returncode, picture, said


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
