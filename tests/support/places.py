"""Where things are: the root of the project, the folders whose modules tests and programs share, what is there."""

from pathlib import Path

import graphnn

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
SHARED = [
    str(TESTS / folder)
    for folder in ("support", "ops", "compiler", "control_flow", "debugger", "docs", "view", "house")
]

# The folders of graphnn that can be deleted, each with tests/satellites/NAME.
SATELLITES = (
    *("native", "onnx", "torch", "jax"),
    *("distributed", "interventions", "pages", "terminal", "dap", "mcp", "cli"),
)


def present(satellite: str) -> bool:
    """Tell whether a satellite is there."""
    if satellite not in SATELLITES:
        raise ValueError(f'no satellite is called "{satellite}": there are {", ".join(SATELLITES)}')
    return (Path(graphnn.__file__).parent / satellite).is_dir()
