"""Operations that PyTorch takes apart, where graphnn has no rule for them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any


def decomposed(torch: Any, node: Any) -> tuple[Any, list[Any]]:
    """Return a call as a program of other operations, and the operands of that program; None where PyTorch has none.

    Parameters
    ----------
    torch : module
    node : torch.fx.Node
        The call.
    """
    from torch._decomp import decomposition_table
    from torch._guards import detect_fake_mode
    from torch.fx.experimental.proxy_tensor import make_fx

    target = node.target
    function = decomposition_table.get(target)
    if function is None:
        if not target._can_decompose():
            return None, []
        function = target.decompose
    operands = [each for each in node.all_input_nodes if isinstance(each.meta.get("val"), torch.Tensor)]
    fixed = {each: each.meta["val"] for each in node.all_input_nodes if each not in operands}

    def once(*tensors: Any) -> Any:
        given = {**fixed, **dict(zip(operands, tensors, strict=True))}
        args, kwargs = torch.fx.node.map_arg((node.args, dict(node.kwargs)), given.__getitem__)
        return function(*args, **kwargs)

    examples = [each.meta["val"] for each in operands]
    # Within the mode of the examples, so that tensors made inside tell, as these do, which of them share elements.
    with detect_fake_mode(examples) or nullcontext():
        module = make_fx(once)(*examples)
    module.meta["inner"] = True
    return module, operands
