"""The types of the public functions follow the registry."""

import subprocess
import sys
from pathlib import Path

from make_stub import STUB


def test_the_stub_is_what_the_registry_says():
    # A process of its own: other tests define operations too.
    script = "import sys; sys.path.insert(0, sys.argv[1]); import make_stub; print(make_stub.stub(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    before = STUB.read_text(encoding="utf-8")
    if made.stdout != before:
        STUB.write_text(made.stdout, encoding="utf-8")
    assert made.stdout == before, f"{STUB.name} was out of date; it has been written anew"
