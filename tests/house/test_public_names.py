"""The table of public names in docs/names.md says what is public, and decides about each name."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from template import Template

import graphnn as gn
from graphnn import nn

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
sys.path.insert(0, "docs/_ext")
import public_names as names
table = names.rows()
print(json.dumps({
    "public": {name: [*kind] for name, kind in names.public().items()},
    "table": [[row.name, *row.plain, row.decision, row.reason] for row in table],
    "was": {row.was: row.name for row in table if row.was},
    "removed": {row.name: row.decision for row in table if row.decision.startswith("removed")},
    "arguments": [[row.name, old, new] for row in table for old, new in row.new.items()],
    "absent": [row.name for row in table if not row.decision.startswith("removed") and names.absent(row.name)],
}))
"""


@pytest.fixture(scope="module")
def names(template: Template) -> dict[str, Any]:
    # A process of its own: other tests define operations, layers and checks.
    done = template.run("-c", CODE, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_public_is_in_the_table_and_what_is_in_the_table_is_there(names: dict[str, Any]) -> None:
    public = names["public"]
    table = {name: about for name, *about, _, _ in names["table"]}
    there = table.keys() - names["removed"].keys() - set(names["absent"])  # those of satellites that were torn out
    mend = "run `python docs/_ext/public_names.py`, and decide about each name with a ?"
    assert sorted(public.keys() - there) == [], mend
    assert sorted(there - public.keys()) == [], mend
    assert {name: table[name] for name in there} == public, mend
    assert len(table) == len(names["table"])


def test_each_name_has_its_decision(names: dict[str, Any]) -> None:
    for name, _, _, decision, reason in names["table"]:
        renamed = re.fullmatch(r"stay|renamed from `[\w.]+`|removed → write `[\w.]+`", decision)
        assert renamed, (name, decision)
        assert decision == "stay" or reason, name


def _refused(name: str) -> str:
    """Return what the error says when a name is asked for."""
    thing: Any = {"gn": gn, "nn": nn}[name.partition(".")[0]]
    *way, last = name.split(".")[1:]
    for part in way:
        thing = getattr(thing, part)
    with pytest.raises(AttributeError) as refused:
        getattr(thing, last)
    assert not hasattr(thing, last)
    return str(refused.value)


def test_an_old_name_says_the_new_one(names: dict[str, Any]) -> None:
    assert len(names["was"]) > 10
    for old, new in names["was"].items():
        new = re.sub(r".*`(.+)`", r"\1", names["removed"].get(old, new))
        assert re.search(rf"\b{new.rpartition('.')[2]}\b", _refused(old)), (old, new)


def test_an_old_argument_says_the_new_one(names: dict[str, Any]) -> None:
    assert len(names["arguments"]) > 10
    for name, old, new in names["arguments"]:
        thing: Any = {"gn": gn, "nn": nn}[name.partition(".")[0]]
        owner = None
        for part in name.split(".")[1:]:
            owner, thing = thing, getattr(thing, part)
        me = [object.__new__(owner)] if isinstance(owner, type) else []
        with pytest.raises(TypeError, match=rf"unexpected keyword argument '{old}'.*\nHere it is {new}="):
            thing(*me, **{old: None})
