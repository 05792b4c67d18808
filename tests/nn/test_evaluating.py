"""The evaluation form of a network: what `fit` validates with, and what a summary says of it."""

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(30, 4)), RNG.integers(0, 3, 30)


class Noisy(nn.Layer):
    """Adds noise in training; by `meant`, says what takes its place in evaluation."""

    def __init__(self, meant=None):
        self.meant = meant

    def call(self, x, training=False):
        if not training:
            return x
        counter = x.graph.parameter("counter", np.int64(0), trainable=False)
        x.graph.advances[counter] = counter + 1
        noisy = x + gn.random_uniform(counter, x.shape, dtype=x.dtype)
        if self.meant is not None:
            x.graph.evaluation[noisy] = noisy if self.meant == "noisy" else x
        return noisy


def built(*layers, training=True, dtype=np.float64):
    g = gn.Graph("net", dtype)
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), np.int64)
    network = nn.Sequential(nn.Dense(16, rng=np.random.default_rng(0)), *layers, nn.Dense(3))
    scores = network(x, training=training)
    return network, x, y, scores, nn.softmax_crossentropy(scores, y)


def trained(loss, feed, **settings):
    step = gn.compile(loss, nn.Adam(0.01).updates(loss))
    return nn.fit(step, feed, epochs=3, batch_size=8, validation=feed, **settings)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Dropout(0.5)],
        lambda: [nn.Dropout(0.5), nn.Dropout(0.3), nn.ReLU()],
        lambda: [nn.ReLU(), nn.Dropout(0.2), nn.Dense(8), nn.Tanh(), nn.Dropout(0.2)],
        lambda: [Noisy("plain"), nn.Dropout(0.5), Noisy("plain")],
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_validates_with_the_evaluating_form(layers, dtype):
    network, x, y, scores, loss = built(*layers(), dtype=dtype)
    feed = {x: X.astype(dtype), y: Y}
    history = trained(loss, feed, metrics={"accuracy": nn.accuracy(scores, y)})
    plain = network(x)
    after = nn.evaluate([nn.softmax_crossentropy(plain, y), nn.accuracy(plain, y)], feed, batch_size=8)
    # The state it was evaluated in is the one at the end of the last epoch.
    assert [history["val_loss"][-1], history["val_accuracy"][-1]] == [float(figure) for figure in after]
    assert history["accuracy"] == history["val_accuracy"]
    assert len(set(history["val_loss"])) == 3
    # With dropout it is another, which is what the steps' own loss is.
    assert float(gn.run(loss, feed)) != pytest.approx(history["val_loss"][-1])
    assert nn.evaluate(loss, feed, batch_size=8) == after[0]


def test_validating_does_not_change_training():
    _, x, y, _, loss = built(nn.Dropout(0.5))
    other = built(nn.Dropout(0.5))
    with_it = trained(loss, {x: X, y: Y})
    step = gn.compile(other[4], nn.Adam(0.01).updates(other[4]))
    without = nn.fit(step, {other[1]: X, other[2]: Y}, epochs=3, batch_size=8)
    assert with_it["loss"] == without["loss"]
    before = len(loss.graph)
    trained(loss, {x: X, y: Y})
    assert not any("evaluat" in node.name for node in loss.graph)
    assert [node.phase for node in list(loss.graph)[before:]].count("forward") == 0  # only the second Adam's nodes


def test_early_stopping_and_a_checkpoint_see_the_same_figure(tmp_path):
    _, x, y, _, loss = built(nn.Dropout(0.5))
    step = gn.compile(loss, nn.Adam(0.01).updates(loss))
    settings = {"batch_size": 8, "validation": {x: X, y: Y}}
    nn.fit(step, {x: X, y: Y}, epochs=2, checkpoint=tmp_path / "c", **settings)
    checkpoint = nn.Checkpoint(tmp_path / "c", resume=True)
    resumed = nn.fit(step, {x: X, y: Y}, epochs=4, checkpoint=checkpoint, **settings)
    _, x, y, _, loss = built(nn.Dropout(0.5))
    step = gn.compile(loss, nn.Adam(0.01).updates(loss))
    whole = nn.fit(step, {x: X, y: Y}, epochs=4, batch_size=8, validation={x: X, y: Y})
    assert resumed == whole


def test_a_feed_that_the_figure_does_not_read_is_passed_over():
    _, x, y, scores, _ = built(nn.Dropout(0.5))
    assert nn.evaluate(gn.mean(scores), {x: X, y: Y}).shape == ()


def test_what_is_random_without_an_entry_is_refused():
    _, x, y, _, loss = built(Noisy())
    with pytest.raises(gn.UsageError, match="would be random in evaluation") as caught:
        trained(loss, {x: X, y: Y})
    for part in ('"softmax_crossentropy', '"noisy_1/random_uniform"', "test_evaluating.py", "graph.evaluation[node]"):
        assert part in str(caught.value)
    # Without validation nothing is evaluated.
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    assert len(nn.fit(step, {x: X, y: Y}, epochs=2)["loss"]) == 2


