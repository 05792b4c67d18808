"""One call that checks a model: on a copy, so that nothing of it changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_faults import Branches, Reader, Stack, network, rows
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn


def _language(logits: Any, labels: Any) -> Any:
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def _tokens() -> tuple[Any, Any]:
    tokens = torch.randint(16, (8, 13), generator=torch.Generator().manual_seed(0))
    return tokens[:, :-1], tokens[:, 1:]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("missing_scale", "unscaled-scores"),
        ("zero_times_inf", "zero-times-inf"),
        ("wrong_axis", "softmax-axis"),
        ("", ""),
    ],
)
def test_a_language_model(fault: str, code: str) -> None:
    torch.manual_seed(0)
    health = gn.check_torch(Reader(fault), *_tokens(), loss=_language)
    assert code in {each.code for each in health.findings} if code else health.ok, str(health)


def test_models_whose_faults_are_in_their_parts() -> None:
    x, labels = rows()
    assert [each.code for each in gn.check_torch(Branches(True), x, labels).findings] == ["detached"]
    assert [each.code for each in gn.check_torch(Stack(True), x, labels).findings] == ["one-module"]
    assert gn.check_torch(network(), x, labels).ok
    assert [each.code for each in gn.check_torch(network(norm=True).eval(), x, labels).findings] == ["evaluating"]


def test_modules_in_a_list_are_not_registered() -> None:
    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(8, 8), nn.Linear(8, 3)]
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x * self.scale if x.shape[1] == 8 else x)
            return x

    x, labels = rows()
    found = {each.code: each for each in gn.check_torch(Stacked(), x, labels).findings}
    assert "4 of the parameters" in found["unregistered"].cause
    assert "nn.ModuleList" in found["unregistered"].remedy


def test_what_is_shared_or_frozen_on_purpose_is_no_fault() -> None:
    x, labels = rows()
    model = network(norm=True)
    for _ in range(5):
        model(x)
    model[1].eval()
    assert gn.check_torch(model, x, labels).ok
    first = nn.Linear(8, 8)
    shared = nn.Sequential(nn.Sequential(first, nn.ReLU()), nn.Sequential(first, nn.ReLU()), nn.Linear(8, 3))
    assert gn.check_torch(shared, x, labels).ok


def test_an_optimizer_that_goes_up_is_found() -> None:
    (x, labels), model = rows(), network()
    for maximize in (True, False):
        optimizer = torch.optim.Adam(model.parameters(), maximize=maximize)
        health = gn.check_torch(model, x, labels, optimizer=optimizer)
        assert [each.code for each in health.findings] == ["uphill"] * maximize
        assert "updates" in health.checked


def test_nothing_changes() -> None:
    (x, labels), model = rows(), nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.get_rng_state()
    health = gn.check_torch(model, x, labels, F.cross_entropy, optimizer)
    assert health.ok, str(health)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert not optimizer.state
    assert torch.equal(torch.get_rng_state(), state)


def test_what_was_not_checked_is_said() -> None:
    health = gn.check_torch(network(), *rows())
    assert "no optimizer was given" in health.unchecked["updates"]
    assert "updates" not in health.checked


def test_other_things_are_refused() -> None:
    x, labels = rows()
    with pytest.raises(gn.UsageError, match="takes a module of PyTorch, not int"):
        gn.check_torch(3, x, labels)
    with pytest.raises(gn.UsageError, match="loss= is a function"):
        gn.check_torch(network(), x, labels, loss=3)
    with pytest.raises(gn.UsageError, match="optimizer= is an optimizer"):
        gn.check_torch(network(), x, labels, optimizer=3)


def test_batches_of_several_tensors() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Bilinear(8, 8, 3)

        def forward(self, a: Any, b: Any) -> Any:
            return self.inner(a, b)

    x, labels = rows()
    assert gn.check_torch(Pair(), (x, x.flip(0)), labels).ok
    assert gn.check_torch(Pair(), {"a": x, "b": x.flip(0)}, labels).ok


def test_the_command_checks_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from torch import nn\n"
        "from torch.nn import functional as F\n\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(-1))\n"
        "    x = torch.randn(32, 8)\n"
        "    return model, x, x[:, :3].argmax(1), F.cross_entropy\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "graphnn", "check", f"{script}:build"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "probabilities-as-logits" in found.stdout
    assert "one step of a copy" in found.stderr
