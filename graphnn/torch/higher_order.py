"""What PyTorch's programs have inside of them: regions without gradients, recomputed ones, branches and loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import fn, is_float
from ..errors import NoRuleError
from .aliases import Tensor, unseen

if TYPE_CHECKING:
    from .reader import Reader

HIGHER_ORDER: dict[str, Callable[..., Any]] = {}


def _rule(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        HIGHER_ORDER[name] = function
        return function

    return register


@_rule("wrap_with_set_grad_enabled")
def grad_enabled(reader: Reader, node: Any, enabled: bool, module: Any, *operands: Any) -> Any:
    """Read a region; no gradient passes out of one under ``torch.no_grad()``.

    What such a region writes to is other numbers afterwards, with the gradient that it had before.
    """
    cells = {each.cell: each.cell.node for each in operands if isinstance(each, Tensor)}
    found = reader.read(module, operands)
    if enabled:
        return found
    written = {cell for cell, before in cells.items() if cell.node is not before}
    for cell in written:
        cell.node = unseen(cells[cell], cell.node)
        cell.writes += 1
    return without_gradient(found, written)


def without_gradient(found: Any, written: Any = ()) -> Any:
    """Return tensors through which no gradient passes, but for those of the cells that were written to."""
    if isinstance(found, (list, tuple)):
        return [without_gradient(each, written) for each in found]
    if isinstance(found, Tensor) and found.cell in written:
        return found
    if isinstance(found, Tensor) and is_float(found.node.spec.dtype):
        return Tensor.of(fn.stop_gradient(found.node))
    return found


@_rule("wrap_with_autocast")
def autocast(
    reader: Reader, node: Any, device: str, dtype: Any, enabled: bool, cache: Any, module: Any, *operands: Any
) -> Any:
    """Read a region whose dtypes PyTorch has chosen when it was exported."""
    return reader.read(module, operands)


@_rule("tag_activation_checkpoint")
@_rule("wrap_activation_checkpoint")
@_rule("invoke_subgraph")
def inline(reader: Reader, node: Any, module: Any, *operands: Any, **settings: Any) -> Any:
    """Read a region that is recomputed, or called again, as what it computes."""
    given = operands[1:] if operands and isinstance(operands[0], str) else operands
    return reader.read(module, given)


@_rule("while_loop")
def while_loop(reader: Reader, node: Any, *operands: Any) -> Any:
    """Refuse a loop that data end."""
    raise NoRuleError(
        "data decide how often this loop runs: write a loop of a fixed number of steps, in which torch.where keeps "
        "what is done, or gn.while_loop with max_steps="
    )
