"""`graphnn dap` as a process of its own: over its standard streams, and over a port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from dap_client import Client, Piped
from dap_targets import DapTarget, targets_in
from hostile_requests import TARGETS


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DapTarget]:
    return targets_in(tmp_path_factory.mktemp("processes"))


@contextmanager
def served(port: bool = False) -> Iterator[Piped]:
    wire = Piped(port)
    try:
        yield wire
    finally:
        wire.close()


@pytest.mark.parametrize("name", ["program", "step", "graph", "run", "onnx"])
def test_each_target_in_another_process(targets: dict[str, DapTarget], name: str) -> None:
    """Each target is launched by the command, its run is that of the trace, and the server ends with it."""
    if name not in targets:
        pytest.skip(f"graphnn.{name} is not installed")
    target = targets[name]
    with served(port=name == "step") as wire:
        client = Client(wire)
        client.begin(target.launch)
        client.move("continue")
        last = target.operations[-1].name
        assert client.at() == last
        np.testing.assert_array_equal(client.result(), target.value(last))
        frame = client.frames()[0]
        if name in ("program", "step"):
            assert Path(frame["source"]["path"]) == target.program
        else:  # no line of this process made it: it is shown in a listing of the graph
            text = client.call("source", sourceReference=frame["source"]["sourceReference"])["content"]
            assert text.splitlines()[frame["line"] - 1].startswith(f"{last} = ")
        client.move("reverseContinue")
        assert client.at() == ""
        client.call("disconnect")
        client.event("terminated")
        assert wire.ended() == 0
        assert not wire.complaint().replace(wire.greeting, b"")


@pytest.mark.parametrize("port", [False, True], ids=["pipe", "port"])
def test_client_vanishes(targets: dict[str, DapTarget], port: bool) -> None:
    """A client that goes without a word ends the server."""
    with served(port) as wire:
        Client(wire).begin(targets["program"].launch)
        assert wire.vanish() == 0


def test_hostile_launches(targets: dict[str, DapTarget], tmp_path: Path) -> None:
    """A launch of what is none is refused in a sentence; a right one is done afterwards."""
    with served() as wire:
        client = Client(wire)
        client.initialize()
        canary = tmp_path / "canary"
        for text in TARGETS:
            assert client.refused("launch", target=text.replace("{canary}", str(canary)))
        program = targets["program"].launch["target"]
        for wrong in (
            {"target": program, "step": "yes"},
            {"target": program, "step": True},
            {"target": program, "data": "/etc/passwd"},
            {"target": program, "data": [1]},
            {"target": program, "sizes": {"x": -1}},
            {"target": program, "sizes": [1]},
            {"target": program, "budget": -1},
            {"target": program, "at": "no_such_loop@1"},
            {"target": program, "stopOnEntry": 1},
            {"target": program, "cwd": "/no/such/folder"},
            {"target": f"{program}_"},
            {"target": [program]},
            {},
        ):
            assert client.refused("launch", **wrong)
        client.begin(targets["program"].launch)
        client.move("continue")
        assert not canary.exists()
        client.call("disconnect")
        assert wire.ended() == 0


def test_broken_frame_ends_the_process(targets: dict[str, DapTarget]) -> None:
    """A broken frame ends the server in order, without a traceback."""
    with served() as wire:
        Client(wire).begin(targets["program"].launch)
        wire.raw_to_the_end(b"GET / HTTP/1.1\r\n\r\n" + b"\0" * 100_000)
        assert wire.ended() in (0, 1)
        assert b"Traceback" not in wire.complaint()
