"""Every error of nn and testing names the line of the user's that asked."""

import re
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn._util import hints as habits
from graphnn.testing import check_grads, check_op

G = gn.Graph()
X, Y = G.placeholder("x", ("batch", 3)), G.placeholder("y", ("batch",), np.int64)
W = G.parameter("w", [1.0, 2.0])
LOSS = gn.sum(W * W) + gn.mean(X)
STEP = gn.compile(LOSS, {W: W * 0.5})
FEED = {X: np.ones((2, 3))}


def rated(schedule: Any) -> Any:
    return nn.SGD(schedule).updates(LOSS)


class Dataless(nn.Layer):
    """Says nothing."""


def asked_late() -> None:
    optimizer = nn.SGD(lambda step: step)
    optimizer.learning_rate = 3.0


CASES: list[Callable[[], Any]] = [
    lambda: nn.categorical_crossentropy(X, [[1]]),
    lambda: nn.categorical_crossentropy(X, Y, clip="a"),
    lambda: nn.softmax_crossentropy(X, X, reduction="avg"),
    lambda: nn.binary_crossentropy(X, Y),
    lambda: nn.binary_crossentropy(X, X, clip="a"),
    lambda: nn.sigmoid_crossentropy(X, Y),
    lambda: nn.negative_log_likelihood(X, Y, class_weights=[1.0]),
    lambda: nn.softmax_crossentropy(X, X, ignore_index=1),
    lambda: nn.sigmoid_crossentropy(X, X, positive_weight=[1.0, 2.0]),
    lambda: nn.kl_divergence(X, Y),
    lambda: nn.huber(X, X, delta=0),
    lambda: nn.smooth_l1(X, X, beta=-1),
    lambda: nn.poisson_nll(X, X, full=1),
    lambda: nn.hinge(X, Y),
    lambda: nn.margin_ranking(X, X, Y),
    lambda: nn.cosine_embedding(X, X, X),
    lambda: nn.triplet_margin(X, X, X, p=0),
    lambda: nn.mean_squared_error(X, Y),
    lambda: nn.mean_absolute_error(X, Y),
    lambda: nn.l2([]),
    lambda: nn.l2(W, "a"),
    lambda: nn.accuracy(X, [[1]]),
    lambda: nn.confusion_matrix(Y, Y),
    lambda: nn.precision(X, Y, average="all"),
    lambda: nn.recall(X, Y, classes=4),
    lambda: nn.f1(X, [0.5]),
    lambda: nn.top_k_accuracy(X, Y, k=4),
    lambda: nn.top_k_accuracy(Y, Y),
    lambda: nn.roc_auc(X, Y, average="micro"),
    lambda: nn.roc_auc(X, Y, bins=1),
    lambda: nn.r2(X, Y),
    lambda: nn.root_mean_squared_error(X, Y),
    lambda: nn.Dense(0),
    lambda: nn.Dense(2, use_bias="no"),
    lambda: nn.Dense(2)(3),
    lambda: nn.Dense(2)(X, training="yes"),
    lambda: nn.Dense(2)(G.constant(1.0)),
    lambda: nn.Dense(2).parameters,
    lambda: nn.Dropout(1.0),
    lambda: nn.Dropout(0.5)(Y, training=True),
    lambda: nn.PReLU("k"),
    lambda: nn.Sequential(3),
    lambda: nn.Sequential().add(3),
    lambda: nn.Softmax(axis=7)(X),
    lambda: nn.Flatten()(G.constant(1.0)),
    lambda: Dataless()(X),
    lambda: nn.SGD(-1),
    lambda: nn.SGD(nesterov=True),
    lambda: nn.SGD(nesterov=1),
    lambda: nn.Adam(beta1=2),
    lambda: nn.AdamW(weight_decay="a"),
    lambda: nn.RMSProp(centered=0),
    lambda: nn.Adagrad(clip_norm=0),
    lambda: nn.Lion(beta1=1),
    lambda: nn.Nadam(decoupled=1),
    lambda: nn.Adafactor(beta2_decay=1),
    lambda: nn.LBFGS(line_search="armijo"),
    lambda: nn.LBFGS(history_size=10**12).updates(LOSS),
    lambda: nn.SGD().updates(3),
    lambda: nn.SGD().updates(LOSS, 5),
    lambda: nn.SGD().updates(LOSS, [X]),
    lambda: nn.Optimizer(0.1).updates(LOSS),
    asked_late,
    lambda: nn.schedules.step_decay(0.1, 0),
    lambda: nn.schedules.cosine(0.1, 1.5),
    lambda: nn.schedules.warmup(0, 0.1),
    lambda: rated(nn.schedules.constant("a")),
    lambda: rated(nn.schedules.step_decay("a", 2)),
    lambda: rated(nn.schedules.cosine("a", 2)),
    lambda: nn.init.constant("a"),
    lambda: nn.init.constant([1.0]),
    lambda: nn.init.uniform(1, 0),
    lambda: nn.init.uniform("a", "b"),
    lambda: nn.init.normal(0.0, -1),
    lambda: nn.init.normal("a"),
    lambda: nn.EarlyStopping("accuracy"),
    lambda: nn.EarlyStopping(min_delta="a"),
    lambda: nn.History({"a": [1], "b": []}),
    lambda: nn.History().plot(),
    lambda: nn.fit(LOSS, FEED),
    lambda: nn.fit(STEP, {}),
    lambda: nn.Loader(FEED, shuffle="no"),
    lambda: nn.Loader([FEED]),
    lambda: iter(nn.Loader({"x": [1.0]})),
    lambda: nn.Checkpoint("c", every=0),
    lambda: nn.Shards(0),
    lambda: nn.fit(STEP, FEED, progress=3),
    lambda: nn.fit(STEP, FEED, metrics={"loss": W}),
    lambda: nn.fit(STEP, FEED, callbacks=nn.EarlyStopping()),
    lambda: nn.evaluate(3, FEED),
    lambda: nn.evaluate(X, FEED),
    lambda: nn.evaluate(gn.sum(X), FEED, batch_size=1),
    lambda: check_grads(LOSS, FEED, order=0),
    lambda: check_grads(LOSS, FEED, [Y]),
    lambda: check_op(gn.core.operation("exp"), order=0),
]


