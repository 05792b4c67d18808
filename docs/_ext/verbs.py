"""The verbs of the debugger in a terminal."""

from reference import table

from graphnn.terminal import VERBS


def verbs() -> str:
    """Return the table of the debugger's verbs."""
    rows = [
        (f"`{verb.usage}`", ", ".join(f"`{alias}`" for alias in verb.aliases), verb.paragraphs[0].rstrip("."))
        for verb in VERBS
    ]
    return table(("verb", "also", "what it does"), rows)
