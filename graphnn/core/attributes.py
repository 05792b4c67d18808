"""Kinds: what an attribute of an operation may hold.

A class annotates its attributes, ``axis: int | None``, and a composition its arguments. Each annotation gives a kind,
and the kind checks every value. Plain annotations suffice for bools, ints, floats, text, tuples, choices and None. For
the rest there is ``Annotated``: `Dim`, `Shape`, `DType`, or a `Kind` of one's own. A kind returns plain data of exact
types: no subclass of int, and nothing of NumPy's.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields
from operator import index
from typing import Annotated, Any

import numpy as np

from .._util.text import MOST_BITS, is_real, short_repr
from ..errors import DtypeError, GraphnnError, UsageError, ValueRangeError
from . import symbolic_shapes
from .storage_dtypes import NAME, bfloat16, is_bfloat16

_LARGEST = 2**63 - 1
_TYPES = frozenset({type(None), bool, int, float, str, tuple, list, slice})


class Kind:
    """What an attribute may hold.

    Attributes
    ----------
    said, many : str
        The kind in words, as an error says what is allowed: "an int", and in the plural "ints".
    may_name_dimensions : bool
        Whether a value may contain names of dimensions.
    takes, refuses : frozenset of type
        Types whose values need no call of `read`: all are taken as they are, or all are refused without a reason.
    """

    said: str = "plain data: numbers, text, None, or tuples of them (an array goes in as an operand)"
    many: str = "plain data"
    may_name_dimensions: bool = False
    takes: frozenset[type] = frozenset()
    refuses: frozenset[type] = frozenset()

    def read(self, value: Any) -> Any:
        """Return a value as plain data of exact types.

        Raises
        ------
        GraphnnError
            When it is something else. The message adds a reason to `said`, or is empty.
        """
        if value is Ellipsis:
            return "..."
        if type(value) is slice:
            value = (value.start, value.stop, value.step)
        if issubclass(type(value), (tuple, list)):
            return tuple([self.read(part) for part in value])
        return _read_by(_PLAIN, value)


class Nothing(Kind):
    """None."""

    said = many = "None"
    takes = frozenset({type(None)})
    refuses = _TYPES - takes

    def read(self, value: Any) -> None:
        """Return None."""
        if value is not None:
            raise UsageError


class Flag(Kind):
    """True or False."""

    said = "True or False"
    many = "bools"
    takes = frozenset({bool})
    refuses = _TYPES - takes

    def read(self, value: Any) -> bool:
        """Return a bool; what merely counts as true or false is refused."""
        if type(value) is not bool and type(value) is not np.bool_:
            raise UsageError
        return bool(value)


class Whole(Kind):
    """An int between two bounds. An integer of NumPy becomes a Python int."""

    refuses = _TYPES - {int}

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        self.least = least
        self.most = most
        if (least, most) == (-_LARGEST - 1, _LARGEST):
            limits = " of 64 bits"
        elif most is None or most == _LARGEST:
            limits = "" if least is None else f" of {_power(least)} or more"
        else:
            limits = f" of {_power(most)} or less" if least is None else f" from {_power(least)} to {_power(most)}"
        self.said, self.many = f"an int{limits}", f"ints{limits}"

    def read(self, value: Any) -> int:
        """Return an int."""
        kind = type(value)
        if issubclass(kind, int) and kind is not bool:
            number = int.__int__(value)
        elif issubclass(kind, (np.integer, np.ndarray)):
            try:
                number = int.__int__(index(value))
            except TypeError:
                raise UsageError from None
        else:
            raise UsageError
        if (self.least is not None and number < self.least) or (self.most is not None and number > self.most):
            raise ValueRangeError("it takes more than 64 bits" if number.bit_length() > 64 else "")
        if number.bit_length() > MOST_BITS:
            raise ValueRangeError(f"it has more than {MOST_BITS:,} bits")
        return number


def _power(bound: int | None) -> str:
    """Return a bound in short: a large power of 2 as 2**n."""
    for shift, more in ((0, ""), (1, " - 1")):
        number = abs(bound or 0) + shift
        if number >= 2**16 and number & (number - 1) == 0:
            return f"{'-' if (bound or 0) < 0 else ''}2**{number.bit_length() - 1}{more}"
    return str(bound)


class Real(Kind):
    """A number: a float, or an int that fits into a float."""

    said = "a number"
    many = "numbers"
    takes = frozenset({float})
    refuses = _TYPES - {int, float}

    def read(self, value: Any) -> int | float:
        """Return an int or a float."""
        kind = type(value)
        if issubclass(kind, float):
            return float.__float__(value)
        if is_real(value):
            return float(value)
        number = _WHOLE.read(value)
        try:
            float(number)
        except OverflowError:
            raise ValueRangeError("it does not fit into a float") from None
        return number


class Text(Kind):
    """Text. A dtype is taken as its name."""

    said = many = "text"
    refuses = _TYPES - {str}

    def read(self, value: Any) -> str:
        """Return a str."""
        if issubclass(type(value), str):
            return str.__str__(value)
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
            return str.__str__(np.dtype(value).name)
        raise UsageError


class Name(Text):
    """The name of an operation or an attribute. Messages and pictures show it unchanged."""

    said = "text of 1 to 200 characters that can be printed"

    def read(self, value: Any) -> str:
        """Return a str."""
        text = super().read(value)
        if not (0 < len(text) <= 200 and text.isprintable()):
            raise ValueRangeError
        return text


class Choice(Kind):
    """One of some values."""

    def __init__(self, choices: Sequence[Any]) -> None:
        self.choices = [_ANYTHING.read(choice) for choice in choices]
        self.said = self.many = f"one of {', '.join(map(repr, self.choices))}"

    def read(self, value: Any) -> Any:
        """Return one of the choices."""
        value = _ANYTHING.read(value)
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return choice
        raise ValueRangeError


class Either(Kind):
    """A value of one of several kinds. The first kind that takes it reads it."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds
        self.said = _or([kind.said for kind in kinds])
        self.many = _or([kind.many for kind in kinds])
        self.may_name_dimensions = any(kind.may_name_dimensions for kind in kinds)
        self.takes = frozenset().union(*[kind.takes for kind in kinds])

    def read(self, value: Any) -> Any:
        """Return what the first kind makes of it."""
        return _read_by(self.kinds, value)


