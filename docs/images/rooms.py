"""Draws the rooms of graphnn as the contract in pyproject.toml has them: a row for each layer, satellites dashed."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEXTS = {
    "cli": "the command",
    "dap": "the debugger, in an editor",
    "terminal": "the debugger, typed",
    "mcp": "for assistants",
    "torch": "PyTorch modules",
    "jax": "steps on XLA",
    "pages": "replay, live",
    "onnx": "models",
    "distributed": "Dask, shards",
    "interventions": "patches, circuits",
    "native": "compiled steps",
    "demo": "",
    "view": "diagrams, layout, tables, plots",
    "debugger": "trace, why, health, diff, profile",
    "nn": "layers, losses, metrics, optim, training",
    "testing": "check_grads",
    "control_flow": "scan, cond, while_loop",
    "compiler": "lowering, fusion, memory, NumPy code",
    "autodiff": "grad, jacobian, linearize",
    "runtime": "the interpreter, feed, guard",
    "io": "files",
    "transforms": "vmap, extract, replace",
    "functions": "gn.exp, …",
    "ops": "the operations",
    "core": "graph, node, op, shapes, scopes",
    "datasets": "",
    "errors": "",
    "_util": "",
}
_WIDTH, _ROW, _GAP = 900, 44, 6


def rooms() -> str:
    """Return the picture as SVG."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    rows = [line.replace("|", " ").replace(" : ", " ").split() for line in layers]
    height = len(rows) * (_ROW + _GAP) + _GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, row in enumerate(rows):
        width = (_WIDTH - _GAP * (len(row) + 1)) / len(row)
        for place, named in enumerate(row):
            name = named.strip("()")
            x, y = _GAP + place * (width + _GAP), _GAP + number * (_ROW + _GAP)
            look = 'fill="#ffffff" stroke-dasharray="4 3"' if named != name else 'fill="#e8f2f9"'
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW}" rx="5" stroke="#0072b2" {look}/>'
            )
            text = _TEXTS[name]
            for at, size, weight, said in (
                ((18, 13, "bold", name), (34, 11, "normal", text)) if text else ((27, 13, "bold", name),)
            ):
                lines.append(
                    f'<text x="{x + width / 2:.1f}" y="{y + at}" font-size="{size}" font-weight="{weight}" '
                    f'text-anchor="middle" fill="#1a1a1a">{said}</text>'
                )
    return "\n".join([*lines, "</svg>", ""])
