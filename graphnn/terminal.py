"""The debugger in a terminal: a loop that reads verbs, moves, and says where it stands."""

from __future__ import annotations

import cmd
import difflib
import math
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import AxisError, GraphnnError, LookupFailure, UsageError, ValueRangeError, near
from .execute.interpreter import Stop
from .files import save
from .graph import Array, Node, as_array, in_range
from .graph.dimensions import shown
from .inspector.conditions import Condition
from .inspector.health import check_health
from .inspector.health.training import beside_guessing
from .inspector.profile import profile
from .inspector.select import many, names_in
from .inspector.sources import AROUND
from .inspector.trace import in_short
from .inspector.why import first_strange
from .text import message, number, short_name
from .view.heatmap import matrix
from .view.terminal.inspect import cut, letter, listing, neighbourhood, screen, trace_table, where
from .view.terminal.table import columns
from .view.text import by_times, counted, elided, visible, wrapped

if TYPE_CHECKING:
    from .execute.interpreter import Prepared
    from .inspector.debugger import Debugger
    from .inspector.health.findings import Finding
    from .inspector.why import Read, Why

_END, _IDLE = "the end: all operations have run", "there is nothing to compute: all of it is given"
_COLOUR = re.compile(r"(\x1b\[[\d;]*m)")
_NAME, _NAMED, _PROMPTED, _WORD = 30, 48, 18, 160
"""Characters of a name, of one that has a line for itself, of one in the prompt, of one in an error."""
_LINES, _CELLS, _ALIKE = 12, 8, 3
"""Nodes in a list; numbers that `why` lists of an operand, and from how many equal ones on it lists one of them."""
_FURTHEST = 10_000  # nodes that a number is followed through
_NUMBERS = 40  # of a row, that are printed as such
_LONG = re.compile(rf"\S{{{_WORD + 1},}}")


def printable(text: object, encoding: str | None = None, coloured: bool = False) -> str:
    r"""Return text with what would command the terminal, or what it cannot hold, written out; lines stay lines.

    Parameters
    ----------
    text : object
    encoding : str, optional
        Of the terminal.
    coloured : bool
        Whether colours that the text sets are kept.

    Examples
    --------
    >>> print(printable("a\x1b[31m, θ\nb", "ascii"))
    a\x1b[31m, \u03b8
    b
    """
    encoding = encoding or "utf-8"
    lines = []
    for line in str(text).split("\n"):
        parts = _COLOUR.split(line) if coloured else [line]
        # Every second part is a colour.
        lines.append("".join(part if i % 2 or not part else visible(part) for i, part in enumerate(parts)))
    return "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)


def commands(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines that say something; ``#`` begins a comment."""
    for line in lines:
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


# --- what is typed --------------------------------------------------------------------------------------------

Index = tuple["int | slice | EllipsisType", ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_SLICE = re.compile(rf"({_INTEGER.pattern})?\s*:\s*({_INTEGER.pattern})?\s*(?::\s*({_INTEGER.pattern})?)?")
_LITERAL = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf\b|nan\b))"
    r"|(?P<word>True\b|False\b|None\b)|(?P<sign>[][,]))",
    re.ASCII,
)
_WORDS = {"True": True, "False": False, "None": None}
_DEEPEST = 32


def index_of(text: str) -> Index:
    """Return the index that is written between brackets: ints, slices and ``...``.

    Raises
    ------
    ValueRangeError
        When it is none.

    Examples
    --------
    >>> index_of("0, :3"), index_of("..., -1")
    ((0, slice(None, 3, None)), (Ellipsis, -1))
    """
    return tuple(_index_part(part.strip(), text) for part in text.split(",")) if text.strip() else ()


def _index_part(part: str, text: str) -> int | slice | EllipsisType:
    if part == "...":
        return ...
    if _INTEGER.fullmatch(part):
        return int(part)
    found = _SLICE.fullmatch(part)
    if found is None or (found[3] and not int(found[3])):
        raise ValueRangeError(f'"{part}" in [{text}] is no index: there are integers, slices as in 2:5, and ...')
    return slice(*(None if bound is None else int(bound) for bound in found.groups()))


def literal_of(text: str) -> Any:
    """Return the number, or nested list of numbers, that a text writes; nothing in it is evaluated.

    Raises
    ------
    ValueRangeError
        When it writes something else.

    Examples
    --------
    >>> literal_of("[[1, -2.5], [inf, 1e3]]"), literal_of("True")
    ([[1, -2.5], [inf, 1000.0]], True)
    """
    whole: list[Any] = []
    open_lists = [whole]
    ended = False  # whether a comma or the end of a list must come next
    at, text = 0, text.rstrip()
    while at < len(text):
        token = _LITERAL.match(text, at)
        sign = token["sign"] if token is not None else None
        fits = sign in ("]", ",") if ended else sign != ","
        if sign in ("]", ","):
            fits = fits and len(open_lists) > 1 and (sign != "]" or ended or not open_lists[-1])
        if token is None or not fits:
            raise ValueRangeError(
                f"what is set is a number, or a list of them; {text[at:].strip()[:20]} is out of place"
            )
        at = token.end()
        if sign == "[":
            if len(open_lists) > _DEEPEST:
                raise ValueRangeError(f"a list in a list, {_DEEPEST} times: no value has so many axes")
            open_lists[-1].append([])
            open_lists.append(open_lists[-1][-1])
        elif sign == "]":
            open_lists.pop()
            ended = True
        elif sign == ",":
            ended = False
        else:
            open_lists[-1].append(_WORDS[token["word"]] if token["word"] else _number(token["number"]))
            ended = True
    if len(open_lists) > 1 or not whole:
        raise ValueRangeError(f'"{text[:40]}" ends where {"a ]" if whole else "a number, or a list,"} should come')
    return whole[0]


def _number(text: str) -> int | float:
    if not _INTEGER.fullmatch(text):
        return float(text)
    return int(text)


