"""Estimators of scikit-learn: a network that `fit` builds and trains, and `predict` evaluates.

The classes derive from those of scikit-learn, so they are made when they are first asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.call_errors import explain_public
from ..._util.callables import check_takes
from ..._util.text import short_repr
from ...compiler.compile import compile
from ...core import Array, Graph, Node, as_labels, fn, is_float, labels_of
from ...core.symbolic_shapes import shown
from ...errors import ShapeError, UsageError, ValueRangeError
from ...io.graph_files import load, save
from ..argument_validation import checked_number
from ..layers.dense_and_activations import Dense, ReLU
from ..layers.layer import Layer
from ..layers.sequential import Sequential
from ..losses.classification_losses import softmax_crossentropy
from ..losses.regression_losses import mean_squared_error
from ..optim.optimizer import Optimizer
from ..optim.sgd_and_adam import Adam
from .callbacks import checked_callbacks
from .early_stopping import EarlyStopping
from .evaluate import evaluating_form
from .fit import fit

if TYPE_CHECKING:
    from .callbacks import Callbacks

NAMES = ("Classifier", "Regressor")
_ROWS = 1024  # that are predicted at once

Build = Callable[[Node, int, np.random.Generator], Node]


def small_network(x: Node, outputs: int, rng: np.random.Generator) -> Node:
    """Return what an estimator computes if nothing else is said: one hidden layer of 64 units."""
    network: Node = Sequential(Dense(64, rng=rng), ReLU(), Dense(outputs, rng=rng))(x)
    return network


class _Network:
    """A graph that is trained and evaluated, with the nodes of both among its outputs."""

    def __init__(self, graph: Graph, prediction: str) -> None:
        self.x, self.y = graph["x"], graph["y"]
        self.step = compile(graph.outputs["loss"], graph.updates)
        self._form = evaluating_form(graph, [graph.outputs[prediction]])
        self._predict = compile(self._form.nodes[0])
        self._fed = self._form.fed[self.x]

    def predict(self, X: Array) -> Array:
        """Return what the network gives for each row, in evaluation."""
        self._form.take_over_state()
        return np.concatenate([self._predict({self._fed: X[at : at + _ROWS]}) for at in range(0, len(X), _ROWS)])


class _Estimator:
    """What both estimators have: parameters that are stored, training, and pickles that hold a graph file."""

    _prediction: str  # the name of the output
    graph_: Graph

    def __init__(
        self,
        build: Build | None = None,
        *,
        epochs: int = 20,
        batch_size: int | None = 32,
        optimizer: Callable[[Any], Optimizer] = Adam,
        learning_rate: Any = 0.01,
        loss: Callable[[Node, Node], Node] | None = None,
        validation_split: float = 0.0,
        early_stopping: EarlyStopping | None = None,
        callbacks: Callbacks = (),
        progress: Any = False,
        random_state: Any = None,
    ) -> None:
        self.build = build
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.validation_split = validation_split
        self.early_stopping = early_stopping
        self.callbacks = callbacks
        self.progress = progress
        self.random_state = random_state

    # What is checked

    def _checked(self, X: Any, y: Any, first: bool, **settings: Any) -> tuple[Array, Any]:
        from sklearn.utils.validation import validate_data

        dtype = [np.float64, np.float32] if first else self.graph_["x"].dtype
        X, y = validate_data(self, X, y, reset=first, dtype=dtype, **settings)
        return X, y

    def _rows_of(self, X: Any) -> Array:
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows: Array = validate_data(self, X, reset=False, dtype=self.graph_["x"].dtype)
        return rows

    # Training

    def _begin(self, X: Array, outputs: int, classes: Array | None = None) -> None:
        """Build the network, and what a step of training needs. Its features and classes have their names."""
        from sklearn.utils import check_random_state

        seed = check_random_state(self.random_state).randint(2**31)
        rng = np.random.default_rng(seed)
        graph = Graph(type(self).__name__.lower(), dtype=X.dtype.name)
        x = graph.placeholder("x", ("batch", X.shape[1]))
        y = self._target(graph, outputs)
        found = self._built(x, outputs, rng)
        for node, names in ((x, getattr(self, "feature_names_in_", None)), (found, classes)):
            if names is not None and labels_of(node, 1) is None:
                graph.labels[node, 1] = as_labels(names)
        loss = self._loss_of(found, y)
        graph.outputs[self._prediction] = self._predicted(found)
        graph.outputs["loss"] = loss
        self._made_optimizer().updates(loss)
        self._network = _Network(graph, self._prediction)
        self.graph_, self._rng = graph, rng

    def _built(self, x: Node, outputs: int, rng: np.random.Generator) -> Node:
        build = small_network if self.build is None else self.build
        such = "build is a function (x, outputs, rng) that returns the node of the outputs"
        if isinstance(build, Layer):
            raise UsageError(f"{such}, not a layer: make the layer in it, and return layer(x)")
        if not callable(build):
            raise UsageError(f"{such}, not {short_repr(build)}")
        check_takes("build", build, "x", "the number of outputs", "rng")
        found = build(x, outputs, rng)
        if not isinstance(found, Node) or found.graph is not x.graph:
            raise UsageError(f"{such} in the graph of x; it returned {short_repr(found)}")
        if found.shape != ("batch", outputs) or not is_float(found.dtype):
            raise ShapeError(
                f'build is to return {outputs} numbers for each row, ("batch", {outputs}); "{found.name}" is '
                f"{shown(found.shape)} {found.dtype}"
            )
        return found

    def _loss_of(self, found: Node, y: Node) -> Node:
        if self.loss is None:
            return self._usual_loss(found, y)
        such = "loss is a function (outputs, y) that returns the node of a scalar, such as nn.huber"
        if not callable(self.loss):
            raise UsageError(f"{such}, not {short_repr(self.loss)}")
        loss = self.loss(found, y)
        if not isinstance(loss, Node):
            raise UsageError(f"{such}; it returned {short_repr(loss)}")
        return loss

    def _made_optimizer(self) -> Optimizer:
        such = "optimizer is a class or function that makes one of the learning rate, such as nn.SGD"
        if not callable(self.optimizer):
            raise UsageError(f"{such}, not {short_repr(self.optimizer)}")
        made = self.optimizer(self.learning_rate)
        if not isinstance(made, Optimizer):
            raise UsageError(f"{such}; it made {short_repr(made)}")
        return made

    def _train(self, X: Array, y: Array, stopping: Any = None, **settings: Any) -> None:
        network, callbacks = self._network, checked_callbacks(self.callbacks)
        if isinstance(stopping, EarlyStopping):
            callbacks.append(stopping)
        elif stopping is not None:
            such = "early_stopping is an nn.EarlyStopping, such as nn.EarlyStopping(patience=3)"
            raise UsageError(f"{such}, not {short_repr(stopping)}")
        self.history_ = fit(
            network.step,
            {network.x: X, network.y: y},
            batch_size=self.batch_size,
            rng=self._rng,
            callbacks=callbacks,
            progress=self.progress,
            **settings,
        )
        if self.history_.interrupted:
            raise KeyboardInterrupt  # else a sweep would go on with the next candidate

    def _train_whole(self, X: Array, y: Array) -> None:
        share = checked_number("validation_split", self.validation_split, 0, 1)
        if share:
            order = self._rng.permutation(len(X))
            X, y = X[order], y[order]
        self._train(X, y, self.early_stopping, epochs=self.epochs, validation=share or None)

    # What the kinds have of their own

    def _target(self, graph: Graph, outputs: int) -> Node:
        raise NotImplementedError

    def _usual_loss(self, found: Node, y: Node) -> Node:
        raise NotImplementedError

    def _predicted(self, found: Node) -> Node:
        return found

    # Pickles

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if state.pop("_network", None) is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "graph.gnn")
                save(state["graph_"], path)
                state["graph_"] = path.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if "graph_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "graph.gnn")
                path.write_bytes(state["graph_"])
                state["graph_"] = load(path)
            state["_network"] = _Network(state["graph_"], self._prediction)
        super().__setstate__(state)  # type: ignore[misc]


class _Classifier(_Estimator):
    """A network as a classifier of scikit-learn.

    Parameters
    ----------
    build : callable, optional
        ``build(x, outputs, rng)`` returns the node of the logits, (batch, outputs): one output for each class. It
        stands at the top level of a module, so that pickles and other processes find it. By default, one hidden layer
        of 64 units.
    epochs : int
    batch_size : int or None
    optimizer : callable
        Is called with the learning rate: a class, such as ``nn.SGD``, or a function that returns an optimizer.
    learning_rate : float or callable
        A number or a schedule.
    loss : callable, optional
        ``loss(logits, y)`` returns the node of a scalar; y are the numbers of the classes. By default,
        ``nn.softmax_crossentropy``.
    validation_split : float
        The share of the rows, drawn by `random_state`, to validate with and not to train on.
    early_stopping : EarlyStopping, optional
    callbacks : callable, Callback, or iterable of them
    progress : bool or callable
        These, `epochs` and `batch_size` are as in `nn.fit`.
    random_state : int, numpy.random.RandomState or None
        An int gives the same bits each time. None: the global generator of NumPy.

    Attributes
    ----------
    graph_ : Graph
        The trained network. Its outputs are ``probabilities`` and ``loss``; ``graph_.labels`` has the names of the
        features and of the classes.
    history_ : History
        Of the last `fit` or `partial_fit`.
    classes_ : ndarray
        The labels, sorted.
    n_features_in_ : int
    feature_names_in_ : ndarray
        Only if the columns of `X` have names.

    Notes
    -----
    Nothing is checked before `fit`. Ctrl-C ends `fit` after a whole step: the model can be used, and KeyboardInterrupt
    goes on to what called it. A pickle holds the graph as the bytes of a graph file.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> X, y = gn.datasets.spiral(100, classes=3, seed=0)
    >>> model = nn.Classifier(epochs=30, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9, model.predict_proba(X).shape
    (True, (300, 3))
    """

    _prediction = "probabilities"
    classes_: Array

    def fit(self, X: Any, y: Any) -> Any:
        """Build a network and train it, for all epochs. Return the model."""
        X, y = self._checked(X, y, first=True)
        labels, numbers = self._known(y)
        self._begin(X, len(labels), labels)
        self.classes_ = labels
        self._train_whole(X, numbers)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:
        """Train the network for one epoch on these rows. Return the model.

        Parameters
        ----------
        X, y : array_like
        classes : array_like, optional
            All labels that there will be. The first call needs them, unless the model was fitted before.
        """
        first = not hasattr(self, "graph_")
        if first and classes is None:
            raise UsageError("partial_fit needs all classes at its first call: partial_fit(X, y, classes=…)")
        X, y = self._checked(X, y, first=first)
        labels = np.unique(classes) if first else self.classes_
        if not first and classes is not None and not np.array_equal(np.unique(classes), labels):
            raise ValueRangeError(f"the classes of this model are {labels.tolist()}, not {np.unique(classes).tolist()}")
        found, numbers = self._known(y)
        unknown = np.setdiff1d(found, labels)
        if len(unknown):
            raise ValueRangeError(f"y has labels that are not among the classes: {unknown.tolist()}")
        if first:
            self._begin(X, len(labels), labels)
            self.classes_ = labels
        self._train(X, np.searchsorted(labels, found)[numbers], epochs=1)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class for each row."""
        rows = self._rows_of(X)
        return self._network.predict(rows)

    def predict(self, X: Any) -> Array:
        """Return the most probable label for each row."""
        numbers = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[numbers]
        return labels

    def _known(self, y: Array) -> tuple[Array, Array]:
        """Return the labels, sorted, and of each row the number of its label."""
        from sklearn.utils.multiclass import check_classification_targets

        check_classification_targets(y)
        return np.unique(y, return_inverse=True)

    def _target(self, graph: Graph, outputs: int) -> Node:
        return graph.placeholder("y", ("batch",), np.int64)

    def _usual_loss(self, found: Node, y: Node) -> Node:
        return softmax_crossentropy(found, y)

    def _predicted(self, found: Node) -> Node:
        return fn.softmax(found)


class _Regressor(_Estimator):
    """A network as a regressor of scikit-learn, for one number or several.

    Parameters
    ----------
    build : callable, optional
        ``build(x, outputs, rng)`` returns the node of the values, (batch, outputs): one output for each column of y.
        It stands at the top level of a module, so that pickles and other processes find it. By default, one hidden
        layer of 64 units.
    epochs, batch_size, optimizer, learning_rate, validation_split, early_stopping, callbacks, progress, random_state
        As in `nn.Classifier`.
    loss : callable, optional
        ``loss(values, y)`` returns the node of a scalar; y is (batch, outputs). By default,
        ``nn.mean_squared_error``.

    Attributes
    ----------
    graph_ : Graph
        The trained network. Its outputs are ``values`` and ``loss``.
    history_ : History
        Of the last `fit` or `partial_fit`.
    n_features_in_ : int
    feature_names_in_ : ndarray
        Only if the columns of `X` have names.

    Examples
    --------
    >>> from graphnn import nn
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> model = nn.Regressor(epochs=60, random_state=0).fit(X, np.sin(X[:, 0]))
    >>> model.score(X, np.sin(X[:, 0])) > 0.98
    True
    """

    _prediction = "values"

    def fit(self, X: Any, y: Any) -> Any:
        """Build a network and train it, for all epochs. Return the model."""
        X, y = self._numbers(X, y, first=True)
        self._begin(X, y.shape[1])
        self._train_whole(X, y)
        return self

    def partial_fit(self, X: Any, y: Any) -> Any:
        """Train the network for one epoch on these rows. Return the model."""
        first = not hasattr(self, "graph_")
        X, y = self._numbers(X, y, first=first)
        if first:
            self._begin(X, y.shape[1])
        elif y.shape[1] != self._network.y.shape[1]:
            raise ShapeError(f"this model has {self._network.y.shape[1]} outputs, and y has {y.shape[1]} columns")
        self._train(X, y, epochs=1)
        return self

    def predict(self, X: Any) -> Array:
        """Return the values for each row: (rows,) for one output, else (rows, outputs)."""
        rows = self._rows_of(X)
        values = self._network.predict(rows)
        return values[:, 0] if values.shape[1] == 1 else values

    def _numbers(self, X: Any, y: Any, first: bool) -> tuple[Array, Array]:
        X, y = self._checked(X, y, first, multi_output=True, y_numeric=True)
        return X, y.reshape(len(y), -1).astype(X.dtype)

    def _target(self, graph: Graph, outputs: int) -> Node:
        return graph.placeholder("y", ("batch", outputs))

    def _usual_loss(self, found: Node, y: Node) -> Node:
        return mean_squared_error(found, y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        return tags


explain_public(globals(), ["_Estimator", "_Classifier", "_Regressor"])

if TYPE_CHECKING:  # at run time, by `__getattr__`
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Classifier(ClassifierMixin, _Classifier, BaseEstimator):  # type: ignore[misc]  # noqa: D101
        pass

    class Regressor(RegressorMixin, _Regressor, BaseEstimator):  # type: ignore[misc]  # noqa: D101
        pass


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    except ImportError:
        raise UsageError(f'nn.{name} is an estimator of scikit-learn: pip install "graphnn[sklearn]"') from None
    mixin, own = (ClassifierMixin, _Classifier) if name == "Classifier" else (RegressorMixin, _Regressor)
    made = type(name, (mixin, own, BaseEstimator), {"__module__": __name__, "__doc__": own.__doc__})
    return globals().setdefault(name, made)
