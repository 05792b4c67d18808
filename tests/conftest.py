"""What all tests rely on."""

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import contract
import pages
import places
import pytest
from everywhere import PLANS
from hypothesis import is_hypothesis_test, settings
from template import Template

from graphnn.compiler.plan_cache import PlanCache
from graphnn.core import registry

# No test fails for being slow: the machine may be busy. Examples are 50, where a test does not say how many, and more
# in `make fuzz`.
settings.register_profile("untimed", deadline=None, max_examples=50)
settings.load_profile("untimed")

# After a product, the threads of OpenBLAS look for more work for a while, and hold the cores of other workers.
# It is read when NumPy is loaded: by the workers, and by the programs that tests start.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

# A shell that starts the tests in the background has them ignore Ctrl-C, and some of them press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests, and leave what is collected out of every search for garbage, which it would make long."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)  # of every 700 new objects, hardly any is garbage in these tests
        gc.enable()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the folders ``with_S`` in tests of a satellite where S is not installed: they need that one, too."""
    _, folder, satellite = collection_path.name.rpartition("with_")
    return True if folder and satellite in places.SATELLITES and not places.present(satellite) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples-times", type=int, default=1, help="of Hypothesis: so many times as many (`make fuzz`)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the contract; have those of Hypothesis try more, and others, where that is asked for."""
    public = {contract.TESTS / name for name in contract.listed()}
    for item in items:
        if item.path in public:
            item.add_marker("contract")
    times = config.getoption("--examples-times")
    tests = {id(test): test for item in items if is_hypothesis_test(test := getattr(item, "obj", None))}
    for test in tests.values() if times > 1 else ():
        said = test._hypothesis_internal_use_settings  # there is no public way to change what a test itself says
        more = settings(said, max_examples=said.max_examples * times, derandomize=False, database=None)
        test._hypothesis_internal_use_settings = more


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what of the documentation is not tested, since a satellite that it needs was deleted."""
    names, blocks = pages.untested()
    if names or blocks:
        terminalreporter.write_line(
            f"documentation that is not tested: {blocks} blocks; {len(names)} whole: {', '.join(names)}"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try with plans of each kind what is marked ``each_backend``."""
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if "each_backend" in marks and "plans_of_numpy" not in marks:
        metafunc.parametrize("kind_of_plans", PLANS)


@pytest.fixture
def kind_of_plans() -> str:
    """The backend of compiled steps that ask for none."""
    return "numpy"


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled code of native plans is kept: all workers take it from there."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"


@pytest.fixture(autouse=True)
def plans_at_once(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    kind_of_plans: str,
    kernels: Path,
) -> None:
    """Compiled steps evaluate by a plan from their first call on, for it is plans that the tests are to try.

    Not those marked ``plans_where_it_pays``. The plans are NumPy's, unless a test asks for others by name, or is to be
    tried with each kind.
    """
    monkeypatch.setenv("GRAPHNN_BACKEND", kind_of_plans)
    monkeypatch.setenv("GRAPHNN_CACHE", str(kernels))
    if request.node.get_closest_marker("plans_where_it_pays") is None:
        monkeypatch.setattr(PlanCache, "is_due", lambda *_: True)


@pytest.fixture
def own_operations() -> Iterator[None]:
    """Forget the operations that a test defines."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


@pytest.fixture
def little_to_search() -> None:
    """Leave what other tests have left out of every search for garbage from here on, which it would make long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A process whose copies run programs: they have loaded what ``import graphnn`` does."""
    with Template(tmp_path_factory.mktemp("template")) as process:
        yield process


@pytest.fixture
def runs_clean(tmp_path: Path, template: Template) -> Callable[..., None]:
    """The claim that a program runs as a user would run it, with warnings as errors, in a folder of its own."""

    def run(*arguments: str | Path) -> None:
        # What it writes, it writes there; and steps are computed by what computes them for a user.
        done = template.run(*arguments, cwd=tmp_path, env={"MPLBACKEND": "Agg", "GRAPHNN_BACKEND": ""})
        assert done.returncode == 0, f"{Path(arguments[-1]).name} failed:\n{done.stdout}\n{done.stderr}"

    return run
