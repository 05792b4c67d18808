"""The networks in JAX: gradient and update in one jitted function, which may write over what it is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Training
from . import DISCOUNT, HEADS, Network, World

Parameters = dict[str, Any]


def jitted(network: Network) -> Training:
    """Return the jitted step; the cells of an LSTM are a `scan`, as one writes them in JAX."""
    jax.config.update("jax_enable_x64", next(iter(network.start.values())).dtype == np.float64)
    parameters = {name: jnp.asarray(value) for name, value in network.start.items()}
    if network.kind == "actor_critic":
        return _actor_critic(network, parameters)
    loss_of, adam = partial(_LOSSES[network.kind], network), network.kind != "lstm"
    data = {name: jnp.asarray(value) for name, value in network.data.items()}
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, jax.tree.map(jnp.zeros_like, zeros), jnp.zeros((), jnp.int32))

    @partial(jax.jit, donate_argnums=0)
    def advanced(state: Any, data: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(state[0], data)
        return loss, (_adam if adam else _descended)(state, gradients, network.rate)

    def step() -> float:
        nonlocal state
        loss, state = advanced(state, data)
        return float(loss)

    return Training(step, lambda: [np.array(each) for each in state[0].values()])


def _descended(state: Any, gradients: Parameters, rate: float) -> Any:
    return jax.tree.map(lambda p, d: p - rate * d, state[0], gradients), *state[1:]


def _adam(state: Any, gradients: Parameters, rate: float) -> Any:
    parameters, means, squares, count = state
    count = count + 1
    means = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, means, gradients)
    squares = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, squares, gradients)
    size, root = rate / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    moved = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) / root + 1e-8), parameters, means, squares)
    return moved, means, squares, count


def _dense(parameters: Parameters, name: str, x: Any) -> Any:
    return x @ parameters[f"{name}/weight"] + parameters[f"{name}/bias"]


def _crossentropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1).mean()


def _actor_critic(network: Network, parameters: Parameters) -> Training:
    world, cells = World(), [jnp.asarray(cell) for cell in network.data["cells"]]

    @jax.jit
    def act(parameters: Parameters, cell: Any) -> Any:
        return jax.nn.softmax(_dense(parameters, "policy", jnp.tanh(_dense(parameters, "hidden", cell))))[0]

    def loss_of(parameters: Parameters, cell: Any, action: Any, reward: Any, following: Any, goes_on: Any) -> Any:
        hidden = jnp.tanh(_dense(parameters, "hidden", cell))
        then = _dense(parameters, "value", jnp.tanh(_dense(parameters, "hidden", following)))[0, 0]
        error = jax.lax.stop_gradient(reward + DISCOUNT * goes_on * then) - _dense(parameters, "value", hidden)[0, 0]
        logs = jax.nn.log_softmax(_dense(parameters, "policy", hidden))[0]
        return 0.5 * error**2 - logs[action] * jax.lax.stop_gradient(error)

    @partial(jax.jit, donate_argnums=0)
    def learn(parameters: Parameters, *moved: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *moved)
        return loss, jax.tree.map(lambda p, d: p - network.rate * d, parameters, gradients)

    def step() -> float:
        nonlocal parameters
        moved = world.move(np.asarray(act(parameters, cells[world.cell])).tolist())
        loss, parameters = learn(
            parameters, cells[moved.cell], moved.action, moved.reward, cells[moved.following], moved.goes_on
        )
        return float(loss)

    return Training(step, lambda: [np.array(each) for each in parameters.values()])


def _transformer(network: Network, parameters: Parameters, data: Parameters) -> Any:
    length = data["text"].shape[1]
    causal = np.tril(np.ones((length, length), bool))
    h = parameters["tokens"][data["text"]] + parameters["places"]

    def norm(name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * parameters[f"{name}/gain"] + parameters[f"{name}/shift"]

    def heads(x: Any) -> Any:
        return x.reshape(*x.shape[:-1], HEADS, -1).swapaxes(-2, -3)

    for layer in range(network.blocks):
        x = norm(f"{layer}/norm1", h)
        q, k, v = (heads(_dense(parameters, f"{layer}/{part}", x)) for part in ("query", "key", "value"))
        scores = jnp.where(causal, q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5, -jnp.inf)
        h = h + _dense(parameters, f"{layer}/mixed", (jax.nn.softmax(scores) @ v).swapaxes(-2, -3).reshape(h.shape))
        up = _dense(parameters, f"{layer}/up", norm(f"{layer}/norm2", h))
        h = h + _dense(parameters, f"{layer}/down", jax.nn.gelu(up, approximate=network.gelu == "tanh"))
    return _crossentropy(_dense(parameters, "logits", norm("norm", h)), data["next"])


def _lstm(_: Network, parameters: Parameters, data: Parameters) -> Any:
    start = jnp.zeros((len(data["X"]), len(parameters["recurrent/weight"])), data["X"].dtype)

    def cell(state: Any, x: Any) -> Any:
        h, c = state
        gates = _dense(parameters, "input", x) + h @ parameters["recurrent/weight"]
        take, keep, new, give = jnp.split(gates, 4, -1)
        c = jax.nn.sigmoid(keep) * c + jax.nn.sigmoid(take) * jnp.tanh(new)
        h = jax.nn.sigmoid(give) * jnp.tanh(c)
        return (h, c), h

    states = jax.lax.scan(cell, (start, start), data["X"].swapaxes(0, 1))[1]
    counted = data["labels"].shape[1]
    return _crossentropy(_dense(parameters, "logits", states[-counted:].swapaxes(0, 1)), data["labels"])


def _layers(_: Network, parameters: Parameters, data: Parameters) -> Any:
    last, h = len(parameters) // 2 - 1, data["X"]
    for layer in range(last):
        h = jnp.tanh(_dense(parameters, str(layer), h))
    return _crossentropy(_dense(parameters, str(last), h), data["labels"])


_LOSSES: dict[str, Callable[[Network, Parameters, Parameters], Any]] = {
    "transformer": _transformer,
    "lstm": _lstm,
    "layers": _layers,
}
