"""The command's colours and widths: on a terminal, without colours, in a pipe."""

import io
import re
import sys

import pytest

from graphnn import cli

MODEL = r"""
import graphnn as gn

def build():
    g = gn.Graph("model")
    x = g.placeholder("x", shape=("n",))
    with g.scope("a_scope_with_quite_a_long_name"):
        y = gn.log(x, name="a_node_whose_name_is_longer_than_a_line_of_a_terminal_of_eighty_columns\x1b[31m")
    return gn.exp(y), {x: [1.0, 0.0]}

def other():
    y, feed = build()
    return gn.tanh(y.inputs[0]), feed

def unfed():
    return build()[0]
"""
CODE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "verbs").write_text("continue\nlist\nwhy log\nstpe\ntrace\ncheck\n")
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


class Terminal(io.StringIO):
    """What a terminal is sent."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Return a function that runs a command, and returns what it sends to a terminal by both its outputs."""

    def run(*arguments, **environ):
        with monkeypatch.context() as patch:
            for name, value in ({"COLUMNS": "80"} | environ).items():
                patch.setenv(name, value)
            screen = Terminal()
            for stream, file in (("stdin", None), ("stdout", screen), ("stderr", screen)):
                patch.setattr(sys, stream, file)
            assert cli.main(arguments) in (0, 1)
        return screen.getvalue()

    return run


@pytest.fixture
def piped(capsys):
    """Return a function that runs a command, and returns what goes into a pipe."""

    def run(*arguments):
        assert cli.main(arguments) in (0, 1)
        told = capsys.readouterr()
        return told.out + told.err

    return run


@pytest.mark.parametrize(
    ("arguments", "coloured"),
    [
        (["trace", "model.py:build"], r"\x1b\[1;38;5;196m1  a_scope.*log"),
        (["check", "model.py:build"], r"\x1b\[38;5;136mwarning:\x1b\[0m log"),
        (["compare", "model.py:build", "model.py:other"], r"\x1b\[1;38;5;196m.model.: \S+ and \S+ first differ at"),
        (["trace", "model.py:unfed"], r"\x1b\[1;38;5;196mgraphnn:\x1b\[0m"),
    ],
)
def test_what_is_wrong_has_its_colour_on_a_terminal(on_a_terminal, arguments, coloured):
    shown = on_a_terminal(*arguments)
    assert re.search(coloured, shown)
    assert "\x1b[31m" not in shown, "a name sets no colour"
    assert CODE.sub("", shown).replace("\n", "").isprintable()


def test_all_lines_of_a_verdict_have_its_colour(on_a_terminal):
    shown = on_a_terminal("compare", "model.py:build", "model.py:other", COLUMNS="50")
    verdict = shown[: shown.index("3 nodes compared")].splitlines()
    assert len(verdict) > 1
    assert all(line.startswith("\x1b[1;38;5;196m") and line.endswith("\x1b[0m") for line in verdict)


def test_there_are_no_colours_where_there_are_to_be_none(on_a_terminal, piped):
    plain = CODE.sub("", on_a_terminal("check", "model.py:build"))
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_a_terminal("check", "model.py:build", **environ) == plain
    assert "\x1b" not in piped("check", "model.py:build")


def test_a_table_has_the_width_of_the_terminal_and_in_a_pipe_whole_names(on_a_terminal, piped):
    for arguments in (
        ["trace", "model.py:build"],
        ["summary", "model.py:build"],
        ["run", "model.py:build", "--steps"],
        ["check", "model.py:build"],
    ):
        has_the_width(on_a_terminal, piped, arguments)


def has_the_width(on_a_terminal, piped, arguments):
    name = "a_node_whose_name_is_longer_than_a_line_of_a_terminal_of_eighty_columns"
    shown = CODE.sub("", on_a_terminal(*arguments, COLUMNS="100"))
    assert 80 < max(map(len, shown.split("\n"))) <= 100, arguments
    assert f"{name}\\x1b[31m" in piped(*arguments), arguments
