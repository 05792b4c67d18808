"""The command `debug`."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import test_cli_inspect
from test_cli_inspect import X, said, script

import graphnn as gn
from graphnn import cli

model = test_cli_inspect.model


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
