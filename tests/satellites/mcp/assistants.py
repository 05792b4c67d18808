"""A client that thinks as little as can be: it follows what the answers say comes next."""

import json
import re
import runpy
from pathlib import Path

import graphnn as gn

HERE = Path(__file__).parent
FAULTS = "mcp_faults.py"
TOOLS = ["back", "check", "compare", "find_nodes", "picture", "step", "summary", "value", "what_if", "why"]
_NEXT = re.compile(r"^(?:next|more): (\w+) (\{.*\})$", re.MULTILINE)
_CAUSE = re.compile(r"^cause: \w+ ([\w-]+): ", re.MULTILINE)


def load(target, feeds):
    """Return what is run, and its feed, as the command line does it."""
    file, colon, function = target.rpartition(":")
    if not (colon and file.endswith(".py")):
        made = gn.load(target)
        return made, None if isinstance(made, gn.Trace) else {}
    return runpy.run_path(file)[function]()


def hints(answer):
    """Return the calls that an answer advises."""
    return [(tool, json.loads(arguments)) for tool, arguments in _NEXT.findall(answer)]


def causes(answer):
    """Return the codes of the faults that an answer names."""
    return _CAUSE.findall(answer)


def first_call(answer, calls):
    """Return the first call that an answer advises and that has not been made."""
    return next(call for call in hints(answer) if call not in calls)


def planted_line(function):
    """Return the name of the file and the line that has a fault."""
    lines = (HERE / FAULTS).read_text("utf-8").splitlines()
    start = lines.index(f"def {function}():")
    line = next(number for number in range(start, len(lines)) if lines[number].endswith("# planted"))
    return f"{FAULTS}:{line + 1}"
