"""The server: one connection, by the standard streams or a port of this machine; one graph."""

from __future__ import annotations

import _thread
import contextlib
import io
import os
import queue
import socket
import sys
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread, current_thread, main_thread
from typing import TYPE_CHECKING, Any, BinaryIO

from .adapter import INTERRUPTS, Adapter
from .framing import BrokenFrame, framed, message_of, read_body

if TYPE_CHECKING:
    from ..debugger.debugger import Debugger

HOST = "127.0.0.1"
_WAITING = 1000
"""Requests that may wait; a client that sends more waits itself."""
_END = object()
_PATIENCE = 10.0
"""Seconds for which a run may go on once the client is gone."""


class _Printed(io.TextIOBase):
    """A text stream whose lines go to the client's console."""

    encoding = "utf-8"

    def __init__(self, adapter: Adapter, category: str) -> None:
        self._adapter, self._category, self._begun = adapter, category, ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Send a text to the client."""
        whole, newline, rest = (self._begun + text).rpartition("\n")
        self._begun = rest
        self._adapter.output(whole + newline, self._category)
        return len(text)

    def flush(self) -> None:
        """Send what is written of a line."""
        begun, self._begun = self._begun, ""
        self._adapter.output(begun, self._category)


class _Writer:
    """Writes messages; once the client is gone, to nowhere."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self.gone = False

    def __call__(self, message: dict[str, Any]) -> None:
        with self._lock:
            if self.gone:
                return
            try:
                self._stream.write(framed(message))
                self._stream.flush()
            except (OSError, ValueError):
                self.gone = True


def _heed(message: dict[str, Any], adapter: Adapter) -> None:
    """Let a request stop a run as it arrives, before its turn comes."""
    if message.get("command") == "cancel":
        arguments = message.get("arguments")
        adapter.cancel(arguments.get("requestId") if isinstance(arguments, dict) else None)
    elif message.get("command") in INTERRUPTS:
        adapter.interrupt.set()


def _read_all(stream: BinaryIO, adapter: Adapter, requests: queue.Queue[Any], done: Event) -> None:
    """Put what arrives into the queue, until the end of the input or a broken frame.

    Once the client is gone, what still runs after some seconds, such as the user's own file, is interrupted.
    """
    try:
        while (body := read_body(stream)) is not None:
            try:
                message = message_of(body)
            except ValueError:
                message = None
            if isinstance(message, dict):
                _heed(message, adapter)
            requests.put(message)
    except (BrokenFrame, OSError, ValueError):
        pass
    adapter.interrupt.set()
    requests.put(_END)
    if not done.wait(_PATIENCE):
        _thread.interrupt_main()


def converse(source: BinaryIO, sink: BinaryIO, load: Callable[[dict[str, Any]], Debugger]) -> None:
    """Answer the requests of one client until it disconnects or is gone."""
    write = _Writer(sink)
    adapter = Adapter(write, load)
    requests: queue.Queue[Any] = queue.Queue(_WAITING)
    done = Event()
    if current_thread() is not main_thread():
        done.set()  # another thread cannot be interrupted
    Thread(target=_read_all, args=(source, adapter, requests, done), daemon=True).start()
    printed = _Printed(adapter, "stdout"), _Printed(adapter, "stderr")
    try:
        with contextlib.redirect_stdout(printed[0]), contextlib.redirect_stderr(printed[1]):
            while not (adapter.ended or write.gone):
                message = requests.get()
                if message is _END:
                    break
                adapter.handle(message)
                for stream in printed:
                    stream.flush()
    finally:
        done.set()


@contextlib.contextmanager
def _own_stdout() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give the standard streams to the protocol: what else reads finds nothing, and what writes goes to file 2."""
    sys.stdout.flush()
    kept = os.dup(0), os.dup(1)
    before = sys.stdin
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    try:
        source = os.fdopen(os.dup(kept[0]), "rb")  # never closed: the reader may wait in it until the process ends
        with os.fdopen(os.dup(kept[1]), "wb") as sink:
            sys.stdin = io.StringIO()
            yield source, sink
    finally:
        sys.stdin = before
        for number, copy in enumerate(kept):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)


def serve(
    load: Callable[[dict[str, Any]], Debugger],
    port: int | None = None,
    listening: Callable[[str, int], None] = lambda host, port: None,
) -> None:
    """Serve one client, then return.

    Parameters
    ----------
    load : callable
        Takes the arguments of ``launch``, returns the debugger of its target.
    port : int, optional
        Of 127.0.0.1; 0 for a free one. The standard streams unless given.
    listening : callable, optional
        Takes the address and the port, once it listens there.

    Raises
    ------
    OSError
        When the port is taken.
    """
    if port is None:
        with _own_stdout() as (source, sink):
            converse(source, sink, load)
        return
    with socket.create_server((HOST, port), backlog=1) as server:
        listening(HOST, server.getsockname()[1])
        connection, _ = server.accept()
    with connection, connection.makefile("rb") as source, connection.makefile("wb") as sink:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            converse(source, sink, load)
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
