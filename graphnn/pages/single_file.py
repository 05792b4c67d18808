"""Pages of one file: a template with a style and a script, under a policy that lets nothing else in."""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files

_COMMENTS = re.compile(r"^[ \t]*(?://[^\n]*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)\n", re.MULTILINE)
_INDENTED = re.compile(r"^[ \t]+|\n(?=\n)", re.MULTILINE)


@cache
def part(package: str, name: str) -> str:
    """Return the text of a file of a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def bare(script: str) -> str:
    r"""Return a script without the comments that stand on lines of their own, and without how its lines are indented.

    Scripts of ours alone: none of their strings goes over several lines.

    Examples
    --------
    >>> bare("/** Says it. */\nfunction f() {\n  // why\n  return 'https://a'; // here\n}\n")
    "function f() {\nreturn 'https://a'; // here\n}\n"
    """
    return _INDENTED.sub("", _COMMENTS.sub("", script))


def one_file(template: str, style: str, script: str, **parts: str) -> str:
    """Return the page: the template, with each part at the place that bears its name between ``@@``.

    The policy says that nothing is loaded from anywhere, and that what runs is this script.

    Parameters
    ----------
    template : str
        With the places ``@@policy@@``, ``@@style@@`` and ``@@script@@``.
    style, script : str
    **parts : str
        HTML, escaped already.

    Examples
    --------
    >>> one_file("<title>@@title@@</title><script>@@script@@</script>", "", "let x;", title="a &lt; b")
    '<title>a &lt; b</title><script>let x;</script>'
    """
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    found = {**parts, "policy": policy, "style": style, "script": script}
    pieces = template.split("@@")
    return "".join(found[piece] if i % 2 else piece for i, piece in enumerate(pieces))


@cache
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