@pytest.mark.parametrize("case", CASES)
def test_the_last_line_of_the_message_is_the_users(case: Callable[[], Any]) -> None:
    with pytest.raises(gn.GraphnnError) as raised:
        case()
    code = case.__code__  # type: ignore[attr-defined]
    lines = {line for _, _, line in code.co_lines() if line}
    before, _, at = str(raised.value).rpartition("\n  at test_nn_errors.py:")
    assert before, str(raised.value)
    assert int(at) in lines or "rated" in code.co_names
    assert "\n  at " not in before


def _things() -> dict[str, Any]:
    g = gn.Graph()
    loss = gn.sum(g.parameter("w", [1.0, 2.0]))
    optimizer = nn.SGD(0.1)
    layer = nn.Dense(2)
    layer(g.placeholder("x", ("batch", 3)))
    step = gn.compile(loss, optimizer.updates(loss))
    history, diagram = nn.fit(step, {}), gn.draw(loss)
    return {
        "history": history,
        "diagram": diagram,
        "node": loss,
        "gn": gn,
        "layer": layer,
        "optimizer": optimizer,
        "graph": g,
        "ema": nn.EMA(),
        "lbfgs": nn.LBFGS(),
    }


NAMES = {kind: names for kind, names in habits.TABLE.items() if not kind.startswith("arguments")}
HABITS = [(kind, name) for kind, names in NAMES.items() for name in names]