def test_a_gradient_of_the_training_form_is_refused_as_a_figure():
    _, x, y, _, loss = built(nn.Dropout(0.5))
    size = gn.sum(gn.square(gn.grad(loss, loss.graph["dense_1/weight"])))
    with pytest.raises(gn.UsageError, match='it depends on "dropout_1/random_uniform"'):
        nn.evaluate(size, {x: X, y: Y}, batch_size=None)


def test_what_is_its_own_entry_stays_random():
    _, x, y, _, loss = built(Noisy("noisy"))
    assert len(trained(loss, {x: X, y: Y})["val_loss"]) == 3


def test_an_entry_fits_its_node():
    g = gn.Graph()
    a, b, c = g.placeholder("a", 2), g.placeholder("b", 3), g.placeholder("c", 2, "float32")
    with pytest.raises(gn.ShapeError, match="needs the same shape and dtype"):
        g.evaluation[a] = b
    with pytest.raises(gn.DtypeError, match="needs the same shape and dtype"):
        g.evaluation[a] = c
    with pytest.raises(gn.UsageError):
        g.evaluation[a] = 1.0


@pytest.mark.parametrize("copied", [gn.extract, lambda nodes: gn.Graph.from_networkx(nodes[0].graph.dag)])
def test_entries_go_with_a_copy(copied):
    _, _, _, scores, _ = built(nn.Dropout(0.5), nn.Dropout(0.1))
    source = scores.graph
    copy = copied([scores])
    assert [(a.name, b.name) for a, b in copy.evaluation.items()] == [
        (a.name, b.name) for a, b in source.evaluation.items()
    ]
    first, second = copy.evaluation.values()
    assert first is second is copy["dense_1/add"]


def test_entries_go_into_a_file_with_what_they_need(tmp_path):
    g = gn.Graph()
    x = g.placeholder("x", ("n", 2))
    noisy, plain = gn.exp(x), gn.sin(x)  # as a layer that does another thing in evaluation
    g.evaluation[noisy] = plain
    nn.Dropout(0.5)(x)
    gn.save([noisy], tmp_path / "f")
    loaded = gn.load(tmp_path / "f")
    assert {a.name: b.name for a, b in loaded.evaluation.items()} == {"exp": "sin"}
    assert {path: node.name for path, node in loaded.idle.items()} == {"dropout_1": "x"}
    assert gn.extract([noisy])["sin"].op.name == "sin"


def test_a_loaded_network_is_validated_as_well(tmp_path):
    _, x, y, _scores, loss = built(nn.Dropout(0.5))
    loss.graph.outputs["loss"] = loss
    gn.save(loss.graph, tmp_path / "f")
    loaded = gn.load(tmp_path / "f")
    feed = {"x": X, "y": Y}
    assert nn.evaluate(loaded["loss"], feed) == nn.evaluate(loss, {x: X, y: Y})


def test_a_summary_tells_what_is_built_for_one_of_the_two():
    network, x, _, scores, loss = built(nn.Dropout(0.5), nn.Dense(4), nn.Dropout(0.5))
    (note,) = gn.summary(loss).notes
    assert note.startswith('"dropout_1" and "dropout_2" are built for training only')
    assert gn.summary(loss).to_dict()["notes"] == [note]
    assert "built for training only" in " ".join(str(gn.summary(loss)).split())
    network(x)
    assert gn.summary(loss).notes == []
    network, x, _, scores, loss = built(nn.Dropout(0.5), training=False)
    (note,) = gn.summary(scores).notes
    assert note.startswith('"dropout_1" is built for evaluating only')
    network(x, training=True)
    assert gn.summary(scores).notes == [] == gn.summary(loss).notes


def test_a_summary_knows_a_layer_by_its_first_call():
    class Block(nn.Layer):
        def __init__(self):
            self.drop = nn.Dropout(0.5)

        def call(self, x):
            return gn.relu(self.drop(x))

    block = Block()
    x = gn.Graph().placeholder("x", ("n", 4))
    twice = block(block(x, training=True), training=True)
    (note,) = gn.summary(twice).notes
    assert note.startswith('"block_1/drop" is built for training only')
    plain = block(x)
    assert gn.summary([twice, plain]).notes == []

    other = Block()
    x = gn.Graph().placeholder("x", ("n", 4))
    plain = other(x)
    assert 'block_1/drop" is built for evaluating only' in gn.summary(plain).notes[0]
    other(x, training=True)
    assert gn.summary(plain).notes == []


def test_a_summary_names_each_batch_norm_and_dropout_that_is_built_for_training() -> None:
    x = gn.Graph().placeholder("x", ("batch", 4))
    drop, norm = nn.Dropout(0.5), nn.BatchNorm()
    network = nn.Sequential(nn.Dense(4), norm, drop, nn.BatchNorm(), drop, norm, nn.ReLU())
    (note,) = gn.summary(network(x, training=True)).notes
    assert note.startswith('"batch_norm_1", "dropout_1" and "batch_norm_2" are built for training only')
    assert gn.summary(network(x)).notes == []


