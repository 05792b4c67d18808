"""What README.md and the pages of docs/ show runs as it stands, each page in a process and a folder of its own."""

import doctest
import json
import re
import runpy
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pages
import places
import pytest
from template import Template

import graphnn as gn
from graphnn import nn

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "docs" / "_ext"
IMAGES = ROOT / "docs" / "images"
MADE = runpy.run_path(str(ROOT / "docs" / "made.py"))
REFERENCE = vars(MADE["reference"])
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TESTABLE = pages.testable(PAGES)
CODE = {page: [b for b in pages.blocks(page.read_text(encoding="utf-8")) if pages.examples(b)] for page in TESTABLE}


# These run elsewhere, and more is asked of what they leave behind.
ELSEWHERE = {"tour.md": "test_tour.py", "adding-an-op.md": "test_adding_an_op.py"}


# Runs a page, then draws the pictures that the page makes, and says which is not the one that is kept. A node was made
# at a line of the program that docs/images/make.py makes of the page.
RUNS = r"""
import re, runpy, sys
from pathlib import Path
support, images, page = map(Path, sys.argv[1:])
sys.path.insert(0, str(support))
import pages
left, lines = pages.run(page), pages.lines(page)
def place(said):
    return f"{page.stem.replace('-', '_')}.py:{lines[int(said[1])] + int(said[2])}"
for name, diagram in runpy.run_path(str(images / "make.py"))["shown"](page.stem, left, "svg").items():
    drawn = re.sub(r"&lt;doctest [^&\s]*\[(\d+)\]&gt;:(\d+)", place, diagram.svg())
    kept = (images / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn.rstrip() == kept.rstrip(), f"{name}: run `python docs/images/make.py`"
"""


@pytest.mark.parametrize(
    "page", [page for page in TESTABLE if CODE[page] and page.name not in ELSEWHERE], ids=lambda page: page.name
)
def test_page_runs_and_draws_its_pictures(page: Path, runs_clean: Callable[..., None]) -> None:
    runs_clean("-c", RUNS, Path(pages.__file__).parent, IMAGES, page)


def test_each_picture_of_a_page_is_made_by_it() -> None:
    make = runpy.run_path(str(IMAGES / "make.py"))
    shown = {name for page in make["folders"]() for name in make["shown"](page, defaultdict(str), "svg")}
    assert shown == {
        path.relative_to(IMAGES).with_suffix("").as_posix()
        for folder in set(make["folders"]().values())
        for path in (IMAGES / folder).glob("*.svg")
    }
    assert not ELSEWHERE.keys() & {f"{page}.md" for page in make["folders"]()}


def test_no_page_is_left_out() -> None:
    for page, module in ELSEWHERE.items():
        assert f'"{page}"' in (Path(__file__).parent / module).read_text(encoding="utf-8")
        assert CODE[ROOT / "docs" / page]


def test_the_other_pictures_are_what_the_library_draws() -> None:
    make = runpy.run_path(str(IMAGES / "make.py"))
    for name, diagram in make["diagrams"]().items():
        kept = (IMAGES / f"{name}.dot").read_text(encoding="utf-8")
        assert diagram.source.rstrip() == kept.rstrip(), "run `python docs/images/make.py`"
    for name, svg in make["plain"]().items():
        kept = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
        assert svg.rstrip() == kept.rstrip(), "run `python docs/images/make.py`"


def test_the_pictures_of_forty_networks_are_what_the_library_draws() -> None:
    drawn = runpy.run_path(str(IMAGES / "make.py"))["networks"]()
    kept = {f"networks/{path.stem}": path.read_text(encoding="utf-8") for path in IMAGES.glob("networks/*.svg")}
    assert drawn.keys() == kept.keys(), "run `python docs/images/make.py`"
    different = [name for name, svg in drawn.items() if svg != kept[name]]
    assert not different, "run `python docs/images/make.py`"


def rounded(text: str) -> str:
    """Return a text without what is nothing but rounding, and differs from machine to machine."""
    return re.sub(r"-?\d(\.\d+)?e-1[5-9]", "0", text)