def test_names_that_others_use_lead_to_what_there_is() -> None:
    things = _things()
    assert {*things} == {*NAMES}
    called = {**things, "nn": nn, "nn.init": nn.init}
    for kind, name in HABITS:
        hint = NAMES[kind][name]
        others = [nn] if kind == "gn" and not hasattr(nn, name) else []  # where modules are: nn.layers
        for thing in (things[kind], *others):
            with pytest.raises(AttributeError) as refused:
                getattr(thing, name)
            assert hint in str(refused.value) or name in dir(gn.functions), (kind, name)
        assert not hasattr(things[kind], name)
        assert name not in dir(things[kind])
        # Whatever a hint tells to write is there.
        for where, there in re.findall(
            r"\b(nn\.init|gn|nn|graph|node|layer|optimizer|step|history|diagram)\.(\w+)", hint
        ):
            if there != "md":
                assert there in dir(called[where]), hint
        for path in re.findall(r"docs/[\w-]+\.md", hint):
            assert (Path(__file__).parents[2] / path).exists()
    hints = ("vstack", r"axis=0"), ("hstack", "axis=1"), ("Parameter", "graph.parameter"), ("Linear", r"nn\.Dense")
    for name, written in hints:
        with pytest.raises(AttributeError, match=f"{name}.*{written}"):
            getattr(gn, name)
    for name, written in (("flatten", r"gn\.reshape"), ("detach", r"gn\.stop_gradient")):
        with pytest.raises(AttributeError, match=f"{name}.*{written}"):
            getattr(things["node"], name)
    with pytest.raises(AttributeError, match=r'there is no "nn.Denze". Did you mean "Dense"'):
        _ = nn.Denze
    with pytest.raises(AttributeError, match=r'there is no "nn.relu". Write gn.relu'):
        _ = nn.relu
    with pytest.raises(AttributeError, match=r'there is no "nn.compile". Write gn.compile'):
        _ = nn.compile
    with pytest.raises(AttributeError, match=r'there is no "gn.Dense". Write nn.Dense'):
        _ = gn.Dense
    with pytest.raises(AttributeError, match=r"a node has no attribute \"reshape\": write gn.reshape\(node, shape\)"):
        things["node"].reshape(-1)
    assert not hasattr(nn, "nothing")

    class Weighed(nn.Layer):
        def __init__(self) -> None:
            self.weights = 3  # a layer of one's own may have such an attribute

    assert Weighed().weights == 3
    assert "weights" in dir(Weighed())


def test_an_attribute_that_would_change_nothing_can_be_set_of_a_class_of_ones_own_only() -> None:
    layer, optimizer, ema = nn.Dense(2), nn.SGD(0.1), nn.EMA()
    cases: list[tuple[Any, str, str]] = [
        (layer, "trainable", "Write optimizer.updates(loss, parameters) with the parameters that"),
        (layer, "training", "Write layer(x, training=True)"),
        (layer, "unit", 'Did you mean "units"?'),
        (layer, "weights", "Write layer.parameters"),
        (layer, "label", ""),
        (optimizer, "lr", "Write optimizer.learning_rate."),
        (optimizer, "momentun", 'Did you mean "momentum"?'),
        (ema, "decy", 'Did you mean "decay"?'),
    ]
    for thing, name, hint in cases:
        says = (
            f'{type(thing).__name__} has no attribute "{name}", and to set it would change nothing.{hint and " "}{hint}'
        )
        with pytest.raises(AttributeError, match=f"^{re.escape(says)}"):
            setattr(thing, name, 0.5)
        assert name not in vars(thing)
        setattr(thing, f"_{name}", 0.5)  # as tools do

    class Frozen(nn.Layer):
        trainable = True  # a class of one's own may have it

    own = Frozen()
    own.trainable = False
    assert own.trainable is False

    class Deep(nn.Layer):
        def call(self, x):  # type: ignore[no-untyped-def]
            def halved(y):  # type: ignore[no-untyped-def]
                return y * 0.5 if self.training else y

            return halved(x)

    deep = Deep()
    deep.training = True
    assert gn.run(deep(gn.Graph().constant([1.0]))).tolist() == [0.5]

    class Mine(nn.SGD):
        def __init__(self, lr: float) -> None:
            super().__init__(lr)
            self.lr = lr

    mine = Mine(0.5)
    mine.lr = 0.25
    assert mine.lr == 0.25


def test_a_layer_is_copied_before_its_first_call_and_not_after_it() -> None:
    first = nn.Sequential(nn.Dense(2, rng=np.random.default_rng(1)), nn.Tanh())
    second = deepcopy(first)
    x = gn.Graph().placeholder("x", ("batch", 3))
    one, two = first(x), second(x)
    assert {*first.parameters}.isdisjoint(second.parameters)
    feed = {x: np.ones((4, 3))}
    assert np.array_equal(gn.run(one, feed), gn.run(two, feed))  # each draws by its own copy of the generator
    with pytest.raises(gn.UsageError, match=r"Sequential has nodes .* other\.load_state_dict\(layer\.state_dict\(\)\)"):
        deepcopy(first)
    with pytest.raises(gn.UsageError, match=r"Dense has nodes and cannot be copied"):
        deepcopy([first[0]])


