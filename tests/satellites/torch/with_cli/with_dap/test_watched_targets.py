"""The file of a watched run is stepped through by commands and in an editor, with the recorded values."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import graphnn as gn  # noqa: E402
from graphnn import cli  # noqa: E402
from graphnn.cli.commands.dap import _load  # noqa: E402
from graphnn.dap import Adapter  # noqa: E402


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with gn.watch(model, optimizer) as run:
        model(torch.ones(5, 3)).pow(2).mean().backward()
        optimizer.step()
    run.save(tmp_path / "run.gnt")
    return tmp_path / "run.gnt", {record.node.name: record.value for record in run.trace}


def test_a_command_opens_the_debugger_on_the_values_that_were_recorded(saved):
    file, values = saved
    target, feed = cli.inspected(str(file), [], False)
    dbg = gn.debug(target.run, feed, echo=None)
    dbg.resume()
    assert dbg.finished
    for node in dbg.operations:
        np.testing.assert_array_equal(dbg[node].value, values[node.name])


def test_an_editor_steps_through_it_and_back(saved):
    file, values = saved
    messages = []
    adapter = Adapter(messages.append, _load)

    def ask(command, **arguments):
        adapter.handle({"seq": len(messages) + 1, "type": "request", "command": command, "arguments": arguments})
        answer = next(message for message in reversed(messages) if message["type"] == "response")
        assert answer["success"], answer
        return answer.get("body", {})

    ask("initialize", adapterID="test")
    ask("launch", target=str(file), stopOnEntry=True)
    ask("configurationDone")
    ask("continue", threadId=1)
    names = []
    for _ in range(8):
        name = ask("stackTrace", threadId=1)["stackFrames"][0]["name"]
        names.append(name)
        assert name in values
        told = ask("evaluate", expression=f"sum('{name}')", context="watch")["result"]
        assert float(told) == pytest.approx(float(values[name].sum()), rel=1e-4)
        ask("stepBack", threadId=1, granularity="instruction")
    assert len(set(names)) == len(names)
