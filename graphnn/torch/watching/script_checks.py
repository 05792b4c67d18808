"""What a PyTorch script does around its model: which gradients it starts from, and what its step changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...debugger.health.check_registry import declare
from ...debugger.health.findings import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...core import Node
    from ...debugger.health.findings import Finding

not_zeroed = declare(
    "not-zeroed",
    "a step of a PyTorch script adds its gradients to those of an earlier step",
    "call optimizer.zero_grad() before loss.backward()",
)
left_out = declare(
    "left-out",
    "the optimizer of a PyTorch script does not change some trained parameters that have gradients",
    "give the optimizer all of them, optimizer = AdamW(model.parameters()); or freeze them, "
    "parameter.requires_grad_(False)",
)
unregistered = declare(
    "unregistered",
    "a PyTorch model computes with parameters that it does not list, so that no optimizer is given them",
    "keep modules in nn.ModuleList or nn.ModuleDict, or as attributes, not in a list or a dict",
)
detached = declare(
    "detached",
    "no gradient reaches some trained parameters of a PyTorch model",
    "leave x.detach(), torch.no_grad() and .data out between them and the loss; or freeze them, "
    "parameter.requires_grad_(False)",
)
evaluating = declare(
    "evaluating",
    "a PyTorch module is trained while it is in evaluation mode",
    "call model.train() before the loop, and model.eval() only around evaluations",
)
one_module = declare(
    "one-module",
    "one PyTorch module stands in several places of a model, so these have the same weights",
    "make a module for each place, nn.ModuleList(Layer() for _ in range(n)), not [Layer()] * n; if the weights are "
    "meant to be shared, call one module several times",
)


def of_script(step: Any) -> Iterator[Finding]:
    """Yield what is found in a recorded step beside its operations, about nodes of its graph."""
    graph = step.graph
    parameters = [node for node in graph if node.trainable]
    backward: dict[Node, list[Node]] = {node: [] for node in parameters}
    for node in graph:
        if node.phase == "backward" and node.twin in backward:
            backward[node.twin].append(node)
    yield from _not_zeroed(step)
    facts = getattr(step, "facts", {})
    strays = [graph[name] for name in facts.get("unregistered", ())]
    if strays:
        cause = f"the model does not list {len(strays)} of the parameters that it computes with, first here"
        yield unregistered.of(strays[0], cause)
    parameters = [node for node in parameters if node not in strays]
    trained = any(backward.values())
    changed = [node for node in parameters if node in graph.updates]
    left = [node for node in parameters if backward[node] and node not in graph.updates]
    if changed and left:
        yield left_out.of(
            left[0], f"the optimizer does not hold {listed(left)}: they have gradients and stay as they were"
        )
    cut = [node for node in parameters if not backward[node]]
    if trained and cut:
        yield _detached(cut)
    if trained and (modes := facts.get("evaluating")):
        first = _first_in(graph, modes)
        if first is not None:
            yield evaluating.of(first, f"{listed_paths(modes)} {'is' if len(modes) == 1 else 'are'} in evaluation mode")
    for path, others in facts.get("shared", {}).items():
        first = _first_in(graph, [path, *others])
        if first is not None:
            yield one_module.of(first, f"{listed_paths([path, *others])} are one module, with one set of weights")


def _not_zeroed(step: Any) -> Iterator[Finding]:
    """Look for gradients from before the step to which its backward pass adds."""
    if not step.trace.has_values:
        return
    old: dict[Node, Node] = {}
    for node in step.graph:
        if node.op.is_parameter and node.name.endswith(".grad") and np.any(step.trace[node].value):
            added = next((each for each in node.users if each.phase == "backward"), None)
            if added is not None:
                old[node] = added
    if old:
        cause = f"loss.backward() adds to {listed(old)}, which the step before has left"
        yield not_zeroed.of(next(iter(old.values())), cause)


def _detached(cut: list[Node]) -> Finding:
    """Return the finding about parameters that have no gradient: where a detach() is on the way, at that."""
    cause = f"no gradient reaches {listed(cut)}"
    waiting, seen = list(cut), set(cut)
    while waiting:
        node = waiting.pop(0)
        for user in node.users:
            if user in seen or user.phase != "forward":
                continue
            # What PyTorch detaches to keep for the backward pass is read by nothing else.
            if user.op.name == "aten.detach" and any(each.phase == "forward" for each in user.users):
                return detached.of(user, f"{cause}: they are detached here")
            seen.add(user)
            waiting.append(user)
    return detached.of(cut[0], cause)


def _first_in(graph: Any, paths: list[str]) -> Node | None:
    """Return the first call that is made in one of some modules."""
    return next((node for node in graph if node.scope in paths and not node.op.is_leaf), None)


def listed_paths(paths: list[str], most: int = 4) -> str:
    """Return the paths of modules in words."""
    shown = ", ".join(paths[:most])
    return shown if len(paths) <= most else f"{shown} and {len(paths) - most} more"
