"""The debugger of the command in a terminal."""

import os
import pty
import subprocess
import sys


def test_in_a_terminal_it_prompts_completes_and_repeats(tmp_path):
    (tmp_path / "model.py").write_text(
        "import graphnn as gn\ndef build():\n    g = gn.Graph()\n    return gn.exp(-g.parameter('w', 2.0))\n"
    )
    main, terminal = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "graphnn", "debug", "model.py:build"]
    environment = os.environ | {"TERM": "dumb", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path, env=environment, start_new_session=True
    ) as process:
        os.close(terminal)
        seen = b""
        for prompt, answer in [
            (b"0/2, next negative) ", b"step\n"),
            (b"next exp) ", b"\n"),
            (b"2/2 exp) ", b"q\n"),
            (None, b""),
        ]:
            while prompt is None or not seen.endswith(prompt):
                try:
                    part = os.read(main, 4096)
                except OSError:  # it has ended
                    part = b""
                seen += part
                if not part:
                    break
            os.write(main, answer)
        assert process.wait() == 0
    os.close(main)
    assert "= -2" in seen.decode()
    assert "= 0.1353" in seen.decode()
