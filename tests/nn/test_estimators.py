"""The estimators of scikit-learn: what it asks of them, what it makes of them, and what their pickles hold."""

import pickle
import pickletools
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from template import Template

import graphnn as gn
from graphnn import nn
from graphnn.errors import ShapeError, UsageError, ValueRangeError
from graphnn.nn.training import sklearn_estimators

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]


@pytest.mark.plans_where_it_pays
@pytest.mark.filterwarnings("default")
@parametrize_with_checks([nn.Classifier(), nn.Regressor()])
def test_what_scikit_learn_asks_of_an_estimator(estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else one check is skipped
    check(estimator)


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - its own


# --- networks of one's own --------------------------------------------------------------------------------------


def linear(x: gn.Node, outputs: int, rng: np.random.Generator) -> gn.Node:
    return nn.Dense(outputs, rng=rng)(x)


def with_dropout(x: gn.Node, outputs: int, rng: np.random.Generator) -> gn.Node:
    layers = nn.Dense(16, rng=rng), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.5, rng=rng), nn.Dense(outputs, rng=rng)
    return nn.Sequential(*layers)(x, training=True)


def test_a_linear_regressor_finds_what_ridge_finds() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X @ rng.normal(size=(4, 2)) + rng.normal(size=(200, 2)) + 3.0
    model = nn.Regressor(linear, epochs=400, batch_size=None, learning_rate=0.1, random_state=0).fit(X, y)
    assert np.allclose(model.predict(X), Ridge(1e-9).fit(X, y).predict(X), atol=1e-6)


def test_probabilities_are_those_of_the_graph_without_dropout() -> None:
    model = nn.Classifier(with_dropout, epochs=3, random_state=0).fit(IRIS, NAMES)
    found = model.predict_proba(IRIS)
    assert np.array_equal(found, model.predict_proba(IRIS))
    assert np.array_equal(model.classes_[found.argmax(1)], model.predict(IRIS))
    g = model.graph_
    plain = gn.replace(g.outputs["probabilities"], dict(g.evaluation))
    assert np.allclose(found, gn.run(plain, {"x": IRIS}), rtol=1e-12)
    (loss,) = nn.Classifier(linear, epochs=1, batch_size=None, random_state=1).fit(IRIS, NAMES).history_["loss"]
    untrained = nn.Classifier(linear, epochs=1, learning_rate=0.0, random_state=1).fit(IRIS, NAMES)
    assert np.isclose(loss, log_loss(NAMES, untrained.predict_proba(IRIS)), rtol=1e-12)


def test_rows_are_predicted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Classifier(epochs=1, random_state=0).fit(IRIS, NAMES)
    whole = model.predict_proba(IRIS)
    monkeypatch.setattr(sklearn_estimators, "_ROWS", 64)
    assert np.allclose(whole, model.predict_proba(IRIS), rtol=1e-12)


def test_float32_stays_float32() -> None:
    model = nn.Regressor(epochs=1).fit(IRIS.astype(np.float32), SPECIES)
    assert model.predict(IRIS).dtype == np.float32
    assert model.graph_.outputs["loss"].dtype == np.float32


def test_the_optimizer_and_the_loss_are_what_is_given() -> None:
    start = nn.Regressor(linear, learning_rate=0.0, random_state=0).fit(IRIS, SPECIES).predict(IRIS)
    moved = {}
    for name, optimizer in {"plain": nn.SGD, "clipped": partial(nn.SGD, clip_norm=1e-3)}.items():
        model = nn.Regressor(linear, optimizer=optimizer, loss=nn.mean_absolute_error, epochs=1, random_state=0)
        moved[name] = np.abs(model.fit(IRIS, SPECIES).predict(IRIS) - start).max()
        assert model.graph_.outputs["loss"].scope == "mean_absolute_error_1"
    assert 0 < moved["clipped"] < 1e-3 < moved["plain"]


