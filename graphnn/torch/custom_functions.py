"""What PyTorch's export loses of gradients: those that a module writes itself, and those that it asks for.

While a module is exported, its functions, of ``torch.autograd.Function``, run under our hand: forward, and backward for
cotangents that are zeros. All of it goes into the program, with a call that says which tensors are which. Backward is
linear in the cotangents, so its transpose, which is the gradient of backward itself, gives what has backward as its
gradient.

``torch.autograd.grad`` becomes a call that says of what and to what; its rule adds the nodes of the gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..autodiff.grad import vjp
from ..core import Node, fn
from ..errors import GraphnnWarning, NoRuleError
from .aten.table import aten

if TYPE_CHECKING:
    from .aten.call import Call


class _Context:
    """What stands for PyTorch's `ctx`: it keeps what forward leaves for backward."""

    def __init__(self, args: Any, torch: Any) -> None:
        self.saved_tensors: tuple[Any, ...] = ()
        self.needs_input_grad = tuple(isinstance(each, torch.Tensor) and each.is_floating_point() for each in args)
        self.without: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_non_differentiable(self, *tensors: Any) -> None:
        self.without = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        raise NoRuleError("a function that writes to its operands, by ctx.mark_dirty: return a new tensor")

    def set_materialize_grads(self, value: bool) -> None:
        pass


@contextmanager
def traced(torch: Any) -> Iterator[None]:
    """Have functions with a backward of their own leave it in the program that is exported."""
    _call(torch)
    kind = torch.autograd.Function
    before = vars(kind)["apply"]

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        context = _Context(args, torch)
        apart = cls.setup_context is not kind.setup_context
        made = cls.forward(*args, **kwargs) if apart else cls.forward(context, *args, **kwargs)
        if apart:
            cls.setup_context(context, args, made)
        results = list(made) if isinstance(made, tuple) else [made]
        own = [
            place
            for place, each in enumerate(results)
            if isinstance(each, torch.Tensor)
            and each.is_floating_point()
            and not any(each is other for other in context.without)
        ]
        inputs = [place for place, needed in enumerate(context.needs_input_grad) if needed]
        if not own or not inputs:
            return made
        seeds = {place: torch.zeros_like(results[place]) for place in own}
        cotangents = [
            seeds.get(place, torch.zeros_like(each) if isinstance(each, torch.Tensor) else None)
            for place, each in enumerate(results)
        ]
        slopes = cls.backward(context, *cotangents)
        slopes = slopes if isinstance(slopes, tuple) else (slopes,)
        found = torch.ops.graphnn.custom_gradient(
            [results[place] for place in own],
            list(seeds.values()),
            [slopes[place] for place in inputs],
            [args[place] for place in inputs],
        )
        for place, each in zip(own, found, strict=True):
            results[place] = each
        return tuple(results) if isinstance(made, tuple) else results[0]

    kind.apply = classmethod(apply)
    asked = torch.autograd.grad
    torch.autograd.grad = _asked(torch, asked)
    try:
        yield
    finally:
        kind.apply = before
        torch.autograd.grad = asked


def _asked(torch: Any, usual: Any) -> Any:
    """Return what stands for ``torch.autograd.grad`` while a module is exported."""
    from torch._subclasses.fake_tensor import FakeTensor

    def grad(
        outputs: Any,
        inputs: Any,
        grad_outputs: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        allow_unused: Any = None,
        is_grads_batched: bool = False,
        materialize_grads: bool = False,
    ) -> Any:
        results, given = (_listed(torch, each) for each in (outputs, inputs))
        if not any(isinstance(each, FakeTensor) for each in results):
            flags = retain_graph, create_graph, allow_unused, is_grads_batched, materialize_grads
            return usual(outputs, inputs, grad_outputs, *flags)
        if is_grads_batched:
            raise NoRuleError("torch.autograd.grad with is_grads_batched=True: ask for one gradient after the other")
        seeds = [None] * len(results) if grad_outputs is None else _listed(torch, grad_outputs)
        seeds = [torch.ones_like(result) if seed is None else seed for result, seed in zip(results, seeds, strict=True)]
        found = torch.ops.graphnn.gradient(results, seeds, given)
        return tuple(found if create_graph else [each.detach() for each in found])

    return grad


def _listed(torch: Any, given: Any) -> list[Any]:
    return [given] if isinstance(given, torch.Tensor) else list(given)


@cache
def _call(torch: Any) -> Any:
    """Declare the call that says which tensors are which; it gives the results."""
    library = torch.library.Library("graphnn", "DEF")
    library.define(
        "custom_gradient(Tensor[] results, Tensor[] seeds, Tensor?[] gradients, Tensor[] inputs) -> Tensor[]"
    )

    def give(results: Any, seeds: Any, gradients: Any, inputs: Any) -> Any:
        return [each.clone() for each in results]

    library.impl("custom_gradient", give, "CompositeExplicitAutograd")
    torch.library.register_fake("graphnn::custom_gradient", give, lib=library)
    of_torch = torch.library.Library("aten", "IMPL")
    for kind in ("tensor", "channel"):
        # PyTorch has no rule of shapes for these where sizes may vary.
        of_torch.impl(f"fake_quantize_per_{kind}_affine_cachemask", _with_mask, "Meta")
    library.define("gradient(Tensor[] results, Tensor[] seeds, Tensor[] inputs) -> Tensor[]")

    def like(results: Any, seeds: Any, inputs: Any) -> Any:
        return [torch.zeros_like(each) for each in inputs]

    library.impl("gradient", like, "CompositeExplicitAutograd")
    torch.library.register_fake("graphnn::gradient", like, lib=library)
    return library, of_torch


def _with_mask(x: Any, *others: Any) -> Any:
    """Return tensors like those of rounding to few bits: numbers, and which were in the range."""
    return x.new_empty(x.shape), x.new_empty(x.shape).bool()


@aten("graphnn::gradient")
def gradient(call: Call, results: list[Node], seeds: list[Node], inputs: list[Node]) -> list[Node]:
    """Return the gradients of results, times seeds, to nodes that they were made of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)
        return list(vjp(dict(zip(results, seeds, strict=True)), inputs))


@aten("graphnn::custom_gradient")
def custom_gradient(
    call: Call, results: list[Node], seeds: list[Node], gradients: list[Node | None], inputs: list[Node]
) -> list[Node]:
    """Return the results, whose gradient is the function's own backward.

    With u = x - x, through which x's gradient passes, and B the backward, that is f(x) + Bᵀ(x) u.
    """
    moved = {slope: x - fn.stop_gradient(x) for slope, x in zip(gradients, inputs, strict=True) if slope is not None}
    still = [fn.stop_gradient(each) for each in results]
    if not moved:
        return still
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)
        along = vjp(moved, seeds)
    return [result + change for result, change in zip(still, along, strict=True)]
