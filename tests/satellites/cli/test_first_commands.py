"""The commands that a newcomer types first, and what they say."""

import re
from pathlib import Path

import pytest

from graphnn import cli

FILE = """
import graphnn as gn
raise SystemExit("it was run")
class Model: ...
def _helper(): ...
def needs(x): ...
def keyword(*, x): ...
async def later(): ...
def build(size=3, *more, option=None, **rest): ...
def train(): ...
"""


VERBS = ["draw", "run", "trace", "profile", "check", "summary", "compare"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("colon", ["", ":"])
def test_a_file_alone_offers_the_functions_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str, colon: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(FILE, encoding="utf-8")
    assert cli.main([verb, f"model.py{colon}", *(["model.py"] if verb == "compare" else [])]) == 2
    told = "graphnn: model.py is a file, and a target is a function in it: model.py:build, model.py:train"
    assert capsys.readouterr().err.splitlines()[0] == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(x): ...", "it has none, yet"),
        ("def f(:", "a target is a function in it: a.py:build, say"),
        ("", "a target is a function in it: a.py:build, say"),
        ("(" * 10_000, "a target is a function in it: a.py:build, say"),
        ("\0", "a target is a function in it: a.py:build, say"),
        ("\n".join(f"def f{i}(): ..." for i in range(20)), "a.py:f0, a.py:f1, .*, a.py:f7, and 12 more"),
        ("def f(): ...\ndef f(): ...", "a target is a function in it: a.py:f\n"),
        (None, 'there is no file "a.py"'),
    ],
)
def test_a_file_without_a_function_to_offer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "a.py").write_text(text, encoding="utf-8")
    assert cli.main(["draw", "a.py"]) == 2
    assert re.search(told, capsys.readouterr().err)


HOSTILE = "\x1b[31m\x1b]0;owned\x07\rred\u202e"


@pytest.mark.parametrize(
    "arguments",
    [
        [f"dr{HOSTILE}"], [f"--{HOSTILE}"], ["draw", "a.py:b", f"--{HOSTILE}"], ["draw", "a.py:b", HOSTILE],
        ["draw", "a.py:b", "--engine", HOSTILE], ["draw", "a.py:b", "--size", HOSTILE], ["draw", HOSTILE],
        ["draw", f"{HOSTILE}.py"], ["draw", f"{HOSTILE}.py:b"], ["profile", "a.py:b", "--repeat", HOSTILE],
        ["run", "a.py:b", "--value", HOSTILE], ["run", "a.py:b", "--feed", HOSTILE], ["ops", HOSTILE],
        ["compare", HOSTILE, HOSTILE], ["check", f"{HOSTILE}:b"], ["draw", f"a.py:{HOSTILE}"], ["demo", HOSTILE],
    ],
)  # fmt: skip
def test_no_argument_commands_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("def b(): return 1", encoding="utf-8")
    try:
        code = cli.main(arguments)
    except SystemExit as left:
        code = left.code  # type: ignore[assignment]
    assert code in (1, 2)
    out, err = capsys.readouterr()
    assert err
    assert [c for c in out + err if c in "\x1b\x07\r\u202e"] == []


def test_an_unknown_option_says_where_the_known_ones_are(capsys: pytest.CaptureFixture[str]) -> None:
    for given, told in (("--themes", 'Did you mean "--theme"?'), ("--zzz", "graphnn draw --help lists what it takes")):
        with pytest.raises(SystemExit):
            cli.main(["draw", "a.py:b", given])
        assert told in capsys.readouterr().err
