"""What `gn.watch` records: steps, names, phases, versions of values. The oracle is the same program without it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

import graphnn as gn


def _network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))


def _data() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def _train(model: Any, optimizer: Any, count: int, watch: Callable[..., Any], **settings: Any) -> Any:
    x, labels = _data()
    with watch(model, optimizer, **settings) as run:
        for _ in range(count):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
    return run


def _watched(count: int = 3, **settings: Any) -> Any:
    model = _network()
    return _train(model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), count, gn.watch, **settings)


def _replayed(trace: Any) -> list[str]:
    """Return the nodes that PyTorch's kernel does not give again, of the recorded operands, to the bit."""
    wrong = []
    for record in trace:
        if record.op.is_leaf:
            continue
        value = record.op.forward(*[trace[node].value for node in record.node.inputs])
        if value.dtype != record.value.dtype or value.tobytes() != record.value.tobytes():
            wrong.append(record.name)
    return wrong


def test_a_step_is_a_graph_of_calls_with_lines_modules_and_names() -> None:
    run = _watched()
    graph = run.graph
    assert {"0.weight", "0.bias", "1.running_mean", "x", "labels"} <= {node.name for node in graph if node.op.is_leaf}
    assert [node.name for node in graph.placeholders] == ["x", "labels"]
    addmm = graph["0/addmm"]
    assert addmm.op.name == "aten.addmm"
    assert [node.name for node in addmm.inputs] == ["0.bias", "x", "0/t"]
    assert graph.scopes["0"].kind == "Linear"
    assert addmm.origin.file == __file__
    assert run.loss.op.name == "aten.nll_loss_forward"
    assert run.loss is graph.outputs["loss"]
    backward = graph["grad/0/mm"]
    assert (backward.phase, backward.twin, backward.origin) == ("backward", addmm, addmm.origin)
    assert {node.phase for node in graph.updates.values()} == {"forward", "update"}
    assert set(graph.updates) >= {graph["0.weight"], graph["1.running_var"], graph["1.num_batches_tracked"]}
    assert list(run.feed) == ["x", "labels"]


def test_values_are_those_of_the_program_without_it() -> None:
    model = _network()
    x, labels = _data()
    F.cross_entropy(model(x), labels).backward()
    run = _watched()
    for name in ("0", "3"):
        weight = model[int(name)].weight
        found = [node for node in run.graph if node.twin is run.graph[f"{name}.weight"]]
        np.testing.assert_array_equal(run.trace[found[-1]].value, weight.grad.numpy())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    optimizer.step()
    after = run.trace[run.graph.updates[run.graph["0.weight"]]].value
    np.testing.assert_array_equal(after, model[0].weight.detach().numpy())


def test_the_program_computes_the_same_bits_watched_or_not() -> None:
    from contextlib import contextmanager

    @contextmanager
    def nothing(*watched: Any, **settings: Any) -> Any:
        yield None

    def weights(watch: Any, **settings: Any) -> list[bytes]:
        model = _network()
        _train(model, torch.optim.AdamW(model.parameters(), 0.01), 4, watch, **settings)
        return [each.detach().numpy().tobytes() for each in model.state_dict().values()]

    plain = weights(nothing)
    for settings in ({}, {"steps": "all"}, {"steps": 2, "guard": "finite"}, {"steps": "last", "keep": "digests"}):
        assert weights(gn.watch, **settings) == plain


def test_all_calls_are_replayed_to_the_bit() -> None:
    run = _watched()
    assert _replayed(run.trace) == []
    outputs = list(run.graph.outputs.values())
    for step in gn.steps(outputs, run.feed):
        assert step.value.tobytes() == run.trace[step.node].value.tobytes()


def test_what_takes_a_trace_takes_a_run() -> None:
    run = _watched()
    assert gn.compare(run, run).first is None
    debugger = gn.debug(run)
    debugger.until("0/addmm")
    np.testing.assert_array_equal(debugger["0/addmm"].value, run.trace["0/addmm"].value)
    assert "<svg" in gn.draw(run.graph, detail="layer").svg()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("first", [0]),
        ("all", [0, 1, 2, 3, 4]),
        ("last", [4]),
        (2, [0, 2, 4]),
        (lambda number: number in (1, 3), [1, 3]),
    ],
)
def test_which_steps_are_recorded(steps: Any, expected: list[int]) -> None:
    run = _watched(5, steps=steps)
    assert run.steps == expected
    assert len(run.traces) == len(expected)
    assert run.seen == 5


