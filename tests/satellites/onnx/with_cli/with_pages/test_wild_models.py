"""Wild names in a model, and what commands make of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphnn import cli

WILD = '\x1b[2J\x1b]0;a\x07\r\x9b31m\u202e</script><script>alert(1)</script>"<b>../../'


def test_wild_names_reach_no_terminal_picture_page_or_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [
        helper.make_node("Mul", ["x" + WILD, "w" + WILD], ["h" + WILD], "a/" + WILD),
        helper.make_node("Exp", ["h" + WILD], ["y" + WILD], WILD),
    ]
    entry = nodes[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", 'File "/\x1b[2J\x07.py", line 3'
    whole = helper.make_graph(
        nodes,
        WILD,
        [helper.make_tensor_value_info("x" + WILD, TensorProto.FLOAT, ["n" + WILD, 3])],
        [helper.make_tensor_value_info("y" + WILD, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32([1.0, 300.0, -1.0]), "w" + WILD)],
    )
    onnx.save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "m.onnx")
    whole.node[1].op_type += WILD
    onnx.save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "bad.onnx")
    commands = (
        "summary m; run m --steps; check m; profile m; trace m; draw m; draw m --text; draw m -o d.svg; summary bad"
    )
    said = []
    for command in (commands + "; replay m -o page.html; run m --size q=3; run m --fetch q; run m -o v.npz").split(
        "; "
    ):
        verb, name, *options = command.split()
        cli.main([verb, f"{name}.onnx", *options])
        said.append("".join(capsys.readouterr()))
        assert said[-1]
    said += [Path(name).read_text(encoding="utf-8") for name in ("d.svg", "page.html")]
    for text in said:
        assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert all("alert(1)</script" not in text for text in said[-2:])
    assert {each.name for each in tmp_path.iterdir()} == {"m.onnx", "bad.onnx", "d.svg", "page.html", "v.npz"}