def test_an_array_in_the_place_of_a_parameter_is_refused() -> None:
    class Scale(nn.Layer):
        gains = None

        def __init__(self) -> None:
            self.table, self.gain = np.ones(2), None

        def call(self, x):  # type: ignore[no-untyped-def]
            self.gain = x.graph.parameter("gain", 1.0)
            return x * self.gain

    dense, norm, scale = nn.Dense(2), nn.BatchNorm(), Scale()
    with pytest.raises(gn.UsageError, match=r"write Dense\(…, weight=array\), or layer\.weight\.value = array"):
        dense.weight = np.ones((3, 2))
    with pytest.raises(gn.UsageError, match=r"the first call makes: write layer\.running_var\.value = array after it"):
        norm.running_var = np.ones(3)
    with pytest.raises(gn.UsageError, match=r"layer\.bias\.value = array"):
        dense.bias = [0.0, 1.0]
    scale.table = np.ones(3)
    x = gn.Graph().placeholder("x", ("batch", 3))
    scale(norm(dense(x)))
    for layer, name in ((dense, "weight"), (norm, "running_var"), (scale, "gain")):
        with pytest.raises(gn.UsageError, match=rf"is the parameter .*: write layer\.{name}\.value = array"):
            setattr(layer, name, np.ones(2))
    assert len(dense.parameters) == 2
    scale.table = np.ones(4)
    dense.bias = None  # this, and another node, is meant
    assert len(dense.parameters) == 1


@pytest.mark.parametrize(
    ("kind", "name"), [("graph", "nodes"), ("node", "grad"), ("layer", "weights"), ("gn", "sums"), ("nn", "Denes")]
)
def test_python_adds_no_guess_to_what_a_name_is_called_here(
    kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AttributeError) as refused:
        getattr({**_things(), "nn": nn}[kind], name)
    sys.__excepthook__(refused.type, refused.value, None)  # as an uncaught error is printed
    assert capsys.readouterr().err.endswith(f"AttributeError: {refused.value}\n")


@pytest.mark.parametrize("kind", [gn.Node, gn.Graph, gn.Compiled, nn.Layer, nn.Optimizer, nn.History])
def test_attributes_are_looked_up_without_a_hook(kind: type) -> None:
    # With one, Python 3.11 looks up every attribute the slow way.
    assert not hasattr(kind, "__getattr__")


