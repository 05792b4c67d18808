"""The inspector's verbs of the command: trace, profile, check, compare."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import cli
from graphnn.debugger.diff import runtime_port

MODEL = r"""
import numpy as np
import graphnn as gn

X = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]])

def build(scale=1.0):
    g = gn.Graph("model")
    x = g.placeholder("x", shape=("batch", 2))
    w = g.parameter("w", [[1.0], [10.0]])
    y = x @ w
    z = gn.log(y) * scale
    g.outputs["total"] = gn.sum(z)
    g.updates[w] = w * 0.5
    return {"total": g.outputs["total"]}

def fed():
    fetches = build()
    return fetches, {fetches["total"].graph["x"]: X}

def sound():
    fetches = build()
    return fetches, {fetches["total"].graph["x"]: X + 1.0}

def other():
    fetches = build(2.0)
    return fetches, {fetches["total"].graph["x"]: X + 1.0}

def step():
    fetches = build()
    return gn.compile(fetches, updates=fetches["total"].graph.updates)

def step_fed():
    compiled = step()
    return compiled, {compiled.graph["x"]: X}

def guarded():
    fetches = build()
    compiled = gn.compile(fetches, guard="finite")
    return compiled, {compiled.graph["x"]: X}

def divides():
    g = gn.Graph("divides")
    n = g.placeholder("n", shape=(2,), dtype=np.int64)
    return -(6 // abs(n)), {n: np.array([2, 0])}

def evil():
    g = gn.Graph("g\x1b[31m")
    y = gn.log(g.parameter("w\x1b[2J\udc80", [1.0, 0.0]), name="d" * 10_000)
    g.outputs["out\x9b\nwrote"] = y
    return y
"""
X = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]])
Y = X @ np.array([[1.0], [10.0]])


@pytest.fixture
def model(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    np.savez("feed.npz", x=X)
    return "model.py"


def said(capsys, *arguments, code=0):
    assert cli.main(arguments) == code
    return capsys.readouterr()


def script(*lines):
    Path("script").write_text("\n".join(lines) + "\n")
    return ["-x", "script"]


# --- targets --------------------------------------------------------------------------------------------------


def test_other_verbs_take_steps_and_traces_too(model, capsys):
    said(capsys, "trace", "model.py:sound", "-o", "run.trace")
    total = np.log((X + 1) @ [[1.0], [10.0]]).sum()
    values = json.loads(said(capsys, "run", "run.trace", "--json").out)["values"]
    assert values["total"]["value"] == pytest.approx(total)
    for target in ("run.trace", "model.py:step"):
        assert said(capsys, "draw", target).out.startswith("digraph")
        assert "w (parameter)" in said(capsys, "summary", target).out
    told = json.loads(said(capsys, "run", "model.py:step_fed", "--json").out)
    assert told["values"]["total"]["value"] == "-inf"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["trace", "model.py:build"], 1, ["feed lacks", '"x"']),
        (["trace", "model.py:fed", "--select", "nothing"], 2, ['nothing in this run matches "nothing"']),
        (["trace", "model.py:fed", "-o", "no/run.trace"], 1, ["No such file"]),
        (["trace", "run.trace", "--feed", "feed.npz"], 1, ["a trace has its own feed"]),
        (["compare", "model.py:fed", "--runtime", "nowhere"], 2, ["'nowhere'", "that is registered"]),
        (["profile", "model.py:build"], 1, ["feed lacks"]),
        (["check", "model.py:build"], 1, ["feed lacks"]),
        (["compare", "model.py:build", "model.py:build"], 1, ["feed lacks"]),
        (["compare", "model.py:fed", "no.npz"], 2, ['no file "no.npz"']),
        (["compare", "model.py:fed", "feed2.npz"], 1, ['"nope"']),
    ],
)
def test_what_goes_wrong_is_said(model, capsys, arguments, code, words):
    cli.main(["trace", "model.py:fed", "-o", "run.trace"])
    script("step")
    np.savez("feed2.npz", nope=X)
    capsys.readouterr()
    told = said(capsys, *arguments, code=code)
    for word in words:
        assert word in told.err
    assert "Traceback" not in told.err


# --- debug ----------------------------------------------------------------------------------------------------


def test_the_trace_of_a_run_that_failed_fails_too(model, capsys):
    with pytest.raises(gn.ValueRangeError) as caught:
        gn.compile(gn.exp(gn.log(gn.Graph("guarded").parameter("w", 0.0))), guard="finite")()
    caught.value.save("error.trace")
    assert "stopped at" in said(capsys, "trace", "error.trace", code=1).out
    assert json.loads(said(capsys, "trace", "error.trace", "--json", code=1).out)["stopped"] == 1


@pytest.mark.parametrize(
    ("option", "arguments", "code"),
    [("-B", ["trace", "model.py:fed"], 0), ("-u", ["check", "model.py:fed"], 1), ("-B", ["check", "model.py:fed"], 1)],
)
def test_the_exit_code_is_the_same_where_nobody_reads(model, option, arguments, code):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, option, "-W", "error", "-m", "graphnn", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == code


def test_a_warning_of_ours_is_one_sentence(model, capsys):
    Path("half.py").write_text(
        "import graphnn as gn\ndef build():\n    return gn.exp(gn.Graph().constant([12.0], dtype='float16'))\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        told = said(capsys, "trace", "half.py:build").err
    assert told.startswith('graphnn: "exp" (exp, made at half.py:3) overflows float16')
    assert told.count("\n") == 1


# --- trace, profile, check, compare ---------------------------------------------------------------------------


def test_a_trace_is_printed_kept_and_told_in_json(model, capsys):
    told = json.loads(said(capsys, "trace", "model.py:fed", "-o", "run.trace", "--json").out)
    records = {record["node"]: record for record in told["records"]}
    assert list(records) == ["x", "w", "matmul", "log", "constant", "multiply", "sum"]
    assert (records["matmul"]["min"], records["matmul"]["max"], records["matmul"]["shape"]) == (0.0, 12.0, [3, 1])
    assert records["log"]["neginfs"] == 1
    assert records["sum"]["mean"] == "nan"
    assert (told["graph"], told["files"], told["stopped"], told["error"]) == ("model", ["run.trace"], None, "")
    np.testing.assert_array_equal(gn.load("run.trace")["matmul"].value, Y)
    again = json.loads(said(capsys, "trace", "run.trace", "--json").out)
    assert again["records"] == told["records"]  # the times, too: it is read, and not run again
    out = said(capsys, "trace", "model.py:fed", "-o", "run.trace").out
    assert "matmul" in out
    assert "wrote run.trace" in out


def test_a_trace_of_some_nodes(model, capsys):
    rows = said(capsys, "trace", "model.py:fed", "--select", "m*").out.split("\n")[2:]
    assert [row.split()[1] for row in rows if row] == ["matmul", "multiply"]
    told = json.loads(said(capsys, "trace", "model.py:fed", "--select", "log", "--json").out)
    assert [record["node"] for record in told["records"]] == ["log"]


def test_profile(model, capsys):
    told = json.loads(said(capsys, "profile", "model.py:fed", "--repeat", "2", "--json").out)
    assert (told["graph"], told["repeat"]) == ("model", 2)
    assert {cost["name"] for cost in told["by_op"]} == {"matmul", "log", "multiply", "sum"}
    assert "matmul" in said(capsys, "profile", "model.py:step", "--feed", "feed.npz").out


def test_check_exits_with_1_if_there_is_an_error(model, capsys):
    out = said(capsys, "check", "model.py:fed", code=1).out
    assert "log-of-zero" in out
    assert "log[1, 0]" in out
    told = json.loads(said(capsys, "check", "model.py:step_fed", "--json", code=1).out)
    assert told["findings"][0]["node"] == "log"
    assert told["findings"][0]["value"] == "-inf"
    assert json.loads(said(capsys, "check", "model.py:sound", "--json").out)["findings"] == []
    cli.main(["trace", "model.py:fed", "-o", "run.trace"])
    capsys.readouterr()
    assert "log-of-zero" in said(capsys, "check", "run.trace", code=1).out


def test_compare_finds_where_two_targets_part(model, capsys):
    assert json.loads(said(capsys, "compare", "model.py:sound", "model.py:sound", "--json").out)["equal"]
    told = json.loads(said(capsys, "compare", "model.py:sound", "model.py:other", "--json", code=1).out)
    assert told["first"]["node"] in ("constant", "multiply")
    out = said(capsys, "compare", "model.py:sound", "model.py:other", code=1).out
    assert 'first differ at "constant"' in out
    # Of two that differ in their feeds only, it is the first that reads it.
    told = json.loads(said(capsys, "compare", "model.py:sound", "model.py:fed", "--json", code=1).out)
    assert told["first"]["node"] == "x"


def test_compare_takes_feeds_for_both_or_one(model, capsys):
    np.savez("two.npz", x=X + 1)
    both = ["compare", "model.py:build", "model.py:build", "--feed", "two.npz"]
    assert json.loads(said(capsys, *both, "--json").out)["equal"]
    assert json.loads(said(capsys, *both, "--feed-b", "feed.npz", "--json", code=1).out)["first"]["node"] == "x"
    # A function's own feed serves the one that has none.
    said(capsys, "compare", "model.py:fed", "model.py:build")
    said(capsys, "compare", "model.py:build", "model.py:fed")


def test_compare_takes_traces_and_anyones_arrays(model, capsys):
    for name in ("sound", "other", "fed"):
        cli.main(["trace", f"model.py:{name}", "-o", f"{name}.trace"])
    capsys.readouterr()
    assert said(capsys, "compare", "sound.trace", "sound.trace").out
    said(capsys, "compare", "sound.trace", "other.trace", code=1)
    np.savez("arrays.npz", matmul=Y, log=np.log(Y, where=Y > 0, out=np.full_like(Y, -np.inf)))
    assert json.loads(said(capsys, "compare", "fed.trace", "arrays.npz", "--json").out)["equal"]
    np.savez("arrays.npz", matmul=Y, log=Y)
    told = json.loads(said(capsys, "compare", "model.py:fed", "arrays.npz", "--json", code=1).out)
    assert told["first"]["node"] == "log"


def test_compare_takes_digests(model, capsys):
    for name in ("sound", "other"):
        cli.main(["trace", f"model.py:{name}", "--digests", "-o", f"{name}.trace"])
    capsys.readouterr()
    assert not gn.load("sound.trace").has_values
    for target, other in (("sound.trace", "model.py:sound"), ("model.py:sound", "sound.trace")):
        assert "equal to the bit" in said(capsys, "compare", target, other).out
    np.savez("x.npz", x=X + 1)
    assert "equal to the bit" in said(capsys, "compare", "model.py:build", "sound.trace", "--feed", "x.npz").out
    out = said(capsys, "compare", "sound.trace", "other.trace", "--table", code=1).out
    assert 'sound.trace and other.trace first differ at "constant"' in out
    assert [line.split()[0] for line in out.partition("agree  ")[2].split("\n")[1:4]] == ["equal"] * 3
    assert "nothing to feed" in said(capsys, "compare", "sound.trace", "other.trace", "--feed", "x.npz", code=2).err
    cli.main(["trace", "model.py:sound", "-o", "whole.trace"])
    cli.main(["trace", "whole.trace", "--digests", "-o", "small.trace"])
    capsys.readouterr()
    assert "equal to the bit" in said(capsys, "compare", "small.trace", "sound.trace").out
    assert "has kept digests" in said(capsys, "check", "sound.trace", code=1).err


def test_compare_takes_a_runtime(model, capsys, monkeypatch):
    runtime_port.RUNTIMES.load()  # what loads now stays
    monkeypatch.setattr(runtime_port.RUNTIMES, "_given", {})
    runtime_port.runtime("mine", reads="a call")(
        lambda graph, nodes, feed, sizes: ((step.node, step.value) for step in gn.steps(list(nodes), feed))
    )
    assert "the run and mine are equal" in said(capsys, "compare", "model.py:sound", "--runtime", "mine").out
    assert "(mine), not 'other'" in said(capsys, "compare", "model.py:sound", "--runtime", "other", code=2).err
    for more in ([], ["model.py:sound", "--runtime", "mine"]):
        assert "either OTHER or --runtime NAME" in said(capsys, "compare", "model.py:sound", *more, code=2).err
    wrong = ["compare", "model.py:sound", "--runtime", "mine", "--feed-b", "x.npz"]
    assert "a runtime gets the same feed" in said(capsys, *wrong, code=2).err


def test_no_option_is_ignored(model, capsys):
    np.savez("arrays.npz", log=np.ones((3, 1)))
    assert (
        "--feed-b is for a second run"
        in said(capsys, "compare", "model.py:fed", "arrays.npz", "--feed-b", "x=nothing.npy", code=2).err
    )
    Path("plain.py").write_text(
        "import graphnn as gn\ndef net():\n    return gn.compile(gn.exp(gn.Graph().parameter('w', 1.0)))\n"
    )
    assert "makes no updates" in said(capsys, "trace", "plain.py:net", "--updates", code=2).err


def test_a_run_that_was_changed_by_hand_is_not_evaluated_as_another(model, capsys):
    g = gn.Graph("changed")
    x = g.placeholder("x", ("n",))
    dbg = gn.debug(gn.sum(x * 1.0), {x: [1.0, 1.0]}, echo=None)
    dbg.resume()
    dbg["multiply"] = [10.0, 10.0]
    dbg.trace().save("changed.trace")
    assert "20" in said(capsys, "trace", "changed.trace").out
    assert "set by hand (multiply)" in said(capsys, "run", "changed.trace", code=2).err


def test_compare_calls_the_runs_by_what_was_typed(model, capsys):
    assert cli.main(["compare", f"{model}:sound", f"{model}:other"]) == 1
    assert f'"model": {model}:sound and {model}:other first differ at' in capsys.readouterr().out
    cli.main(["trace", f"{model}:sound", "-o", "kept.trace"])
    capsys.readouterr()
    assert cli.main(["compare", "kept.trace", f"{model}:sound"]) == 0
    assert cli.main(["compare", f"{model}:sound", "kept.trace"]) == 0


WRONG = r"""
import graphnn as gn
print("made")

def loss(n=3):
    g = gn.Graph("wrong")
    x = g.placeholder("x", shape=(n,))
    print("built")
    return gn.sum(gn.log(x)), x

def needs(n):
    return loss(n)[0]

def amid():
    y, x = loss()
    return y, y, {x: [1.0, 2.0, 3.0]}

def fed():
    y, x = loss()
    return y, {x: [1.0, 2.0, 3.0]}

def unfed():
    return loss()[0]

def fails():
    raise ZeroDivisionError("of mine")
"""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "wrong.py:needs"], 2, "cannot be called without arguments, as a target is (missing a required"),
        (
            ["check", "wrong.py:amid"],
            1,
            "returned a feed among 3 things: return (fetches, feed), and several fetches as",
        ),
        (["check", "wrong.py:unfed"], 1, "; --feed FILE.npz gives it, or a function that returns (fetches, feed)"),
        (["trace", "wrong.py:fed", "-o", "run.svg"], 2, "graphnn draw wrong.py:fed --overlay values -o run.svg"),
    ],
)
def test_a_target_that_will_not_do_is_told_what_would(tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text(WRONG)
    assert cli.main(arguments) == code
    told = capsys.readouterr()
    assert words in told.err
    assert "Traceback" not in told.err


def test_what_a_target_prints_is_no_part_of_what_was_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text(WRONG)
    assert cli.main(["check", "--json", "wrong.py:fed"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["ok"]
    assert told.err == "made\nbuilt\n"


@pytest.mark.parametrize("status", [0, 3])
def test_a_target_that_exits_has_not_been_looked_at(tmp_path, monkeypatch, capsys, status):
    monkeypatch.chdir(tmp_path)
    Path("exits.py").write_text(f"import sys\ndef net():\n    pass\nsys.exit({status})\n")
    assert cli.main(["check", "exits.py:net"]) == 1
    assert "exits.py raised SystemExit" in capsys.readouterr().err


def test_a_traceback_is_of_the_lines_of_the_user(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text(WRONG)
    Path("misspelt.py").write_text("def build(:\n    pass\n")
    for target, last in (("wrong.py:fails", "ZeroDivisionError: of mine"), ("misspelt.py:build", "SyntaxError: ")):
        assert cli.main(["check", target]) == 1
        told = capsys.readouterr().err
        assert last in told
        assert target.partition(":")[0] in told
        assert "targets.py" not in told
        assert "importlib" not in told


def test_no_name_commands_the_terminal(model, capsys):
    lines = script(
        "list", "s", "where", "why d*", "why", "up", "print", "source", "runs", "neighbours", r"p w\x1b[2J\udc80"
    )
    for arguments in (["debug", *lines], ["trace"], ["trace", "--select", "d*"], ["check"], ["profile"]):
        for json_too in ([], ["--json"]):
            cli.main([arguments[0], "model.py:evil", *arguments[1:], *json_too])
            told = capsys.readouterr()
            assert (told.out + told.err).replace("\n", "").isprintable()
            for line in told.out.split("\n") if json_too and arguments[0] == "debug" else [told.out] * bool(json_too):
                assert not line or json.loads(line)
    cli.main(["compare", "model.py:evil", "model.py:evil"])
    assert capsys.readouterr().out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "verb",
    ["check", "compare", "demo", "draw", "ops", "profile", "run", "summary", "trace", "train"],
)
def test_the_help_of_each_verb_fits_a_screen(capsys, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([verb, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: graphnn {verb} ")
    assert lines[0].endswith("[options]")
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("verb", ["trace", "profile", "check", "compare"])
def test_each_verb_has_help_and_json(capsys, verb):
    with pytest.raises(SystemExit) as exit_:
        cli.main([verb, "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    for word in ("TARGET", "--json", "--feed", "--updates"):
        assert word in out


def test_a_target_is_not_given_what_we_were_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("parses.py").write_text(
        "import argparse\nfrom pathlib import Path\nimport graphnn as gn\n"
        "options = argparse.ArgumentParser()\noptions.add_argument('--steps', default=3, type=int)\n"
        "steps = options.parse_args().steps\n"
        "def net():\n    return gn.exp(gn.Graph().parameter('w', float(steps)))\n"
    )
    assert "exp" in said(capsys, "trace", "parses.py:net").out
    told = said(capsys, "trace", "parses.py:nat", code=2).err
    assert 'has no function "nat". Did you mean "net"' in told
    assert 'There is: "net"' in said(capsys, "trace", "parses.py:zzzzzz", code=2).err


def test_a_complaint_goes_into_the_terminal_word_by_word(model, capsys, monkeypatch):
    monkeypatch.setattr("graphnn.cli.screen.is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setenv("COLUMNS", "40")
    lines = said(capsys, "trace", "model.py:there_is_no_such_function_in_it", code=2).err.rstrip().split("\n")
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines[1:])