def test_accumulated_losses_are_of_one_step() -> None:
    model = _network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, labels = _data()
    with gn.watch(model, optimizer) as run:
        for start in (0, 4):
            F.cross_entropy(model(x[start : start + 4]), labels[start : start + 4]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    assert [run.trace[loss].value.shape for loss in run.loss] == [(), ()]
    assert run.steps == [0]
    norm = next(node for node in run.graph if node.op.name == "aten.linalg_vector_norm")
    assert norm.phase == "update"
    assert _replayed(run.trace) == []


def test_a_step_of_two_optimizers_ends_when_both_have_stepped() -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    first, second = (torch.optim.SGD(each.parameters(), 0.1) for each in (a, b))
    x = torch.ones(3, 2)
    with gn.watch({"critic": a, "generator": b}, first, second, steps="all") as run:
        for _ in range(2):
            for _ in range(2):
                a(x).sum().backward()
                first.step()
            a(b(x)).sum().backward()
            second.step()
    assert run.steps == [0, 1]
    assert "critic.weight" in run.graph
    assert run.graph.scopes["generator"].kind == "Linear"
    assert len(run.loss) == 3


def test_a_closure_is_of_the_step_that_calls_it() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    x = torch.randn(5, 2)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss

    with gn.watch(model, optimizer) as run:
        optimizer.step(closure)
    assert run.steps == [0]
    assert len(run.loss) > 1
    assert run.trace[run.loss[0]].node.phase == "forward"


def test_without_an_optimizer_the_block_is_the_step() -> None:
    model = _network().eval()
    with gn.watch(model) as run, torch.no_grad():
        found = model(_data()[0])
    np.testing.assert_array_equal(run.trace["3/addmm"].value, found.numpy())
    assert not run.graph.updates
    with pytest.raises(gn.UsageError, match=r"backward\(\) was not called"):
        _ = run.loss


def test_views_and_writes_are_versions_of_a_value() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    with gn.watch(nn.Linear(1, 1)) as run:
        y = x * 2
        rows = y.t()
        y[:, 1].add_(10)  # a write to a part
        rows[0].zero_()  # by way of another view
        total = rows.sum() + y[1].sum()
    assert _replayed(run.trace) == []
    assert float(run.trace[next(reversed(run.graph.outputs.values()))].value) == float(total)
    names = [node.op.name for node in run.graph]
    assert "graphnn.assembled" in names
    nodes = {node.name: node for node in run.graph}
    assert gn.run(nodes["add"], run.feed) == np.float32(total)


def test_many_writes_to_parts_do_not_grow_without_end() -> None:
    with gn.watch(nn.Linear(1, 1)) as run:
        out = torch.zeros(64)
        for i in range(64):
            out[i] = i
            _ = out[: i + 1].sum()
    assert _replayed(run.trace) == []
    assert max(len(node.inputs) for node in run.graph) < 12


def test_a_gradient_of_what_the_step_has_made_has_its_line() -> None:
    model = _network()
    with gn.watch(model) as run:
        x = model[0](_data()[0]).detach().requires_grad_()  # a leaf of autograd that the step makes
        model[3](x).sum().backward()
    gradient = next(node for node in run.graph if node.twin is not None and node.twin.op.name == "aten.detach")
    assert gradient.phase == "backward"
    assert gradient.origin == gradient.twin.origin
    assert [node.name for node in run.graph if not node.op.is_leaf and node.origin.file != __file__] == []


def test_random_numbers_are_drawn_again() -> None:
    torch.manual_seed(3)
    with gn.watch(nn.Dropout(0.5)) as run:
        nn.functional.dropout(torch.ones(10), 0.5) + torch.rand(10) + torch.randn(10, generator=torch.Generator())
    assert _replayed(run.trace) == []


def test_complex_and_short_numbers() -> None:
    x = torch.randn(4, 6)
    with gn.watch(nn.Linear(1, 1)) as run:
        torch.fft.rfft(x).abs().to(torch.bfloat16).sum()
        torch.view_as_complex(x.reshape(4, 3, 2)).conj().mul(2).real.sum()
    assert _replayed(run.trace) == []


def test_an_error_leaves_the_run_so_far() -> None:
    model = _network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    refused = pytest.raises(RuntimeError, match="shapes cannot be multiplied")
    with refused, gn.watch(model, optimizer) as run:
        model[0](_data()[0]) @ torch.ones(5, 5)
    assert "0/addmm" in run.trace
    assert "shapes cannot be multiplied" in run.trace.error


def test_an_empty_block_is_an_error() -> None:
    with pytest.raises(gn.UsageError, match="calls nothing of PyTorch"), gn.watch(_network()):
        pass


def test_what_cannot_be_watched_is_refused_by_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, of its own modules
        compiled = torch.compile(_network())
    with pytest.raises(gn.UsageError, match=r"cannot watch OptimizedModule.*force_eager"), gn.watch(compiled):
        pass
    with pytest.raises(gn.UsageError, match="takes modules and optimizers"), gn.watch(3):
        pass
    with pytest.raises(gn.UsageError, match='steps= is "first"'), gn.watch(_network(), steps="some"):
        pass
    with pytest.raises(gn.ValueRangeError, match="unknown guard"), gn.watch(_network(), guard="inf"):
        pass


class _Logarithm(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.log(x)


@pytest.mark.parametrize("steps", ["first", lambda number: False])
def test_the_guard_stops_at_the_call_that_makes_nan(steps: Any) -> None:
    model = nn.Sequential(_Logarithm(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.tensor([[1.0, -0.5, 2.0]])
    with pytest.raises(gn.ValueRangeError) as raised, gn.watch(model, optimizer, guard="nan", steps=steps) as run:
        model(x)
    error = raised.value
    assert error.op == "aten.log"
    assert "is NaN at (0, 1)" in str(error)
    assert "-0.5" in str(error)
    assert error.origin.line == _Logarithm.forward.__code__.co_firstlineno + 1
    assert error.debug().current is error.node
    assert run.trace.stopped is not None


def test_the_guard_names_the_line_of_the_forward_call_in_a_backward_pass() -> None:
    class Root(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.sqrt(torch.relu(x))

    model = nn.Sequential(nn.Linear(3, 4, bias=False), Root())
    with pytest.raises(gn.ValueRangeError) as raised, gn.watch(model, guard="nan", steps=lambda number: False):
        (model(torch.zeros(2, 3)) * 0).sum().backward()
    assert raised.value.origin.line == Root.forward.__code__.co_firstlineno + 1


def test_the_guard_sees_what_a_write_was_given() -> None:
    x = torch.tensor([4.0, -1.0])
    with (
        pytest.raises(gn.ValueRangeError) as raised,
        gn.watch(nn.Linear(1, 1), guard="nan", steps=lambda number: False),
    ):
        (x * 2).sqrt_()
    assert raised.value.op == "aten.sqrt_"
    assert "-2" in str(raised.value)


def test_infinite_masks_pass_the_guard_for_nan() -> None:
    with gn.watch(nn.Linear(1, 1), guard="nan") as run:
        scores = torch.zeros(2, 2).masked_fill(torch.tensor([[False, True], [False, False]]), -torch.inf)
        torch.softmax(scores, -1)
    assert run.steps == [0]
    with pytest.raises(gn.ValueRangeError), gn.watch(nn.Linear(1, 1), guard="finite"):
        torch.zeros(2).masked_fill(torch.tensor([False, True]), -torch.inf)


def test_digests_keep_no_values() -> None:
    run, again = (_watched(2, steps="all", keep="digests") for _ in range(2))
    whole = _watched(2, steps="all")
    for digested, trace in zip(run.traces, whole.traces, strict=True):
        assert [each.digest for each in digested] == [each.digest for each in trace]
    assert gn.compare(run, again).first is None
    assert not run.trace.has_values
