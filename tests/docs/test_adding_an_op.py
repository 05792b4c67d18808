"""The page on adding an operation: what it defines is everywhere at once, with no other line written."""

import json
from pathlib import Path

import pages
import pytest
from places import SHARED, TESTS
from template import Template

PAGE = TESTS.parent / "docs" / "adding-an-op.md"

# Each starts after the page has run in the same process, and uses nothing but what the page defined.
CLAIMS = {
    "function": """
        assert gn.softsign(x).op == Softsign() and "softsign" in dir(gn)
        assert gn.softsign.__doc__ == Softsign.__doc__
    """,
    "diagram": """
        assert "softsign" in gn.draw(gn.softsign(x)).source
    """,
    "networkx": """
        assert g.dag.nodes["softsign"]["op"] == "softsign"
        copy = gn.Graph.from_networkx(g.dag.copy())
        assert gn.run("softsign", {"x": [3.0]}, graph=copy)[0] == 0.75
    """,
    "check_op": """
        report = gn.testing.check_op(Softsign)
        assert report.checked > 0
    """,
    "tests of the operations": """
        import test_ops
        assert Softsign in test_ops.OPS
    """,
    "tests of the operations, and passes them": """
        import pytest
        quiet = "ignore::pytest.PytestAssertRewriteWarning"  # the page's run has imported what it would rewrite
        options = ["-q", "-W", quiet, "-p", "no:cacheprovider", "-k", "softsign or scaled"]
        code = pytest.main([*options, sys.argv[2] + "/ops/test_ops.py"])
        assert code == 0, code
    """,
    "reference": """
        sys.path.insert(0, sys.argv[2] + "/../docs/_ext")
        import reference
        assert "softsign(x)" in reference.reference()
    """,
}

# One process runs the page, then tries each claim, and ends by saying what went wrong with each that failed.
PROGRAM = """
import json, sys, textwrap, traceback
from pathlib import Path
sys.path[:0] = sys.argv[4:]
import pages
left = pages.run(Path(sys.argv[1]))
wrong = {}
for claim, code in json.loads(sys.argv[3]).items():
    try:
        exec(textwrap.dedent(code), {**left, "sys": sys})
    except Exception:
        wrong[claim] = traceback.format_exc()
print("wrong:", json.dumps(wrong))
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory, template: Template) -> dict[str, str]:
    return wrong_in(tmp_path_factory.mktemp("adding"), template, CLAIMS)


def wrong_in(folder: Path, template: Template, claims: dict[str, str]) -> dict[str, str]:
    """Return which claims are wrong in a process that has run the page, and the report of each."""
    done = template.run("-c", PROGRAM, PAGE, TESTS, json.dumps(claims), *SHARED, cwd=folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found: dict[str, str] = json.loads(done.stdout.rpartition("wrong:")[2])
    return {claim: f"{report}\n{done.stdout}\n{done.stderr}" for claim, report in found.items()}


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_new_operation_is_in_the(claim: str, wrong: dict[str, str]) -> None:
    assert claim not in wrong, wrong[claim]


def test_the_definition_is_ten_lines_and_a_docstring() -> None:
    blocks = pages.blocks(PAGE.read_text(encoding="utf-8"))
    definition = next(block.text for block in blocks if "class Softsign" in block.text)
    body = definition[definition.index("class Softsign") :]
    lines = [line for line in body.splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 10, lines
