"""What is typed at the debugger's prompt, kept from one start to the next."""

import contextlib
import os
import stat
import sys

import pytest

from graphnn.terminal import history_kept
from graphnn.terminal.input_history import history_file


class Readline:
    """What is used of readline."""

    def __init__(self):
        self.lines = []

    def add_history(self, line):
        self.lines.append(line)

    def get_current_history_length(self):
        return len(self.lines)

    def get_history_item(self, place):
        return self.lines[place - 1]


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Return a function that starts a session in which some lines are typed; it returns what the prompt offered."""

    def session(*typed, **environ):
        readline = Readline()
        monkeypatch.setitem(sys.modules, "readline", readline)
        with history_kept({"XDG_STATE_HOME": str(tmp_path)} | environ):
            offered = readline.lines[:]
            readline.lines.extend(typed)
        return offered

    return session


def test_what_was_typed_is_offered_at_the_next_start(start):
    assert start("step", "why loss") == []
    assert start("print θ") == ["step", "why loss"]
    assert start() == ["step", "why loss", "print θ"]


def test_it_is_kept_though_the_session_ends_with_an_error(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "readline", readline := Readline())
    with contextlib.suppress(BrokenPipeError), history_kept({"XDG_STATE_HOME": str(tmp_path)}):
        readline.lines.append("step")
        raise BrokenPipeError
    assert (tmp_path / "graphnn/history").read_text() == "step\n"


def test_nobody_else_may_read_it(start, tmp_path):
    os.umask(umask := os.umask(0))
    start("step")
    start("back")
    assert stat.S_IMODE((tmp_path / "graphnn/history").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "graphnn").stat().st_mode) == 0o700 & ~umask
    assert [path.name for path in (tmp_path / "graphnn").iterdir()] == ["history"]


def test_two_sessions_at_once_keep_the_lines_of_both(monkeypatch, tmp_path):
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    monkeypatch.setitem(sys.modules, "readline", first := Readline())
    with history_kept(environ):
        first.lines.append("one")
        monkeypatch.setitem(sys.modules, "readline", second := Readline())
        with history_kept(environ):
            second.lines.append("two")
    assert (tmp_path / "graphnn/history").read_text() == "two\none\n"


@pytest.mark.parametrize("environ", [{"GRAPHNN_NO_HISTORY": "1"}, {"GRAPHNN_NO_HISTORY": "0"}])
def test_a_variable_switches_it_off(start, tmp_path, environ):
    start("step")
    assert start("back", **environ) == []
    assert (tmp_path / "graphnn/history").read_text() == "step\n"


def test_a_variable_that_is_empty_does_not(start):
    start("step", GRAPHNN_NO_HISTORY="")
    assert start() == ["step"]


def test_no_more_than_a_thousand_lines_are_kept(start):
    start(*(f"goto {i}" for i in range(1500)))
    assert start("step")[0] == "goto 500"
    assert len(start()) == 1000


def test_a_line_that_commands_the_terminal_or_has_no_end_is_not_kept(start, tmp_path):
    start("step", "\x1b]0;owned\x07", "x" * 10_000, "  ")
    assert start() == ["step"]
    (tmp_path / "graphnn/history").write_bytes(b"step\n\x1b[2J\n\xff\xfe\x00\nback\n")
    assert start() == ["step", "back"]


def test_a_file_that_was_not_written_here_is_not_read(start, tmp_path):
    (tmp_path / "graphnn").mkdir()
    (tmp_path / "graphnn/history").write_bytes(b"step\n" * 1_000_000)
    assert start() == []
    (tmp_path / "graphnn/history").unlink()
    os.mkfifo(tmp_path / "graphnn/history")  # whoever opens it waits for ever
    assert start("step") == []


def test_where_no_file_can_be_written_a_session_ends_as_well(start, tmp_path):
    (tmp_path / "graphnn").write_text("a file where the folder would be")
    assert start("step") == []
    assert (tmp_path / "graphnn").read_text() == "a file where the folder would be"


def test_without_readline_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "readline", None)
    with history_kept({"XDG_STATE_HOME": str(tmp_path)}):
        pass
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_not_absolute_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file({"XDG_STATE_HOME": "here"}) == tmp_path / ".local/state/graphnn/history"
    assert history_file({}) == tmp_path / ".local/state/graphnn/history"
