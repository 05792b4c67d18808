"""Drives Emacs and dape in a terminal, and prints what is on the screen: what the documentation shows.

Emacs is configured by what docs/editors.md says. A breakpoint at a line is hit in the backward pass of a training
step, the run goes back, and a value is changed. It needs tmux, and Emacs with dape (Debian: emacs-nox, elpa-dape).

Run: python tests/tools/dap/emacs.py [--graphnn COMMAND]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs" / "editors.md"
MODEL = HERE / "model.py"
COLUMNS, ROWS, PATIENCE = 118, 38, 20.0


class Terminal:
    """Emacs in a terminal of its own."""

    def __init__(self, folder: str, *command: str) -> None:
        self._tmux = ["tmux", "-S", f"{folder}/socket"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, *command], check=True)

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def command(self, name: str) -> None:
        """Run a command by its name."""
        self.keys("M-x")
        self.see("M-x")
        self.keys(name, "Enter")

    def screen(self) -> str:
        shown = subprocess.run([*self._tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout
        return "\n".join(line.rstrip() for line in shown.rstrip().split("\n"))

    def see(self, *patterns: str) -> str:
        """Return the screen once it shows all of these."""
        ends = time.monotonic() + PATIENCE
        while not all(re.search(pattern, shown := self.screen(), re.MULTILINE) for pattern in patterns):
            if time.monotonic() > ends:
                sys.exit(f"{patterns} cannot be seen:\n{shown}")
            time.sleep(0.1)
        return shown

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False)


def configuration(command: str) -> str:
    """Return what the documentation tells to write into the file of Emacs."""
    blocks = re.findall(r"```elisp\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return "\n".join(blocks).replace('command "graphnn"', f'command "{command}"')


def line_of(text: str) -> int:
    """Return the number of the line of the model that has this."""
    return next(n for n, line in enumerate(MODEL.read_text(encoding="utf-8").split("\n"), 1) if text in line)


def session(emacs: Terminal) -> dict[str, str]:
    """Return the screens of a session, by what is on them."""
    screens = {}
    emacs.see("model.py")
    emacs.keys("M-g", "g")
    emacs.see("Goto line")
    emacs.keys(str(line_of("gn.relu")), "Enter")
    emacs.command("dape-breakpoint-toggle")
    emacs.command("dape")
    emacs.see("Run adapter: graphnn")
    emacs.keys("Enter")
    emacs.see("entry")
    emacs.command("dape-continue")
    emacs.see("forward", "breakpoint")
    emacs.command("dape-continue")
    screens["backward"] = emacs.see("backward", "breakpoint", "grad/")
    emacs.command("graphnn-step-back")
    screens["back"] = emacs.see("grad/dense_2", "step")
    return screens


def main() -> None:
    """Drive it, and print the screens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphnn", default="graphnn", help="the command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "init.el"
        start.write_text(configuration(options.graphnn), encoding="utf-8")
        emacs = Terminal(folder, "emacs", "-nw", "--no-init-file", "--load", str(start), str(MODEL))
        try:
            screens = session(emacs)
        finally:
            emacs.end()
    for name, shown in screens.items():
        print(f"--- {name}\n{shown}")


if __name__ == "__main__":
    main()
