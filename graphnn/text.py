"""Text that anybody may have chosen, made safe for a terminal."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Return `text` with what cannot be seen written out: control and format characters, stray surrogates.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        On one line. A backslash stays one backslash; nothing at all is shown as ``""``.

    Examples
    --------
    >>> print(visible("a\x1b[31mb\nc"), visible(r"\N"), visible(""))
    a\x1b[31mb\nc \N ""
    """
    if text.isprintable():
        return text or '""'
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
