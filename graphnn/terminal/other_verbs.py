"""The rest of the verbs."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from .._util.text import short_name
from ..control_flow.unrolled_run import graph_before
from ..debugger.node_selection import many
from ..debugger.profile import profile as profile_of
from ..errors import NotFoundError
from ..io.graph_files import save as save_graph
from ..view.formatting import wrapped
from ..view.tables.table import columns
from .terminal_text import NAMED
from .verb_arguments import KINDS
from .verb_registry import GROUPS, REST, VERBS, Verb, verb

if TYPE_CHECKING:
    from .session import Session

declared = partial(verb, group=REST)

_TOPIC = 10  # cells of a topic's name
_FIRST = ("step", "continue", "back", "list", "print", "why", "set")


@declared("save FILE", example="save run.trace", needs="save to which file?")
def save(session: Session, file: str) -> None:
    """Write what has run to a file.

    graphnn debug FILE opens it. For a file that ends in .gnn, the graph with its parameters.
    """
    if file.endswith(".gnn"):
        save_graph(graph_before(session.dbg.graph), file)
    else:
        session.dbg.trace().save(file)
    session.say(f"wrote {file}")


@declared("profile")
def profile(session: Session, _: str) -> None:
    """Say which operations take the time and the memory.

    It times runs of its own; the debugger stays where it is.
    """
    session.say(profile_of(session.dbg.trace()).table(session.room))


@declared("echo TEXT", example="echo now the backward pass")
def echo(session: Session, text: str) -> None:
    """Print a text."""
    session.say(text)


@declared("help [TOPIC or VERB]", "h", example="help looking", takes="topic")
def help_on(session: Session, word: str) -> None:
    """List the verbs by topic, or say more of a topic or a verb.

    The topics are stepping, stopping, looking, asking, what-if and other.
    """
    topic = word.lower().replace(" ", "-")
    if not word:
        _say_topics(session)
    elif topic in GROUPS:
        _say_verbs(session, [each for each in VERBS if each.group == topic])
        session.say(f"\nhelp VERB describes one, as in: help {next(v.name for v in VERBS if v.group == topic)}")
    else:
        _say_verb(session, session.verb_of(word.split()[0], GROUPS))


def _say_topics(session: Session) -> None:
    """Say every verb by its topic, in fewer lines than a screen has, and what to begin with."""
    for group in GROUPS:
        names = ", ".join(each.name for each in VERBS if each.group == group)
        indent = " " * _TOPIC
        session.say("\n".join(wrapped(f"{group:<{_TOPIC - 1}} {names}", session.width, indent)))
    session.say("\nTo begin with:")
    _say_verbs(session, [session.by_word[name] for name in _FIRST])
    session.say(
        "\nhelp looking, or another topic, describes its verbs; help VERB describes one\n"
        "Tab completes; an empty line repeats the last movement"
    )


def _say_verbs(session: Session, verbs: Sequence[Verb]) -> None:
    rows = [(f"  {', '.join((each.name, *each.short))}", each.paragraphs[0].rstrip(".")) for each in verbs]
    session.say(columns(rows, least=(18,), width=session.width))


def _say_verb(session: Session, found: Verb) -> None:
    aliases = f"\nAlso: {', '.join(found.aliases)}" if found.aliases else ""
    again = "An empty line repeats it.\n" if found.moves else ""
    session.say(f"{found.usage}\n")
    for paragraph in found.paragraphs:
        session.say(textwrap.fill(paragraph, session.width))
    session.say(f"{again}\nFor instance: {_example(session, found)}{aliases}")


def _example(session: Session, verb: Verb) -> str:
    """Return what one might type, of a node and an element that are in this run."""
    word, _, rest = verb.example.partition(" ")
    named = re.match(r"([^\s\[\d][^\s\[]*)(\[[^\]]*\])?", rest)
    if not KINDS[verb.takes].of_nodes or named is None:
        return verb.example
    name, part = named.groups()
    try:
        node = many(session.dbg.order, session.dbg.graph, name)[0]
    except NotFoundError:
        computed = [node for node in session.dbg.operations if verb.name != "twin" or node.twin is not None]
        if not computed:
            return word
        node = computed[-1]
        name = short_name(node.title, NAMED)
    index = f"[{', '.join('0' * node.ndim)}]" if part and node.ndim else ""
    return f"{word} {name}{index}{rest[named.end() :]}"


@declared("quit", "q", "exit", "EOF")
def leave(session: Session, _: str) -> None:
    """Leave.

    Only what was saved is kept.
    """