# --- the verbs ------------------------------------------------------------------------------------------------


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
        Under which `help` lists it.
    takes : str
        What its argument is, for completion: ``"node"``, ``"many"``, ``"where"`` (and a condition), ``"where or
        condition"``, ``"list"``, ``"run"``, ``"verb"``, or "".
    moves : bool
        Whether an empty line repeats it.
    action : callable
        The method; its docstring is the help.
    """

    usage: str
    aliases: tuple[str, ...]
    example: str
    group: str
    takes: str
    moves: bool
    action: Callable[[Session, str], None]

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


VERBS: list[Verb] = []
_CONDITION = ("above", "below", "min", "max", "mean", "std", "norm", "zeros", "nans", "infs", "size", "value", "not")
_Action = Callable[["Session", str], None]


def _said(
    usage: str, *aliases: str, example: str, group: str, takes: str = "", moves: bool = False
) -> Callable[[_Action], _Action]:
    def register(action: _Action) -> _Action:
        VERBS.append(Verb(usage, aliases, example, group, takes, moves, action))
        return action

    return register


_MOVE, _STOP, _LOOK, _ASK, _CHANGE, _ELSE = "moving", "stopping", "looking", "asking", "what if", "the rest"


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
    colour : bool or 256
        Whether it shows colours, with 24 bits each; 256: it has so many.

    Attributes
    ----------
    failures : int
        How many commands could not be done.
    interrupted : bool
        Whether Ctrl-C stopped the last one.
    """

    def __init__(
        self,
        dbg: Debugger,
        write: Callable[[str, bool], None],
        load: Callable[[str], Array],
        *,
        width: int | Callable[[], int] = 80,
        colour: bool | int = False,
    ) -> None:
        super().__init__()
        self.dbg = dbg
        self._columns = width
        self.colour = colour
        self.failures = 0
        self.interrupted = False
        self._write = write
        self._load = load
        self._repeated = ""
        self._asked: list[Why] = []
        self._looked_at: tuple[Prepared, int, Sequence[Finding]] | None = None
        self._by_word = {word: verb for verb in VERBS for word in (verb.name, *verb.aliases)}
        # Names that cannot be typed are meant by what is printed in their place.
        self._spelled = {visible(name): name for name in self._names() if visible(name) != name}
        dbg.echo = self._heard
        self.prompt = self._prompt()

    @property
    def width(self) -> int:
        """Columns of the terminal, as it is now."""
        return self._columns if isinstance(self._columns, int) else self._columns()

    # --- the loop -------------------------------------------------------------------------------------------

    def say(self, text: object, coloured: bool = False) -> None:
        """Print lines; with their colours if they are our own."""
        self._write(str(text), coloured)

    def _heard(self, text: str) -> None:
        """Print what the debugger says."""
        self.say(folded(text, self.width))

    def greet(self) -> None:
        """Say what is debugged, and where it stands."""
        count = counted(len(self.dbg.operations), "operation")
        self.say(f'"{visible(self.dbg.graph.name)}": {count}; help lists the verbs')
        if self.dbg.error:
            self.say(folded(f"stopped: {self.dbg.error}", self.width))
        self._stand()

    def _prompt(self) -> str:
        dbg = self.dbg
        at = f" {short_name(dbg.current.title, _PROMPTED)}" if dbg.current is not None else ""
        following = f", next {short_name(dbg.next.title, _PROMPTED)}" if dbg.next is not None else ""
        run = f"; {short_name(dbg.run, _PROMPTED)}" if len(dbg.runs) > 1 else ""
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
                self.say("that line is no text")

    def perform(self, lines: Iterable[str]) -> bool:
        """Do what the lines say, and return whether one of them says to quit; ``#`` begins a comment.

        Stops after a line that Ctrl-C stopped.
        """
        for line in commands(lines):
            self.say(f"{self.prompt}{line}")
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
            verb = self._meant_by(word)
            if verb.name == "quit":
                return True
            if verb.moves:
                self._repeated = line.strip() or self._repeated
            if argument.strip() and " " not in verb.usage:
                raise UsageError(f"{verb.name} takes nothing after it, and there is {argument.strip()[:40]}")
            verb.action(self, argument.strip())
        except BrokenPipeError:
            raise
        except GraphnnError as error:
            self.failures += 1
            self._complain(error)
        except OSError as error:
            self.failures += 1
            self.say(f'error: "{error.filename}": {error.strerror}' if error.filename else f"error: {error}")
        except KeyboardInterrupt:
            self.failures += 1
            self.interrupted = True
            self.say("interrupted")
            self._stand()
        finally:
            self.prompt = self._prompt()
        return False

    def _meant_by(self, word: str) -> Verb:
        verb = self._by_word.get(word)
        name, bracket, _ = word.partition("[")
        if verb is None and self._named(name) in self.dbg.graph and word.endswith("]" * bool(bracket)):
            raise LookupFailure(f'there is no verb "{word}", which is of a node: print {word} shows it')
        if verb is None:
            close = difflib.get_close_matches(word[:40], self._by_word, n=3)
            meant = list(dict.fromkeys(self._by_word[each].name for each in close))
            hint = f" Did you mean {' or '.join(meant)}?" if meant else " help lists them."
            raise LookupFailure(f'there is no verb "{word}".{hint}')
        return verb

    def _complain(self, error: GraphnnError) -> None:
        said = str(error.args[0])
        for written, typed in error.calls:
            said = said.replace(written, typed)
        self.say(folded(f"error: {message(said)}", self.width))
        failed, stop = self.dbg.next, error.stopped
        if not isinstance(stop, Stop) or stop.prepared.program.order[stop.place] is not failed:
            return
        for operand, value in dict(zip(failed.inputs, self.dbg[failed].operands, strict=True)).items():
            self.say(f"  {short_name(operand.title, _NAME)} = {in_short(value)}")
        self._stand()

    def emptyline(self) -> bool:
        """Repeat the last movement."""
        return self.onecmd("")

    # --- completion -----------------------------------------------------------------------------------------

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Return the verbs that begin so."""
        found = sorted(word for word in self._by_word if word.startswith(text))
        return [f"{found[0]} "] if len(found) == 1 else found

    def completedefault(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """Return how the argument may go on."""
        word, _, typed = line[:endidx].lstrip().partition(" ")
        typed = typed.lstrip()
        verb = self._by_word.get(word)
        takes = verb.takes if verb is not None else ""
        if takes.startswith("where") and (typed.startswith("if ") or " if " in typed):
            typed, takes = typed.rpartition(" ")[2].lstrip("("), "condition"
        done = len(typed) - len(text)  # what stands before the part that readline asks for
        names: dict[str, Callable[[], Iterable[str]]] = {
            "node": self._names,
            "many": self._several,
            "where": lambda: [*self._several(), *self._said_to_be()],
            "where or condition": lambda: [*self._several(), *self._said_to_be(), *Condition.FLAGS, *_CONDITION],
            "list": lambda: self._lists,
            "run": lambda: self.dbg.runs,
            "verb": lambda: sorted(self._by_word),
            "condition": lambda: [*Condition.FLAGS, *_CONDITION, "and", "or"],
        }
        known = names[takes]() if takes else ()
        return [name[done:] for name in known if name.startswith(typed) and name.isprintable()]

    # --- what is meant --------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        dbg = self.dbg
        return list(dict.fromkeys([*names_in(dbg.order, dbg.graph), *dbg.graph.scopes, *dbg.graph.outputs]))

    def _several(self) -> list[str]:
        """Return what may be typed where several nodes may be meant."""
        return [*self._names(), *sorted({node.op.name for node in self.dbg.order})]

    def _said_to_be(self) -> list[str]:
        """Return what may be typed where it is said what the name is of."""
        ops = sorted({node.op.name for node in self.dbg.order})
        return [*(f"op={op}" for op in ops), *(f"scope={scope}" for scope in self.dbg.graph.scopes)]

    def _named(self, text: str) -> str:
        """Return the name that is meant: as it is typed, in quotes, or as it is printed where it cannot be typed."""
        if text not in self.dbg.graph:
            if len(text) > 1 and text[0] == text[-1] == '"' and text[1:-1] in self.dbg.graph:
                return text[1:-1]
            return self._spelled.get(text, text)
        return text

    def _conditional(self, text: str) -> tuple[str, str | None]:
        """Return what stands before ``if``, and the condition after it, if there is one."""
        if text.startswith("if "):
            return "", text[3:].strip()
        if text == "if" or text.endswith(" if"):
            raise UsageError(f"if which condition? {text} nan, say, or {text} max > 10")
        target, found, condition = text.rpartition(" if ")
        if not found or self._named(text) in self.dbg.graph:
            return text, None
        return target.strip(), condition.strip()

    def _refuse_part(self, text: str) -> None:
        name, bracket, _ = text.partition("[")
        if bracket and text not in self.dbg.graph and self._named(name) in self.dbg.graph:
            how = f"break {name} if value[…] > 0, say, looks at an element"
            raise UsageError(f"it is a whole node that is meant here, {name}; {how}")

    def _meant(self, text: str) -> dict[str, str | None]:
        """Return which nodes are meant: by name, or as the operation or the scope that is said to be one."""
        kind, _, name = text.partition("=")
        if kind in ("op", "scope") and name and text not in self.dbg.graph:
            return {kind: name}
        self._refuse_part(text)
        return {"target": self._named(text) if text else None}

    def _node(self, text: str) -> Node:
        if text:
            return self.dbg.node(self._named(text))
        return self.dbg.here() if self.dbg.operations else self.dbg.order[-1]

    def _part(self, text: str) -> tuple[Node, Index | None, str]:
        """Return the node that is meant, and the index or the attribute of it."""
        try:
            return self._node(text), None, ""
        except LookupFailure:
            if text.endswith("]") and "[" in text:
                name, _, inside = text[:-1].rpartition("[")
                return self._node(name.rstrip()), index_of(inside), ""
            name, dot, attribute = text.rpartition(".")
            if dot and self._named(name) in self.dbg.graph:
                return self._node(name), None, attribute
            raise

    def _is_known(self, node: Node) -> bool:
        return self.dbg[node].known

    # --- showing --------------------------------------------------------------------------------------------

    def _stand(self) -> None:
        """Say where it stands, what that gave, and what runs next."""
        dbg = self.dbg
        node, following = dbg.current, dbg.next
        lines = []
        if node is not None:
            value = dbg[node].value
            lines.append(_placed(node, "", self.width))
            lines.append(f"  {by_times(value.shape)} {value.dtype} = {in_short(value)}")
        if following is None:
            lines.append(f"  {_END}" if dbg.operations else f"  {_IDLE}")
        else:
            lines.append(_placed(following, "  next: ", self.width))
        self.say("\n".join(cut(line, self.width) for line in lines))

    def _list(self, nodes: Collection[Node], none: str, names: Mapping[Node, str] = {}) -> None:
        """Say nodes, one a line, with their values where they are known; some under other names than their own."""
        for node in [*nodes][:_LINES]:
            spot = self.dbg[node]
            value = f" = {in_short(spot.value)}" if self._is_known(node) else f": {spot.state}"
            own = short_name(node.title, _NAMED)
            name = f"{short_name(names[node], _NAME)} ({own})" if names.get(node, node.title) != node.title else own
            mark = "-->" if spot.state == "current" else "   "
            self.say(cut(f"{mark} {letter(self.dbg, node)} {name}{value}", self.width))
        if len(nodes) > _LINES:
            self.say(f"  … and {len(nodes) - _LINES:,} more")
        if not nodes:
            self.say(none)

    # --- moving ---------------------------------------------------------------------------------------------

    @_said("step [N]", "s", example="step 5", group=_MOVE, moves=True)
    def _step(self, argument: str) -> None:
        """Run the next operation, or the next N.

        A breakpoint stops it earlier.
        """
        self._unless_finished()
        self.dbg.step(_count(argument))
        self._stand()

    def _unless_finished(self) -> None:
        if not self.dbg.operations:
            raise UsageError(_IDLE)
        if self.dbg.finished:
            raise UsageError("all operations have run: back and goto go back, restart goes before all")

    @_said("back [N]", "rs", "reverse-step", "rn", "reverse-next", example="back 2", group=_MOVE, moves=True)
    def _back(self, argument: str) -> None:
        """Go back by one operation, or by N.

        (b is break, as in pdb and gdb.)
        """
        if not self.dbg.position:
            raise UsageError("nothing has run yet: there is nothing to go back to")
        self.dbg.back(_count(argument))
        self._stand()

    @_said("into", example="into", group=_MOVE, moves=True)
    def _into(self, argument: str) -> None:
        """Run the next operation, into the scope that it opens."""
        self._unless_finished()
        self.dbg.into()
        self._stand()

    @_said("over", "o", "n", "next", example="over", group=_MOVE, moves=True)
    def _over(self, argument: str) -> None:
        """Run the next operation, or all of the scope that it opens.

        A scope is a layer, a softmax, the whole backward pass.
        """
        self._unless_finished()
        self.dbg.over()
        self._stand()

    @_said("out", "finish", example="out", group=_MOVE, moves=True)
    def _out(self, argument: str) -> None:
        """Run until the current node's scope is left.

        Where it is left already, that is the one around it; at the top it runs to the end.
        """
        self._unless_finished()
        self.dbg.out()
        self._stand()

    @_said("until NODE", "u", example="until relu_1", group=_MOVE, takes="many", moves=True)
    def _until(self, argument: str) -> None:
        """Run until a node has run.

        It is named by itself, by a scope, an output, a pattern (dense_*/add) or an operation (exp). Repeated, it goes
        on to the next one that is meant.
        """
        self.dbg.until(self._named(_needed(argument, "until which node?")))
        self._stand()

    @_said("goto NODE or N", "g", "jump", "j", example="goto 0", group=_MOVE, takes="node")
    def _goto(self, argument: str) -> None:
        """Go to a node, or to where N operations have run.

        Forwards or backwards; no breakpoint stops it. goto 0 goes before all.
        """
        _needed(argument, "goto which node, or how many operations?")
        self.dbg.goto(int(argument) if _INTEGER.fullmatch(argument) else self._node(argument))
        self._stand()

    @_said("continue", "c", "cont", "resume", example="continue", group=_MOVE, moves=True)
    def _continue(self, argument: str) -> None:
        """Run until a breakpoint, Ctrl-C, or the end."""
        self._unless_finished()
        self.dbg.resume()
        self._stand()

    @_said("restart", "run", "r", example="restart", group=_MOVE)
    def _restart(self, argument: str) -> None:
        """Go back before all.

        Breakpoints and watches stay. After a commit it is the next step of training: a new run, from the new state.
        """
        self.dbg.restart()
        self._stand()

    # --- stopping -------------------------------------------------------------------------------------------

    @_said("break [NODE] [if CONDITION]", "b", example="break dense_*/add if nan", group=_STOP, takes="where")
    def _break(self, argument: str) -> None:
        """Stop after a node, if a condition holds.

        The node is named by itself, by a scope, an output, a pattern (dense_*/add), an operation (exp) or the line that
        made it (model.py:18); any node is meant if only a condition is given. op=exp and scope=dense_1 mean the
        operation and the scope where a node has that name, too. Alone it lists the breakpoints.

        A condition is nan, inf, zero, saturated, unchanged, above 3, below -3, or a comparison: max > 1e3,
        value[0, 2] == 1, value > 3 of some element; joined by and, or, not.
        """
        if not argument:
            self._info("breakpoints")
            return
        target, condition = self._conditional(argument)
        made = self.dbg.break_at(when=condition, **self._meant(target))
        self.say(folded(f"{made}, {counted(len(made.nodes), 'operation')}", self.width))

    @_said("clear [N]", "delete", "d", "cl", example="clear 1", group=_STOP)
    def _clear(self, argument: str) -> None:
        """Take away breakpoint N, or all of them."""
        before = len(self.dbg.breakpoints)
        self.dbg.clear(_whole(argument, "the number of a breakpoint") if argument else None)
        self.say(f"{counted(before - len(self.dbg.breakpoints), 'breakpoint')} taken away")

    @_said("watch NODE", "display", example="watch loss", group=_STOP, takes="many")
    def _watch(self, argument: str) -> None:
        """Print a node's value whenever it changes."""
        target = self._named(_needed(argument, "watch which node?"))
        self._refuse_part(target)
        self.dbg.watch(target)
        self._list(many(self.dbg.order, self.dbg.graph, target), "", self.dbg.watches)

    @_said("unwatch [NODE]", "undisplay", example="unwatch loss", group=_STOP, takes="many")
    def _unwatch(self, argument: str) -> None:
        """Print it no longer.

        None at all, unless one is named.
        """
        self.dbg.unwatch(self._named(argument) if argument else None)
        self.say(f"{counted(len(self.dbg.watches), 'node')} still watched")

    @_said("info [breakpoints | watches | runs]", "i", example="info breakpoints", group=_STOP, takes="list")
    def _info(self, argument: str) -> None:
        """List breakpoints, watches, runs.

        All of them, unless one is named.
        """
        kinds = self._lists
        chosen = [kind for kind in kinds if kind.startswith(argument)]
        if not chosen:
            raise LookupFailure(f'there is no list of "{argument}".{near(argument, kinds)}')
        for kind in chosen:
            kinds[kind]()

    @property
    def _lists(self) -> dict[str, Callable[[], None]]:
        return {"breakpoints": self._say_breakpoints, "watches": self._say_watches, "runs": self._say_runs}

    def _say_breakpoints(self) -> None:
        rows = [(b.number, b.target, b.condition, len(b.nodes), b.hits) for b in self.dbg.breakpoints]
        headers = ("breakpoint", "after", "if", "operations", "hits")
        self.say(columns(rows, headers, width=self.width) if rows else "no breakpoints")

    def _say_watches(self) -> None:
        self._list(self.dbg.watches, "nothing is watched", self.dbg.watches)

    def _say_runs(self) -> None:
        rows = [
            (f"{'→' if name == self.dbg.run else ' '} {name}", ", ".join(node.name for node in changed) or "nothing")
            for name, changed in self.dbg.runs.items()
        ]
        self.say(columns(rows, ("  run", "changed in it"), width=self.width))

    @_said("recheck [NODE if] CONDITION", example="recheck dense_*/add if nan", group=_STOP, takes="where or condition")
    def _recheck(self, argument: str) -> None:
        """List what has run that a condition holds of.

        Node and condition are as break takes them.
        """
        target, condition = self._conditional(argument)
        if condition is None:
            target, condition = "", target
        _needed(condition, "recheck which condition? For instance: recheck nan")
        found = self.dbg.recheck(condition, **self._meant(target))
        none = f"of nothing that has run, {condition} holds"
        self._list(found, f"{condition} does not hold of {target}, as far as that has run" if target else none)

    # --- looking --------------------------------------------------------------------------------------------

    @_said("where", "bt", "w", example="where", group=_LOOK)
    def _where(self, argument: str) -> None:
        """Say where it stands, in which scopes, and what is next."""
        self.say(where(self.dbg, self.width))
        for depth, scope in enumerate(self.dbg.frames(), start=1):
            kind = f" ({scope.kind})" if scope.kind else ""
            place = f"{kind}, made at {scope.origin}"
            room = max(self.width - len(place) - 2 * depth - 3, _NAME)
            self.say(cut(f"{'  ' * depth}in {short_name(scope.path, room)}{place}", self.width))

    @_said("list [N]", "l", example="list 10", group=_LOOK)
    def _list_around(self, argument: str) -> None:
        """List the nodes around here, with what they gave.

        N before and N after, 5 unless given. A number is what goto takes. D done, C current, F fed, W waiting,
        S stale: was done, from values that hold no longer; O overridden by set.
        """
        around = _whole(argument, "the number of nodes to list") if argument else 5
        self.say(listing(self.dbg, around, self.width, bool(self.colour)), coloured=True)

    @_said("screen", example="screen", group=_LOOK)
    def _screen(self, argument: str) -> None:
        """Show all of it: where, list, the value, the line."""
        self.say(screen(self.dbg, self.width, self.colour), coloured=True)

    @_said(
        "print [NODE, NODE[INDEX] or NODE.stats]", "p", example="print dense_1/add[0, :3]", group=_LOOK, takes="node"
    )
    def _print(self, argument: str) -> None:
        """Print a value, a part of it, or its statistics.

        Of the current node, if none is named: print, print [0, :3]. clip_1.lo is a setting of an operation.
        """
        node, index, attribute = self._part(argument)
        name = visible(node.name)
        if attribute == "stats":
            stats = self.dbg[node].stats._asdict()
            self.say(
                columns(
                    [
                        (key, float(value) if key in ("min", "max", "mean", "std") else value)
                        for key, value in stats.items()
                    ]
                )
            )
            return
        if attribute:
            if attribute not in node.op.settings:
                known = ("stats", *node.op.settings)
                raise LookupFailure(f'"{node.name}" ({node.op.name}) has no "{attribute}".{near(attribute, known)}')
            self.say(f"{name}.{attribute} = {self.dbg.op_of(node).attributes[attribute]!r}")
            return
        value = self.dbg[node].value
        if index is None:
            self.say(f"{short_name(node.title, _NAME)}  {by_times(value.shape)} {value.dtype}, {self.dbg.state(node)}")
        else:
            value = _at(node, value, index)
            if value.ndim > 1 or value.size > _NUMBERS:
                part = f"{short_name(node.title, _NAME)}{_index(index)}"
                self.say(f"{part}  {by_times(value.shape)} {value.dtype}, counted from its own beginning")
        if value.ndim > 1 or value.size > _NUMBERS:
            self.say(matrix(value, self.width, colour=self.colour), coloured=True)
        else:
            self.say(np.array2string(value, self.width, precision=6))

    @_said("inputs [NODE]", example="inputs softmax_1/divide", group=_LOOK, takes="node")
    def _inputs(self, argument: str) -> None:
        """List the operands of a node, with their values."""
        node = self._node(argument)
        self._list(self.dbg.inputs(node), f"{node.name} reads nothing")

    @_said("users [NODE]", example="users x", group=_LOOK, takes="node")
    def _users(self, argument: str) -> None:
        """List what reads a node in this run."""
        node = self._node(argument)
        self._list(self.dbg.users(node), f"nothing in this run reads {node.name}")

    @_said("neighbours [NODE]", "neighbors", "nb", example="neighbours relu_1", group=_LOOK, takes="node")
    def _neighbours(self, argument: str) -> None:
        """Show a node between what it reads and what reads it."""
        self.say(neighbourhood(self.dbg, self._node(argument), self.width))

    @_said("twin [NODE]", example="twin grad/relu_1/multiply", group=_LOOK, takes="node")
    def _twin(self, argument: str) -> None:
        """List the forward node of a backward one, or the reverse.

        That is, of a gradient's or an update's node, the node that it was made for; of a forward node, those.
        """
        node = self._node(argument)
        self._list(self.dbg.twin(node), f"{node.name} has no twin in this run")

    @_said("path [NODE]", example="path dense_1/weight", group=_LOOK, takes="node")
    def _path(self, argument: str) -> None:
        """List a shortest way from a node to what was asked for."""
        self._list(self.dbg.path(self._node(argument)), "")

    @_said("source [NODE]", "src", example="source relu_1", group=_LOOK, takes="node")
    def _source(self, argument: str) -> None:
        """Show the lines of the program that made a node."""
        node = self._node(argument)
        self.say(f"{short_name(node.title, _NAME)}, made at {node.origin}")
        lines = self.dbg.sources.get(node.origin.file, {})
        for line, text in lines.items():
            if abs(line - node.origin.line) <= AROUND:
                mark = "→" if line == node.origin.line else " "
                self.say(cut(f"{mark} {line:>4}  {text.expandtabs(4)}", self.width))
        if node.origin.line not in lines:
            self.say("  (the text of that line is not known)")

    @_said("trace", example="trace", group=_LOOK)
    def _trace(self, argument: str) -> None:
        """Print the table of all that has run."""
        self.say(trace_table(self.dbg.trace(), self.width))

    # --- asking ---------------------------------------------------------------------------------------------

    @_said("why [NODE[INDEX]] or why N", "y", example="why softmax_1/divide[17, 2]", group=_ASK, takes="node")
    def _why(self, argument: str) -> None:
        """Say from which numbers, by which formula, a number comes.

        Of the current node, if none is named; of its first NaN or infinity, if no index is given. Then why N, or up N,
        goes on to the N-th of the numbers that it was made of, up to what was fed; down goes back.
        """
        if _INTEGER.fullmatch(argument) and argument not in self.dbg.graph:
            self._up(argument)
            return
        failed = self.dbg.failed
        if failed is not None and argument in ("", failed.name):
            self._say_failure(failed)
            return
        self._asked = [self.dbg.why(*self._element(argument))]
        self._say_why()

    def _say_failure(self, node: Node) -> None:
        """Say why a node has no value."""
        told = check_health(self.dbg.trace()).errors
        cause = next((each.cause for each in told if each.node is node), self.dbg.error.partition("\n")[0])
        self.say(folded(cause, self.width))
        self._list(node.inputs, f"{node.name} reads nothing")

    def _element(self, text: str) -> tuple[Node, Index | None]:
        """Return the node that is meant, and which one of its numbers."""
        node, index, attribute = self._part(text)
        if attribute:
            raise UsageError(f"a number of {node.name} is meant, as in {node.name}[0], and not .{attribute}")
        if index is None:
            return node, self._strange(node)
        if not all(isinstance(part, int) for part in index):
            raise UsageError(f'one number of "{node.name}" is meant, and not the part {_index(index)}')
        return node, index

    def _strange(self, node: Node) -> Index | None:
        """Return the element that is asked about where none is named: the first NaN, or infinity; None is the only."""
        value = self.dbg[node].value
        if value.size <= 1:
            return None
        if strange := first_strange(value):
            return strange
        last = _index(n - 1 for n in value.shape)
        raise UsageError(f'"{node.name}" has shape {shown(value.shape)}: say which number, as in {node.name}{last}')

    @_said("up [N]", example="up 2", group=_ASK)
    def _up(self, argument: str) -> None:
        """Ask why of the N-th number that the last one was made of.

        Unless N is given, of the first that is NaN, or else infinite; else of the first.
        """
        if not self._asked:
            raise UsageError("ask why first")
        cells = _cells(self._asked[-1])
        asked = _whole(argument, "the number of one that is listed") if argument else _likeliest(self._asked[-1])
        if not 1 <= asked <= len(cells):
            listed = "1 number is" if len(cells) == 1 else f"{len(cells) or 'no'} numbers are"
            raise AxisError(f"{listed} listed there, so there is no number {asked}")
        self._asked.append(self.dbg.why(*cells[asked - 1]))
        self._say_why()

    @_said("down", example="down", group=_ASK)
    def _down(self, argument: str) -> None:
        """Go back to the number that was asked about before."""
        if len(self._asked) < 2:
            raise UsageError("this is the number that was asked about first" if self._asked else "ask why first")
        self._asked.pop()
        self._say_why()

    def _say_why(self) -> None:
        why = self._asked[-1]
        lines = [f"{_called(why.node, why.index)}{why.equation.removeprefix(_indexed(why.node.name, why.index))}"]
        count = 0
        for read in _different(why):
            listed = _listed(read)
            if len(listed) < read.count:
                rest = str(read).removeprefix(visible(read.node.name))
                lines.append(f"      {short_name(read.node.title, _NAMED)}{rest}; among them")
            for k, alike in listed.items():
                count += 1
                kind = f", {read.given}" if read.given else ""
                value = number(read.node.dtype.type(read.values[k]))
                more = f"; {'at least ' * (read.count > len(read.values))}{alike:,} more like it" if alike else ""
                lines.append(f"{count:>4}  {_called(read.node, read.indices[k])} = {value}{kind}{more}")
        if why.origin.file:
            source = f": {why.source.strip()}" if why.source else ""
            lines.append(f"  at {why.origin}{source}")
        lines += self._remark(why)
        if count:
            lines.append("  why N, or up N, goes on to one of them" if count > 1 else "  why 1, or up, goes on to it")
        self.say("\n".join(cut(line, self.width) for line in lines))

    def _remark(self, why: Why) -> list[str]:
        """Return what else there is to say of a number: how what is bad in it arose, or a loss beside guessing."""
        value = self.dbg[why.node].value
        if value.dtype.kind == "f" and not np.isfinite(value[why.index]):
            said = self._since(why)
            return folded(f"  {said}", self.width).split("\n") if said else []
        if value.ndim:
            return []
        said = beside_guessing(
            why.node, self.dbg.order, lambda node: self.dbg[node].value if self._is_known(node) else None
        )
        return [f"  {said}"] if said else []

    def _since(self, why: Why) -> str:
        """Return where what is bad in a number arose, and how."""
        origin = why
        for _ in range(_FURTHEST):
            cells = _cells(origin)
            node, index = cells[_likeliest(origin) - 1] if cells else (origin.node, origin.index)
            if not cells or np.isfinite(self.dbg[node].value[index]):
                break
            origin = self.dbg.why(node, index)
        found = self._findings()
        told = [each for first in found for each in (first, *first.leads_to) if each.node is origin.node]
        told.sort(key=lambda each: each.index != tuple(origin.index))
        if origin is not why:
            return f"since {told[0].cause if told else origin.equation}"
        said = told[0].reasons if told else ""
        return said if not said or told[0].index == tuple(why.index) else f"as with {told[0].place}: {said}"

    def _findings(self) -> Sequence[Finding]:
        """Return what is found of the run as it is now; nothing, if its values do not all fit into the budget."""
        prepared, position = self.dbg.prepared, self.dbg.position
        if self._looked_at is None or self._looked_at[0] is not prepared or self._looked_at[1] != position:
            fits = self.dbg.fits_memory
            self._looked_at = prepared, position, check_health(self.dbg.trace()).findings if fits else ()
        return self._looked_at[2]

    @_said("ancestry [NODE[INDEX]]", "ancestors", example="ancestry softmax_1/divide[17, 2]", group=_ASK, takes="node")
    def _ancestry(self, argument: str) -> None:
        """List all that one number was made of.

        Directly, or through others.
        """
        self._say_cells(self.dbg.ancestry(*self._element(argument)))

    @_said("influence [NODE[INDEX]]", example="influence x[17, 0]", group=_ASK, takes="node")
    def _influence(self, argument: str) -> None:
        """List all that one number had a part in.

        Directly, or through others; of what has run.
        """
        self._say_cells(self.dbg.influence(*self._element(argument)))

    def _say_cells(self, found: dict[Node, Array]) -> None:
        rows = []
        for node, cells in found.items():
            shape = self.dbg[node].value.shape
            first = [_index(np.unravel_index(cell, shape)) for cell in cells[:3]] if shape else []
            more = ", …" if len(cells) > len(first) and shape else ""
            rows.append((node.name, len(cells), f"{' '.join(first)}{more}"))
        self.say(columns(rows, ("node", "numbers", "which"), width=self.width))

    @_said("sample ROW [DIMENSION]", example="sample 17", group=_ASK)
    def _sample(self, argument: str) -> None:
        """Show one sample alone, in every value that has run.

        From the feed to its cotangents. Samples lie along the first placeholder's first dimension, unless another one
        is named.
        """
        row, _, dimension = _needed(argument, "which sample? For instance: sample 17").partition(" ")
        found = self.dbg.sample(_whole(row, "the number of a sample"), dimension.strip() or None)
        rows = [(node.name, by_times(value.shape), in_short(value)) for node, value in found.items()]
        self.say(columns(rows, ("node", "shape", "value"), width=self.width))

    @_said("check", "health", example="check", group=_ASK)
    def _check(self, argument: str) -> None:
        """Say where NaN, inf and overflow arise, why, what to do.

        It runs all of this run, on its own; the debugger stays where it is.
        """
        self.say(check_health(self.dbg.trace()))

    # --- what if --------------------------------------------------------------------------------------------

    @_said("set NODE = VALUE", example="set dense_1/bias[0] = 0.5", group=_CHANGE, takes="node")
    def _set(self, argument: str) -> None:
        """Give a node another value, and see what becomes of it.

        What depends on it is recomputed, and only that. It begins a run; the one before is kept, and use goes back.

        VALUE is a number, which fills it; a list of lists of numbers; ones, zeros; or a file FILE.npy. NODE may be a
        part of one, dense_1/bias[0], or a setting of its operation, clip_1.lo.
        """
        name, equals, text = argument.rpartition("=")
        if not equals or not text.strip() or not name.strip():
            raise UsageError("set needs a node and a value: set NODE = VALUE")
        node, index, attribute = self._part(name.strip())
        if attribute:
            value = literal_of(text)
            self.dbg.what_if(node, **{attribute: _tupled(value)})
        elif index is not None:
            _at(node, self.dbg[node].value, index)
            self.dbg[node][index] = self._numbers(node, text.strip())
        else:
            numbers, shape = self._numbers(node, text.strip()), self.dbg.prepared.shape_of(node)
            self.dbg.what_if(node, np.broadcast_to(numbers, shape) if numbers.ndim == 0 else numbers)
        self._stand()

    def _numbers(self, node: Node, text: str) -> Array:
        """Return the numbers that are typed for a node."""
        if text in ("ones", "zeros"):
            return np.asarray(text == "ones", node.dtype)
        if text.endswith(".npy"):
            return self._load(text)
        literal = literal_of(text)
        if literal is None:
            raise UsageError("None is for a setting of an operation, as in clip_1.lo: a node has numbers")
        return _typed(node, literal, text)

    @_said("unset NODE", example="unset dense_1/bias", group=_CHANGE, takes="node")
    def _unset(self, argument: str) -> None:
        """Take a change back.

        It begins a run in which the node has again what it computes, or what it was fed.
        """
        del self.dbg[self._node(_needed(argument, "unset which node?"))]
        self._stand()

    @_said("runs", example="runs", group=_CHANGE)
    def _runs(self, argument: str) -> None:
        """List the runs that are kept, with what was changed."""
        self._say_runs()

    @_said("use RUN", example="use run", group=_CHANGE, takes="run")
    def _use(self, argument: str) -> None:
        """Go to a run that was kept, at the same position."""
        self.dbg.use(_needed(argument, "use which run? runs lists them"))
        self._stand()

    @_said("drop RUN", example="drop what-if 1", group=_CHANGE, takes="run")
    def _drop(self, argument: str) -> None:
        """Let a kept run go."""
        self.dbg.drop(_needed(argument, "drop which run? runs lists them"))
        self._say_runs()

    @_said("diff [RUN]", example="diff run", group=_CHANGE, takes="run")
    def _diff(self, argument: str) -> None:
        """Compare what has run with another run.

        With the first one, unless one is named.
        """
        name = argument or next(iter(self.dbg.runs))
        if name == self.dbg.run:
            raise UsageError(f'"{name}" is the run that this is: name another one; runs lists them')
        self.say(self.dbg.compare(name))

    @_said("commit", example="commit", group=_CHANGE)
    def _commit(self, argument: str) -> None:
        """Make the updates of this training step.

        restart then begins the next step with them; save FILE.gnn keeps them.
        """
        if not self.dbg.updates:
            raise UsageError("there are no updates to make: a compiled step has some, or a graph with --updates")
        self.dbg.commit()
        self.say(f"{counted(len(self.dbg.updates), 'update')} made; restart begins the next step with them")

    # --- the rest -------------------------------------------------------------------------------------------

    @_said("save FILE", example="save run.trace", group=_ELSE)
    def _save(self, argument: str) -> None:
        """Write what has run to a file.

        graphnn debug FILE opens it. Of a file that ends in .gnn, the graph with its parameters.
        """
        _needed(argument, "save to which file?")
        if argument.endswith(".gnn"):
            save(self.dbg.graph, argument)
        else:
            self.dbg.trace().save(argument)
        self.say(f"wrote {argument}")

    @_said("profile", example="profile", group=_ELSE)
    def _profile(self, argument: str) -> None:
        """Say which operations take the time and the memory.

        It times runs of its own; the debugger stays where it is.
        """
        self.say(profile(self.dbg.trace()))

    @_said("echo TEXT", example="echo now the backward pass", group=_ELSE)
    def _echo(self, argument: str) -> None:
        """Print a text."""
        self.say(argument)

    @_said("help [VERB]", "h", example="help break", group=_ELSE, takes="verb")
    def _help(self, argument: str) -> None:
        """List the verbs, or say more of one of them."""
        if argument:
            verb = self._meant_by(argument.split()[0])
            aliases = f"\nAlso: {', '.join(verb.aliases)}" if verb.aliases else ""
            again = "An empty line repeats it.\n" if verb.moves else ""
            self.say(f"{verb.usage}\n")
            for paragraph in verb.paragraphs:
                self.say(textwrap.fill(paragraph, self.width))
            self.say(f"{again}\nFor instance: {self._example(verb)}{aliases}")
            return
        for group in dict.fromkeys(verb.group for verb in VERBS):
            rows = [
                (f"  {', '.join((verb.name, *verb.short))}", verb.paragraphs[0].rstrip("."))
                for verb in VERBS
                if verb.group == group
            ]
            self.say(f"{group}\n{columns(rows, least=(18,), width=self.width)}")
        self.say("help VERB says more; Tab completes; an empty line repeats the last movement")

    def _example(self, verb: Verb) -> str:
        """Return what one might type, of a node and an element that are in this run."""
        word, _, rest = verb.example.partition(" ")
        named = re.match(r"([^\s\[\d][^\s\[]*)(\[[^\]]*\])?", rest)
        if not verb.takes.startswith(("node", "many", "where")) or named is None:
            return verb.example
        name, part = named.groups()
        try:
            node = many(self.dbg.order, self.dbg.graph, name)[0]
        except LookupFailure:
            computed = [node for node in self.dbg.operations if verb.name != "twin" or node.twin is not None]
            if not computed:
                return word
            node = computed[-1]
            name = short_name(node.title, _NAMED)
        index = f"[{', '.join('0' * node.ndim)}]" if part and node.ndim else ""
        return f"{word} {name}{index}{rest[named.end() :]}"

    def do_help(self, arg: str) -> None:
        """As `help`."""
        self.onecmd(f"help {arg}")

    @_said("quit", "q", "exit", "EOF", example="quit", group=_ELSE)
    def _quit(self, argument: str) -> None:
        """Leave.

        Nothing is kept but what was saved.
        """


