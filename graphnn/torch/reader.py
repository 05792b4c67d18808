"""The reader: goes through the calls of an exported PyTorch program, in order, and makes nodes of them."""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.source_location import NOWHERE, Origin, user_origin
from .._util.text import quoted, short_repr
from ..core import (
    Array,
    Constant,
    Graph,
    Node,
    Parameter,
    Provenance,
    Spec,
    computed_in,
    fn,
    is_bfloat16,
    is_float,
)
from ..core.arrays import own_array
from ..core.graph_tables import checked_name
from ..core.symbolic_shapes import add, as_dimensions, clamp, minimum, product, shown, subtract
from ..errors import GraphnnError, GraphnnWarning, NoRuleError, restated
from .aliases import Tensor
from .aten import complex_numbers, load_rules
from .aten.call import Call, cast
from .aten.complex_numbers import Pair
from .aten.table import IRRELEVANT, Rule, rule_for
from .decomposition import decomposed
from .dtypes import dtype_of, kept_array, part_of, tensor_of
from .higher_order import HIGHER_ORDER

if TYPE_CHECKING:
    from ..core.scopes import Scope

FRAME = re.compile(r'File "([^"\n]+)", line (\d{1,9})')
OF_TORCH = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\](?:torch|functorch)[/\\]|^torch[/\\]")
_ASSERTIONS = (
    *("_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "_functional_assert"),
    "_linalg_check_errors",
)

_ON_SIZES: dict[Any, Callable[..., Any]] = {
    operator.add: operator.add,
    operator.sub: operator.sub,
    operator.mul: operator.mul,
    operator.floordiv: operator.floordiv,
    operator.neg: operator.neg,
    operator.eq: operator.eq,
}
"""What is computed of sizes with names; of known sizes, everything is."""


@dataclass
class Stored:
    """A weight, a buffer or a constant of a module, whose node is made where it is first read."""

    name: str
    tensor: Any
    kind: str
    tensor_of: Any = None
    parts: Sequence[Stored] = ()
    made: Node | None = None
    read_as: Node | None = None
    """What the module begins with: the node itself, or what it is where something is computed with it."""
    array: Array | None = None
    """The numbers, where the tensor stands in for them and has none of its own."""

    def filled(self, torch: Any) -> Any:
        """Return the tensor, with its numbers."""
        if self.array is not None:
            with torch.no_grad():
                self.tensor.copy_(tensor_of(torch, self.array))
            self.array = None
        return self.tensor


class Reader:
    """Makes nodes of the calls of a program.

    Parameters
    ----------
    graph : Graph
    torch : module
    trainable : bool
        Whether weights become parameters.
    changed : collection of str
        Arguments of the program that it writes to: buffers that become parameters, which are not trained.
    """

    def __init__(self, graph: Graph, torch: Any, trainable: bool) -> None:
        load_rules()
        self.graph = graph
        self.torch = torch
        self.trainable = trainable
        self.default = dtype_of(torch, torch.get_default_dtype())
        self.values: dict[Any, Any] = {}
        """{call of the program: what became of it}: tensors, sizes, and lists of them."""
        self.module: Any = None
        self.outer: Any = None
        self.made: dict[Any, list[Node | None]] = {}
        """{call of the program itself, and not of a region in it: the nodes of its results}."""
        self.taken: dict[Any, dict[Any, Any]] = {}
        """{call: {operand: its node when the call was read, or its number}}."""
        self.parameters: dict[str, Node] = {}
        """The nodes of weights and buffers, by their names."""
        self.dropped: set[Node] = set()
        """What dropout gives."""
        self.decomposed: dict[str, int] = {}
        """Operations without a rule, which PyTorch took apart."""
        self._scopes: dict[str, Scope] = {}
        self._origins: dict[str, Origin] = {}
        self._place: tuple[Scope | None, Origin] = None, NOWHERE

    # --- stored values ---

    def _stored(self, stored: Stored) -> Any:
        """Return the tensor of a weight or the like: its node lies in the scope of the module that owns it."""
        if stored.tensor_of is None and stored.tensor.is_complex():
            names = [f"{stored.name}_{part}" for part in ("real", "imag")]
            kind = "trained" if self.trainable and stored.tensor.requires_grad else stored.kind
            each = [
                Stored(name, getattr(stored.tensor.detach().resolve_conj(), part), kind)
                for name, part in zip(names, ("real", "imag"), strict=True)
            ]
            stored.tensor_of = Pair(*map(self._stored, each))
            stored.parts = each
        if stored.tensor_of is None:
            array = kept_array(self.torch, stored.tensor) if stored.array is None else self._given(stored)
            op = Constant() if stored.kind == "constant" else Parameter(trainable=stored.kind == "trained")
            owner = stored.name.rpartition(".")[0]
            scope = next((each for each in self._scopes.values() if each.path == owner), None)
            with Provenance(self.graph, lambda around: (None, False)):
                name = checked_name(self.graph.free_name(stored.name))
            origin = self._place[1] if self._place[1] != NOWHERE else user_origin()
            node = self.graph._make(op, (), Spec(array.shape, array.dtype), name, array, (scope, origin))
            stored.made = self.parameters[stored.name] = node
            dtype = part_of(self.torch, stored.tensor.dtype)
            # What is kept in bfloat16 becomes float32 where an operation computes with it, and not before.
            widens = is_bfloat16(array.dtype) and dtype == computed_in(array.dtype)
            stored.read_as = node if widens else cast(node, dtype)
            stored.tensor_of = Tensor.of(stored.read_as)
        return stored.tensor_of

    def _given(self, stored: Stored) -> Array:
        """Return the numbers that were given for a weight: floats as they are kept, if the module's are no shorter."""
        assert stored.array is not None
        dtype = part_of(self.torch, stored.tensor.dtype)
        array = stored.array
        fits = array.dtype == dtype or (is_float(array.dtype) and np.can_cast(computed_in(array.dtype), dtype, "safe"))
        return own_array(array if fits else array.astype(dtype), f"the weight {quoted(stored.name)}", dtype)

    def finish(self, kept: Sequence[Stored]) -> None:
        """Make the trained weights that nothing reads, and have written buffers advance."""
        self._place = None, NOWHERE
        for stored in [*kept, *(part for each in kept for part in each.parts)]:
            if stored.kind == "trained":
                self._stored(stored)
            if stored.parts:
                continue
            tensor = stored.tensor_of
            if tensor is None:
                continue
            node = stored.made
            if node is not None and tensor.node is not stored.read_as and node.op.is_parameter:
                if stored.kind == "trained":
                    warnings.warn(
                        f"the module writes to its weight {quoted(stored.name)}, and a step with updates starts from "
                        "the weight before that: write to it between steps, or compute the other weight by a "
                        "parametrization",
                        GraphnnWarning,
                        stacklevel=5,
                    )
                # It moves with each evaluation of what its module gives.
                scope = self.graph.scopes.get(stored.name.rpartition(".")[0])
                moved_by = None if scope is None else scope.result
                if moved_by is None:
                    moved_by = next(iter(self.graph.outputs.values()))
                self.graph.advances[node, moved_by] = cast(tensor.node, node.dtype)

    def output(self, value: Any) -> Node:
        """Return a result of the program as a node."""
        found = self._stored(value) if isinstance(value, Stored) else value
        if isinstance(found, Tensor):
            return found.node
        if isinstance(found, Pair):
            raise NoRuleError("a result of the module is complex: return torch.view_as_real(z), or z.real and z.imag")
        if found is None:
            raise NoRuleError("a result of the module is None, or is not computed by graphnn")
        return Call(self, "output", [None], self.default).node(found)

    # --- reading ---

    @collector_paused()
    def read(self, module: Any, operands: Sequence[Any]) -> Any:
        """Return what a module of the program gives for operands."""
        before, self.module = self.module, module
        if before is None:
            self.outer = module.graph
        given = iter(operands)
        try:
            for node in module.graph.nodes:
                if node.op == "placeholder":
                    self.values[node] = next(given)
                elif node.op == "output":
                    return self.value(node.args[0])
                elif node.op == "get_attr":
                    self.values[node] = self._attribute(node.target)
                else:
                    self._one(node)
        finally:
            self.module = before
        raise AssertionError("an exported program ends with its output")

    def _one(self, node: Any) -> None:
        name = str(getattr(node.target, "_schema", None) and node.target._schema.name.rpartition("::")[2])
        if name.startswith(_ASSERTIONS):
            return
        outermost = self.module.graph is self.outer
        try:
            with self._placed(node):
                if outermost:
                    self.taken[node] = {each: self._now(each) for each in node.all_input_nodes}
                found = self.values[node] = self._result(node)
                if outermost:
                    each = found if isinstance(found, (list, tuple)) else [found]
                    self.made[node] = [one.node if isinstance(one, Tensor) else None for one in each]
        except Exception as error:
            if self.module.meta.get("inner") and isinstance(error, GraphnnError):
                raise  # told of the operation that PyTorch took apart, which is the one that the user wrote
            raise self.explained(error, node) from error

    def _now(self, operand: Any) -> Any:
        """Return the node of an operand as it is now, or the number that it is; None of others."""
        value = self.value(operand)
        return value.node if isinstance(value, Tensor) else value if isinstance(value, (bool, int, float)) else None

    def operand(self, call: Any, operand: Any) -> Any:
        """Return what an operand of a call was when the call was read: a node or a number; None if unknown."""
        return self.taken.get(call, {}).get(operand)

    def _attribute(self, target: str) -> Any:
        found = self.module
        for part in target.split("."):
            found = getattr(found, part)
        if isinstance(found, self.torch.Tensor):
            return Stored(target, found, "constant")
        return found

    def value(self, argument: Any) -> Any:
        """Return what an argument of a call is: tensors, numbers, sizes, dtypes of NumPy, and lists of them."""
        torch = self.torch
        if isinstance(argument, torch.fx.Node):
            found = self.values[argument]
            return self._stored(found) if isinstance(found, Stored) else found
        if isinstance(argument, (list, tuple)):
            return (
                type(argument)(map(self.value, argument))
                if type(argument) in (list, tuple)
                else [*map(self.value, argument)]
            )
        if isinstance(argument, dict):
            return {key: self.value(each) for key, each in argument.items()}
        if isinstance(argument, torch.dtype):
            return part_of(torch, argument)
        return argument

    def _result(self, node: Any) -> Any:
        target, torch = node.target, self.torch
        if isinstance(target, torch._ops.OpOverload):
            return self._called(node, target)
        if "functorch" in str(getattr(target, "__module__", "")):
            raise NoRuleError(
                "it is part of torch.vmap or torch.func, which PyTorch's export leaves as they are: write the batch as "
                "an axis, and torch.autograd.grad(y, x, create_graph=True)"
            )
        args = self.value(node.args)
        if target is operator.getitem:
            return args[0][args[1]]
        if isinstance(target, type) and issubclass(target, tuple):
            return args[0]  # results with names
        if isinstance(target, torch._ops.HigherOrderOperator):
            rule = HIGHER_ORDER.get(target.name())
            if rule is None:
                raise NoRuleError(f"graphnn does not read {target.name()}")
            return rule(self, node, *args, **self.value(node.kwargs))
        return self._of_sizes(target, args)

    def _of_sizes(self, function: Any, args: Sequence[Any]) -> Any:
        """Return what a function of Python gives of sizes, or of numbers that are computed from data."""
        if any(isinstance(each, Tensor) for each in args):
            return self._of_numbers(function, args)
        if not any(isinstance(each, str) for each in args):
            return function(*args)
        name = getattr(function, "__name__", str(function))
        if function is operator.truediv or name == "int_truediv":
            whole = as_dimensions(args[:1])[0] // args[1] if args[1] else None
            if whole is not None and whole * args[1] == args[0]:
                return plain(whole)
        own = _ON_SIZES.get(function) or _ON_SIZES.get(getattr(operator, name, None))
        if own is operator.neg:
            return plain(as_dimensions((0,))[0] - as_dimensions(args)[0])
        if own is not None:
            return plain(own(*as_dimensions(tuple(args))))
        if name in ("sym_max", "sym_min", "max", "min"):
            a, b = args
            return minimum(a, b) if name.endswith("min") else add(b, clamp(subtract(a, b)))
        raise NoRuleError(
            f"{name} of a size with a name, {', '.join(map(str, args))}, which graphnn does not compute: leave the "
            "size out of dims="
        )

    def _of_numbers(self, function: Any, args: Sequence[Any]) -> Tensor:
        name = getattr(function, "__name__", str(function))
        operands = [nodes_in(each) for each in args]
        if name in ("sym_float", "float"):
            return Tensor.of(cast(operands[0], self.default))
        own = getattr(operator, name, None)
        if own is None:
            raise NoRuleError(f"{name} of a number that is computed from data: keep it a tensor, without .item()")
        return Tensor.of(own(*operands))

    # --- one call of ATen ---

    def _called(self, node: Any, target: Any) -> Any:
        schema = target._schema
        space, _, name = schema.name.partition("::")
        if space != "aten":
            name = schema.name
            if rule_for(name, "") is None and space == "prims":
                raise NoRuleError(f"graphnn has no rule for {name}")
            if rule_for(name, "") is None and not target._can_decompose():
                raise NoRuleError(
                    f"it is an operation of {quoted(space)}, not of PyTorch, and graphnn does not know it: register a "
                    f'rule, by graphnn.torch.aten.table.aten("{name}"), or write it with operations of PyTorch'
                )
        given = self._bound(schema, node)
        if name in ("sym_size", "size", "sym_numel"):
            whole = given["self"]
            sizes = (whole.real if isinstance(whole, Pair) else whole).node.spec.shape
            if name == "sym_numel":
                return product(sizes)
            return list(sizes) if given.get("dim") is None else sizes[given["dim"]]
        metas = values_of(self.torch, node)
        if complex_numbers.concerns(name, metas, given):
            return complex_numbers.called(self, node, target, name, given, metas)
        overload = schema.overload_name
        written = [each.name for each in schema.arguments if each.alias_info is not None and each.alias_info.is_write]
        rule = rule_for(name, overload)
        if rule is None and written == [schema.arguments[0].name] and name.endswith("_"):
            return self._in_place(node, target, name[:-1], given)
        if rule is None:
            return self._taken_apart(node, target, given)
        if written == ["out"]:
            return self._into(node, rule, name, given)
        if written and not rule.writes:
            raise NoRuleError(f"it writes to {', '.join(written)}")
        return self._applied(node, rule, name, given)

    def _bound(self, schema: Any, node: Any) -> dict[str, Any]:
        names = [each.name for each in schema.arguments]
        given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
        for each in schema.arguments:
            if each.name not in given:
                given[each.name] = each.default_value if each.has_default_value() else None
        return {name: self.value(value) for name, value in given.items()}

    def _call(self, node: Any, name: str) -> Call:
        dtypes = [part_of(self.torch, each.dtype) if each is not None else None for each in values_of(self.torch, node)]
        call = Call(self, name, dtypes or [None], self.default)
        call.source = node
        return call

    def _applied(self, node: Any, rule: Rule, name: str, given: dict[str, Any]) -> Any:
        call = self._call(node, name)
        taken = self._taken(node, rule, given)
        for key, value in taken.items():
            alone = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(alone, Tensor):
                call.tensors[key] = alone
        first = next((each for each in taken.values() if isinstance(each, Tensor)), None)
        made = rule.function(call, **{key: nodes_in(value) for key, value in taken.items()})
        several = isinstance(made, (tuple, list))
        metas = values_of(self.torch, node)
        results = [
            each if not isinstance(each, Node) else self._checked(each, meta)
            for each, meta in zip(made if several else [made], metas, strict=False)
        ]
        own = node.args[0] if node.args and isinstance(node.args[0], self.torch.fx.Node) else None
        found: list[Any] = []
        for place, (result, meta) in enumerate(zip(results, metas, strict=False)):
            if not isinstance(result, Node):
                found.append(result)
            elif first is not None and own is not None and self._shares(own, meta):
                found.append(self._view(call, rule, taken, first, result, place if several else None))
            else:
                found.append(Tensor.of(result))
        return found if several else found[0]

    def _view(
        self, call: Call, rule: Rule, taken: dict[str, Any], base: Tensor, seen: Node, place: int | None
    ) -> Tensor:
        """Return a tensor that shares its elements with another."""
        if seen is base.node:
            return base
        name = next(key for key, value in taken.items() if value is base)
        others = {key: nodes_in(value) for key, value in taken.items() if key != name}
        number = {} if place is None else {"place": place}

        def look(whole: Node) -> Node:
            made = rule.function(call, **{name: whole}, **others)
            found = made if place is None else made[place]
            return cast(found, seen.spec.dtype)

        def put(whole: Node, now: Node) -> Node:
            assert rule.write is not None
            return rule.write(call, whole, now, **others, **number)

        return base.view(seen, look, put if rule.write is not None else None)

    def _shares(self, operand: Any, result: Any) -> bool:
        """Tell whether a result shares its elements with an operand, as PyTorch's own tensors of no numbers show."""
        before = operand.meta.get("val")
        if not isinstance(before, self.torch.Tensor) or not isinstance(result, self.torch.Tensor):
            return False
        return bool(self.torch._C._is_alias_of(before, result))

    def _taken(self, node: Any, rule: Rule, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments that a rule names, and refuse others that are not as usual."""
        defaults = {each.name: each.default_value for each in node.target._schema.arguments if each.has_default_value()}
        for name, value in given.items():
            if rule.takes is None or name in rule.takes or name in IRRELEVANT:
                continue
            if name in defaults and value == defaults[name]:
                continue
            raise NoRuleError(f"graphnn does not read its argument {name}={short_repr(value)}")
        return {name: value for name, value in given.items() if rule.takes is None or name in rule.takes}

    def _checked(self, made: Node, meta: Any) -> Node:
        """Return a result in the dtype that PyTorch tells; refuse one whose shape is another."""
        if meta is None:
            return made
        expected = tuple(each if isinstance(each, int) else None for each in meta.shape)
        shape = made.spec.shape
        fits = len(shape) == len(expected) and all(
            a is None or not isinstance(b, int) or a == b for a, b in zip(expected, shape, strict=True)
        )
        if not fits:
            raise NoRuleError(f"graphnn makes {shown(shape)} of it, and PyTorch {tuple(meta.shape)}")
        if any(a is not None and a != b for a, b in zip(expected, shape, strict=True)):
            # PyTorch knows the size that an expression of names comes to.
            made = fn.reshape(made, tuple(b if a is None else a for a, b in zip(expected, shape, strict=True)))
        return cast(made, part_of(self.torch, meta.dtype))

    def _in_place(self, node: Any, target: Any, name: str, given: dict[str, Any]) -> Any:
        """Write to a tensor what the operation that makes a new one gives."""
        tensor = next(iter(given.values()))
        assert isinstance(tensor, Tensor)
        before = tensor.node
        rule = rule_for(name, target._schema.overload_name)
        if rule is None:
            raise NoRuleError(f"graphnn has no rule for aten.{name}_")
        call = self._call(node, name)
        if rule.takes is not None and "self" not in rule.takes:
            given = {"input" if key == "self" else key: value for key, value in given.items()}  # as in aten.dropout
        taken = self._taken(node, rule, given)
        made = cast(rule.function(call, **{key: nodes_in(value) for key, value in taken.items()}), before.spec.dtype)
        if rule.write is not None:  # the tensor stays the same elements, in another shape
            seen = self._view(call, rule, taken, tensor, made, None)
            tensor.become(seen)
            return tensor
        if made.spec.shape != before.spec.shape:
            made = fn.broadcast_to(made, before.spec.shape)
        return self._overwritten(tensor, made)

    def _into(self, node: Any, rule: Rule, name: str, given: dict[str, Any]) -> Tensor:
        """Write to the tensor of `out=` what an operation gives."""
        tensor = given.pop("out")
        taken = self._taken(node, rule, given)
        made = rule.function(self._call(node, name), **{key: nodes_in(value) for key, value in taken.items()})
        shape = tensor.node.spec.shape
        if made.spec.shape != shape:
            raise NoRuleError(
                f"out= has the shape {shown(shape)}, and the result {shown(made.spec.shape)}: leave out= out"
            )
        return self._overwritten(tensor, cast(made, tensor.node.spec.dtype))

    def _overwritten(self, tensor: Tensor, made: Node) -> Tensor:
        if not tensor.write(made):
            raise NoRuleError("it writes to a view that graphnn cannot write through: write to a copy, x.clone()")
        return tensor

    def _taken_apart(self, node: Any, target: Any, given: dict[str, Any]) -> Any:
        """Read an operation without a rule as PyTorch takes it apart."""
        self.decomposed[target._schema.name] = self.decomposed.get(target._schema.name, 0) + 1
        module, operands = decomposed(self.torch, node)
        if module is None:
            raise NoRuleError(f"graphnn has no rule for {target}")
        return self.read(module, [self.value(each) for each in operands])

    # --- where nodes are made ---

    @contextmanager
    def _placed(self, node: Any) -> Iterator[None]:
        """Make nodes in the scope of the module that makes a call, with the user's line."""
        stack = node.meta.get("nn_module_stack")
        if stack is None or self.module.meta.get("inner"):
            yield
            return
        origin = self._origin(node.meta.get("stack_trace") or "")
        scope: Scope | None = None
        for key, (path, kind) in stack.items():
            if path and "_empty_nn_module_stack" not in str(key):
                scope = self._scope(str(key), str(path), kind, origin, scope)
        before, self._place = self._place, (scope, origin)
        try:
            with Provenance(self.graph, lambda around: (scope, False), origin if origin != NOWHERE else None):
                yield
        finally:
            self._place = before

    def _scope(self, key: str, path: str, kind: Any, origin: Origin, around: Scope | None) -> Scope:
        known = self._scopes.get(key)
        if known is None:
            called = str(getattr(kind, "__name__", kind)).rpartition(".")[2]
            with self.graph.building:
                name = self.graph._free(checked_name(path.partition("@")[0]), None)
                known = self._scopes[key] = self.graph._add_scope(name, called, None, origin, around)
        return known

    def _origin(self, trace: str) -> Origin:
        """Return the user's innermost line in a stack of PyTorch's, else the innermost."""
        known = self._origins.get(trace)
        if known is None:
            frames = [Origin(file, int(line)) for file, line in FRAME.findall(trace)]
            own = [each for each in frames if not OF_TORCH.search(each.file)]
            known = self._origins[trace] = (own or frames or [NOWHERE])[-1]
        return known

    def explained(self, error: Exception, node: Any) -> GraphnnError:
        """Return the error of a call, which says where it stands."""
        if isinstance(error, GraphnnError) and error.context:
            return error
        if isinstance(error, GraphnnError) and not isinstance(error, NoRuleError):
            error = NoRuleError(str(error.reason))
        if self.module is not None and self.module.meta.get("inner"):
            # Of an operation that PyTorch took apart: what is around it says where it stands.
            return NoRuleError(f"PyTorch computes it by {_called(node)}, and {getattr(error, 'reason', error)}")
        return restated(error, f"{self.place_of(node)}: {_called(node)}: ")

    def place_of(self, node: Any) -> str:
        """Return the user's line and the module of a call, for an error."""
        stack = node.meta.get("nn_module_stack") or {}
        path = next((path for path, _ in reversed([*stack.values()]) if path), "")
        origin = self._origin(node.meta.get("stack_trace") or "")
        where = [str(origin)] if origin != NOWHERE else []
        where += [f"in {path.partition('@')[0]}"] if path and "_empty_nn" not in path else []
        return ", ".join(where) or self.graph.name


def _called(node: Any) -> str:
    """Return what a call calls."""
    target = node.target
    return str(target) if hasattr(target, "_schema") else str(getattr(target, "__name__", target))


def plain(dim: Any) -> Any:
    """Return a size as an int, or as text."""
    return str.__str__(dim) if isinstance(dim, str) else dim


def nodes_in(value: Any) -> Any:
    """Return what a rule is given: nodes in the place of tensors."""
    if isinstance(value, Tensor):
        return value.node
    if isinstance(value, (list, tuple)):
        return [nodes_in(each) for each in value]
    return value


def values_of(torch: Any, node: Any) -> list[Any]:
    """Return what PyTorch tells of the results of a call: tensors without numbers."""
    found = node.meta.get("val")
    each = found if isinstance(found, (list, tuple)) else [found]
    return [one if isinstance(one, torch.Tensor) else None for one in each]
