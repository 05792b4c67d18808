"""Files of runs: read back as they were, with PyTorch or without; what is forged is refused, and never calls."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import forged_runs
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn
from graphnn.torch.watching.torch_call import TorchCall


def _run(**settings: Any) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 3))
    optimizer = torch.optim.AdamW(model.parameters())
    x, labels = torch.randn(8, 3), torch.randint(0, 3, (8,))
    with gn.watch(model, optimizer, **settings) as run:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizer.step()
    return run


@pytest.mark.parametrize("keep", [2**24, 64, "digests"])
def test_a_run_is_read_back_as_it_was(keep: Any, tmp_path: Path) -> None:
    run = _run(steps="all", keep=keep)
    run.save(tmp_path / "a.gnt")
    again = gn.load(tmp_path / "a.gnt")
    assert (again.steps, again.seen, again.name, str(again)) == (run.steps, run.seen, run.name, str(run))
    for one, other in zip(run.traces, again.traces, strict=True):
        assert [each.name for each in one] == [each.name for each in other]
        assert [each.digest for each in one] == [each.digest for each in other]
        assert [str(each.origin) for each in one] == [str(each.origin) for each in other]
        assert [each.node.scope for each in one] == [each.node.scope for each in other]
    assert again.loss.name == run.loss.name
    assert gn.compare(tmp_path / "a.gnt", run).first is None


def test_a_file_is_read_without_pytorch(tmp_path: Path) -> None:
    _run().save(tmp_path / "a.gnt")
    program = (
        "import sys, graphnn as gn\n"
        f"run = gn.load({str(tmp_path / 'a.gnt')!r})\n"
        "gn.draw(run.graph).svg(), str(run.trace), gn.debug(run).step(3)\n"
        "assert gn.compare(run, run).first is None\n"
        "assert 'torch' not in sys.modules\n"
        "print(run.trace['4/addmm'].value.shape)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(8, 3)"


def test_steps_are_read_when_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphnn.torch.watching import run_file

    _run(steps="all").save(tmp_path / "a.gnt")
    read: list[int] = []
    before = run_file.UnreadStep.read

    def counted(step: Any) -> Any:
        read.append(step._number)
        return before(step)

    monkeypatch.setattr(run_file.UnreadStep, "read", counted)
    run = gn.load(tmp_path / "a.gnt")
    assert read == []
    assert run.traces[1]["loss"].value.shape == ()
    assert run.traces[1] is run.traces[1]
    assert read == [1]


def _call(call: str, *arguments: Any, layouts: tuple[Any, ...] = (None,), shape: Any = (2,), **keywords: Any) -> Any:
    return TorchCall(call, arguments, tuple(keywords.items()), 0, shape, "float32", layouts)


_X = np.array([1.0, 2.0], np.float32)
_T = ("tensor", 0)


def test_a_public_function_is_computed_by_its_name() -> None:
    np.testing.assert_array_equal(_call("aten::add.Tensor", _T, 2.0).forward(_X), _X + 2)
    np.testing.assert_array_equal(_call("aten::mul_.Tensor", _T, 3.0).forward(_X), _X * 3)
    np.testing.assert_array_equal(_X, [1, 2])


@pytest.mark.parametrize(
    "call",
    [
        *("aten::from_file", "aten::resize_", "aten::set_.source_Tensor", "aten::record_stream", "aten::_print"),
        *("aten::native_layer_norm_backward", "aten::_fused_adamw_", "aten::max_pool2d_with_indices_backward"),
        *("os::system", "torchvision::nms", "prim::Print", "aten::__class__", "aten::add.__class__", "aten::"),
        *("aten::add.out", "aten::eq.str", "aten::mul.left_t", "aten::as_strided_copy.out", "aten::one_hot"),
        *("aten::add.nothing", "profiler::_record_function_enter", "aten::_cudnn_init_dropout_state", "mm"),
    ],
)
def test_no_other_function_is_called_by_its_name(call: str) -> None:
    with pytest.raises(gn.NoRuleError, match=r"is known from a file alone|has no aten"):
        _call(call, _T).forward(_X)


@pytest.mark.parametrize(
    ("call", "layouts"),
    [
        (("aten::add.Tensor", _T, ("tensor", 5)), (None,)),
        (("aten::add.Tensor", _T, ("tensor", -1)), (None,)),
        (("aten::add.Tensor", _T, ("tensor", "0")), (None,)),
        (("aten::add.Tensor", _T, ("nothing", 1)), (None,)),
        (("aten::add.Tensor", _T, ()), (None,)),
        (("aten::add.Tensor", _T, "import os"), (None,)),
        (("aten::add.Tensor", ("dtype", "os")), (None,)),
        (("aten::sum", _T, ("dtype", "nn")), (None,)),
        (("aten::sum", _T, ("dtype", "load")), (None,)),
        (("aten::neg", _T), ((0, -1),)),
        (("aten::neg", _T), ((-4, 1),)),
        (("aten::neg", _T), ((0, 1, 1),)),
        (("aten::neg", _T), ((0, 2**62),)),
        (("aten::neg", _T), (("nn",),)),
        (("aten::neg", _T), (("complex64", 0, 1),)),
        (("aten::neg", _T), (0,)),
        (("aten::as_strided", _T, ("list", 4), ("list", 1), 2**40), (None,)),
        (("aten::index_select", _T, 0, ("list", 7)), (None,)),
        (("graphnn::assembled", ("geometry", 1, (2,), (1,)), ("geometry", 0, (2,), (1,))), (None,)),
        (("graphnn::assembled", ("geometry", 0, (2,), (1,)), ("geometry", -1, (2,), (1,))), (None,)),
        (("graphnn::assembled", ("geometry", 0, (2,), (9,)), ("geometry", 0, (2,), (1,))), (None,)),
        (("aten::neg", ("tensor",)), (None,)),
        (("aten::neg", ("tensor", 0, 0)), (None,)),
        (("aten::sum", _T, (3, 4)), (None,)),
        (("graphnn::assembled", 1, 2), (None,)),
        (("graphnn::assembled", ("geometry", 0, 2, 1), ("geometry", 0, (2,), (1,))), (None,)),
    ],
)
def test_forged_arguments_are_refused(call: tuple[Any, ...], layouts: tuple[Any, ...]) -> None:
    """What a file may say of a call, without anything of it being looked up or read beyond the operands."""
    graph = gn.Graph()
    x = graph.placeholder("x", shape=(2,), dtype="float32")
    with pytest.raises(gn.GraphnnError):
        gn.run(_call(call[0], *call[1:], layouts=layouts)(x), {x: _X})


@pytest.mark.parametrize(
    "call",
    [
        *(("aten::full", ("list", 2**45), 1.0), ("aten::arange", 2**45), ("aten::repeat", _T, ("list", 2**45))),
        *(("aten::expand", _T, ("list", 2**45, 2)), ("aten::constant_pad_nd", _T, ("list", 0, 2**45))),
        *(("aten::as_strided", _T, ("list", 2**45), ("list", 0)), ("aten::eye", 2**24), ("aten::sum", _T)),
        *(("aten::unsqueeze", _T, 0), ("aten::unbind.int", _T)),
    ],
)
def test_no_memory_is_taken_for_more_than_the_file_says(call: tuple[Any, ...]) -> None:
    """PyTorch would be asked for it: it has not that much, and would say so in words of its own."""
    with pytest.raises(gn.NoRuleError, match=r"does not give result 0 of shape \(2,\)"):
        _call(call[0], *call[1:]).forward(_X)


def test_a_result_of_another_dtype_is_refused() -> None:
    with pytest.raises(gn.UsageError, match=r"gives .* bool with PyTorch"):
        _call("aten::gt.Scalar", _T, 1.5).forward(_X)


def test_results_whose_shape_depends_on_numbers() -> None:
    call = TorchCall("aten::nonzero", (_T,), (), 0, (2, 1), "int64", (None,))
    np.testing.assert_array_equal(call.forward(_X), [[0], [1]])
    with pytest.raises(gn.UsageError, match=r"gives \(2, 1\) int64"):
        TorchCall("aten::nonzero", (_T,), (), 0, (9, 1), "int64", (None,)).forward(_X)


@pytest.mark.parametrize(("kind", "name"), [("dtype", "onnx"), ("layout", "_inductor"), ("memory_format", "_dynamo")])
def test_nothing_is_imported_for_a_name(kind: str, name: str) -> None:
    """PyTorch imports some of its modules when they are first looked up."""
    program = (
        "import sys, numpy as np, torch\n"
        "import graphnn as gn\n"
        "from graphnn.torch.watching.torch_call import TorchCall\n"
        "before = {*sys.modules}\n"
        f"call = TorchCall('aten::neg', (('tensor', 0), ({kind!r}, {name!r})), (), 0, (2,), 'float32', (None,))\n"
        "try:\n"
        "    call.forward(np.ones(2, np.float32))\n"
        "except gn.NoRuleError as error:\n"
        f"    print('torch.{name}' in {{*sys.modules}} - before, error)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("False PyTorch")


def test_a_read_run_computes_again_what_may_be_called(tmp_path: Path) -> None:
    """All of a network's calls of public functions, from a file alone, to the bit."""
    _run().save(tmp_path / "a.gnt")
    trace = gn.load(tmp_path / "a.gnt").trace
    computed, refused = [], set()
    for record in trace:
        if not record.op.is_torch_call:
            continue
        try:
            found = record.op.forward(*[trace[each].value for each in record.node.inputs])
        except gn.NoRuleError:
            refused.add(record.op.name)
            continue
        assert found.tobytes() == record.value.tobytes(), record.name
        computed.append(record.op.name)
    assert {"aten.addmm", "aten.relu", "aten.t", "aten.mm", "aten.sum"} <= {*computed}
    assert "aten.native_layer_norm_backward" in refused