def _made(node: Node, most: int) -> str:
    """Return a node as the equation that it is, ``relu_1 = relu(dense_1/add)``, with names of so many characters."""
    operands = ", ".join(short_name(operand.title, most) for operand in node.inputs)
    return f"{short_name(node.title, most)} = {node.op.name}({operands})"


def _placed(node: Node, before: str, width: int) -> str:
    """Return a node as an equation with the user's line, which stays whole."""
    place = f"  at {visible(str(node.origin))}" if node.origin.file else ""
    room = max(width - len(before) - len(place), _NAME)
    made = next((made for most in range(_NAME, 11, -3) if len(made := _made(node, most)) <= room), _made(node, 12))
    return f"{before}{elided(made, room)}{place}"


def folded(text: str, width: int) -> str:
    """Return lines that go into the terminal's width, of a length that can be read."""
    lines: list[str] = []
    for line in _LONG.sub(lambda word: elided(word[0], _WORD), text).split("\n"):
        lines += wrapped(visible(line) if line else "", width, "  ")
    return "\n".join(lines)


def _parted(line: str) -> tuple[str, str]:
    """Return the verb of a line, and what is typed after it."""
    word, *rest = line.strip().split(None, 1) or [""]
    return word, rest[0] if rest else ""


def _needed(argument: str, otherwise: str) -> str:
    if not argument:
        raise UsageError(otherwise)
    return argument


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,400}", text):
        raise UsageError(f"{what} is a whole number, not {text}")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, "the number of operations") if text else 1


