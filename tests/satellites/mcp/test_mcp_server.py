"""The server, spoken to by the SDK's own client."""

import asyncio
import base64
import warnings

import assistants
import mcp_faults
import pytest

import graphnn as gn
from graphnn.mcp.answers import MOST
from graphnn.mcp.files import Folder
from graphnn.mcp.server import server_of
from graphnn.mcp.tools import Tools

sdk = pytest.importorskip("mcp.client", reason="the SDK of MCP is not installed", exc_type=ImportError)

MODES = ("auto", "legacy")
"""Today's protocol, and the handshake of before, which most clients speak."""


def conversation(folder, talk, mode="auto"):
    """Return what a coroutine that is given a client returns."""

    async def run():
        async with sdk.Client(server_of(Tools(Folder(folder, True), assistants.load)), mode=mode) as client:
            return await talk(client)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        return asyncio.run(run())


def text_of(result):
    (content,) = result.content
    return content.text


@pytest.mark.parametrize("mode", MODES)
def test_there_are_ten_tools_and_one_changes_something(mode):
    tools = conversation(assistants.HERE, lambda client: client.list_tools(), mode).tools
    assert sorted(tool.name for tool in tools) == assistants.TOOLS
    assert [tool.name for tool in tools if not tool.annotations.read_only_hint] == ["what_if"]
    for tool in tools:
        assert tool.description
        assert len(tool.description) < 250
        assert "self" not in tool.input_schema["properties"]


@pytest.mark.parametrize("mode", MODES)
def test_client_finds_each_cause_in_five_calls(mode):
    async def find(client, fault):
        tool, arguments = "summary", {"model": f"{assistants.FAULTS}:{fault}"}
        calls = []
        for _ in range(5):
            calls.append((tool, arguments))
            result = await client.call_tool(tool, arguments)
            answer = text_of(result)
            assert not result.is_error, answer
            assert len(answer) <= MOST
            if assistants.causes(answer):
                return answer
            tool, arguments = assistants.first_call(answer, calls)
        return answer

    async def all_of(client):
        return {fault: await find(client, fault) for fault in mcp_faults.CAUSES}

    for fault, answer in conversation(assistants.HERE, all_of, mode).items():
        code, words = mcp_faults.CAUSES[fault]
        assert code in assistants.causes(answer)
        assert words in answer
        assert assistants.planted_line(fault) in answer


def test_wrong_calls_get_errors_and_the_server_goes_on():
    model = f"{assistants.FAULTS}:log_of_zero"
    calls = [
        ("nothing", {}),
        ("check", {}),
        ("check", {"model": 3}),
        ("check", {"model": "/etc/passwd"}),
        ("check", {"model": None}),
        ("value", {"model": model, "node": ["p"]}),
        ("value", {"model": model, "node": "p", "page": 10**40}),
        ("value", {"model": model, "node": "p", "page": "many"}),
        ("step", {"model": model, "count": 1e300}),
        ("what_if", {"model": model, "node": "p", "value": {"a": 1}}),
        ("what_if", {"model": model, "node": "p", "value": [[[]]] * 1000}),
        ("picture", {"model": model, "form": "exe"}),
    ]

    async def talk(client):
        results = [await client.call_tool(tool, arguments) for tool, arguments in calls]
        return results, await client.call_tool("value", {"model": model, "node": "p"})

    results, last = conversation(assistants.HERE, talk)
    for call, result in zip(calls, results, strict=True):
        assert result.is_error, call
        assert len(text_of(result)) <= MOST
        assert "Traceback" not in text_of(result)
    assert "0.5, 0, 0.25" in text_of(last)


def test_picture_comes_as_a_bitmap():
    async def talk(client):
        arguments = {"model": f"{assistants.FAULTS}:log_of_zero", "node": "log", "form": "png"}
        return await client.call_tool("picture", arguments)

    (content,) = conversation(assistants.HERE, talk).content
    assert content.mime_type == "image/png"
    assert base64.b64decode(content.data).startswith(b"\x89PNG")
