"""Pages that commands write: replay and demo."""

import base64
import json
import re
import zlib
from pathlib import Path

import test_cli_inspect
from test_cli_inspect import said

model = test_cli_inspect.model


def knows(page):
    """Return the title of a page, and what it knows of its run."""
    text = Path(page).read_text(encoding="utf-8")
    packed = re.search(r'id="data">([^<]*)', text)[1]
    block = zlib.decompress(base64.b64decode(packed))
    return re.search("<title>(.*)</title>", text)[1], json.loads(block[8 : 8 + int.from_bytes(block[:8], "little")])


def test_replay_writes_a_page_and_says_what_to_do_with_it(model, capsys):
    out = said(capsys, "replay", "model.py:sound").out
    assert out == "wrote replay.html\nnext: open replay.html in a browser\n"
    assert knows("replay.html")[0] == "model — replay"
    told = json.loads(said(capsys, "replay", "model.py:build", "--feed", "feed.npz", "-o", "run.htm", "--json").out)
    assert told == {"graph": "model", "files": ["run.htm"], "opened": False}


def test_replay_shows_a_step_with_its_updates_and_a_run_that_is_kept(model, capsys):
    said(capsys, "trace", "model.py:step_fed", "-o", "run.trace")
    for arguments in (["model.py:sound", "--updates"], ["run.trace"]):
        said(capsys, "replay", *arguments, "-o", "step.html")
        assert "multiply_2" in knows("step.html")[1]["nodes"]["name"]  # the update


def test_replay_opens_the_page(model, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("webbrowser.open", lambda address: seen.append(address) or True)
    said(capsys, "replay", "model.py:sound", "-o", "a page.html", "--open")
    assert seen == [(Path.cwd() / "a page.html").as_uri()]
    assert json.loads(said(capsys, "replay", "model.py:sound", "--open", "--json").out)["opened"] is True


def test_replay_says_where_there_is_no_browser(model, capsys, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    told = said(capsys, "replay", "model.py:sound", "--open", code=1)
    assert "there is no browser to open here; open replay.html in one yourself" in told.err
    assert knows("replay.html")[0] == "model — replay"


def test_replay_opens_what_ran_before_an_error(model, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("webbrowser.open", lambda address: seen.append(address) or True)
    told = said(capsys, "replay", "model.py:divides", "--open", code=1)
    assert "wrote replay.html: what ran before it; a browser opens it" in told.err
    assert knows("replay.html")[0] == "divides — replay"
    assert len(seen) == 1
    assert "no page" not in said(capsys, "replay", "model.py:build", "--open", code=1).err  # nothing ran
    assert len(seen) == 1


def test_replay_writes_pages_alone(model, capsys):
    told = said(capsys, "replay", "model.py:sound", "-o", "run.trace", code=2)
    assert "run.trace is not the name of a page: one ends in .html" in told.err
    assert not Path("run.trace").exists()


def test_the_help_of_replay_fits_a_screen(capsys, monkeypatch):
    test_cli_inspect.test_the_help_of_each_verb_fits_a_screen(capsys, monkeypatch, "replay")
