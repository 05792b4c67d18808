"""The networks in PyTorch, eager."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch.nn import functional

from .. import Training
from . import DISCOUNT, HEADS, Network, World

Parameters = dict[str, torch.Tensor]


def eager(network: Network) -> Training:
    """Return the step, in functions and with the fused operations that PyTorch has for them."""
    parameters = _given(network)
    if network.kind == "actor_critic":
        return _actor_critic(network, parameters)
    loss = _LOSSES[network.kind](network, parameters)
    if network.kind == "lstm":
        return _descending(network, parameters, loss)
    optimizer = torch.optim.Adam(parameters.values(), lr=network.rate, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        optimizer.step()
        return found.item()

    return Training(step, lambda: [each.detach().numpy().copy() for each in parameters.values()])


def whole_lstm(network: Network) -> Training:
    """Return the step with `torch.nn.LSTM`, which goes over all steps at once."""
    parameters = _given(network)
    X, labels = torch.from_numpy(network.data["X"]), torch.from_numpy(network.data["labels"])
    units, inputs = parameters["recurrent/weight"].shape[0], X.shape[-1]
    layer = torch.nn.LSTM(inputs, units, batch_first=True).to(X.dtype)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(parameters["input/weight"].T)
        layer.weight_hh_l0.copy_(parameters["recurrent/weight"].T)
        layer.bias_ih_l0.copy_(parameters["input/bias"])
        layer.bias_hh_l0.zero_()
    layer.bias_hh_l0.requires_grad_(False)
    head = {name: parameters[name] for name in ("logits/weight", "logits/bias")}
    trained = {
        "input/weight": layer.weight_ih_l0,
        "recurrent/weight": layer.weight_hh_l0,
        "input/bias": layer.bias_ih_l0,
    }

    def loss() -> torch.Tensor:
        return _crossentropy(_dense(head, "logits", layer(X)[0][:, -labels.shape[1] :]), labels)

    return _descending(network, trained | head, loss)


def _given(network: Network) -> Parameters:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in network.start.items()}


def _descending(network: Network, parameters: Parameters, loss: Callable[[], torch.Tensor]) -> Training:
    def step() -> float:
        found = loss()
        _descend(found, parameters, network.rate)
        return found.item()

    return Training(step, lambda: [each.detach().numpy().copy() for each in parameters.values()])


def _descend(loss: torch.Tensor, parameters: Parameters, rate: float) -> None:
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    with torch.no_grad():
        for parameter, gradient in zip(parameters.values(), gradients, strict=True):
            parameter.sub_(gradient, alpha=rate)


def _dense(parameters: Parameters, name: str, x: torch.Tensor) -> torch.Tensor:
    weight, bias = parameters[f"{name}/weight"], parameters[f"{name}/bias"]
    return torch.addmm(bias, x, weight) if x.ndim == 2 else x @ weight + bias


def _crossentropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def _actor_critic(network: Network, parameters: Parameters) -> Training:
    world, cells = World(), torch.from_numpy(network.data["cells"])

    def step() -> float:
        hidden = torch.tanh(_dense(parameters, "hidden", cells[world.cell]))
        logs = torch.log_softmax(_dense(parameters, "policy", hidden), 1)
        value = _dense(parameters, "value", hidden)
        moved = world.move(logs.detach().exp()[0].tolist())
        with torch.no_grad():
            then = _dense(parameters, "value", torch.tanh(_dense(parameters, "hidden", cells[moved.following])))
        error = moved.reward + DISCOUNT * moved.goes_on * then - value
        loss = (0.5 * error.square() - logs[0, moved.action] * error.detach()).squeeze()
        _descend(loss, parameters, network.rate)
        return loss.item()

    return Training(step, lambda: [each.detach().numpy().copy() for each in parameters.values()])


def _transformer(network: Network, parameters: Parameters) -> Callable[[], torch.Tensor]:
    text, following = torch.from_numpy(network.data["text"]), torch.from_numpy(network.data["next"])
    units = parameters["tokens"].shape[1]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (units,), parameters[f"{name}/gain"], parameters[f"{name}/shift"], 1e-5)

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(-2, -3)

    def loss() -> torch.Tensor:
        h = functional.embedding(text, parameters["tokens"]) + parameters["places"]
        for layer in range(network.blocks):
            x = norm(f"{layer}/norm1", h)
            q, k, v = (heads(_dense(parameters, f"{layer}/{part}", x)) for part in ("query", "key", "value"))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(-2, -3).flatten(-2)
            h = h + _dense(parameters, f"{layer}/mixed", mixed)
            up = _dense(parameters, f"{layer}/up", norm(f"{layer}/norm2", h))
            h = h + _dense(parameters, f"{layer}/down", functional.gelu(up, approximate=network.gelu))
        logits = _dense(parameters, "logits", norm("norm", h))
        return _crossentropy(logits, following)

    return loss


def _lstm(network: Network, parameters: Parameters) -> Callable[[], torch.Tensor]:
    X, labels = torch.from_numpy(network.data["X"]), torch.from_numpy(network.data["labels"])
    start = torch.zeros(len(X), len(parameters["recurrent/weight"]), dtype=X.dtype)
    zeros = torch.zeros_like(parameters["input/bias"])  # the second bias, which is one too many

    def loss() -> torch.Tensor:
        h = c = start
        weights = parameters["input/weight"].T, parameters["recurrent/weight"].T, parameters["input/bias"], zeros
        states = []
        for x in X.unbind(1):
            h, c = torch.lstm_cell(x, (h, c), *weights)
            states.append(h)
        return _crossentropy(_dense(parameters, "logits", torch.stack(states[-labels.shape[1] :], 1)), labels)

    return loss


def _layers(network: Network, parameters: Parameters) -> Callable[[], torch.Tensor]:
    X, labels = torch.from_numpy(network.data["X"]), torch.from_numpy(network.data["labels"])
    last = len(parameters) // 2 - 1

    def loss() -> torch.Tensor:
        h = X
        for layer in range(last):
            h = torch.tanh(_dense(parameters, str(layer), h))
        return functional.cross_entropy(_dense(parameters, str(last), h), labels)

    return loss


_LOSSES = {"transformer": _transformer, "lstm": _lstm, "layers": _layers}