# --- seeds, and going on ----------------------------------------------------------------------------------------


@pytest.mark.each_backend
def test_the_same_random_state_gives_the_same_bits() -> None:
    model = nn.Classifier(with_dropout, epochs=2, validation_split=0.2, random_state=3)
    found, again = (clone(model).fit(IRIS, NAMES).predict_proba(IRIS) for _ in range(2))
    other = clone(model).set_params(random_state=4).fit(IRIS, NAMES).predict_proba(IRIS)
    assert np.array_equal(found, again)
    assert not np.array_equal(found, other)
    np.random.seed(7)  # noqa: NPY002 - what None stands for
    first = clone(model).set_params(random_state=None).fit(IRIS, NAMES)
    same = clone(model).set_params(random_state=np.random.RandomState(7)).fit(IRIS, NAMES)
    assert np.array_equal(first.predict_proba(IRIS), same.predict_proba(IRIS))


def test_partial_fit_goes_on_as_fit_would() -> None:
    whole = nn.Classifier(with_dropout, epochs=3, random_state=0).fit(IRIS, NAMES)
    model = nn.Classifier(with_dropout, random_state=0)
    for _ in range(3):
        model.partial_fit(IRIS, NAMES, classes=NAMES)
        model = pickled(model)
    assert np.array_equal(model.predict_proba(IRIS), whole.predict_proba(IRIS))
    numbers = nn.Regressor(linear, epochs=2, random_state=0).fit(IRIS, IRIS[:, :2])
    parts = nn.Regressor(linear, random_state=0).partial_fit(IRIS, IRIS[:, :2]).partial_fit(IRIS, IRIS[:, :2])
    assert np.array_equal(numbers.predict(IRIS), parts.predict(IRIS))


def test_partial_fit_needs_all_classes_and_no_others() -> None:
    model = nn.Classifier(linear)
    with pytest.raises(UsageError, match=r"classes=…"):
        model.partial_fit(IRIS, NAMES)
    model.partial_fit(IRIS[:10], NAMES[:10], classes=["virginica", "setosa", "versicolor"])
    model.partial_fit(IRIS[100:], NAMES[100:])
    assert model.predict_proba(IRIS).shape == (150, 3)
    assert list(model.classes_) == sorted({*NAMES})
    with pytest.raises(ValueRangeError, match=r"not among the classes: \['rose'\]"):
        model.partial_fit(IRIS[:1], ["rose"])
    with pytest.raises(ValueRangeError, match=r"the classes of this model are"):
        model.partial_fit(IRIS, NAMES, classes=["rose", "setosa"])
    with pytest.raises(ShapeError, match=r"has 1 outputs, and y has 2 columns"):
        nn.Regressor().partial_fit(IRIS, SPECIES).partial_fit(IRIS, IRIS[:, :2])


def test_early_stopping_watches_rows_apart() -> None:
    seen: list[int] = []
    model = nn.Classifier(
        linear,
        epochs=50,
        learning_rate=0.0,
        validation_split=0.3,
        early_stopping=nn.EarlyStopping(patience=2),
        callbacks=lambda history: seen.append(history.epochs),
    ).fit(IRIS, NAMES)
    assert seen == [1, 2, 3]
    assert {"loss", "val_loss"} == {*model.history_}
    assert np.isclose(model.history_["val_loss"][0], log_loss(NAMES, model.predict_proba(IRIS)), rtol=0.5), (
        "the rows are sorted by label: the last ones alone are of one class"
    )


class Interrupted(nn.Callback):
    def batch(self, run: nn.Run) -> None:
        if run.steps == 2:
            raise KeyboardInterrupt