def _typed(node: Node, literal: Any, text: str) -> Array:
    """Return numbers as they are typed in a node's dtype: they have none of their own."""
    array = as_array(literal, "the value")
    if array.dtype.kind not in "iuf" or node.dtype.kind not in ("f" if array.dtype.kind == "f" else "iuf"):
        return array
    own = in_range(array, node.dtype, f'the value of "{node.name}"')
    if node.dtype.kind == "f" and (np.isinf(own) & np.isfinite(array)).any():
        most = f"{np.finfo(node.dtype).max:.5g}"
        raise ValueRangeError(f'{text[:40]} does not fit into {node.dtype}, that of "{node.name}": it ends at {most}')
    return own


def _at(node: Node, value: Array, index: Index) -> Array:
    try:
        return np.asarray(value[index])
    except IndexError:
        raise AxisError(f'"{node.name}" has shape {shown(value.shape)}, and so no part {_index(index)}') from None


def _index(index: Iterable[Any]) -> str:
    return f"[{', '.join(map(_index_text, index))}]"


def _index_text(part: Any) -> str:
    if isinstance(part, slice):
        bounds = ["" if bound is None else str(bound) for bound in (part.start, part.stop, part.step)]
        return ":".join(bounds if bounds[2] else bounds[:2])
    return "..." if part is ... else str(part)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _called(node: Node, index: Sequence[int]) -> str:
    """Return one number of a node as it is printed."""
    return _indexed(short_name(node.title, _NAMED), index)


