"""A check of another package in the command and on the page of checks."""

import json
import runpy
from pathlib import Path

import test_checks
from places import ROOT

from graphnn import cli

_checks_as_before, other_package = test_checks._checks_as_before, test_checks.other_package


def test_another_package_adds_a_check_by_an_entry_point(other_package: Path, capsys) -> None:
    target = f"{other_package / 'model.py'}:build"
    assert cli.main(["check", target]) == 0
    shown = capsys.readouterr().out
    assert "narrow  multiply[0]" in shown
    assert "all of multiply is 0" in shown
    assert "→ look at what makes it" in shown
    assert cli.main(["check", target, "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["count"], finding["remedy"]) == ("narrow", 3, "look at what makes it")
    made = runpy.run_path(str(ROOT / "docs" / "made.py"))
    assert "| `narrow` | the elements of a value are all the same |" in made["codes"]()
