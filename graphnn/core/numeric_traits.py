"""Traits: what is known about the numbers of an operation, for the health check and the training page."""

from enum import Flag, auto


class Trait(Flag):
    """A property of an operation's numbers. An operation has several: ``traits = Trait.WRAPS | Trait.UNDERFLOWS``.

    The health check reads them, so it finds in users' operations what it finds in graphnn's own.
    """

    OVERFLOWS = auto()
    """A result may be beyond the largest number although no operand is."""
    WRAPS = auto()
    """An integer result may be too large for its dtype. To find out, `forward` is also called with float64."""
    UNDERFLOWS = auto()
    """A result may round to 0 although no operand is 0."""
    FADES = auto()
    """For `UNDERFLOWS`: an operand of 0 does not make the result 0, so a 0 was rounded (exp, sigmoid)."""
    SATURATES = auto()
    """Near its `bounds` it is flat and passes no gradient."""
    STEADY = auto()
    """Its derivative does not depend on its operands."""
    SCALES = auto()
    """If the other operands are constants, it scales or shifts one: a·x + b (of a quotient, the numerator)."""
    ADDS_UP = auto()
    """It adds up its elements, or takes their mean."""
    DECIDED_BY_ONE = auto()
    """One of many elements may alone make the result 0 or infinite."""
    CHOOSES = auto()
    """Each element is one of its operands' elements, or a bound."""
    HIDES = auto()
    """It may stop a bad value from going further."""
    KEEPS_SIZE = auto()
    """A result may be an operand's element, up to the sign."""
    DIES = auto()
    """It is 0 for all operands below a point, and passes no gradient there: a unit may stay 0 forever."""
    ACTIVATES = auto()
    """It is an activation function: the training page shows how its results are distributed."""
