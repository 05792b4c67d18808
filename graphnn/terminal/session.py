"""The loop: what is typed is read, done and answered."""

from __future__ import annotations

import cmd
import difflib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._util.text import message, short_name
from ..debugger.traces import in_short
from ..errors import GraphnnError, NotFoundError, UsageError
from ..runtime.evaluation_loop import Stop
from ..view.formatting import by_times, counted, visible
from ..view.tables.terminal_colors import headed, inked, meanings_of
from ..view.tables.trace_table import cut, ink_of, letter
from .terminal_text import NAME, NAMED, PROMPTED, commands, folded, placed, printable
from .verb_arguments import KINDS, named, names
from .verb_registry import VERBS, Verb

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..debugger.debugger import Debugger
    from ..debugger.health.findings import Finding
    from ..debugger.why import Why
    from ..runtime.evaluation_loop import Prepared

_END, _IDLE = "the end: all operations have run", "there is nothing to compute: every value is given"
_LINES = 12
"""Nodes in a list."""


class Session(cmd.Cmd):
    """A debugger, driven by what is typed or read from a file.

    Parameters
    ----------
    dbg : Debugger
    write : callable
        Takes what is to be printed, and whether it sets colours.
    load : callable
        Takes the name of a file, returns the array in it.
    width : int or callable
        Columns of the terminal; or what returns them, asked each time, since a window may be made wider.
    room : callable, optional
        Returns the columns of a table; None: all that it needs. As `width`, unless given.
    colour : bool or 256
        Whether it shows colours, with 24 bits each; 256: it has so many.

    Attributes
    ----------
    failures : int
        How many commands could not be done.
    interrupted : bool
        Whether Ctrl-C stopped the last one.
    asked : list of Why
        The numbers that have been asked about, each made of the next.
    looked_at : tuple, optional
        The run and the position that were checked last, with what was found.
    by_word : dict of str to Verb
    spelled : dict of str to str
        Names that cannot be typed, by what is printed in their place.
    """

    def __init__(
        self,
        dbg: Debugger,
        write: Callable[[str, bool], None],
        load: Callable[[str], Array],
        *,
        width: int | Callable[[], int] = 80,
        room: Callable[[], int | None] | None = None,
        colour: bool | int = False,
    ) -> None:
        super().__init__()
        self.dbg = dbg
        self._columns = width
        self._room = room
        self.colour = colour
        self.failures = 0
        self.interrupted = False
        self._write = write
        self.load = load
        self._repeated = ""
        self.asked: list[Why] = []
        self.looked_at: tuple[Prepared, int, Sequence[Finding]] | None = None
        self.by_word = {word: verb for verb in VERBS for word in (verb.name, *verb.aliases)}
        self.spelled = {visible(name): name for name in names(self) if visible(name) != name}
        dbg.echo = self._heard

    @property
    def width(self) -> int:
        """Columns of the terminal, as it is now."""
        return self._columns if isinstance(self._columns, int) else self._columns()

    @property
    def room(self) -> int | None:
        """Columns of a table; None: all that it needs."""
        return self.width if self._room is None else self._room()

    def say(self, text: object, coloured: bool = False) -> None:
        """Print lines; with their colours if they are our own."""
        self._write(str(text), coloured)

    def say_inked(self, text: str, *meanings: str) -> None:
        """Print lines in the colours of what they mean."""
        self.say(inked(text, *meanings, colour=self.colour), coloured=True)

    def say_headed(self, text: str) -> None:
        """Print lines; those that begin with ``error:``, ``warning:`` or ``note:`` do so in its colour."""
        self.say(headed(text, self.colour), coloured=True)

    def _heard(self, text: str) -> None:
        """Print what the debugger says."""
        self.say_headed(folded(text, self.width))

    def greet(self) -> None:
        """Say what is debugged, and where it stands."""
        count = counted(len(self.dbg.operations), "operation")
        self.say(f'"{visible(self.dbg.graph.name)}": {count}; help lists the verbs')
        if self.dbg.error:
            self.say_headed(folded(f"stopped: {self.dbg.error}", self.width))
        self.stand()

    @property
    def prompt(self) -> str:  # type: ignore[override]
        """What stands before what is typed; in colour where readline is told which characters take no room."""
        text = self._position()
        if self.colour and "GNU" in (getattr(sys.modules.get("readline"), "__doc__", None) or ""):
            before, after = inked("-", *self._prompted).split("-")
            return f"\x01{before}\x02{text}\x01{after}\x02"
        return text

    @property
    def _prompted(self) -> tuple[str, ...]:
        """What the colour of the prompt means: the phase in which the run stands."""
        return "current", self.dbg.current.phase if self.dbg.current is not None else ""

    def _position(self) -> str:
        """Return where the run stands, in short."""
        dbg = self.dbg
        at = f" {short_name(dbg.current.title, PROMPTED)}" if dbg.current is not None else ""
        following = f", next {short_name(dbg.next.title, PROMPTED)}" if dbg.next is not None else ""
        run = f"; {short_name(dbg.run, PROMPTED)}" if len(dbg.runs) > 1 else ""
        return printable(
            f"(graphnn {dbg.position}/{len(dbg.operations)}{at}{following}{run}) ",
            getattr(self.stdout, "encoding", None),
        )

    def converse(self) -> None:
        """Read what is typed, until it is enough. Ctrl-C gives up a line."""
        while True:
            try:
                self.cmdloop()
                return
            except KeyboardInterrupt:
                self.say("")
            except UnicodeDecodeError:
                self.say("that line is not text")

    def perform(self, lines: Iterable[str]) -> bool:
        """Do what the lines say, and return whether one of them says to quit; ``#`` begins a comment.

        Stops after a line that Ctrl-C stopped.
        """
        for line in commands(lines):
            self.say(inked(self._position(), *self._prompted, colour=self.colour) + visible(line), coloured=True)
            if self.onecmd(line):
                return True
            if self.interrupted:
                return False
        return False

    def onecmd(self, line: str) -> bool:
        """Do what a line says; return whether it says to quit."""
        self.interrupted = False
        word, argument = _parted(line)
        if word == "EOF" and not argument:
            self.say("")
            return True
        if not word:
            if not self._repeated:
                return False
            word, argument = _parted(self._repeated)
        if word.startswith("?"):
            word, argument = "help", f"{word[1:]} {argument}"
        try:
            verb = self.verb_of(word)
            if verb.name == "quit":
                return True
            if verb.moves:
                self._repeated = line.strip() or self._repeated
            verb(self, argument.strip())
        except BrokenPipeError:
            raise
        except GraphnnError as error:
            self.failures += 1
            self._complain(error)
        except OSError as error:
            self.failures += 1
            self.say_headed(f'error: "{error.filename}": {error.strerror}' if error.filename else f"error: {error}")
        except KeyboardInterrupt:
            self.failures += 1
            self.interrupted = True
            self.say("interrupted")
            self.stand()
        return False

    def verb_of(self, word: str, others: Iterable[str] = ()) -> Verb:
        """Return the verb that a word means.

        Parameters
        ----------
        word : str
        others : iterable of str
            What might have been meant besides.

        Raises
        ------
        NotFoundError
        """
        verb = self.by_word.get(word)
        name, bracket, _ = word.partition("[")
        if verb is None and named(self, name) in self.dbg.graph and word.endswith("]" if bracket else ""):
            raise NotFoundError(f'there is no verb "{word}", which is of a node: print {word} shows it')
        if verb is None:
            close = difflib.get_close_matches(word[:40], [*self.by_word, *others], n=3)
            meant = list(dict.fromkeys(self.by_word[each].name if each in self.by_word else each for each in close))
            hint = f" Did you mean {' or '.join(meant)}?" if meant else " help lists them."
            raise NotFoundError(f'there is no verb "{word}".{hint}')
        return verb

    def _complain(self, error: GraphnnError) -> None:
        said = error.account
        for written, typed in error.calls:
            said = said.replace(message(written), typed)
        self.say_headed(folded(f"error: {said}", self.width))
        failed, stop = self.dbg.next, error.stopped
        if not isinstance(stop, Stop) or stop.prepared.program.order[stop.position] is not failed:
            return
        for operand, value in dict(zip(failed.inputs, self.dbg[failed].operands, strict=True)).items():
            self.say_inked(f"  {short_name(operand.title, NAME)} = {in_short(value)}", *ink_of(self.dbg, operand)[1:])
        self.stand()

    def emptyline(self) -> bool:
        """Repeat the last movement."""
        return self.onecmd("")

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Return the verbs that begin so."""
        found = sorted(word for word in self.by_word if word.startswith(text))
        return [f"{found[0]} "] if len(found) == 1 else found

    def completedefault(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """Return how the argument may go on."""
        word, _, typed = line[:endidx].lstrip().partition(" ")
        typed = typed.lstrip()
        verb = self.by_word.get(word)
        takes = verb.takes if verb is not None else ""
        if takes.startswith("where") and (typed.startswith("if ") or " if " in typed):
            typed, takes = typed.rpartition(" ")[2].lstrip("("), "condition"
        done = len(typed) - len(text)  # what stands before the part that readline asks for
        known = KINDS[takes].complete(self)
        return [name[done:] for name in known if name.startswith(typed) and name.isprintable()]

    def stand(self) -> None:
        """Say where it stands, what that gave, and what runs next."""
        dbg = self.dbg
        node, following = dbg.current, dbg.next
        lines: list[tuple[str, tuple[str, ...]]] = []
        if node is not None:
            value, ink = dbg[node].value, ink_of(dbg, node)
            lines.append((placed(node, "", self.width), ink))
            told = f"  {by_times(value.shape)} {value.dtype} = {in_short(value)}"
            lines.append((told, ink if "failed" in ink else ()))
        if following is None:
            lines.append((f"  {_END if dbg.operations else _IDLE}", ()))
        else:
            state = "failed" if following is dbg.failed else ""
            lines.append((placed(following, "  next: ", self.width), meanings_of(state, following.phase)))
        shown = [inked(cut(line, self.width), *ink, colour=self.colour) for line, ink in lines]
        self.say("\n".join(shown), coloured=True)

    def list_nodes(self, nodes: Collection[Node], none: str, names: Mapping[Node, str] = {}) -> None:
        """Say nodes, one a line, with their values where they are known; some under other names than their own."""
        for node in [*nodes][:_LINES]:
            spot = self.dbg[node]
            value = f" = {in_short(spot.value)}" if spot.known else f": {spot.state}"
            own = short_name(node.title, NAMED)
            name = f"{short_name(names[node], NAME)} ({own})" if names.get(node, node.title) != node.title else own
            mark = "-->" if spot.state == "current" else "   "
            line = cut(f"{mark} {letter(self.dbg, node)} {name}{value}", self.width)
            self.say_inked(line, *ink_of(self.dbg, node))
        if len(nodes) > _LINES:
            self.say(f"  … and {len(nodes) - _LINES:,} more")
        if not nodes:
            self.say(none)

    def do_help(self, arg: str) -> None:
        """As `help`."""
        self.onecmd(f"help {arg}")

    def need_operations(self) -> None:
        """Refuse where none is left to run.

        Raises
        ------
        UsageError
        """
        if not self.dbg.operations:
            raise UsageError(_IDLE)
        if self.dbg.finished:
            raise UsageError("all operations have run: back and goto go back, restart begins again")


def _parted(line: str) -> tuple[str, str]:
    """Return the verb of a line, and what is typed after it."""
    word, *rest = line.strip().split(None, 1) or [""]
    return word, rest[0] if rest else ""