def _indexed(name: str, index: Sequence[int]) -> str:
    return f"{name}{_index(index)}" if index else name


def _different(why: Why) -> list[Read]:
    """Return what the operands gave, the same elements of one node but once."""
    return list({(read.node, read.indices): read for read in reversed(why.reads)}.values())[::-1]


def _listed(read: Read) -> dict[int, int]:
    """Return which of the numbers that an operand gave are listed: the first, and those that are not finite.

    Of many that are equal it is one, with how many more there are.
    """
    equal: dict[str, list[int]] = {}
    for k, value in enumerate(read.values):
        equal.setdefault(repr(value), []).append(k)
    groups = [[k] for ks in equal.values() for k in ks[: _ALIKE - 1] if len(ks) < _ALIKE]
    groups += [ks for ks in equal.values() if len(ks) >= _ALIKE]
    groups.sort()
    strange = [ks for ks in groups if not math.isfinite(read.values[ks[0]])][: _CELLS // 2]
    chosen = [*strange, *[ks for ks in groups if ks not in strange][: _CELLS - len(strange)]]
    return {ks[0]: len(ks) - 1 for ks in sorted(chosen)}


def _likeliest(why: Why) -> int:
    """Return which of the numbers that are listed is asked about next: the first NaN, or infinity, or the first."""
    values = [read.values[k] for read in _different(why) for k in _listed(read)]
    strange = [*map(math.isnan, values)], [*map(math.isinf, values)]
    return next((found.index(True) + 1 for found in strange if any(found)), 1)


def _cells(why: Why) -> list[tuple[Node, tuple[int, ...]]]:
    """Return the numbers that are listed below an equation, in their order."""
    return [(read.node, read.indices[k]) for read in _different(why) for k in _listed(read)]
