"""What the command says alone, and that it works."""

import re

import pytest
from test_cli import said

from graphnn import cli


def test_alone_it_says_what_to_try_and_that_works(tmp_path, monkeypatch, capsys):
    told = said(capsys).out
    assert len(told.split("\n")) < 24
    assert max(map(len, told.split("\n"))) <= 80
    demo, replay, debug = re.findall(r"^  graphnn (.*?)  ", told.partition("\n\nWith")[0], re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    assert "wrote" in said(capsys, *demo.split()).out
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    assert "wrote" in said(capsys, *replay.split()).out
    assert '"spiral": 16 operations' in said(capsys, *debug.split()).out
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert len(capsys.readouterr().out.split("\n")) <= 25