def test_arguments_that_others_use_lead_to_those_there_are() -> None:
    x = gn.Graph().placeholder("x", ("batch", 3))
    network = nn.Sequential(nn.Dense(1))
    loss = gn.mean(network(x))
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: nn.Adam(lr=0.1), r"Adam.* 'lr'\nHere it is learning_rate=\. The call is Adam\("),
        (lambda: nn.SGD(0.1, momentun=0.9), r'Did you mean "momentum"\? The call is SGD\('),
        (lambda: nn.SGD(0.1, clipnorm=1.0), r"Here it is clip_norm=\. The call is SGD\(.*\*, clip_norm=None"),
        (lambda: nn.Dense(4, activaton="relu"), 'Did you mean "activation"'),
        (lambda: nn.Dense(4, kernel_initializer="zeros"), "Here it is weight_init="),
        (lambda: nn.Dense(in_features=2, out_features=3), "leave it out"),
        (lambda: nn.Dense(4, bias=False), "write use_bias=False"),
        (lambda: nn.Dense(), r"Dense.* missing 1 .* 'units'\nThe call is Dense\(units, "),
        (lambda: nn.LSTM(dropout=0.1), r"missing 1 .* 'units'\nThe call is LSTM\(.* dropout=0\.0, "),
        (lambda: nn.ReLU(inplace=True), r"leave it out\. The call is ReLU\(\)"),
        (lambda: nn.Softmax(dim=1), r"Here it is axis=\. The call is Softmax\(axis=-1\)"),
        (lambda: nn.LeakyReLU(alpha=0.1), "Here it is negative_slope="),
        (lambda: nn.Dropout(p=0.5), r"Here it is rate=\. The call is Dropout\(rate, seed=0, "),
        (lambda: nn.Dense(2)(x, train=True), r"Dense.* 'train'.*\nHere it is training="),
        (lambda: gn.softmax(x, dim=1), r"Here it is axis=\. The call is softmax\(x, axis=-1\)"),
        (lambda: gn.sum(x, keepdim=True), "Here it is keepdims="),
        (lambda: gn.relu(x, inplace=True), "leave it out"),
        (lambda: nn.SGD(0.1).updates(loss, params=[]), r"optimizer\.updates\(loss\)\. The call is updates\("),
        (lambda: nn.Adam([loss.graph["dense_1/weight"]], 0.1), r"not a list; the parameters are .*updates\(loss\)"),
        (lambda: nn.Adam(network.parameters), r"not a list; the parameters are .*updates\(loss\)"),
        (lambda: nn.Adam(network), r"not a Sequential; the parameters are .*updates\(loss\)"),
        (lambda: nn.Adam().updates(loss, network), r"not Dense; layer\(x\) is one, and layer\.parameters is a list"),
        (lambda: gn.grad(loss, network), r"not Sequential; layer\(x\) is one, and layer\.parameters is a list"),
    ]
    for case, words in cases:
        with pytest.raises(TypeError, match=words):
            case()
    made = nn.Dense(2)
    more: list[tuple[Callable[[], Any], str]] = [
        (lambda: gn.run(loss, feed_dict={}), r"run.* 'feed_dict'.*\nHere it is feed="),
        (lambda: gn.run(loss, x, x), r"run.* 3 were given\nThe call is run\("),
        (lambda: made(x, x), r"Dense.* 3 were given\nThe call is Dense\(x, \*, training=None\)"),
        (lambda: nn.Dense(2, weight_init="he_normal"), r"write nn\.init\.he_normal"),
    ]
    for case, words in more:
        with pytest.raises(TypeError, match=words):
            case()
    more_of_others: list[tuple[Callable[[], Any], str]] = [
        (lambda: gn.clip(x, min=0), r"clip.* 'min'.*\nHere it is lo="),
        (lambda: gn.clip(x, max=1), r"Here it is hi="),
        (lambda: gn.var(x, unbiased=True), r"Here it is ddof="),
        (lambda: gn.topk(x, 2, largest=False), r"gn\.topk\(-x, k\), which has the smallest"),
        (lambda: gn.one_hot(gn.argmax(x, axis=1), num_classes=3), r"Here it is depth="),
        (lambda: nn.fit(STEP, FEED, patience=3), r"callbacks=\[nn.EarlyStopping"),
        (lambda: nn.EarlyStopping(restore_best_weights=True), r"Here it is restore_best="),
    ]
    for case, words in more_of_others:
        with pytest.raises(TypeError, match=words):
            case()
    sizes_said: list[tuple[Callable[[], Any], str]] = [
        (lambda: nn.BatchNorm(64)(x), r"axis 64, .* no such axis; the layer finds the number of features"),
        (lambda: nn.LayerNorm(64)(x), r"axis 64, .* no such axis; the layer finds the number of features"),
        (lambda: nn.Dense(4, 8), r"not int; the layer finds the size of its input by itself"),  # type: ignore[arg-type]
        (lambda: nn.SGD(0.1).updates(gn.sum(x), nn.Dense(2)), r"not Dense: write layer\.parameters"),  # type: ignore[arg-type]
    ]
    image, places = (
        x.graph.placeholder("image", ("batch", 3, 4, 5)),
        x.graph.placeholder("places", ("batch", 4, 5), int),
    )
    moved = r"the last axis has the classes; gn\.moveaxis\(scores, 1, -1\)"
    sizes_said.append((lambda: nn.softmax_crossentropy(image, places), moved))
    sizes_said.append((lambda: nn.accuracy(image, places), moved))
    sizes_said.append((lambda: nn.kl_divergence(x, x, "batchmean"), r'"batchmean" in PyTorch, is "mean" here'))
    for case, words in sizes_said:
        with pytest.raises(gn.GraphnnError, match=words):
            case()
    for section, names in habits.TABLE.items():
        for name, hint in names.items() if section.startswith("arguments") else ():
            given = () if hint.endswith(".") else hint.split()
            assert habits.argument(name, given, section.rpartition(" ")[2]).startswith(" "), name


def test_a_kernel_that_does_not_fit_is_refused_before_there_are_parameters() -> None:
    g = gn.Graph()
    images = g.placeholder("images", ("batch", 28, 28, 1))
    layer = nn.Conv2D(8, 3)
    with pytest.raises(gn.ShapeError, match=r"Conv2D: a kernel of 3 does not fit into axis 3 .*moveaxis\(x, -1, 1\)"):
        layer(images)
    assert layer(gn.moveaxis(images, -1, 1)).shape == ("batch", 8, 26, 26)  # the same layer
    sound = g.placeholder("sound", ("batch", 2, 5))
    with pytest.raises(gn.ShapeError, match=r"a kernel of 3 with a dilation of 4 does not fit into axis 2 .*5\)\n"):
        nn.Conv1D(1, 3, dilation=4, padding=1)(sound)
    assert nn.Conv1D(1, 3, dilation=4, padding=2)(sound).shape == ("batch", 1, 1)
    assert nn.Conv1D(1, 9, padding="same")(sound).shape == ("batch", 1, 5)
    assert nn.ConvTranspose1D(1, 9)(sound).shape == ("batch", 1, 13)


