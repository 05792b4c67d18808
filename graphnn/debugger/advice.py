"""What an error advises: as a program calls it, and as one types it in the terminal."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """A call that an error advises; it is in the error's text as a program has it, and in its field `calls`.

    Attributes
    ----------
    program : str
    typed : str
        The same as one types it in the terminal.
    """

    program: str
    typed: str

    def __str__(self) -> str:
        return self.program


def call(verb: str, argument: str = "", *, quoted: bool = True) -> Call:
    """Return the call of a debugger's verb.

    Examples
    --------
    >>> print(call("until", "relu_1"), call("until", "relu_1").typed)
    dbg.until("relu_1") until relu_1
    """
    written = f'"{argument}"' if argument and quoted else argument
    return Call(f"dbg.{verb}({written})", f"{verb} {argument}".rstrip())


RESTART = call("restart")
