"""Time what an editor waits for: the parts of a node of 10^8 elements, and moves in a graph of 10^5 nodes.

Run it as ``python tests/benchmarks/dap.py``. Each figure is the median of some requests, as a client sees them: the
message out, the answers in, over a pipe.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = """\
import numpy as np
import graphnn as gn


def large():
    g = gn.Graph("large")
    x = g.placeholder("x", shape=({rows}, {columns}), dtype=np.float32)
    values = np.zeros(({rows}, {columns}), np.float32)
    values[:, 0] = np.arange({rows})
    return [gn.add(x, np.float32(1.0), name="large")], {{x: values}}


def long():
    g = gn.Graph("long")
    x = g.placeholder("x", shape=())
    value = x
    for block in range({nodes} // 10):
        with g.scope("block"):
            for _ in range(10):
                value = value + 1.0
    return [value], {{x: 0.0}}
"""
LIMITS = {"variables": 0.1, "next": 0.02, "stepBack": 0.02, "reverseContinue": 2.0}
"""Seconds that a request may take."""


class Editor:
    """The least that asks ``graphnn dap`` and waits."""

    def __init__(self, target: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "graphnn", "dap"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._seq = 0
        self.ask("initialize", adapterID="graphnn")
        self.ask("launch", target=target, stopOnEntry=True)
        self.ask("configurationDone")
        self._until(lambda message: message.get("event") == "stopped")

    def _receive(self) -> dict[str, Any]:
        output = self._process.stdout
        assert output is not None
        size = 0
        while line := output.readline().strip():
            size = int(line.partition(b":")[2])
        message: dict[str, Any] = json.loads(output.read(size))
        return message

    def _until(self, wanted: Any) -> dict[str, Any]:
        while not wanted(message := self._receive()):
            pass
        return message

    def ask(self, command: str, **arguments: Any) -> Any:
        self._seq += 1
        body = json.dumps({"seq": self._seq, "type": "request", "command": command, "arguments": arguments}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()
        response = self._until(lambda message: message["type"] == "response")
        if not response["success"]:
            raise SystemExit(f"{command}: {response['message']}")
        return response.get("body")

    def move(self, command: str, **arguments: Any) -> float:
        """Return the seconds until the run has stopped again."""
        began = time.perf_counter()
        self.ask(command, threadId=1, **arguments)
        self._until(lambda message: message.get("event") == "stopped")
        return time.perf_counter() - began

    def scopes(self) -> list[dict[str, Any]]:
        frame = self.ask("stackTrace", threadId=1, levels=1)["stackFrames"][0]["id"]
        scopes: list[dict[str, Any]] = self.ask("scopes", frameId=frame)["scopes"]
        return scopes

    def variables(self, reference: int, **filters: int) -> tuple[float, list[dict[str, Any]]]:
        began = time.perf_counter()
        listed = self.ask("variables", variablesReference=reference, **filters)["variables"]
        return time.perf_counter() - began, listed

    def close(self) -> None:
        self.ask("disconnect")
        self._process.wait()


def variables(target: str) -> dict[str, float]:
    """Return how long the parts of a large node take: the first level, its rows, and the elements of one."""
    editor = Editor(target)
    editor.move("continue")
    times: dict[str, float] = {}
    began = time.perf_counter()
    scopes = editor.scopes()
    times["variables, stack and scopes"] = time.perf_counter() - began
    for scope in scopes:
        times[f"variables of {scope['name']}"], listed = editor.variables(scope["variablesReference"])
        if scope["name"] == "Operation":
            result = next(each for each in listed if each["name"] == "result")
            reference = result["variablesReference"]
            times["variables, a page of rows"], rows = editor.variables(reference, start=0, count=100)
            times["variables, rows uncounted"], _ = editor.variables(reference)
            last = result["indexedVariables"] - 100
            times["variables, the last page of rows"], _ = editor.variables(reference, start=last, count=100)
            inner = rows[0]["variablesReference"]
            times["variables, a page of elements"], elements = editor.variables(inner, start=0, count=100)
            assert len(rows) == len(elements) == 100
    editor.close()
    return times


def moves(target: str) -> dict[str, float]:
    """Return how long moves take in a long graph."""
    editor = Editor(target)
    times = {"next, first": editor.move("next")}
    times["next, median of 50"] = statistics.median(editor.move("next") for _ in range(50))
    for scope in editor.scopes():
        times[f"variables of {scope['name']} at its beginning"], _ = editor.variables(scope["variablesReference"])
    times["(continue over all)"] = editor.move("continue")
    times["stepBack at the end, median of 50"] = statistics.median(editor.move("stepBack") for _ in range(50))
    times["next at the end, median of 49"] = statistics.median(editor.move("next") for _ in range(49))
    for scope in editor.scopes():
        times[f"variables of {scope['name']} at its end"], _ = editor.variables(scope["variablesReference"])
    times["reverseContinue over all"] = editor.move("reverseContinue")
    points = [{"name": "add", "condition": "max > 1e9"}]
    editor.ask("setFunctionBreakpoints", breakpoints=points)
    editor.ask("setExceptionBreakpoints", filters=["nan", "inf"])
    times["(continue over all, a condition at each)"] = editor.move("continue")
    times["reverseContinue over all, a condition at each"] = editor.move("reverseContinue")
    editor.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=10**8)
    parser.add_argument("--nodes", type=int, default=10**5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large_and_long.py")
        columns = 10_000
        path.write_text(PROGRAM.format(rows=options.elements // columns, columns=columns, nodes=options.nodes), "utf-8")
        times = variables(f"{path}:large") | moves(f"{path}:long")
    for name, seconds in times.items():
        most = next((most for part, most in LIMITS.items() if name.startswith(part)), None)
        kept = "" if most is None else f"  of {1000 * most:6,.0f} {'' if seconds <= most else 'TOO LONG'}"
        sys.stdout.write(f"{name:45} {1000 * seconds:9,.2f} ms{kept}\n")


if __name__ == "__main__":
    main()
