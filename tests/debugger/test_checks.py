"""Checks that a program or another package adds to the health check, and the traits of operations."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn
from graphnn import Finding
from graphnn.core import Array, Trait, registry
from graphnn.debugger.health import CHECKS, Evaluation, check, check_health
from graphnn.debugger.health.check_registry import declare
from graphnn.ops.elementwise import Elementwise

CHECK = """
from graphnn.debugger.health import check

@check("narrow", "the elements of a value are all the same", "look at what makes it")
def narrow(run):
    for place, value in run.computed:
        if value.size > 1 and (value == value.flat[0]).all():
            yield narrow.at(run, place, value == value, f"all of {run.order[place].name} is {value.flat[0]:g}")
"""
MODEL = """
import graphnn as gn

def build():
    x = gn.Graph().placeholder("x", shape=(3,))
    return x * 0.0, {x: [1.0, 2.0, 3.0]}
"""


@pytest.fixture(autouse=True)
def _checks_as_before() -> Iterator[None]:
    before = dict(CHECKS)
    yield
    CHECKS.clear()
    CHECKS.update(before)
    sys.modules.pop("narrow_values", None)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package beside graphnn, installed as pip does it, that adds a check."""
    (tmp_path / "narrow_values.py").write_text(CHECK)
    (tmp_path / "model.py").write_text(MODEL)
    information = tmp_path / "narrow_values-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: narrow-values\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[graphnn.checks]\nnarrow = narrow_values:narrow\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _fed() -> tuple[gn.Node, dict[gn.Node, list[float]]]:
    x = gn.Graph().placeholder("x", shape=("n",))
    return x * 2.0, {x: [1.0, 50.0, 60.0]}


def test_a_check_declared_by_a_program_is_used() -> None:
    @check("large-result", "a result is above 100", "scale it down")
    def large_result(run: Evaluation) -> Iterator[Finding]:
        for place, value in run.computed:
            if (value > 100).any():
                yield large_result.at(run, place, value > 100, "it is large")

    y, feed = _fed()
    (finding,) = check_health(y, feed)
    assert (finding.code, finding.node, finding.index, finding.value) == ("large-result", y, (2,), 120.0)
    assert (finding.severity, finding.cause, finding.remedy) == ("warning", "it is large", "scale it down")
    assert (finding.count, finding.size) == (1, 3)
    assert "warning: large-result  multiply[2]" in str(check_health(y, feed))


def test_a_check_can_read_earlier_findings() -> None:
    @check("seen", "what came before")
    def seen(run: Evaluation) -> Iterator[Finding]:
        codes = ", ".join(each.code for each in run.found)
        yield seen.of(run.order[-1], codes, severity="note")

    x = gn.Graph().placeholder("x", shape=("n",))
    health = check_health(gn.log(x), {x: [0.0]})
    assert [each.code for each in health] == ["log-of-zero"]
    (note,) = health.notes
    assert note.cause == "log-of-zero"


def test_a_code_cannot_be_declared_twice() -> None:
    with pytest.raises(gn.UsageError, match='the check "overflow" exists already: "a result beyond'):
        check("overflow", "something else")(lambda run: ())
    with pytest.raises(gn.UsageError, match="Choose another code"):
        declare("dead-units", "something else")


def test_a_check_may_be_declared_again_by_the_same_cell() -> None:
    def cell(says: str) -> None:
        @check("again", says)
        def again(run: Evaluation) -> Iterator[Finding]:
            yield again.of(run.order[0], says)

    cell("first")
    cell("second")
    y, feed = _fed()
    assert [each.cause for each in check_health(y, feed)] == ["second"]


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda run: 1 / 0, r'the check "faulty" \(.*<lambda>\) failed: ZeroDivisionError'),
        (lambda run: ["text"], r"yielded 'text', which is not a finding"),
    ],
)
def test_a_check_that_fails_is_named(look, message) -> None:
    check("faulty", "nothing")(look)
    y, feed = _fed()
    with pytest.raises(gn.GraphnnError, match=message):
        check_health(y, feed)


