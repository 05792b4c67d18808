"""Texts generated position by position, with a cache, against the whole text at once."""

import numpy as np
import pytest
from everywhere import BACKENDS, PLANS

import graphnn as gn
from graphnn import nn
from graphnn.errors import AxisError, UsageError

VOCABULARY, UNITS, LONGEST, NEW = 11, 8, 10, 5
PROMPT = np.random.default_rng(1).integers(0, VOCABULARY, (2, 4))


class Model(nn.Layer):
    """A small transformer that gives the logits of the next token."""

    def __init__(self, norm="before", causal=True, learned=True):
        rng = np.random.default_rng(0)
        self.embedding = nn.Embedding(VOCABULARY, UNITS, rng=rng)
        far = nn.init.normal(0.0, 1.0)
        self.positions = nn.PositionEmbedding(LONGEST, weight_init=far, rng=rng) if learned else nn.SinusoidalEncoding()
        self.blocks = [nn.TransformerBlock(2, 16, causal, norm=norm, rng=rng) for _ in range(2)]
        self.output = nn.Dense(VOCABULARY, rng=rng)

    def call(self, tokens, caches=None):
        """Return the logits, and the next caches if there are any."""
        x = self.positions(self.embedding(tokens), start=None if caches is None else caches[0]["length"])
        following = []
        for i, block in enumerate(self.blocks):
            if caches is None:
                x = block(x)
            else:
                x, cache = block(x, cache=caches[i])
                following.append(cache)
        return self.output(x) if caches is None else (self.output(x), following)

    def caches(self, tokens):
        """Return empty caches."""
        x = self.embedding(tokens)
        return [block.cache(x, LONGEST) for block in self.blocks]


def generated(model, prompt, chosen, count=NEW):
    """Return the tokens that follow a prompt, and the logits of which each was chosen."""
    logits, caches = model(prompt, caches=model.caches(prompt))
    first = logits[:, -1]

    def step(state):
        logits, caches = state
        token = chosen(logits)
        following, caches = model(gn.expand_dims(token, 1), caches=caches)
        return (following[:, -1], caches), (token, logits)

    _, (tokens, each) = gn.scan(step, (first, caches), length=count)
    return [gn.swapaxes(tokens, 0, 1), gn.swapaxes(each, 0, 1)]


def greedy(logits):
    return gn.argmax(logits, axis=-1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("norm", "learned"), [("before", True), ("after", False)])
def test_a_text_made_with_a_cache_is_that_of_the_whole_without_one(norm, learned, backend):
    g = gn.Graph()
    prompt, text = g.placeholder("prompt", ("batch", "time"), int), g.placeholder("text", ("batch", "all"), int)
    model = Model(norm, learned=learned)
    run = gn.compile(generated(model, prompt, greedy), backend=backend)
    for time in (4, 4, 4, 1):
        tokens, logits = run({prompt: PROMPT[:, :time]})
        whole = np.concatenate([PROMPT[:, :time], tokens], 1)
        wanted = gn.run(model(text), {text: whole})[:, time - 1 : -1]
        np.testing.assert_allclose(logits, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(tokens, wanted.argmax(-1))


def test_a_text_may_be_drawn_and_is_the_same_in_every_run():
    g = gn.Graph()
    prompt, text = g.placeholder("prompt", ("batch", 4), int), g.placeholder("text", ("batch", "all"), int)
    counter = g.parameter("counter", np.int64(7), trainable=False)
    model = Model()
    found = generated(model, prompt, lambda logits: gn.categorical(counter, logits, seed=3))
    tokens, logits = gn.run(found, {prompt: PROMPT})
    for backend in PLANS:
        step = gn.compile(found, backend=backend)
        for _ in range(3):
            again, _ = step({prompt: PROMPT})
        np.testing.assert_array_equal(again, tokens)
    wanted = gn.run(model(text), {text: np.concatenate([PROMPT, tokens], 1)})[:, 3:-1]
    np.testing.assert_allclose(logits, wanted, rtol=1e-12, atol=1e-12)
    assert (tokens != wanted.argmax(-1)).any()


def test_without_a_causal_mask_a_query_attends_to_all_that_the_cache_holds():
    g = gn.Graph()
    attention = nn.MultiHeadAttention(2, rng=np.random.default_rng(0))
    x = g.placeholder("x", (2, 6, UNITS))
    first, cache = attention(x[:, :4], cache=attention.cache(x, 8))
    second, cache = attention(x[:, 4:], cache=cache)
    found = [first, second, cache["length"], attention(x[:, :4]), attention(x[:, 4:], x)]
    one, other, length, short, whole = gn.run(found, {x: np.random.default_rng(0).normal(size=(2, 6, UNITS))})
    np.testing.assert_allclose(one, short, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(other, whole, rtol=1e-12, atol=1e-12)
    assert length == 6


def test_gradients_go_through_a_cache():
    g = gn.Graph()
    attention = nn.MultiHeadAttention(2, causal=True, rng=np.random.default_rng(0))
    x = g.placeholder("x", (2, 3, UNITS))
    _, rows = gn.scan(
        lambda cache, row: attention(gn.expand_dims(row, 1), cache=cache)[::-1],
        attention.cache(x, 5),
        gn.swapaxes(x, 0, 1),
    )
    losses = [gn.sum(gn.swapaxes(rows[:, :, 0], 0, 1) ** 3.0), gn.sum(attention(x) ** 3.0)]
    wrt = [x, *attention.parameters]
    feed = {x: np.random.default_rng(0).normal(size=(2, 3, UNITS))}
    for ours, theirs in zip(*gn.run([gn.grad(loss, wrt) for loss in losses], feed), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def test_what_a_cache_does_not_fit_is_refused():
    g = gn.Graph()
    prompt = g.placeholder("prompt", ("batch", 4), int)
    with pytest.raises(AxisError, match=r"scan_1@6/.*update_slice: 1 elements from 10 on"):
        gn.run(generated(Model(learned=False), prompt, greedy, 7), {prompt: PROMPT})
    x = g.placeholder("x", (2, 3, UNITS))
    attention = nn.MultiHeadAttention(2)
    with pytest.raises(UsageError, match="with cache=, the query is also key and value"):
        attention(x, x, cache=attention.cache(x, 5))
    for cache in (3, {"keys": x}, (x, x)):
        with pytest.raises(UsageError, match="cache= is what the method cache"):
            attention(x, cache=cache)
