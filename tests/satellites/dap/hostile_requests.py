"""Requests that no editor sends: made wrong from right ones, from a seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

Request = dict[str, Any]

DEEP = 500
"""How many lists or parentheses lie in each other: more than any reader should follow, fewer than JSON refuses."""


def nested(depth: int = DEEP) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


CODE = (
    "__import__('os').system('touch {canary}')",
    "__import__('pathlib').Path('{canary}').touch()",
    "open('{canary}', 'w')",
    'exec(\'open("{canary}", "w")\')',
    "eval('1')",
    "compile('1', '', 'eval')",
    "().__class__.__bases__[0].__subclasses__()",
    "{node}.__class__.__init__.__globals__",
    "{node}.tofile('{canary}')",
    "{node}.dump('{canary}')",
    "np.save('{canary}', {node})",
    "numpy.load('{canary}', allow_pickle=True)",
    "np.lib.format.open_memmap('{canary}', 'w+', shape=(1,))",
    "getattr({node}, 'tofile')('{canary}')",
    "[c for c in ().__class__.__mro__]",
    "(lambda: 1)()",
    "lambda: open('{canary}', 'w')",
    "(y := 1)",
    "f'{{open(1)}}'",
    "{node}; import os",
    "import os",
    "{node} if 1 else 2 and __builtins__",
    "globals()",
    "vars()",
    "breakpoint()",
    "exit()",
    "quit()",
    "print(1)",
    "sum(x for x in [1])",
    "`touch {canary}`",
    "$(touch {canary})",
    "| touch {canary}",
    "1 +",
    "\0",
    "\x1b[2J",
    "(" * DEEP,
    "(" * DEEP + "1" + ")" * DEEP,
    "-" * 5_000 + "1",
    "[" * DEEP + "]" * DEEP,
    "{node}" + "[0]" * DEEP,
    "9**9**9**9",
    "1 << 10**9",
    "'a' * 10**10",
    "[0] * 10**10",
    "ones(10**12)",
    "zeros((10**6, 10**6))",
    "broadcast_to({node}, (10**12,))",
    "{node}[10**20]",
    "{node}[-10**20]",
    "{node}[::0]",
    "{node}[999999]",
    "{node}['a']",
    "{node}[{node}[{node}]]",
    "{node}.shape.__class__",
    "no_such_node",
    "no_such_function({node})",
    "{node} @ @",
    "1" * 5_000,
    "x" * 100_000,
    "\N{RIGHT-TO-LEFT OVERRIDE}{node}",
    "../../../etc/passwd",
    "/etc/passwd",
)
"""Expressions that are none: code, what takes all memory, what is nested beyond measure, and what means nothing."""

VERBS = (
    "save {canary}",
    "save ../{canary}",
    "set {node} = {canary}.npy",
    "set {node} /etc/passwd",
    "set {node} __import__('os')",
    "!touch {canary}",
    "shell touch {canary}",
    "why {node}[99, 99, 99]",
    "why no_such_node",
    "goto 99999999999999999999",
    "goto -1",
    "step 99999999999999999999999",
    "step -1",
    "step 1e9",
    "back 0",
    "break {node} if __import__('os')",
    "break {node} if value[" + "9" * 500 + "] > 0",
    "iteration 5",
    "use no_such_run",
    "drop ../run",
    "EOF",
)
"""Lines for the console that are none, or that would read and write files."""

CONDITIONS = (
    "__import__('os').system('touch {canary}')",
    "value.__class__",
    "max >",
    "max > > 1",
    "any > __import__",
    "becomes",
    "becomes Nan; import os",
    "(" * 150,
    "not " * 45,
    "x" * 10_000,
    "max > " + "9" * 180 + "x",
    "nan or exec",
    "value[1, 2, 3, 4, 5, 6, 7, 8] >",
    "\0",
)

HIT_CONDITIONS = ("__import__('os')", "-1", "1e999", "% 0", "9" * 5_000, ">", "1; 2", "\0")

LOG_MESSAGES = ("{{__import__('os').system('touch {canary}')}}", "{{open('{canary}', 'w')}}", "{{" * DEEP)

TARGETS = (
    "/etc/passwd",
    "../../etc/passwd",
    "{canary}.py:build",
    "os:getcwd",
    "",
    "\0",
    "no.gnn",
    "-c",
    "|touch {canary}",
    "x" * 5_000,
)

UNKNOWN = (
    "attach",
    "eval",
    "exec",
    "__init__",
    "__class__",
    "_dispatch",
    "handle",
    "send",
    "load",
    "Next",
    "next ",
    "",
    "\0",
    "shutdown",
    "readMemory",
    "writeMemory",
    "disassemble",
    "runInTerminal",
    "startDebugging",
    "terminateThreads",
    "restartFrame",
    "setInstructionBreakpoints",
    "x" * 10_000,
    "../next",
    "next\n",
    "\ud800",
)

WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    -(2**63),
    10**400,
    0.5,
    -0.0,
    1e308,
    "",
    "1",
    "\0",
    "\ud800",
    "x" * 50_000,
    [],
    [None],
    {},
    {"a": {}},
    [[]] * 100,
    nested(),
    {"__class__": "os"},
)

NUMBERS = (-1, -(2**63), 2**31, 2**53, 2**63, 2**64, 10**30, 10**400)


class Hostile:
    """A source of wrong requests, each with what is wrong with it.

    Parameters
    ----------
    seed : int
    right : mapping of str to dict
        Arguments of requests that are right.
    needed : mapping of str to list of tuple
        For each command, the paths of the fields that it must have, and their types in the schema.
    node, canary : str
        A node that is there, and a file that must never be.
    """

    def __init__(
        self,
        seed: int,
        right: dict[str, Request],
        needed: dict[str, dict[tuple[Any, ...], str]],
        node: str,
        canary: str,
    ) -> None:
        self._random = random.Random(seed)
        self._right = right
        self._needed = {command: paths for command, paths in needed.items() if paths}
        self._node, self._canary = node, canary
        self._kinds: tuple[Callable[[], Request], ...] = (
            self._unknown,
            self._missing,
            self._wrong_type,
            self._absurd_number,
            self._expression,
            self._expression,
            self._verb,
            self._value,
            self._breakpoint,
            self._target,
            self._envelope,
            self._no_arguments,
        )

    def __iter__(self) -> Iterator[tuple[str, Request]]:
        while True:
            kind = self._random.choice(self._kinds)
            yield kind.__name__.strip("_"), kind()

    def _filled(self, text: str) -> str:
        return (
            text.replace("{{", "{").replace("}}", "}").replace("{node}", self._node).replace("{canary}", self._canary)
        )

    def _one(self, texts: tuple[str, ...]) -> str:
        return self._filled(self._random.choice(texts))

    def _unknown(self) -> Request:
        return {"command": self._random.choice(UNKNOWN), "arguments": self._random.choice(WRONG)}

    def _field(self, kinds: tuple[str, ...]) -> tuple[str, Request, Any, tuple[Any, ...], str]:
        """Return a request that is right, what holds one of its fields, the field's path and type."""
        fields = [
            (command, path, kind)
            for command, paths in self._needed.items()
            for path, kind in paths.items()
            if kind in kinds
        ]
        command, path, kind = self._random.choice(fields)
        arguments = copy.deepcopy(self._right[command])
        holder: Any = arguments
        for step in path[:-1]:
            holder = holder[step]
        return command, arguments, holder, path, kind

    def _missing(self) -> Request:
        command, arguments, holder, path, _ = self._field(("string", "integer", "array", "object"))
        del holder[path[-1]]
        return {"command": command, "arguments": arguments}

    def _wrong_type(self) -> Request:
        command, arguments, holder, path, kind = self._field(("string", "integer", "array", "object"))
        types = {"string": str, "integer": int, "array": list, "object": dict}
        wrong = [value for value in WRONG if not isinstance(value, types[kind]) or isinstance(value, bool)]
        holder[path[-1]] = self._random.choice(wrong)
        return {"command": command, "arguments": arguments}

    def _absurd_number(self) -> Request:
        command, arguments, holder, path, _ = self._field(("integer",))
        holder[path[-1]] = self._random.choice(NUMBERS)
        return {"command": command, "arguments": arguments}

    def _expression(self) -> Request:
        context = self._random.choice(("watch", "hover", "clipboard", "repl"))
        return {
            "command": "evaluate",
            "arguments": {**self._right["evaluate"], "expression": self._one(CODE), "context": context},
        }

    def _verb(self) -> Request:
        return {
            "command": "evaluate",
            "arguments": {**self._right["evaluate"], "expression": self._one(VERBS), "context": "repl"},
        }

    def _value(self) -> Request:
        command = self._random.choice(("setVariable", "setExpression"))
        field = self._random.choice(("value", "value", "name" if command == "setVariable" else "expression"))
        return {"command": command, "arguments": {**self._right[command], field: self._one(CODE)}}

    def _breakpoint(self) -> Request:
        command = self._random.choice(("setBreakpoints", "setFunctionBreakpoints", "setDataBreakpoints"))
        arguments = copy.deepcopy(self._right[command])
        fields = {"condition": CONDITIONS, "hitCondition": HIT_CONDITIONS}
        field = self._random.choice(sorted(fields))
        arguments["breakpoints"][0][field] = self._one(fields[field])
        return {"command": command, "arguments": arguments}

    def _target(self) -> Request:
        more = self._random.choice(({}, {"step": True}, {"data": self._canary}, {"program": "x"}, {"noDebug": True}))
        return {"command": "launch", "arguments": {"target": self._one(TARGETS), **more}}

    def _envelope(self) -> Request:
        """Return what is hardly a request: of its fields, one is missing or is something else."""
        request = {"seq": 7, "type": "request", "command": "threads", "arguments": {}}
        field = self._random.choice(("type", "command", "arguments"))
        wrong = [
            value for value in WRONG if value is not None and not (field == "arguments" and isinstance(value, dict))
        ]
        request[field] = self._random.choice(wrong)
        return request

    def _no_arguments(self) -> Request:
        command = self._random.choice(sorted(self._needed))
        return {"command": command, "arguments": self._random.choice(([], "x", 1, True, nested(), [{}]))}