@pytest.fixture(scope="module")
def made(template: Template) -> dict[str, Any]:
    """What one process makes from the code: the pages, and the names of the functions in "functions".

    A process of its own, for in this one, other tests have defined operations.
    """
    code = """
import json, runpy, graphnn
make = runpy.run_path("docs/made.py")
pages = {page.name: make["made"](page.read_text(encoding="utf-8")) for page in make["pages"]()}
print(json.dumps({**pages, "functions": dir(graphnn.functions)}))
"""
    done = template.run("-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("page", pages.testable(MADE["pages"]()), ids=lambda page: page.name)
def test_what_is_made_from_the_code_is_current(page: Path, made: dict[str, Any]) -> None:
    text, now = rounded(page.read_text(encoding="utf-8")), rounded(made[page.name])
    if not all(map(places.present, places.SATELLITES)):  # a table is of the rooms that are there
        text = "\n".join(line for line in text.split("\n") if line in set(now.split("\n")))
        text = re.sub(
            r"\n\n\| name \| what it is \|\n\| --- \| --- \|\n(?=\n## )", "", text
        )  # of a room that is not there
    assert now == text, "run `python docs/made.py`"


def test_the_tables_hold_every_operation_function_and_verb(made: dict[str, Any]) -> None:
    expected = {
        "api.md",
        "commands.md",
        "gallery.md",
        "inspecting.md",
        "lesson-adding.md",
        "lesson-batch-norm.md",
        "lesson-convolution.md",
        "lesson-fixed-point.md",
        "lesson-induction.md",
        "lesson-inner-training.md",
        "lesson-lenet.md",
        "lesson-ode.md",
        "lesson-transformer.md",
        "lesson-truncation.md",
        "lesson-vae.md",
        "native.md",
        "networks.md",
        "onnx-operations.md",
        "operations.md",
        "playground.md",
        "renamed.md",
    }
    there = {page.name for page in TESTABLE}
    assert made.keys() - {"functions"} == expected & there
    listed = {name for things in REFERENCE["api"]().values() for name in things} | set(REFERENCE["compositions"]())
    offered = {name: getattr(gn, name) for name in gn.__all__} | {
        f"nn.{name}": getattr(nn, name) for name in nn.__all__
    }
    assert {name for name, thing in offered.items() if not isinstance(thing, ModuleType)} <= listed
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = made["functions"]
    assert len(names) > 90
    assert not [name for name in names if f"`{name}(" not in operations and f"`{name}` for" not in operations]
    pages = REFERENCE["pages"]()
    assert {
        "operations/softmax",
        "operations/exp",
        "functions/trace",
        "classes/Trace",
        "classes/nn.Dense",
    } <= pages.keys()
    assert len({name.lower() for name in pages}) == len(pages), "some file systems take two pages for one"


def test_every_page_can_be_read_in_a_repository() -> None:
    for page in PAGES:
        text = re.sub(r"^````.*?^````", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"^ *(```+|:::+)\{|\{[a-z]+\}`\w", text, re.MULTILINE), f"a directive in {page.name}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("<!-- contents -->")[2]
    missing = [page.stem for page in PAGES if page.parent.name == "docs" and f"({page.name})" not in index]
    assert missing == ["index"]


def test_a_picture_for_dark_pages_is_what_is_drawn_for_them() -> None:
    dark = runpy.run_path(str(EXTENSIONS / "dark.py"))["dark"]
    x = gn.Graph().placeholder("x", shape=("n",))
    loss = gn.sum(gn.exp(nn.Dense(2, weight=[[1.0, 2.0]])(gn.reshape(x, (-1, 1)))))
    both = {"overlay": ["statistics", "gradients"], "feed": {x: [0.1, -0.3, 2.0, 4.0, 0.5]}}
    for options in ({}, {"overlay": {loss: 2.0, x: 1.0}}, {"overlay": {loss: 2.0, x: -0.3}}, {"highlight": loss}, both):
        drawn = {theme: gn.draw(loss, theme=theme, engine="plain", **options).svg() for theme in ("light", "dark")}
        parts = [re.split("(#[0-9a-f]{6})", svg.lower()) for svg in (dark(drawn["light"]), drawn["dark"])]
        assert parts[0][::2] == parts[1][::2]
        for one, other in zip(parts[0][1::2], parts[1][1::2], strict=True):
            # A colour of the scale is rounded, and so is its counterpart.
            assert all(abs(int(one[i : i + 2], 16) - int(other[i : i + 2], 16)) <= 2 for i in (1, 3, 5)), (one, other)
        assert drawn["light"] != drawn["dark"]


def test_links_between_files_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"(?:\]\(|src=\")([^):#\"]+)(?:#[^)]*)?[)\"]", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_on_the_design_names_modules_that_there_are() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    modules = {path.relative_to(ROOT / "graphnn").as_posix() for path in (ROOT / "graphnn").rglob("*.py")}
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", page)) - {"graphnn/", "tests/satellites/"}
    folders = {f"{parent.as_posix()}/" for module in modules for parent in Path(module).parents}
    gone = {satellite for satellite in places.SATELLITES if not places.present(satellite)}
    named = {name for name in named if name.partition("/")[0] not in gone}
    assert named <= modules | folders | {"graphnn/__init__.py"}
    files = set(re.findall(r"`([a-z_]+\.py)`", page))
    assert files <= {Path(module).name for module in modules}


def test_what_numbers_says_not_to_be_there_is_not() -> None:
    page = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| not there(.*) \|$", page, re.MULTILINE)
    lacking = {name for numpys, _ in rows for name in re.findall(r"`(?:linalg\.)?(\w+)`", numpys)}
    instead = {name for _, ours in rows for name in re.findall(r"`gn\.(\w+)`", ours)}
    assert {"array_split", "svd", "random"} <= lacking
    assert {"pad", "solve", "random_normal"} <= instead
    assert [name for name in sorted(lacking | instead) if hasattr(gn, name)] == sorted(instead)


# --- the tester -----------------------------------------------------------------------------------------------


def ran(text: str, folder: Path) -> dict[str, object]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return pages.run(page)


def test_blocks_share_a_namespace(tmp_path: Path) -> None:
    namespace = ran("```python\na = 1\n```\nand then\n```python\nb = a + 1\nb  # → 2\n```\n", tmp_path)
    assert namespace["b"] == 2


def test_a_wrong_statement_of_what_is_shown_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"line 4(.|\n)*Expected:\n    3\nGot:\n    2"):
        ran("words\n\n```python\n1 + 1  # → 3\n```\n", tmp_path)