def _or(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"


def _read_by(kinds: Sequence[Kind], value: Any) -> Any:
    refused: GraphnnError | None = None
    for kind in kinds:
        if type(value) in kind.refuses:
            continue
        try:
            return kind.read(value)
        except GraphnnError as error:
            # A value of the right type but out of range gives a better message than one of the wrong type.
            if refused is None or (type(refused) is UsageError and not (type(error) is UsageError and refused.args)):
                refused = error
    raise refused or UsageError()


class Several(Kind):
    """Any number of values of one kind, as a tuple, list or array."""

    refuses = _TYPES - {tuple, list}

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.said, self.many = f"a tuple of {kind.many}", f"tuples of {kind.many}"
        self.may_name_dimensions = kind.may_name_dimensions

    def read(self, value: Any) -> tuple[Any, ...]:
        """Return a tuple."""
        parts = value if type(value) is tuple else _parts(value)
        if parts is None:
            raise UsageError
        return tuple([self.kind.read(part) for part in parts])


class Row(Kind):
    """A tuple with one value for each of several kinds."""

    refuses = _TYPES - {tuple, list}

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self.kinds = list(kinds)
        self.said = f"a tuple of {', '.join(kind.said for kind in kinds) or 'nothing'}"
        self.many = f"tuples of {', '.join(kind.said for kind in kinds) or 'nothing'}"
        self.may_name_dimensions = any(kind.may_name_dimensions for kind in kinds)

    def read(self, value: Any) -> tuple[Any, ...]:
        """Return a tuple."""
        parts = value if type(value) is tuple else _parts(value)
        if parts is None or len(parts) != len(self.kinds):
            raise UsageError
        return tuple([kind.read(part) for kind, part in zip(self.kinds, parts, strict=True)])


def _parts(value: Any) -> tuple[Any, ...] | None:
    """Return the parts of a sequence or an array; None for anything else."""
    one = isinstance(value, (str, bytes, Mapping, Set)) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return None if one or not isinstance(value, Iterable) else tuple(value)


class DimOf(Kind):
    """A dimension: an int, a name, or an expression of names."""

    said = "a dimension, which is an int or a name"
    many = "dimensions"
    may_name_dimensions = True

    def read(self, value: Any) -> symbolic_shapes.Dim:
        """Return it in canonical form."""
        return symbolic_shapes.dimension(value)


class ShapeOf(Several):
    """A shape: dimensions, or one alone."""

    def __init__(self) -> None:
        super().__init__(DimOf())
        self.said = "a shape, which is a tuple of ints and names"
        self.refuses = frozenset()

    def read(self, value: Any) -> symbolic_shapes.Shape:
        """Return it in canonical form."""
        parts = value if type(value) is tuple else _parts(value)
        return tuple([self.kind.read(part) for part in ((value,) if parts is None else parts)])


class DtypeName(Kind):
    """The name of a dtype of some of NumPy's kinds: b, i, u and f."""

    def __init__(self, kinds: str = "biuf") -> None:
        self._kinds = kinds
        self._storage = "b" in kinds
        """Whether it takes bfloat16 as well, in which nothing is computed or drawn."""
        integers = f"{'bool, ' if 'b' in kinds else ''}int8 to int64, uint8 to uint64, " if "i" in kinds else ""
        self.said = integers + ("bfloat16, " if self._storage else "") + "float16, float32 or float64"

    def read(self, value: Any) -> str:
        """Return the name."""
        try:
            named = _TEXT.read(value) if issubclass(type(value), str) else value
            dtype = bfloat16() if self._storage and type(named) is str and named == NAME else np.dtype(named)
        except UsageError:
            raise
        except Exception:  # noqa: BLE001 - NumPy raises errors of many classes here
            raise DtypeError from None
        known = dtype.kind in self._kinds or (self._storage and is_bfloat16(dtype))
        if value is None or not known or dtype.itemsize > 8:
            raise DtypeError
        return str.__str__(dtype.name)


class Bound(Kind):
    """A position along an axis: an int, counted from the end if negative, or a dimension."""

    said = "an int or a dimension"
    many = "ints and dimensions"
    may_name_dimensions = True

    def read(self, value: Any) -> symbolic_shapes.Dim:
        """Return an int, or a dimension in canonical form."""
        return symbolic_shapes.dimension(_TEXT.read(value)) if issubclass(type(value), str) else _WHOLE.read(value)


class IndexOf(Kind):
    """An index: ints, dimensions, slices as (start, stop, step), None and "..."."""

    said = "an index, made of ints, slices, ... and None"
    may_name_dimensions = True

    def read(self, value: Any) -> tuple[Any, ...]:
        """Return a tuple."""
        parts = value if issubclass(type(value), tuple) else (value,)
        return tuple([self._part(part) for part in parts])

    def _part(self, part: Any) -> Any:
        if part is None:
            return None
        if part is Ellipsis or (type(part) is str and part == "..."):
            return "..."
        if type(part) is slice:
            part = (part.start, part.stop, part.step)
        if issubclass(type(part), tuple):
            if len(part) != 3:
                raise UsageError(f"a slice is (start, stop, step), not {short_repr(part)}")
            start, stop, step = part
            return _END.read(start), _END.read(stop), _STEP.read(step)
        return _BOUND.read(part)


_ANYTHING, _WHOLE, _TEXT = Kind(), Whole(), Text()
_PLAIN = (Nothing(), Flag(), Real(), Text())
_BOUND = Bound()
_END, _STEP = Either(Nothing(), _BOUND), Either(Nothing(), _WHOLE)

INT64 = Whole(-(2**63), _LARGEST)
Dim = Annotated[symbolic_shapes.Dim, DimOf()]
"""`dimensions.Dim`, for attributes: the value is checked and brought into canonical form."""
Shape = Annotated[symbolic_shapes.Shape, ShapeOf()]
"""`dimensions.Shape`, for attributes."""
Index = Annotated[Any, IndexOf()]
"""An index, as in ``array[index]``."""
AnyShape = Annotated[Any, ShapeOf()]
"""Like `Shape`, but for the type checker anything may be assigned: a sequence, a single int or a name."""
DType = Annotated[str, DtypeName()]
"""The name of a dtype."""
Int64 = Annotated[int, INT64]
"""An int of 64 bits."""
Count = Annotated[int, Whole(0, _LARGEST)]
"""A count: 0 or more."""

_BY_CLASS: dict[Any, Kind] = {
    type(None): Nothing(),
    None: Nothing(),
    bool: Flag(),
    int: _WHOLE,
    float: Real(),
    str: _TEXT,
    tuple: Several(_ANYTHING),
    list: Several(_ANYTHING),
    Sequence: Several(_ANYTHING),
}


def kind_of(annotation: Any) -> Kind:
    """Return the kind of an annotation; for one that does not restrict the value, `Kind()`, which takes all plain data.

    Examples
    --------
    >>> kind_of(int | tuple[int, ...] | None).said
    'an int, a tuple of ints or None'
    >>> kind_of(Shape).read([2, "batch*2"])
    (2, '2*batch')
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        own = next((part for part in arguments[1:] if isinstance(part, Kind)), None)
        return kind_of(arguments[0]) if own is None else own
    if origin in (typing.Union, types.UnionType):
        return Either(*[kind_of(part) for part in arguments])
    if origin is typing.Literal:
        return Choice(arguments)
    if origin is tuple and arguments[1:] != (Ellipsis,):
        return Row([] if arguments == ((),) else [kind_of(part) for part in arguments])
    if origin in (tuple, list, Sequence):
        return Several(kind_of(arguments[0]))
    try:
        return _BY_CLASS.get(annotation, _ANYTHING)
    except TypeError:  # not hashable
        return _ANYTHING


def kinds_of(cls: Any) -> dict[str, Kind]:
    """Return the kinds of a dataclass's fields, by name. An inherited field keeps the kind it has in its base."""
    space = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    own = inspect.get_annotations(cls)
    known: dict[str, Kind] = {}
    for base in reversed(cls.__mro__[1:]):
        known |= base.__dict__.get("_kinds", {})
    return {
        field.name: _from(field.type, space) if field.name in own or field.name not in known else known[field.name]
        for field in fields(cls)
    }


def kinds_of_arguments(function: Callable[..., Any]) -> dict[str, Kind]:
    """Return the kinds of a function's arguments, by name, without those that may be a node.

    An argument counts as an operand if its annotation does not restrict the value, as ``Any`` and ``Kind()``.
    """
    space = getattr(function, "__globals__", {})
    said = {name: a for name, a in function.__annotations__.items() if name not in ("return", "name")}
    found = {name: _from(annotation, space) for name, annotation in said.items()}
    return {name: kind for name, kind in found.items() if not _tells_nothing(kind)}


def _tells_nothing(kind: Kind) -> bool:
    return type(kind) is Kind or any(map(_tells_nothing, getattr(kind, "kinds", ())))


def _from(annotation: Any, space: dict[str, Any]) -> Kind:
    """Return the kind of an annotation. One that is text is evaluated in its module."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, space)  # noqa: S307 - source code, never a graph's data
        except Exception:  # noqa: BLE001 - some names exist for type checkers only, or in a function
            return _ANYTHING
    return kind_of(annotation)


def checked(owner: str, attribute: str, kind: Kind, value: Any) -> Any:
    """Return the value of an attribute as plain data of exact types.

    Raises
    ------
    GraphnnError
        When the kind refuses it. The message names the operation, the attribute, the value and what is allowed.
    """
    if type(value) in kind.takes:
        return value
    return _read(kind, value, attribute, owner)


def _read(kind: Kind, value: Any, attribute: str, owner: str | None = None) -> Any:
    try:
        return kind.read(value)
    except GraphnnError as error:
        refused: GraphnnError = error
    except Exception as error:  # noqa: BLE001 - what its own methods raise, or a tuple nested without end
        refused = UsageError(f"it raises {type(error).__name__}")
    more = f": {refused.reason}" if refused.reason else ""
    what = attribute if owner is None else f"{owner}: {attribute}"
    message = f"{what} is {kind.said}, not {short_repr(value)}{more}"
    raise type(refused)(message, given=value, expected=kind.said, op=owner, attribute=attribute)


def whole(what: str, value: Any, least: int | None = None) -> int:
    """Return an integer argument as a Python int. An integer of NumPy is taken, a bool is not.

    Parameters
    ----------
    what : str
        Its name in the message: ``"threads="``.
    value : object
    least : int, optional
        The smallest that it may be.

    Raises
    ------
    UsageError
        When it is not an integer. (A TypeError.)
    ValueRangeError
        When it is less than `least`. (A ValueError.)

    Examples
    --------
    >>> whole("threads=", np.int64(2), 1)
    2
    >>> whole("threads=", 0, 1)
    Traceback (most recent call last):
        ...
    graphnn.errors.ValueRangeError: threads= is an int of 1 or more, not 0
      at <doctest ...>:1
    """
    if type(value) is int and (least or 0) <= value < 2**63:  # as nearly always
        return value
    return _read(Whole(least), value, what)  # type: ignore[no-any-return]
