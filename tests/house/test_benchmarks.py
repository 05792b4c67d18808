"""The benchmarks of training steps run, refuse engines that do other work, and have filled the page about them."""

import ast
import json
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from places import present

HERE = Path(__file__).parents[1] / "benchmarks"
OURS = ("interpreter", "plan", *(["native"] if present("native") else []))
NATIVE = "native,native-clipped," if present("native") else ""
LIGHT = f"numpy,numpy-out,products,interpreter,plan,plan-clipped,{NATIVE}autograd"


def test_light_engines_agree_and_are_timed(tmp_path: Path) -> None:
    command = [sys.executable, HERE / "training_step.py", "--sizes", "T", "--engines", LIGHT, "--processes", "1"]
    more = ["--dtypes", "float32", "--rounds", "1", "--seconds", "0.01", "--json", tmp_path / "figures.json"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["figures"]
    assert [one["engine"] for one in figures] == LIGHT.split(",")
    assert all(0 < one["seconds"] < 1 for one in figures)
    assert "| graphnn, plan |" in done.stdout


def test_losses_that_differ_end_it() -> None:
    step = runpy.run_path(str(HERE / "training_step.py"))
    check = partial(step["turns"].check_losses, step["SUITE"])
    check({"numpy": [1.5, 1.0], "plan": [1.5, 1.000001]})
    check({"numpy": [1.5, 1.0], "products": [0.0, 0.0]})
    with pytest.raises(SystemExit, match=r"the first losses differ.*\n  plan: 1\.5, 1\.0001"):
        check({"numpy": [1.5, 1.0], "plan": [1.5, 1.0001]})


def _engines(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import engines.networks

    return engines.networks


def test_networks_have_the_same_losses_by_each_of_our_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = _engines(monkeypatch)
    small = [
        networks.actor_critic("float64", hidden=3),
        networks.transformer("float64", rows=2, length=4, tokens=5, units=8),
        networks.transformer("float64", gelu="tanh", rows=2, length=4, tokens=5, units=8),
        networks.lstm("float64", steps=3, rows=2, units=2),
        networks.lstm("float64", steps=3, last=True, rows=2, units=2),
        networks.layers("float64", count=3, rows=2, units=4),
    ]
    for network in small:
        trainings = [networks.ENGINES[name].load()(network) for name in OURS]
        losses = [[training.step() for _ in range(4)] for training in trainings]
        assert all(each == losses[0] for each in losses)
        assert network.kind == "actor_critic" or losses[0] == sorted(losses[0], reverse=True)


def _jacobians(monkeypatch: pytest.MonkeyPatch) -> Any:
    _engines(monkeypatch)
    import engines.jacobians

    return engines.jacobians


def test_derivatives_are_the_same_by_each_of_our_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    jacobians = _jacobians(monkeypatch)
    small = [jacobians.network(kind, (3, 4, 2), 2, "float64") for kind in ("input", "weights", "hessian")]
    for function in [*small, jacobians.convolution("float64", images=1, channels=2, filters=2, size=4)]:
        engines = [jacobians.ENGINES[name].load()(function) for name in OURS]
        told = [[engine.step() for _ in range(4)] for engine in engines]
        assert all(each == told[0] for each in told)
        assert len(set(told[0][:3])) == 1
        assert told[0][0] > 0 == told[0][3]


def test_tables_have_ratios_to_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    report = runpy.run_path(str(HERE / "report.py"))
    times = {"interpreter": 9.0, "plan": 2.0, "native": 1.0, "torch": 4.0}
    figures = [
        {"engine": engine, "problem": "policy", "dtype": "float32", "seconds": seconds}
        for engine, seconds in times.items()
    ]
    result = {"problems": ["policy"], "figures": figures}
    assert report["compared"](result).endswith("| policy gradient | 0.500 | not measured | 0.250 | not measured |\n")
    row = "| policy gradient, float32 | 0.250 | 1.00 s | PyTorch, eager | 4.00 s |\n"
    assert report["fastest"]((report["networks"].SUITE, result)).endswith(row)
    without = [one for one in figures if one["engine"] != "native"]
    assert "policy" not in report["fastest"]((report["networks"].SUITE, {**result, "figures": without}))


def test_the_page_holds_the_figures_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    report = runpy.run_path(str(HERE / "report.py"))
    page = report["PAGE"].read_text(encoding="utf-8")
    assert report["written"](page) == page


def test_the_page_of_models_holds_the_figures_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    report = runpy.run_path(str(HERE / "report.py"))
    page = report["PAGE_OF_MODELS"].read_text(encoding="utf-8")
    assert report["with_models"](page) == page


def test_each_engine_is_written_where_the_list_says(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = _engines(monkeypatch)
    wanted = runpy.run_path(str(HERE / "engines" / "wanted.py"))["project"]["dependency-groups"]["bench"]
    trainings = _trainings(monkeypatch)
    every = [sys.modules["engines"].ENGINES, networks.ENGINES, trainings.ENGINES, _jacobians(monkeypatch).ENGINES]
    for engine in [engine for engines in every for engine in engines.values()]:
        module, _, function = engine.place.partition(":")
        place = HERE / "engines" / module.replace(".", "/")
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        written = ast.parse(file.read_text(encoding="utf-8")).body
        assert function in [each.name for each in written if isinstance(each, ast.FunctionDef)]
        assert not engine.needs or any(each.startswith(f"{engine.needs}>=") for each in wanted)


def _trainings(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRAPHNN_BACKEND", "numpy")  # `in_graphnn` sets it, and this sets it back
    _engines(monkeypatch)
    import engines.trainings

    return engines.trainings


def test_trainings_have_the_losses_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = _trainings(monkeypatch)
    kept = trainings.recorded()
    assert list(kept) == list(trainings.TRAININGS)
    for name in kept:
        training = trainings.planned(trainings.Task(name, "float64", small=True))
        assert [training.step() for _ in range(3)] == pytest.approx(kept[name]["losses"][:3], rel=1e-10, abs=0), name


def test_trainings_take_no_more_lines_than_in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = _trainings(monkeypatch)
    for name in trainings.TRAININGS:
        assert 0 < trainings.lines("with_graphnn", name) <= 1.2 * trainings.lines("with_torch", name), name


def test_lines_are_counted_without_imports_comments_and_docstrings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainings = _trainings(monkeypatch)
    text = '"""Of a\nmodule."""\n\nfrom a import (\n    b,\n)\n\n\ndef f(\n    x,  # a comment\n):\n'
    text += '    """Do."""\n    # so\n    return [\n        x,\n        b,\n    ]\n'
    (tmp_path / "some.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(trainings, "HERE", tmp_path)
    assert trainings.lines(".", "some") == 7


def test_the_table_of_trainings_says_what_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    _trainings(monkeypatch)
    runner = runpy.run_path(str(HERE / "trainings.py"))
    figures = [
        {"engine": engine, "problem": "vae", "dtype": "float32", "seconds": seconds}
        for engine, seconds in {"native": 1.0, "torch": 4.0}.items()
    ]
    beside = {"vae": {"lines": {"graphnn": 9, "torch": 10}, "difference": 2.25e-16}}
    *_, row, last = runner["table"]({"problems": ["vae"], "figures": figures, "compared": beside}).splitlines()
    assert row == "| variational autoencoder | 9 | 10 | 0.900 | 2e-16 | 0.250 | not measured | 4.00 s |"
    assert last == "| median |  |  | 0.900 |  | 0.250 | not measured |  |"


def test_what_did_not_run_says_so() -> None:
    step = runpy.run_path(str(HERE / "training_step.py"))
    table = step["turns"].tables(
        step["SUITE"],
        {
            "engines": ["numpy", "torch", "jax"],
            "problems": ["T"],
            "dtypes": ["float32"],
            "missing": {"torch": "torch is not installed"},
            "figures": [
                {"engine": "numpy", "problem": "T", "dtype": "float32", "seconds": 2e-5, "cpu": 2e-5},
                {"engine": "jax", "problem": "T", "dtype": "float32", "failed": "it"},
            ],
        },
    )
    assert "| NumPy, written by hand | 20.0 µs (1.00) |" in table
    assert "| PyTorch, eager | not installed |" in table
    assert "| JAX, `jit` | does not work here |" in table