def test_an_interrupt_leaves_a_model_and_goes_on() -> None:
    model = nn.Classifier(linear, callbacks=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        model.fit(IRIS, NAMES)
    assert model.predict_proba(IRIS).shape == (150, 3)
    assert model.history_.interrupted


# --- what scikit-learn does with them ---------------------------------------------------------------------------


def test_a_grid_search_over_a_pipeline_is_a_loop_over_fits() -> None:
    pipeline = make_pipeline(StandardScaler(), nn.Classifier(epochs=3, random_state=0))
    rates = [0.0, 0.01]
    search = GridSearchCV(pipeline, {"classifier__learning_rate": rates}, cv=3, error_score="raise").fit(IRIS, NAMES)
    assert search.best_params_ == {"classifier__learning_rate": 0.01}
    each = [
        cross_val_score(clone(pipeline).set_params(classifier__learning_rate=rate), IRIS, NAMES, cv=3) for rate in rates
    ]
    assert np.array_equal(search.cv_results_["mean_test_score"], np.mean(each, axis=1))
    assert search.score(IRIS, NAMES) > 0.8


def test_probabilities_are_calibrated() -> None:
    model = nn.Classifier(linear, epochs=1, random_state=0)
    calibrated = CalibratedClassifierCV(model, cv=3).fit(IRIS, NAMES)
    before, after = (log_loss(NAMES, each.predict_proba(IRIS)) for each in (clone(model).fit(IRIS, NAMES), calibrated))
    assert after < before


# --- errors, pickles, and scikit-learn itself --------------------------------------------------------------------


def wrong_shape(x: gn.Node, outputs: int, rng: np.random.Generator) -> gn.Node:
    return nn.Dense(outputs + 1, rng=rng)(x)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"build": 3}, UsageError, r"build is a function \(x, outputs, rng\)"),
        (
            {"build": nn.Sequential(nn.Dense(3))},
            UsageError,
            r"not a layer: make the layer in it, and return layer\(x\)",
        ),
        ({"build": lambda x: x}, UsageError, r"build is called with .* and takes \(x\)"),
        ({"build": lambda x, outputs, rng: None}, UsageError, r"it returned None"),
        ({"build": wrong_shape}, ShapeError, r'3 numbers for each row, \("batch", 3\); .* is \(batch, 4\)'),
        ({"loss": 3}, UsageError, r"loss is a function \(outputs, y\)"),
        ({"loss": lambda outputs, y: 3}, UsageError, r"it returned 3"),
        ({"optimizer": nn.SGD(0.1)}, UsageError, r"optimizer is a class or function .* such as nn.SGD"),
        ({"optimizer": float}, UsageError, r"it made 0.01"),
        ({"epochs": 0}, ValueRangeError, "epochs"),
        ({"batch_size": "all"}, UsageError, "batch_size"),
        ({"early_stopping": nn.EarlyStopping()}, LookupError, "need validation=, or validation_split= of an estimator"),
    ],
)
def test_errors_come_in_fit(settings: dict[str, Any], error: type[Exception], says: str) -> None:
    model = nn.Classifier(**settings)
    assert clone(model).get_params().keys() == model.get_params().keys()
    with pytest.raises(error, match=says):
        model.fit(IRIS, NAMES)


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r'Did you mean "epochs"\? The call is Classifier\(build=None'):
        nn.Classifier(epoch=3)
    with pytest.raises(TypeError, match=r"'max_iter'.*\nHere it is epochs=\."):
        nn.Regressor(max_iter=200)
    with pytest.raises(TypeError, match=r"'sample_weight'.*\n.* The call is fit\(X, y\)"):
        nn.Regressor().fit(IRIS, SPECIES, sample_weight=SPECIES)


def test_a_build_that_fails_leaves_the_model_as_it_was() -> None:
    model = nn.Classifier(linear).fit(IRIS, NAMES)
    before = model.predict(IRIS)
    with pytest.raises(ShapeError):
        model.set_params(build=wrong_shape).fit(IRIS, SPECIES)
    assert np.array_equal(model.predict(IRIS), before)


