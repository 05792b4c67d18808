"""Time how a transformer continues a text by 256 tokens, one after the other, with a cache, beside PyTorch.

    python tests/benchmarks/generation.py [--engines native,numpy,torch] [--rounds 5] [--seconds 1.0]

A causal transformer, normalized before each part, with GELU by tanh, in float32. It reads a prompt of 16 tokens, and
takes the most probable token each time. PyTorch runs eagerly, without gradients, and writes into a cache of the whole
length, of which each step reads what is there. All engines start from the same weights, and must give the same text.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import measure

ENGINES = ("torch", "native", "numpy")
PROMPT, NEW, VOCABULARY, HEADS = 16, 256, 512, 4


class Form(NamedTuple):
    """How large the transformer is."""

    blocks: int
    units: int
    batch: int


FORMS = {
    "2 blocks of 64, one text": Form(2, 64, 1),
    "4 blocks of 256, one text": Form(4, 256, 1),
    "4 blocks of 256, 8 texts": Form(4, 256, 8),
}


def start(form: Form) -> tuple[dict[str, np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Return the weights by name, and the prompts."""
    rng = np.random.default_rng(0)
    units, weights = form.units, dict[str, np.ndarray[Any, Any]]()

    def dense(name: str, inputs: int, outputs: int) -> None:
        weights[f"{name}.weight"] = (rng.standard_normal((inputs, outputs)) * 1.5 * inputs**-0.5).astype("f")
        weights[f"{name}.bias"] = (rng.standard_normal(outputs) * 0.1).astype("f")

    weights["embedding.weight"] = rng.standard_normal((VOCABULARY, units)).astype("f")
    weights["positions.weight"] = rng.standard_normal((PROMPT + NEW, units)).astype("f")
    for block in range(form.blocks):
        for part in ("query", "key", "value", "output"):
            dense(f"blocks.{block}.attention.{part}", units, units)
        dense(f"blocks.{block}.hidden", units, 4 * units)
        dense(f"blocks.{block}.output", 4 * units, units)
    dense("output", units, VOCABULARY)
    return weights, rng.integers(0, VOCABULARY, (form.batch, PROMPT))


def with_graphnn(form: Form, backend: str) -> Callable[[], np.ndarray[Any, Any]]:
    import graphnn as gn  # only this process needs it
    from graphnn import nn

    weights, texts = start(form)

    class Model(nn.Layer):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(VOCABULARY, form.units)
            self.positions = nn.PositionEmbedding(PROMPT + NEW)
            settings: dict[str, Any] = {"causal": True, "norm": "before", "activation": lambda x: gn.gelu(x, "tanh")}
            self.blocks = [nn.TransformerBlock(HEADS, 4 * form.units, **settings) for _ in range(form.blocks)]
            self.output = nn.Dense(VOCABULARY)

        def call(self, tokens: Any, caches: Any = None) -> Any:
            x = self.embedding(tokens)
            caches = [block.cache(x, PROMPT + NEW) for block in self.blocks] if caches is None else list(caches)
            x = self.positions(x, start=caches[0]["length"])
            for i, block in enumerate(self.blocks):
                x, caches[i] = block(x, cache=caches[i])
            return self.output(x[:, -1]), caches

    g = gn.Graph("generation", dtype="float32")
    prompt = g.placeholder("prompt", texts.shape, np.int64)
    model = Model()
    logits, caches = model(prompt)

    def step(state: Any) -> Any:
        token, caches = state
        logits, caches = model(gn.expand_dims(token, 1), caches=caches)
        return (gn.argmax(logits, axis=-1), caches), token

    _, tokens = gn.scan(step, (gn.argmax(logits, axis=-1), caches), length=NEW)
    norms = {name: value for name, value in model.state_dict().items() if "norm" in name}
    model.load_state_dict(norms | weights)
    run = gn.compile(tokens, backend=backend)
    return lambda: np.asarray(run({prompt: texts})).T


def with_torch(form: Form) -> Callable[[], np.ndarray[Any, Any]]:
    import torch  # only this process needs it
    from torch.nn import functional as f

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    weights, texts = start(form)
    w = {n: torch.from_numpy(x if n.startswith(("emb", "pos")) else x.T.copy()) for n, x in weights.items()}
    prompt, size = torch.from_numpy(texts), form.units // HEADS
    shape = form.batch, HEADS, PROMPT + NEW, size
    caches = [(torch.empty(shape), torch.empty(shape)) for _ in range(form.blocks)]

    def dense(x: Any, name: str) -> Any:
        return f.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def model(tokens: Any, at: int) -> Any:
        time = tokens.shape[1]
        x = f.embedding(tokens, w["embedding.weight"]) + w["positions.weight"][at : at + time]
        for block, (keys, values) in enumerate(caches):
            name = f"blocks.{block}"
            y = f.layer_norm(x, x.shape[-1:])
            q, k, v = (
                dense(y, f"{name}.attention.{part}").view(form.batch, time, HEADS, size).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            keys[:, :, at : at + time], values[:, :, at : at + time] = k, v
            seen = keys[:, :, : at + time], values[:, :, : at + time]
            y = f.scaled_dot_product_attention(q, *seen, is_causal=time > 1)
            x = x + dense(y.transpose(1, 2).reshape(form.batch, time, form.units), f"{name}.attention.output")
            y = f.gelu(dense(f.layer_norm(x, x.shape[-1:]), f"{name}.hidden"), approximate="tanh")
            x = x + dense(y, f"{name}.output")
        return dense(x[:, -1], "output").argmax(-1)

    def generate() -> np.ndarray[Any, Any]:
        token = model(prompt, 0)
        found = [token]
        for at in range(PROMPT, PROMPT + NEW - 1):
            token = model(token[:, None], at)
            found.append(token)
        return np.asarray(torch.stack(found, 1))

    return generate


def work(engine: str, form: str, seconds: float) -> None:
    """Write the text, and the least time that it takes."""
    measure.pin(1)
    generate = with_torch(FORMS[form]) if engine == "torch" else with_graphnn(FORMS[form], engine)
    text = generate().tolist()
    calls = measure.warmed_up(generate)
    sys.stdout.write(json.dumps({"text": text, "time": measure.least(generate, calls, seconds).cpu}))


def main() -> None:
    """Write how long a token takes, in microseconds, and as a ratio to PyTorch's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--forms", default=",".join(map(str, range(len(FORMS)))), help="numbers of the sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--work", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.form, given.seconds)
        return
    for form in [list(FORMS)[int(number)] for number in given.forms.split(",")]:
        least: dict[str, float] = {}
        texts: dict[str, list[list[int]]] = {}
        for _ in range(given.rounds):
            for engine in given.engines.split(","):
                task = ["--work", engine, "--form", form, "--seconds", str(given.seconds)]
                command = [sys.executable, __file__, *task]
                made = subprocess.run(command, env=measure.environment(1), stdout=subprocess.PIPE, check=True)
                found = json.loads(made.stdout)
                texts[engine] = found["text"]
                least[engine] = min(least.get(engine, float("inf")), found["time"])
        first = next(iter(texts.values()))
        if any(text != first for text in texts.values()):
            raise SystemExit(f"{form}: the texts differ")
        for engine, seconds in least.items():
            ratio = f", {seconds / least['torch']:.2f} of PyTorch" if "torch" in least else ""
            sys.stdout.write(f"{form}: {engine}: {seconds / NEW * 1e6:.1f} µs a token{ratio}\n")


if __name__ == "__main__":
    main()
