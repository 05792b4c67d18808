"""What an optimizer updates: parameters with their gradients, in groups with settings of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..._util.hints import argument
from ..._util.text import short_repr, with_article
from ...core import Graph, Node
from ...core.fetches import ancestors, resolve
from ...core.graph_tables import checked_update
from ...errors import UsageError
from ..argument_validation import checked_flag
from ..layers.layer import Layer
from ..layers.layer_settings import settings_of

if TYPE_CHECKING:
    from .optimizer import Optimizer

_OWN = "parameters", "name", "trainable"
"""What a group says beside settings of its optimizer."""


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that are updated with the same settings.

    Attributes
    ----------
    name : str
        Of the scope of its learning rate and other numbers that its parameters share; "" for the optimizer's own.
    optimizer : Optimizer
        One with the settings of the group.
    parameters : list of Node
    is_trained : bool
    has_rate : bool
        Whether it has a learning rate of its own.
    """

    name: str
    optimizer: Optimizer
    parameters: list[Node]
    is_trained: bool = True
    has_rate: bool = False


def asked_for(
    loss: Any, parameters: Any, given: Any, groups: list[Group]
) -> tuple[list[Node], Mapping[Node, Node] | None]:
    """Return the parameters to update, and their gradients if they are given."""
    frozen = {node for group in groups if not group.is_trained for node in group.parameters}
    grouped = [node for group in groups if group.is_trained for node in group.parameters]
    if given is not None:
        if loss is not None or parameters is not None:
            other = "a loss" if loss is not None else "parameters="
            raise UsageError(f"gradients= already says what to update and how: leave out {other}")
        given = _checked_gradients(given)
        for node in grouped:
            if node not in given:
                raise UsageError(f'gradients= has none for "{node.name}", which is in a group')
        asked = list(given)
    else:
        if not isinstance(loss, Node):
            what = "; without one, give gradients={parameter: gradient}" if loss is None else ""
            raise UsageError(f"updates are made for a loss, which is a node, not {type(loss).__name__}{what}")
        asked = list(dict.fromkeys([*_chosen(loss, parameters, bool(groups)), *grouped]))
    chosen = [node for node in asked if node not in frozen]
    if not chosen:
        raise UsageError("there is nothing to update: no parameter is trained")
    return chosen, given


def _chosen(loss: Node, parameters: Iterable[Node | str] | Node | None, may_be_empty: bool) -> list[Node]:
    """Return the parameters that are asked for; by default, those that the loss depends on."""
    if parameters is None:
        needed = ancestors([loss])
        chosen = [p for p in loss.graph.parameters if p in needed]
        if not chosen:
            raise UsageError(f'"{loss.name}" depends on no trainable parameter: there is nothing to update')
        return chosen
    chosen = _trainable("parameters=", parameters, loss.graph)
    if not chosen and not may_be_empty:
        raise UsageError("parameters= is empty: there is nothing to update")
    return chosen


def _trainable(what: str, given: Any, graph: Graph | None = None) -> list[Node]:
    """Return trainable parameters that are given as nodes or by their names, each once."""
    if not isinstance(given, (str, Node, Iterable)):
        hint = ": write layer.parameters" if isinstance(given, Layer) else ""
        raise UsageError(f"{what} takes nodes or their names, not {type(given).__name__}{hint}")
    given = [given] if isinstance(given, (str, Node)) else list(given)
    chosen = list(dict.fromkeys(resolve(given, graph)[1])) if given else []
    for node in chosen:
        if not node.trainable:
            why = "is not trainable" if node.op.is_parameter else f"is {with_article(node.op.name)}"
            raise UsageError(f'{what} takes trainable parameters; "{node.name}" {why}')
    return chosen


def _checked_gradients(given: Any) -> dict[Node, Node]:
    if not (isinstance(given, Mapping) and given):
        raise UsageError("gradients= takes {parameter: node of its gradient}, and at least one")
    graph, nodes, _ = resolve(list(given), others=given.values())
    _trainable("gradients=", nodes)
    pairs = zip(nodes, given.values(), strict=True)
    found = dict(checked_update(graph, node, gradient, "gradient") for node, gradient in pairs)
    if len(found) < len(nodes):
        raise UsageError("gradients= has a parameter twice, by the node and by its name")
    return found


def checked_groups(optimizer: Optimizer, groups: Any, loss: Any, gradients: Any) -> list[Group]:
    """Return the groups that are given as mappings. Names in them are looked up in the graph of the loss or gradients.

    Raises
    ------
    UsageError
        When a group has an unknown setting, or no parameters, or settings though it is not trained; when a parameter is
        in two groups, or two groups have one name.
    """
    if isinstance(groups, (str, Mapping)) or not isinstance(groups, Iterable):
        raise UsageError(
            f'groups= takes a list of {{"parameters": …, "learning_rate": …}}, not {type(groups).__name__}'
        )
    groups = list(groups)
    if not groups:
        return []
    told = [loss, *gradients, *gradients.values()] if isinstance(gradients, Mapping) else [loss]
    graph = next((node.graph for node in told if isinstance(node, Node)), None)
    found = [_checked_group(optimizer, group, graph, i) for i, group in enumerate(groups, start=1)]
    names = [group.name for group in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'two groups have the name "{name}"')
    where: dict[Node, str] = {}
    for group in found:
        for node in group.parameters:
            if node in where:
                raise UsageError(f'"{node.name}" is in two groups: "{where[node]}" and "{group.name}"')
            where[node] = group.name
    return found


def _checked_group(optimizer: Optimizer, group: Any, graph: Graph | None, number: int) -> Group:
    kind = type(optimizer).__name__
    if not isinstance(group, Mapping):
        raise UsageError(f'a group is {{"parameters": …, "learning_rate": …}}, not {type(group).__name__}')
    known = [*_OWN, *(name for name in settings_of(type(optimizer)) if name not in optimizer.for_all)]
    for setting in group:
        if why := optimizer.for_all.get(setting):
            raise UsageError(f'{kind}: "{setting}" is not for one group: {why}')
        if setting not in known:
            hint = ' Here it is "parameters".' if setting == "params" else argument(str(setting), known)
            raise UsageError(
                f"{kind}: a group has no setting {short_repr(setting)}.{hint} A group may have {', '.join(known)}"
            )
    if "parameters" not in group:
        raise UsageError(f'{kind}: a group needs "parameters", those that its settings are for')
    name = group.get("name", f"group_{number}")
    if not isinstance(name, str) or not name or "\0" in name:
        raise UsageError(f"{kind}: the name of a group is text without NUL, and not empty; it is {short_repr(name)}")
    settings = {setting: value for setting, value in group.items() if setting not in _OWN}
    if settings and group.get("trainable") is False:
        raise UsageError(f'{kind}: a group with "trainable": False has no settings: leave out {", ".join(settings)}')
    return Group(
        name,
        optimizer._with(settings),
        _trainable('"parameters" of a group', group["parameters"], graph),
        checked_flag(f'{kind}: "trainable" of a group', group.get("trainable", True)),
        "learning_rate" in settings,
    )