def test_an_error_tells_in_which_batch_of_the_set_it_came():
    _, x, y, _, loss = built()
    wrong = np.where(np.arange(30) == 13, 9, Y)
    feeds = [{x: X[:6], y: Y[:6]}, {x: X[:6], y: wrong[12:18]}]

    def failing():
        yield feeds[0]
        raise OSError("no disk")

    def evaluated(data, **settings):
        return nn.evaluate(loss, data, **settings)

    def validated(data, **settings):
        return nn.fit(gn.compile(loss, nn.SGD(0.1).updates(loss)), {x: X, y: Y}, validation=data, **settings)

    for run, of in ((evaluated, "the set"), (validated, "the validation set")):
        for data, settings, note in (
            ({x: X, y: wrong}, {"batch_size": 6}, f"in batch 3 of 5 of {of}: rows 12 to 17"),
            (feeds, {}, f"in batch 2 of 2 of {of}"),
            (failing, {}, f"in batch 2 of {of}: the data raised this"),
        ):
            with pytest.raises((gn.LabelError, OSError)) as raised:
                run(data, **settings)
            assert raised.value.__notes__ == [note]


def test_updates_warn_of_a_loss_that_is_built_for_evaluation() -> None:
    x = gn.Graph().placeholder("x", ("n", 4))
    body = nn.Sequential(nn.Dense(4), nn.BatchNorm(), nn.Dropout(0.5))
    head = nn.Sequential(nn.Dense(2), nn.Dropout(0.5))
    loss = gn.mean(head(body(x)))
    with pytest.warns(gn.GraphnnWarning, match=r'"dropout_1", "dropout_2", "batch_norm_1" was built for') as told:
        nn.SGD(0.1).updates(loss)
    assert [warning.filename for warning in told] == [__file__]
    with pytest.warns(gn.GraphnnWarning, match=r'but "dropout_2" was built for evaluation: .* training=True'):
        nn.SGD(0.1).updates(loss, head.parameters)  # of the body, which is not trained, evaluation is the usual form
    right = gn.mean(head(body(x, training=True), training=True))
    assert nn.SGD(0.1).updates(right)  # warnings are errors
    half = gn.mean(nn.Sequential(nn.BatchNorm(use_weight=False, use_bias=False), nn.Dense(2))(x))
    assert nn.SGD(0.1).updates(half)


def test_updates_of_a_generator_do_not_warn_of_the_discriminator() -> None:
    g = gn.Graph()
    z, true = g.placeholder("z", ("n", 2)), g.placeholder("true", ("n", 4))
    generator = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dense(4))
    critic = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm(), nn.Dense(1))
    made = generator(z)
    fooled = gn.mean(critic(made))
    assert nn.SGD(0.1).updates(fooled, generator.parameters)  # warnings are errors
    told = r'but "dropout_1", "batch_norm_1" was built for'
    with pytest.warns(gn.GraphnnWarning, match=told):
        nn.SGD(0.1).updates(fooled, critic.parameters)
    with pytest.warns(gn.GraphnnWarning, match=told):
        nn.SGD(0.1).updates(fooled)
    loss = gn.mean(critic(true, training=True)) - gn.mean(critic(gn.stop_gradient(made), training=True))
    assert nn.SGD(0.1).updates(loss, critic.parameters)
    assert nn.SGD(0.1).updates(fooled, generator.parameters)


def test_updates_do_not_warn_where_evaluation_is_asked_for() -> None:
    class Frozen(nn.Layer):
        def __init__(self) -> None:
            self.dense, self.norm = nn.Dense(4), nn.BatchNorm()

        def call(self, x):  # type: ignore[no-untyped-def]
            return self.norm(self.dense(x), training=False)

    class HandsOn(nn.Layer):
        def __init__(self) -> None:
            self.drop = nn.Dropout(0.5)

        def call(self, x, training=False):  # type: ignore[no-untyped-def]
            return self.drop(x, training=training)

    x = gn.Graph().placeholder("x", ("n", 4))
    dense, noisy = nn.Dense(4), HandsOn()
    hidden = dense(x)
    meant = [
        nn.BatchNorm()(hidden, training=False),
        Frozen()(hidden, training=True),
        nn.Dropout(0.0)(hidden),
        noisy(hidden, training=False),
        nn.Sequential(nn.Dropout(0.5), nn.Dense(1))(hidden, training=False),
    ]
    for result in meant:
        assert nn.SGD(0.1).updates(gn.mean(result))  # warnings are errors
    image = x.graph.parameter("image", np.ones((1, 4)))
    network = nn.Sequential(nn.Dense(3), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(1))
    assert nn.SGD(0.1).updates(gn.mean(network(image)), [image])  # the network is not trained
    with pytest.warns(gn.GraphnnWarning, match=r"if evaluation is meant, network\(x, training=False\)"):
        nn.SGD(0.1).updates(gn.mean(HandsOn()(dense(x))))  # it hands False on, which nobody has written
    assert noisy(hidden) is hidden  # for a prediction; the loss of above is still meant
    nn.SGD(0.1).updates(gn.mean(meant[3]))
    unsaid = nn.BatchNorm()(hidden)
    x.graph.outputs["loss"] = gn.mean(unsaid)
    nn.SGD(0.1).updates(gn.extract("loss", x.graph)["loss"])  # of a copy, nobody knows
