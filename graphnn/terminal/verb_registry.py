"""The verbs: each is declared once, with its help, its argument and how that is completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from .verb_arguments import KINDS

if TYPE_CHECKING:
    from .session import Session

MOVE, STOP, LOOK, ASK, CHANGE, REST = GROUPS = ("stepping", "stopping", "looking", "asking", "what-if", "other")
"""The topics of the help."""
_Action = Callable[["Session", Any], None]


class Verb(NamedTuple):
    """What can be typed.

    Attributes
    ----------
    usage : str
        The verb with its arguments.
    aliases : tuple of str
        Other words for it.
    example : str
    group : str
        The topic of `help` that lists it.
    action : callable
        Takes the session and the argument; its docstring is the help.
    takes : str
        The kind of its argument, of `KINDS`; "" for none.
    needs : str
        What it says where its argument is missing; "" if it may be.
    moves : bool
        Whether an empty line repeats it.
    ahead : bool
        Whether it needs operations that are yet to run.
    stands : bool
        Whether it says afterwards where the debugger stands.
    """

    usage: str
    aliases: tuple[str, ...]
    example: str
    group: str
    action: _Action
    takes: str = ""
    needs: str = ""
    moves: bool = False
    ahead: bool = False
    stands: bool = False

    @property
    def name(self) -> str:
        """The verb itself."""
        return self.usage.partition(" ")[0]

    @property
    def short(self) -> list[str]:
        """The aliases of one or two letters."""
        return [alias for alias in self.aliases if len(alias) <= 2]

    @property
    def paragraphs(self) -> list[str]:
        """The help; the first paragraph says it in short."""
        return [" ".join(part.split()) for part in (self.action.__doc__ or "").split("\n\n")]

    def __call__(self, session: Session, text: str) -> None:
        """Read the argument, and do it."""
        if text and " " not in self.usage:
            raise UsageError(f"{self.name} takes no argument, not {text[:40]}")
        if not text and self.needs:
            raise UsageError(self.needs)
        if self.ahead:
            session.need_operations()
        self.action(session, KINDS[self.takes].read(session, text))
        if self.stands:
            session.stand()


VERBS: list[Verb] = []


def verb(usage: str, *aliases: str, **details: Any) -> Callable[[_Action], _Action]:
    """Declare the decorated function as a verb; the details are those of `Verb`."""

    def register(action: _Action) -> _Action:
        details.setdefault("example", usage.partition(" ")[0])
        VERBS.append(Verb(usage, aliases, action=action, **details))
        VERBS.sort(key=lambda each: GROUPS.index(each.group))
        return action

    return register