def test_a_pickle_holds_the_bytes_of_a_graph_file(tmp_path: Path) -> None:
    model = nn.Classifier(with_dropout, epochs=2, random_state=0).fit(IRIS, NAMES)
    data = pickle.dumps(model)
    (held,) = [value for _, value, _ in pickletools.genops(data) if type(value) is bytes and value[:4] == b"PK\x03\x04"]
    (tmp_path / "graph.gnn").write_bytes(held)
    graph = gn.load(tmp_path / "graph.gnn")
    assert [*map(repr, graph)] == [*map(repr, model.graph_)]
    own = {name for name in named(data) if name.startswith("graphnn")}
    assert own == {
        "graphnn.nn.training.sklearn_estimators",
        "graphnn.nn.training.history",
        "graphnn.nn.optim.sgd_and_adam",
    }, "classes, and no more"
    again = pickled(model)
    assert np.array_equal(again.predict_proba(IRIS), model.predict_proba(IRIS))
    assert again.history_ == model.history_
    with pytest.raises(NotFittedError):
        pickled(nn.Classifier(linear)).predict(IRIS)


def named(data: bytes) -> Iterator[str]:
    """Yield the texts in a pickle, among them all modules that it loads."""
    return (value for _, value, _ in pickletools.genops(data) if isinstance(value, str))


def test_the_classes_are_made_when_they_are_asked_for(template: Template, tmp_path: Path) -> None:
    code = """
import sys
import graphnn as gn
from graphnn import nn
assert "Classifier" in dir(nn) and not any(name.startswith("sklearn.base") for name in vars(nn.training))
assert "Classifier" not in vars(nn)
sys.modules["sklearn"] = sys.modules["sklearn.base"] = None
try:
    nn.Regressor
except gn.UsageError as error:
    assert 'nn.Regressor is an estimator of scikit-learn: pip install "graphnn[sklearn]"' in str(error), error
else:
    raise AssertionError
"""
    done = template.run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert nn.Classifier is sklearn_estimators.Classifier
    assert pickled(nn.Classifier) is nn.Classifier
    assert "Classifier" in vars(sklearn_estimators)
    assert "sklearn" in sys.modules


def test_features_and_classes_have_their_names() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(IRIS, columns=["sepal length", "sepal width", "petal length", "petal\nwidth"])
    model = nn.Classifier(epochs=1, random_state=0).fit(frame, NAMES)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - its own
    for g in (model.graph_, again.graph_):
        assert g.labels["x", 1] == ("sepal length", "sepal width", "petal length", "petal\\nwidth")
        dbg = gn.debug(g.outputs["probabilities"], {"x": IRIS[:2]})
        dbg.resume()
        assert "'setosa'] = " in dbg.why(g.outputs["probabilities"], (1, "setosa")).equation
        assert gn.core.labels_of(g["dense_1/weight"], 0) == g.labels["x", 1]
        assert gn.core.labels_of(g["dense_2/bias"], 0) == ("setosa", "versicolor", "virginica")
    assert gn.core.label_of_number(again.graph_["y"], 2) == "virginica"


def test_classes_that_are_numbers_are_text_and_a_regressor_has_features_alone() -> None:
    model = nn.Classifier(epochs=1, random_state=0).fit(IRIS, SPECIES + 0.0)
    assert list(model.graph_.labels.values()) == [("0", "1", "2")]
    assert not nn.Regressor(epochs=1, random_state=0).fit(IRIS, SPECIES).graph_.labels


def test_labels_that_a_network_has_of_its_own_stay() -> None:
    def build(x: gn.Node, outputs: int, rng: np.random.Generator) -> gn.Node:
        found = nn.Dense(outputs, rng=rng)(x)
        x.graph.labels[found, 1] = ["a", "b", "c"]
        return found

    model = nn.Classifier(build, epochs=1, random_state=0).fit(IRIS, NAMES)
    assert list(model.graph_.labels.values()) == [("a", "b", "c")]
