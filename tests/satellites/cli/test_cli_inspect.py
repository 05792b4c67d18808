"""The inspector's verbs of the command: debug, trace, profile, check, compare."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import threading
import warnings
import zlib
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


def knows(page):
    """Return the title of a page, and what it knows of its run."""
    text = Path(page).read_text(encoding="utf-8")
    packed = re.search(r'id="data">([^<]*)', text)[1]
    block = zlib.decompress(base64.b64decode(packed))
    return re.search("<title>(.*)</title>", text)[1], json.loads(block[8 : 8 + int.from_bytes(block[:8], "little")])


def script(*lines):
    Path("script").write_text("\n".join(lines) + "\n")
    return ["-x", "script"]


# --- targets --------------------------------------------------------------------------------------------------


def test_every_kind_of_target_is_debugged(model, capsys):
    cli.main(["trace", "model.py:fed", "-o", "run.any"])
    lines = script("continue", "print total")
    feed = ["--feed", "feed.npz"]
    for target in (["model.py:fed"], ["model.py:step_fed"], ["model.py:build", *feed], ["model.py:step", *feed]):
        assert said(capsys, "debug", *target, *lines).out.endswith("\n-inf\n")
    assert said(capsys, "debug", "run.any", *lines).out.endswith("\n-inf\n")


def test_a_saved_graph_is_debugged_with_or_without_its_updates(model, capsys):
    script("continue", "commit", "print w", "save model.gnn")
    said(capsys, "debug", "model.py:step_fed", "-x", "script")
    assert gn.load("model.gnn")["w"].value.tolist() == [[0.5], [5.0]]
    said(capsys, "debug", "model.gnn", "--updates", "--feed", "feed.npz", "-x", "script")
    assert gn.load("model.gnn")["w"].value.tolist() == [[0.25], [2.5]]
    assert "no updates to make" in said(capsys, "debug", "model.gnn", "--feed", "feed.npz", "-x", "script", code=1).out
    assert "has no updates" in said(capsys, "debug", "model.py:divides", "--updates", "-x", "script", code=2).err


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
        (["debug", "nowhere.trace"], 2, ['no file "nowhere.trace"']),
        (["debug", "nowhere"], 2, ['"nowhere" is not a target', "the file of a trace"]),
        (["debug", "feed.npz"], 1, ["feed.npz", "is not a graphnn file"]),
        (["debug", "model.py:fed", "-x", "nowhere"], 2, ['no file "nowhere"']),
        (["debug", "model.py:build", "-x", "script"], 1, ["feed lacks", '"x"']),
        (["trace", "model.py:build"], 1, ["feed lacks", '"x"']),
        (["trace", "model.py:fed", "--select", "nothing"], 2, ['nothing in this run matches "nothing"']),
        (["trace", "model.py:fed", "-o", "no/run.trace"], 1, ["No such file"]),
        (["trace", "run.trace", "--feed", "feed.npz"], 1, ["a trace has its own feed"]),
        (["debug", "model.py:fed", "--at", "scan_1@2"], 2, ["no node", '"scan_1@2"']),
        (["debug", "model.py:fed", "--at", "exp"], 2, ["the name of an iteration", "'exp'"]),
        (["debug", "model.py:build", "--at", "scan_1@2", "-x", "script"], 1, ["feed lacks", '"x"', "--feed"]),
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


def test_a_script_shows_prompt_command_and_answer(model, capsys):
    out = said(
        capsys, "debug", "model.py:fed", *script("# to the first NaN", "", "break if inf", "c", "why", "up", "q", "s")
    ).out
    assert out.startswith(
        '"model": 4 operations; help lists the verbs\n  next: matmul = matmul(x, w)  at model.py:11\n'
    )
    assert "\n(graphnn 0/4, next matmul) break if inf\nbreakpoint 1: after any node if inf, 4 operations\n" in out
    assert "\n(graphnn 2/4 log, next multiply) why\nlog[1, 0] = -inf = log(0)\n" in out
    assert "at model.py:12: z = gn.log(y) * scale" in out
    assert out.endswith("(graphnn 2/4 log, next multiply) q\n")
    assert "# to" not in out


def test_a_command_that_fails_makes_the_exit_code_1_and_the_script_goes_on(model, capsys):
    out = said(capsys, "debug", "model.py:fed", *script("step", "nonsense", "step"), code=1).out
    assert 'no verb "nonsense"' in out
    assert "(graphnn 1/4 matmul, next log) step\nlog = log(matmul)" in out


def test_an_operation_that_fails_is_told_with_its_operands(model, capsys):
    out = said(capsys, "debug", "model.py:divides", *script("c", "set absolute[1] = 4", "c", "print"), code=1).out
    assert "divided by 0" in out
    assert "  absolute = [2, 0]\n" in out
    assert out.endswith("[-3 -1]\n")


def test_commands_come_through_a_pipe(model, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("step\n\nstep\nprint [0]\n"))
    out = said(capsys, "debug", "model.py:fed").out
    assert "(graphnn 1/4 matmul, next log) step" in out
    assert out.endswith("(graphnn 2/4 log, next multiply) print [0]\n[0.]\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only: named pipes")
def test_a_script_may_come_from_a_pipe_and_with_the_mark_of_its_encoding(model, capsys, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = "\ufeffstep\nback 99999999999999999999\n".encode()
    writer = threading.Thread(target=pipe.write_bytes, args=[lines], daemon=True)  # which waits for a reader
    writer.start()
    out = said(capsys, "debug", "model.py:fed", "-x", str(pipe)).out
    writer.join(60)
    assert "(graphnn 0/4, next matmul) step\nmatmul" in out
    assert "(graphnn 1/4 matmul, next log) back 9" in out


def test_after_a_script_no_pipe_is_read(model, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("step\n"))
    out = said(capsys, "debug", "model.py:fed", *script("where")).out
    assert out.count("(graphnn") == 1


def test_commands_that_are_no_text_are_said_to_be_none(model):
    command = [sys.executable, "-W", "error", "-m", "graphnn", "debug", "model.py:fed"]
    done = subprocess.run(
        command, input=b"step\n\xff\n", capture_output=True, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, check=False
    )
    assert done.returncode == 2
    assert b"the commands are not text" in done.stderr


def test_a_run_that_failed_opens_where_it_was_stopped(model, capsys):
    told = said(capsys, "trace", "model.py:divides", "-o", "stopped", code=1)
    assert "wrote stopped: what ran before it; graphnn debug stopped opens it" in told.err
    out = said(capsys, "debug", "stopped", *script("print absolute", "inputs")).out
    assert "stopped: while evaluating" in out
    assert "(graphnn 1/3 absolute, next floor_divide) print absolute" in out
    assert "[2 0]" in out


def test_an_error_that_was_saved_opens_where_it_was_stopped(model, capsys):
    g = gn.Graph("guarded")
    y = gn.exp(gn.log(g.parameter("w", 0.0)))
    with pytest.raises(gn.ValueRangeError) as caught:
        gn.compile(y, guard="finite")()
    caught.value.save("error.trace")
    out = said(capsys, "debug", "error.trace", *script("print", "step")).out
    assert "stopped: " in out
    assert "(graphnn 1/2 log, next exp) print\n" in out
    assert "-inf" in out


def test_the_trace_of_a_run_that_failed_fails_too(model, capsys):
    with pytest.raises(gn.ValueRangeError) as caught:
        gn.compile(gn.exp(gn.log(gn.Graph("guarded").parameter("w", 0.0))), guard="finite")()
    caught.value.save("error.trace")
    assert "stopped at" in said(capsys, "trace", "error.trace", code=1).out
    assert json.loads(said(capsys, "trace", "error.trace", "--json", code=1).out)["stopped"] == 1


def test_what_a_script_could_not_do_fails_though_more_is_typed(model, capsys, monkeypatch):
    monkeypatch.setattr("graphnn.cli.screen.is_terminal", lambda stream: stream is sys.stdin)
    monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
    monkeypatch.setattr("builtins.input", lambda prompt: "q")
    said(capsys, "debug", "model.py:fed", *script("print nothing"), code=1)
    said(capsys, "debug", "model.py:fed", *script("step"))


def test_debug_as_json_is_an_object_a_command(model, capsys):
    told = said(
        capsys,
        "debug",
        "model.py:fed",
        *script("until log", "print [2]", "oops", "set w = zeros", "q"),
        "--json",
        code=1,
    )
    first, second, third, fourth, fifth = map(json.loads, told.out.strip().split("\n"))
    assert (first["command"], first["ok"], first["position"], first["operations"]) == ("until log", True, 2, 4)
    assert (first["current"], first["next"], first["run"], first["error"]) == ("log", "multiply", "run", "")
    assert float(second["said"].strip("[]")) == pytest.approx(np.log(12), abs=1e-6)
    assert (third["ok"], fourth["ok"], fourth["run"]) == (False, True, "what-if 1")
    assert "what-if 1: w changed, recomputed 2 of 4" in fourth["said"]
    assert fifth["command"] == "q"


def test_an_array_of_a_file_is_set(model, capsys):
    np.save("w.npy", np.array([[2.0], [3.0]]))
    np.savez("two.npz", a=X, b=X)
    Path("forged.npy").write_bytes(b"\x93NUMPY\x01\x00" + bytes(100))
    lines = script("c", "set w = w.npy", "print matmul[:, 0]", "set w = nowhere.npy", "set w = forged.npy", "p total")
    out = said(capsys, "debug", "model.py:fed", *lines, code=1).out
    assert "[2. 0. 7.]" in out
    assert 'no file "nowhere.npy"' in out
    assert "not an .npy" in out
    Path("two.npz").rename("two.npy")
    assert "holds arrays by name" in said(capsys, "debug", "model.py:fed", *script("set w = two.npy"), code=1).out


def test_the_budget_bounds_what_values_take(model, capsys):
    lines = script("c", "goto log", "print [0]")
    assert said(capsys, "debug", "model.py:fed", "--budget", "1", *lines).out.endswith("[0.]\n")
    with pytest.raises(SystemExit) as exit_:
        cli.main(["debug", "model.py:fed", "--budget", "0"])
    assert exit_.value.code == 2


def test_ctrl_c_in_a_script_ends_it_with_130(model, capsys, monkeypatch):
    def pressed(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(gn.Debugger, "resume", pressed)
    out = said(capsys, "debug", "model.py:fed", *script("step", "continue", "step"), code=130).out
    assert "interrupted\nmatmul = matmul(x, w)" in out
    assert out.count("(graphnn") == 2
    lines = said(capsys, "debug", "model.py:fed", *script("continue", "step"), "--json", code=130).out
    assert len(lines.strip().split("\n")) == 1


def test_a_reader_that_stops_early_is_no_error(model):
    script(*["help"] * 2000)
    command = [sys.executable, "-W", "error", "-m", "graphnn", "debug", "model.py:fed", "-x", "script"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


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


def test_streams_that_the_shell_has_closed(model, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", None)
        assert said(capsys, "debug", "model.py:fed").out.startswith('"model": 4 operations')
        assert said(capsys, "debug", "model.py:fed", "--json").out == ""
        patch.setattr("sys.stdout", None)
        for verb in ("debug", "trace", "check", "profile"):
            assert cli.main([verb, "model.py:fed"]) == (verb == "check")
    monkeypatch.setattr("sys.stderr", None)
    assert said(capsys, "trace", "nowhere.trace", code=2).out == ""


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
    ["check", "compare", "debug", "demo", "draw", "ops", "profile", "replay", "run", "summary", "trace", "train"],
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


@pytest.mark.parametrize("verb", ["debug", "trace", "profile", "check", "compare"])
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
