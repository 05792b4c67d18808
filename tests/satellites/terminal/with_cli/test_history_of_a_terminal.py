"""What was typed in an earlier start comes back."""

import os
import pty
import subprocess
import sys

import pytest


def debugged(tmp_path, *answers):
    """Type answers to the prompts of a debugger in a terminal; return what it showed."""
    main, terminal = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "graphnn", "debug", "graphnn.demo:build"]
    environ = os.environ | {"TERM": "dumb", "COLUMNS": "80", "XDG_STATE_HOME": str(tmp_path / "state")}
    environ.pop("GRAPHNN_NO_HISTORY", None)
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environ, start_new_session=True
    ) as process:
        os.close(terminal)
        seen = b""
        for answer in answers:
            part, fresh = b"-", b""
            while part and not fresh.endswith(b") "):
                part = os.read(main, 4096)
                fresh += part
            seen += fresh
            os.write(main, answer)
        try:
            while part := os.read(main, 4096):
                seen += part
        except OSError:  # it has ended
            pass
        assert process.wait() == 0
    os.close(main)
    return seen.decode()


def test_in_a_terminal_the_up_key_brings_back_the_line_of_an_earlier_start(tmp_path):
    pytest.importorskip("readline")
    debugged(tmp_path, b"goto 3\n", b"quit\n")
    assert (tmp_path / "state/graphnn/history").read_text() == "goto 3\nquit\n"
    shown = debugged(tmp_path, b"\x1b[A\x1b[A\n", b"quit\n")  # up, up: the last but one
    assert "(graphnn 3/16 relu_1" in shown
