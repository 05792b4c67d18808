"""What is said of an operation's numbers, for those who look into a run."""

from __future__ import annotations

from enum import Flag, auto


class Trait(Flag):
    """What holds of an operation's numbers. An operation has several: ``traits = Trait.WRAPS | Trait.UNDERFLOWS``.

    The health check asks for them, and finds in the operations of others what it finds in graphnn's own.
    """

    OVERFLOWS = auto()
    """A result may be beyond the largest number where the operands are not."""
    WRAPS = auto()
    """Of integers, a result may be too large for their dtype. `forward` is asked with float64, too, to see whether."""
    UNDERFLOWS = auto()
    """A result may be rounded to 0 where no operand is 0."""
    FADES = auto()
    """So it may where an operand is 0, too."""
    SATURATES = auto()
    """Close to its `bounds` it is flat, and passes no gradient."""
    STEADY = auto()
    """Its slope does not depend on its operands."""
    SCALES = auto()
    """With plain numbers as other operands it scales a value, or moves it."""
    ADDS_UP = auto()
    """It adds up what it gets, or takes the mean."""
    DECIDED_BY_ONE = auto()
    """A 0, or an infinity, may come of one of many elements."""
    CHOOSES = auto()
    """Each element is one of those that it gets, or a bound."""
    HIDES = auto()
    """It may keep a bad value from going further."""
    KEEPS_SIZE = auto()
    """A result may be what went in, but for its sign."""
