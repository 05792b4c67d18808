"""The command `graphnn mcp`, spoken to by a client over its standard input and output."""

import asyncio
import os
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import cli, nn
from graphnn.cli.commands.mcp import load
from graphnn.mcp import Folder, Refusal, Tools

sdk = pytest.importorskip("mcp.client.stdio", reason="the SDK of MCP is not installed", exc_type=ImportError)

PROGRAM = """
import numpy as np
import graphnn as gn
import beside

def build():
    print("noise on the standard output")
    g = gn.Graph("own")
    x = g.placeholder("x", shape=("n",))
    g.outputs["y"] = y = gn.log(x)
    return y, {x: beside.DATA}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text("DATA = [1.0, 0.0]")
    return tmp_path


def answers(folder, calls, *options, mode="auto"):
    """Return what the command answers to calls."""
    server = sdk.StdioServerParameters(
        command=sys.executable,
        args=["-m", "graphnn", "mcp", "--folder", str(folder), *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )

    from_sdk = pytest.importorskip("mcp.client")

    async def talk():
        async with from_sdk.Client(server, mode=mode) as client:
            return [await client.call_tool(tool, arguments) for tool, arguments in calls]

    return [(result.content[0].text, result.is_error) for result in asyncio.run(talk())]


CALLS = [
    ("summary", {}),
    ("check", {"model": "net.py:build"}),
    ("why", {"model": "net.py:build"}),
    ("summary", {"model": "/etc/passwd"}),
    ("value", {"model": "net.py:build", "node": "log"}),
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_command_answers_a_client(folder, mode):
    listed, checked, explained, refused, value = answers(folder, CALLS, "--allow-code", mode=mode)
    assert '"net.py:build"' in listed[0]
    assert "cause: error log-of-zero" in checked[0]
    assert "log[1] = -inf = log(0)" in explained[0]
    assert refused[1]
    assert "0, -inf" in value[0]


def test_code_is_not_run_unless_it_is_allowed(folder):
    listed, *others = answers(folder, CALLS)
    assert "net.py" not in listed[0]
    for answer, is_error in others:
        assert is_error
        assert "--allow-code" in answer or "below the folder" in answer


def test_error_of_the_program_is_told_with_its_line(folder):
    (folder / "net.py").write_text("def build():\n    return 1 // 0\n")
    with pytest.raises(Refusal) as refused:
        Tools(Folder(folder, True), load).call("check", model="net.py:build")
    assert "ZeroDivisionError: integer division or modulo by zero" in str(refused.value)
    assert "at net.py:2: return 1 // 0" in str(refused.value)
    assert str(folder) not in str(refused.value)


def test_without_the_sdk_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert cli.main(["mcp", "--folder", str(tmp_path)]) == 2
    assert 'pip install "graphnn[mcp]"' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--folder", "nowhere"], ["--folder", __file__], ["--folder", ".", "--json"]])
def test_misuse(arguments, capsys):
    assert cli.main(["mcp", *arguments]) == 2
    assert capsys.readouterr().out == ""


def test_whole_step_is_run_where_all_is_fed(tmp_path):
    g = gn.Graph("trained")
    x, y = g.placeholder("x", shape=("n", 2)), g.placeholder("y", shape=("n", 1))
    predicted = nn.Dense(1, rng=np.random.default_rng(0))(x)
    g.outputs["loss"] = loss = nn.mean_squared_error(predicted, y)
    nn.SGD(0.1).updates(loss)
    gn.save(g, tmp_path / "net.gnn")
    np.savez(tmp_path / "all.npz", x=np.ones((3, 2)), y=np.ones((3, 1)))
    run, feed = load(str(tmp_path / "net.gnn"), [str(tmp_path / "all.npz")])
    assert isinstance(run, gn.Compiled)
    assert set(feed) == {"x", "y"}
    np.savez(tmp_path / "some.npz", x=np.ones((3, 2)))
    run, feed = load(str(tmp_path / "net.gnn"), [str(tmp_path / "some.npz")])
    assert not isinstance(run, gn.Compiled)


def test_file_does_not_say_how_much_memory_may_be_taken(tmp_path):
    g = gn.Graph("greedy")
    g.memory_budget = 1e18
    x = g.placeholder("x", shape=())
    g.outputs["y"] = gn.broadcast_to(x, (10**7, 10**7)) * 2.0
    gn.save(g, tmp_path / "net.gnn")
    np.savez(tmp_path / "x.npz", x=1.0)
    with pytest.raises(Refusal, match="would take 800,000,000,000,000 bytes"):
        Tools(Folder(tmp_path), load).call("summary", model="net.gnn", feed="x.npz")


def test_path_of_imports_stays_as_it_was(folder):
    before = list(sys.path)
    load(f"{folder / 'net.py'}:build", [])
    assert sys.path == before
