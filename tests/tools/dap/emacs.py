"""Drives Emacs and dape in a terminal, and prints what is on the screen: what the documentation shows.

Emacs is configured by what docs/editors.md says. A breakpoint at a line is hit in the backward pass of a training
step, the run goes back, and a value is changed. It needs tmux, and Emacs with dape (Debian: emacs-nox, elpa-dape).

Run: python tests/tools/dap/emacs.py [--graphnn COMMAND] [--write]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs" / "editors.md"
MODEL = HERE / "model.py"
IN_SCOPE = """(select-window (get-window-with-predicate (lambda (window)
 (with-current-buffer (window-buffer window) (derived-mode-p 'dape-info-scope-mode)))))""".replace("\n", "")
COLUMNS, ROWS, PATIENCE = 118, 34, 30.0


class Terminal:
    """Emacs in a terminal of its own."""

    def __init__(self, folder: str, *command: str) -> None:
        self._tmux = ["tmux", "-S", f"{folder}/socket"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, *command], check=True)

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

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

    def dape(key: str) -> None:
        emacs.keys("C-x", "C-a", key)

    screens = {}
    emacs.see("model.py")
    emacs.keys("M-g", "g")
    emacs.see("Goto line")
    emacs.keys(str(line_of("gn.relu")), "Enter")
    dape("b")
    dape("d")
    emacs.see("Run adapter: graphnn")
    emacs.keys("Enter")
    emacs.see("entry")
    emacs.keys("C-u", "2", "4", "C-x", "{")  # a wider list of variables
    dape("c")
    emacs.see("forward", "breakpoint")
    dape("c")
    screens["backward"] = emacs.see("=>grad/greater", "backward", "breakpoint")
    dape("N")
    screens["back"] = emacs.see("=>grad/dense_2/matmul_2", "backward", "step")
    dape("C")
    emacs.see("=>relu", "forward")
    emacs.keys("M-:")
    emacs.see("Eval:")
    emacs.keys(f'(progn {IN_SCOPE} (re-search-forward "result"))', "Enter", "=")
    emacs.see("Set value")
    emacs.keys("0", "Enter")
    screens["changed"] = emacs.see(r"result \(4, 3\) float64, 0 to 0 ")
    dape("c")
    screens["after"] = emacs.see("=>grad/greater", r"true 0 of 12")
    return screens


def main() -> None:
    """Drive it, and print the screens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphnn", default="graphnn", help="the command")
    parser.add_argument("--write", action="store_true", help="write the screens into the documentation")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "init.el"
        start.write_text(configuration(options.graphnn), encoding="utf-8")
        model = shutil.copy(MODEL, folder)
        emacs = Terminal(
            folder, "emacs", "-nw", "--no-init-file", "--eval", "(menu-bar-mode -1)", "--load", str(start), model
        )
        try:
            screens = session(emacs)
        finally:
            emacs.end()
    text = DOCS.read_text(encoding="utf-8")
    for name, shown in screens.items():
        sys.stdout.write(f"--- {name}\n{shown}\n")
        block = f"<!-- screen: {name} -->\n\n```text\n{shown}\n```\n\n<!-- end -->"
        text = re.sub(f"<!-- screen: {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
    if options.write:
        DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
