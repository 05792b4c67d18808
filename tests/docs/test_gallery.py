"""The gallery where there is nothing but Python, NumPy, NetworkX and the graphviz package: every picture comes out."""

import json
import re
from pathlib import Path

from template import Template

DOCS = Path(__file__).parents[2] / "docs"

# Nothing else can be imported, and there is no program that lays out.
ALONE = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

THERE = {"graphnn", "numpy", "networkx", "graphviz", *sys.stdlib_module_names}

class Bare(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in THERE:
            raise ModuleNotFoundError(f"there is no {name} here", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] not in THERE | {"__main__"}]:
    del sys.modules[name]  # a copy of the template has loaded it
sys.meta_path.insert(0, Bare())

from graphnn.view.diagrams import draw
from graphnn.view.layout import graphviz_engine
graphviz_engine.find_engine = draw.find_engine = lambda: None

import contextlib, io, json, runpy
told = {}
with contextlib.redirect_stdout(io.StringIO()):
    made = runpy.run_path("gallery.py")
    for name in json.loads(sys.argv[1]):
        Path(f"{name}.svg").write_text(made[name].svg(), encoding="utf-8")
        told[name] = made[name].note
print(json.dumps(told))
"""


def test_every_picture_of_the_gallery_comes_out_without_any_extra(tmp_path: Path, template: Template) -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    names = re.findall(r"images/gallery/(\w+)\.svg", page)
    assert len(names) > 10
    lines = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    # As they are written, and as they would be drawn where nobody says by what.
    for unsaid in (False, True):
        text = re.sub(r',\s*engine="plain"', "", lines) if unsaid else lines
        (tmp_path / "gallery.py").write_text(text, encoding="utf-8")
        done = template.run("-c", ALONE, json.dumps(names), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        notes = set(json.loads(done.stdout).values())
        assert notes == ({"", "there is no Graphviz here"} if unsaid else {""})  # the update needs no Graphviz
        for name in names:
            kept = (DOCS / "images" / "gallery" / f"{name}.svg").read_text(encoding="utf-8")
            assert (tmp_path / f"{name}.svg").read_text(encoding="utf-8") == kept