@pytest.mark.parametrize("part", range(5))
def test_forged_runs_are_refused_or_as_good_as_any(part: int) -> None:
    """`tests/fuzz/fuzz_files.py --runs` tries many more."""
    sound, seen = forged_runs.sound(), Counter[str]()
    for number in range(40 * part, 40 * part + 40):
        rng = np.random.default_rng([1, number])
        assert forged_runs.fault_of(forged_runs.forged(rng, sound), rng, seen) is None, number
    assert sum(count for what, count in seen.items() if "FileFormatError" in what or what == "refused") > 10


def test_truncated_and_flipped_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gnt"
    _run().save(path)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 60).tolist():
        path.write_bytes(content[:place])
        with pytest.raises(gn.FileFormatError):
            gn.load(path)
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        with pytest.raises(gn.FileFormatError):
            str(gn.load(path).trace)


def _trained(at: int, change: float, folder: Path, name: str) -> Path:
    """Record 64 steps, in one of which a weight is changed by hand; return the file."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    data = torch.randn(64, 5, 3)
    with gn.watch(model, optimizer, steps="all", keep="digests") as run:
        for number, x in enumerate(data):
            optimizer.zero_grad()
            hidden = model[0](x)
            hidden = hidden * (change if number == at else 1.0)
            model[2](model[1](hidden)).square().mean().backward()
            optimizer.step()
    run.save(folder / name)
    return folder / name


@pytest.mark.parametrize("at", [0, 1, 31, 40, 62, 63])
def test_bisect_finds_the_step_and_the_call(at: int, tmp_path: Path) -> None:
    a, b = _trained(at, 1.0, tmp_path, "a.gnt"), _trained(at, 1.01, tmp_path, "b.gnt")
    found = gn.bisect(a, b)
    assert found.step == at
    assert found.first is not None
    assert found.first.node.op.name == "aten.mul"
    assert len(found.read) <= 8
    assert f"step {at}" in str(found)


def test_bisect_of_equal_runs(tmp_path: Path) -> None:
    path = _trained(0, 1.0, tmp_path, "a.gnt")
    found = gn.bisect(path, path)
    assert (found.step, found.first) == (None, None)
    with pytest.raises(gn.UsageError, match="bisect takes runs of several steps"):
        gn.bisect(3, path)
