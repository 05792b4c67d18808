"""The code of docs/pytorch.md runs as it stands there, in a small program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn

_PAGE = Path(__file__).parents[3] / "docs" / "pytorch.md"
_BLOCKS = re.findall(r"^```py\n(.*?)^```", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
_TABLE = _PAGE.read_text(encoding="utf-8").partition("## What a run is")[0].partition("| what you see")[2]
_LINES = re.findall(r"`((?:print|run\.|with gn|gn\.)[^`]*)`", _TABLE)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x).mean(1))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = _Encoder()
    loader = [(torch.randn(3, 5, 8), torch.randint(0, 4, (3,))) for _ in range(3)]
    names = {"model": model, "loader": loader, "F": F, "gn": gn, "x": loader[0][0], "y": loader[0][1]}
    return names | {"optimizer": torch.optim.AdamW(model.parameters())}


def test_the_blocks_run(program: dict[str, Any]) -> None:
    for block in _BLOCKS:
        exec(block, program)  # noqa: S102 - the page's own code
    assert program["run"].steps == [0]


def test_the_lines_of_the_table_run(program: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    exec(_BLOCKS[0], program)  # noqa: S102
    program["run"].save("b.gnt")
    for line in _LINES:
        if line.startswith("gn.bisect"):
            continue  # of runs of many steps: below
        source = f"{line}\n    model(x)" if line.startswith("with") else line
        exec(source, program)  # noqa: S102
    assert "head" in capsys.readouterr().out or program["run"]