def test_a_check_that_finds_nothing_may_return_none() -> None:
    check("silent", "nothing")(lambda run: None)  # type: ignore[arg-type,return-value]
    y, feed = _fed()
    assert check_health(y, feed).ok


def test_a_package_that_cannot_be_loaded_is_named_and_hides_no_finding(other_package: Path) -> None:
    (other_package / "narrow_values.py").write_text("import no_such_package_at_all\n")
    x = gn.Graph().placeholder("x", shape=("n",))
    with pytest.warns(
        gn.GraphnnWarning, match=r'check "narrow" \(narrow_values:narrow\) could not be loaded: ModuleNot'
    ):
        health = check_health(gn.log(x), {x: [0.0]})
    assert [each.code for each in health] == ["log-of-zero"]


def test_every_check_has_a_meaning_and_a_docstring() -> None:
    for code, each in CHECKS.items():
        assert code == each.code
        assert each.says
        assert not each.says.endswith(".")
        if each.look is not None:
            assert each.look.__doc__, code


def test_a_finding_about_elements_has_the_index_of_the_first() -> None:
    x = gn.Graph().placeholder("x", shape=(2, 2))
    run = Evaluation(gn.trace(x * 1.0, {x: np.eye(2)}).prepared)
    which = np.array([[False, True], [True, False]])
    finding = CHECKS["saturated"].at(run, 2, which, "a cause", severity="note")
    assert (finding.index, finding.value, finding.count, finding.size) == ((0, 1), 0.0, 2, 4)


# --- traits of operations --------------------------------------------------------------------------------------


class HardSign(Elementwise):
    """x held between -1 and 1, as a function that a check cannot know."""

    traits = Trait.SATURATES
    bounds = (-1.0, 1.0)
    like = np.exp

    def forward(self, x: Array, out: Array | None = None) -> Array:
        return np.clip(x, -1.0, 1.0, out=out)


class Fourth(Elementwise):
    """x to the 4."""

    traits = Trait.OVERFLOWS | Trait.WRAPS | Trait.UNDERFLOWS
    like = np.square

    def forward(self, x: Array, out: Array | None = None) -> Array:
        return np.multiply(x * x, x * x, out=out)


class UnknownFourth(Elementwise):
    """The same, and says nothing of itself."""

    like = np.square

    def forward(self, x: Array, out: Array | None = None) -> Array:
        return np.multiply(x * x, x * x, out=out)


for _op in (HardSign, Fourth, UnknownFourth):
    del registry[_op.name]  # or the tests that walk the registry would try them, too


@pytest.mark.parametrize(
    ("op", "dtype", "number", "code", "severity"),
    [
        (HardSign, "float64", 3.0, "saturated", "note"),
        (Fourth, "float64", 1e100, "overflow", "error"),
        (Fourth, "float64", 1e-100, "underflow", "note"),
        (Fourth, "int8", 5, "integer-overflow", "error"),
        (UnknownFourth, "float64", 1e100, "infinite", "error"),
        (UnknownFourth, "float64", 1e-100, "", ""),
        (UnknownFourth, "int8", 5, "", ""),
    ],
)
def test_checks_use_the_traits_of_a_users_operation(op, dtype, number, code, severity) -> None:
    x = gn.Graph().placeholder("x", shape=("n",), dtype=dtype)
    health = check_health(op()(x), {x: np.array([number, 0], dtype)})
    found = [(each.code, each.severity) for each in (*health, *health.notes)]
    assert found == ([(code, severity)] if code else [])


def test_targets_are_out_of_reach_of_a_users_operation_with_bounds() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", shape=("n",)), g.placeholder("y", shape=("n",))
    loss = gn.mean(gn.square(HardSign()(x * g.parameter("w", 1.0)) - y))
    health = check_health(loss, {x: np.linspace(-0.5, 0.5, 9), y: np.full(9, 4.0)})
    assert [each.code for each in health] == ["out-of-reach"]
    assert "hard_sign" in str(health)