def test_what_a_layer_of_ones_own_takes_from_other_libraries_has_a_hint() -> None:
    class Named(nn.Layer):
        def __init__(self, units: int, name: str = "") -> None:
            super().__init__(name=name)  # type: ignore[call-arg]

    class Placed(nn.Layer):
        def __init__(self, units: int) -> None:
            super().__init__(units)  # type: ignore[call-arg]

    class Faster(nn.SGD):
        def __init__(self, speed: float, **more: Any) -> None:
            super().__init__(learning_rate=speed, **more)

    class Forward(nn.Layer):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x

    x = gn.Graph().placeholder("x", ("batch", 3))
    cases: list[tuple[Callable[[], Any], str]] = [
        (
            lambda: Named(3),
            r"^Layer\.__init__\(\) .* 'name'\nA layer has the name .* The call is Layer\(\)",
        ),
        (lambda: Placed(3), r"^Layer\.__init__\(\) takes 1 .* 2 were given\nThe call is Layer\(\)"),
        (
            lambda: Faster(3, mementum=1),
            r'^SGD\.__init__\(\) .*\nDid you mean "momentum"\? The call is SGD\(',
        ),
        (lambda: nn.Dense(3, name="fc"), r"^Dense\..* 'name'\nA layer has the name of the attribute"),  # type: ignore[call-arg]
        (lambda: Forward()(x), r"define call\(self, x\); rename its forward to call"),
    ]
    for case, words in cases:
        with pytest.raises((TypeError, gn.NoRuleError), match=words):
            case()


def test_an_error_inside_a_function_is_not_taken_for_one_of_its_arguments() -> None:
    class Broken(nn.Layer):
        def call(self, x):  # type: ignore[no-untyped-def]
            return len(3)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match=r"object of type 'int' has no len\(\)") as raised:
        Broken()(gn.Graph().placeholder("x"))
    assert not isinstance(raised.value, gn.GraphnnError)


def test_parameters_are_a_list_and_no_method() -> None:
    layer = nn.Dense(2)
    layer(gn.Graph().placeholder("x", ("batch", 3)))
    assert layer.parameters == [layer.weight, layer.bias]
    with pytest.raises(gn.UsageError, match=r"layer\.parameters is a list, not a method"):
        layer.parameters()


def test_a_film_is_no_trace() -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.0)
    step = gn.compile(w * 2.0, updates={w: w * 0.5})
    with gn.recording(step) as film:
        step()
    with pytest.raises(gn.UsageError, match=r"a film holds many traces: ask one of them, film\[0\]\[…\]"):
        film["w"]


def test_a_figure_that_is_not_recorded_leads_to_those_that_are() -> None:
    history = nn.History({"loss": [0.5], "val_loss": [0.6]})
    with pytest.raises(KeyError, match=r'"los" is not recorded. Did you mean "loss"'):
        history["los"]
    assert history.get("los") is None
    assert "los" not in history
    with pytest.raises(AttributeError, match=r'Write history\["loss"\]'):
        _ = history.loss  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r'there is no "nn.init.he_norml". Did you mean "he_normal"'):
        _ = nn.init.he_norml


def test_a_batch_norm_called_again_checks_its_axis() -> None:
    g = gn.Graph()
    norm = nn.BatchNorm()
    norm(g.placeholder("x", ("batch", 3)))
    for shape in ((), (3,)):
        with pytest.raises(gn.AxisError, match="axis 1 is out of range"):
            norm(g.placeholder(f"y{len(shape)}", shape))


def test_a_cache_is_made_for_a_node() -> None:
    with pytest.raises(gn.UsageError, match="MultiHeadAttention is called on one node, not on ndarray"):
        nn.MultiHeadAttention(1).cache(np.ones((2, 1, 4)), 5)


def test_a_verb_of_the_debugger_shows_its_signature() -> None:
    x = gn.Graph().placeholder("x", 2)
    with pytest.raises(TypeError, match=r"The call is out\(\)"):
        gn.debug(gn.sum(x), {x: np.ones(2)}, echo=None).out(3)  # type: ignore[call-arg]