def test_what_is_printed_counts_as_shown(tmp_path: Path) -> None:
    ran("```python\nprint('a', 1)  # → a 1\n```\n", tmp_path)


def test_an_error_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        ran("```python\n1 / 0\n```\n", tmp_path)


def test_a_doctest_may_show_an_error(tmp_path: Path) -> None:
    ran(
        "```pycon\n>>> 1 / 0\nTraceback (most recent call last):\n    ...\nZeroDivisionError: division by zero\n```\n",
        tmp_path,
    )
    with pytest.raises(AssertionError, match="line 2"):
        ran("```pycon\n>>> 1 + 1\n3\n```\n", tmp_path)


def test_what_a_doctest_shows_may_have_empty_lines(tmp_path: Path) -> None:
    ran("```pycon\n>>> print('a\\n\\nb')\na\n\nb\n>>> 1\n1\n\n>>> 2\n2\n\n```\n", tmp_path)
    with pytest.raises(AssertionError, match="line 2"):
        ran("```pycon\n>>> print('a\\n\\nb')\na\n\nc\n```\n", tmp_path)


def test_what_is_no_code_does_not_run(tmp_path: Path) -> None:
    assert ran("```text\n1 / 0\n```\n", tmp_path).keys() <= {"__name__", "__file__", "__builtins__"}


def test_other_fences_are_not_python() -> None:
    block = pages.Block("python", "a = 1; b = 2\n@print\ndef f():\n    pass\n", 1)
    sources = [example.source for example in pages.examples(block)]
    assert sources == ["a = 1; b = 2\n", "@print\ndef f():\n    pass\n"]
    assert isinstance(pages.examples(block)[0], doctest.Example)
