"""The debugger in a terminal: what each verb does, says, refuses, and completes."""

import builtins
import inspect
import re
import signal
import tracemalloc
from typing import ClassVar

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, Spec, nn
from graphnn.errors import UsageError
from graphnn.terminal import VERBS, Session, index_of, literal_of, printable, verb_registry
from graphnn.terminal.verb_arguments import KINDS

X = np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]])
W = np.array([[1.0], [10.0]])


def example():
    """X @ W = 1, 0, 12; its logarithm; their sum."""
    g = gn.Graph("example")
    x = g.placeholder("x", shape=("batch", 2))
    w = g.parameter("w", W)
    with g.scope("head"):
        low = gn.clip(x @ w, 0.0, 100.0)
        y = gn.log(low)
    g.outputs["total"] = gn.sum(y)
    return gn.debug(g.outputs["total"], {x: X}, echo=None)


class Talk:
    """A session whose lines are kept."""

    def __init__(self, dbg, load=None, width=80):
        self.lines = []
        self.session = Session(dbg, lambda text, coloured: self.lines.append(text), load, width=width)

    def __call__(self, *commands):
        """Do them; return what they said."""
        self.lines.clear()
        for command in commands:
            self.session.onecmd(command)
        return "\n".join(self.lines)

    @property
    def dbg(self):
        return self.session.dbg

    @property
    def at(self):
        return self.dbg.position


def test_a_patch_takes_the_value_that_a_node_has_in_a_trace(tmp_path):
    g = gn.Graph()
    x = g.placeholder("x", (3,))
    y = gn.sum(gn.exp(x), name="y")
    gn.trace(y, {x: [0.0, 1.0, 2.0]}).save(tmp_path / "clean.trace")
    gn.save(g, tmp_path / "graph.gnn")
    dbg = gn.debug(y, {x: [0.0, 0.0, 0.0]}, echo=None)
    talk = Talk(dbg)
    talk("continue", f"patch exp[1:] from {tmp_path}/clean.trace")
    assert dbg["y"].value == pytest.approx(np.exp([0, 1, 2]).sum())
    talk("use run", f"patch x from {tmp_path}/clean.trace")
    np.testing.assert_allclose(dbg["exp"].value, np.exp([0, 1, 2]))
    talk("use run")
    assert dbg["y"].value == 3
    assert "holds a graph" in talk(f"patch exp from {tmp_path}/graph.gnn")
    assert "no part [5]" in talk(f"patch exp[5] from {tmp_path}/clean.trace")


@pytest.fixture
def talk():
    return Talk(example())


def numbers(text):
    return [float(word) for word in text.replace("[", " ").replace("]", " ").split()]


# --- moving ---------------------------------------------------------------------------------------------------

ORDER = ["head/matmul", "head/clip", "head/log", "sum"]


@pytest.mark.parametrize(
    ("commands", "position"),
    [
        (["step"], 1),
        (["step 3"], 3),
        (["step 3", "back"], 2),
        (["step 3", "back 2"], 1),
        (["step 3", "back 9"], 0),
        (["until head/log"], 3),
        (["until log"], 3),
        (["until *clip"], 2),
        (["until total"], 4),
        (["goto head/clip"], 2),
        (["goto 4", "goto 1"], 1),
        (["continue"], 4),
        (["into"], 1),
        (["over"], 3),
        (["into", "out"], 3),
        (["continue", "restart"], 0),
        (["break head/clip", "continue"], 2),
        (["break if inf", "continue"], 3),
        (["break head/* if max > 12", "continue"], 4),
        (["break head if zeros >= 1", "continue"], 1),
        (["break log", "step 9"], 3),
        (["break op=log", "continue"], 3),
        (["break scope=head if inf", "continue"], 3),
        (["break head/clip", "clear 1", "continue"], 4),
        (["break head/clip", "break log", "clear", "continue"], 4),
    ],
)
def test_movements(talk, commands, position):
    said = talk(*commands)
    assert "error" not in said
    assert talk.at == position
    if position:
        assert ORDER[position - 1] in talk.session.prompt
    assert talk.session.prompt.startswith(f"(graphnn {position}/4")
    assert talk.session.failures == 0


def test_each_movement_says_where_it_stands_what_came_out_and_what_is_next(talk):
    line, value, following = talk("step 2").split("\n")
    assert line.startswith("head/clip = clip(head/matmul)  at test_terminal.py:")
    assert value == "  3 × 1 float64 = [[1], [0], [12]]"
    assert following.startswith("  next: head/log = log(head/clip)  at test_terminal.py:")
    assert "  the end: all operations have run" in talk("continue")
    assert talk.session.prompt == "(graphnn 4/4 sum) "


# As pdb and gdb have them.
WORDS = {
    "step": ["s"],
    "over": ["n", "next"],
    "back": ["rs", "reverse-step"],
    "back-over": ["rn", "reverse-next", "bo"],
    "rewind": ["rc", "reverse-continue"],
    "until": ["u"],
    "goto": ["g", "jump", "j"],
    "continue": ["c", "cont", "resume"],
    "out": ["finish"],
    "restart": ["run", "r"],
    "break": ["b"],
    "clear": ["delete", "d", "cl"],
    "watch": ["display"],
    "unwatch": ["undisplay"],
    "info": ["i"],
    "where": ["bt", "w"],
    "list": ["l"],
    "print": ["p"],
    "source": ["src"],
    "why": ["y"],
    "help": ["h"],
    "quit": ["q", "exit", "EOF"],
}


def test_each_alias_does_what_its_verb_does():
    for name, aliases in WORDS.items():
        argument = {"until": " log", "goto": " 2", "print": " x", "source": " x", "why": " w[0,0]"}.get(name, "")
        for word in [name, *aliases]:
            one, other = Talk(example()), Talk(example())
            for each in (one, other):
                each("step 2")
            # What is different in the two is the time a trace took, and nothing here prints it.
            assert one(word + argument) == other(name + argument)
            assert one.at == other.at


def test_words_are_of_one_verb_each():
    words = [word for verb in VERBS for word in (verb.name, *verb.aliases)]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example(talk, verb):
    told = talk(f"help {verb.name}")
    assert told.startswith(verb.usage)
    assert verb.paragraphs[0] in " ".join(told.split())
    (example,) = re.findall("^For instance: (.*)$", told, re.MULTILINE)
    assert example.split()[0] == verb.name
    if (
        KINDS[verb.takes].of_nodes
        and not verb.takes.startswith("where")
        and verb.name not in ("unset", "set", "patch", "goto")
    ):
        if not verb.moves:
            talk("continue")
        assert "error" not in talk(example)
    assert verb.example.split()[0] == verb.name
    for alias in verb.aliases:
        assert alias in told
    assert fits_a_screen(told)
    for word in (*verb.aliases, f"?{verb.name}"):
        assert talk(word if word[0] == "?" else f"help {word}") == told


def fits_a_screen(told):
    lines = told.split("\n")
    return len(lines) < 24 and max(map(len, lines)) <= 80 and "…" not in told


def test_help_names_every_verb_by_its_topic_on_one_screen(talk):
    told = talk("help")
    assert fits_a_screen(told)
    named = re.findall(r"[\w-]+", told.partition("To begin with:")[0])
    assert named == [
        word for topic in verb_registry.GROUPS for word in [topic, *(v.name for v in VERBS if v.group == topic)]
    ]
    assert talk("?") == told


@pytest.mark.parametrize("topic", verb_registry.GROUPS)
def test_help_on_a_topic_says_what_each_of_its_verbs_does(talk, topic):
    told = talk(f"help {topic}")
    assert fits_a_screen(told)
    listed = [re.match(r"[\w-]+", line[2:])[0] for line in told.split("\n\n")[0].split("\n")]
    assert listed == [verb.name for verb in VERBS if verb.group == topic]
    assert all(verb.paragraphs[0].rstrip(".") in told for verb in VERBS if verb.group == topic)
    for word in (f"?{topic}", f"help {topic.upper()}", f"h {topic.replace('-', ' ')}"):
        assert talk(word) == told


def test_a_topic_that_is_misspelt_is_told_its_neighbour(talk):
    assert "Did you mean looking?" in talk("help lookign")


def test_an_unknown_verb_is_told_its_neighbours(talk):
    assert talk("stpe") == 'error: there is no verb "stpe". Did you mean step or sample?'
    assert "Did you mean continue?" in talk("contineu")
    assert "help lists them" in talk("xyzzy")
    assert talk.session.failures == 3


# --- the loop -------------------------------------------------------------------------------------------------


def typed(monkeypatch, talk, *lines):
    """Type them, then nothing more; return the prompts."""
    prompts = []
    waiting = iter(lines)

    def read(prompt=""):
        prompts.append(prompt)
        line = next(waiting, None)
        if line is None:
            raise EOFError
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr(builtins, "input", read)
    talk.session.converse()
    return prompts


def test_an_empty_line_repeats_the_last_movement(monkeypatch, talk):
    prompts = typed(monkeypatch, talk, "", "step", "", "print x", "", "quit", "step")
    assert [prompt.split()[1].rstrip("),") for prompt in prompts] == ["0/4", "0/4", "1/4", "2/4", "2/4", "3/4"]


def test_what_does_not_move_is_not_repeated(monkeypatch, talk):
    typed(monkeypatch, talk, "print x", "")
    assert sum("3 × 2" in line for line in talk.lines) == 1


def test_eof_ends_it(monkeypatch, talk):
    assert len(typed(monkeypatch, talk)) == 1
    assert talk.session.failures == 0


def test_ctrl_c_at_the_prompt_gives_up_the_line_only(monkeypatch, talk):
    typed(monkeypatch, talk, KeyboardInterrupt(), "step", UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), "step", "q")
    assert talk.at == 2


class Pressing(Op):
    """x, and Ctrl-C is pressed meanwhile, as often as `left` says."""

    left: ClassVar[list[int]] = [1]

    def infer(self, x: Spec) -> Spec:
        return x

    def forward(self, x):
        if self.left[0]:
            self.left[0] -= 1
            signal.raise_signal(signal.SIGINT)
        return x + 1.0


def test_ctrl_c_in_a_long_run_returns_to_the_prompt(monkeypatch):
    monkeypatch.setattr(Pressing, "left", [1])
    g = gn.Graph()
    x = g.placeholder("x")
    y = -g.add(Pressing(), (abs(x),))
    talk = Talk(gn.debug(y, {x: 2.0}, echo=None))
    assert talk("continue").startswith("interrupted\nabsolute = absolute(x)")
    assert (talk.at, talk.session.interrupted) == (1, True)
    talk("continue")
    assert talk.dbg[y].value == -3.0


def test_a_script_stops_where_ctrl_c_was_pressed(monkeypatch):
    monkeypatch.setattr(Pressing, "left", [1])
    g = gn.Graph()
    x = g.placeholder("x")
    talk = Talk(gn.debug(g.add(Pressing(), (x,)), {x: 2.0}, echo=None))
    assert not talk.session.perform(["step", "step"])
    assert talk.at == 0


def test_a_script_shows_prompts_and_commands_and_skips_comments(talk):
    assert talk.session.perform(["# all of it", "", "  step 2  ", "quit", "step"])
    assert talk.lines[0] == "(graphnn 0/4, next head/matmul) step 2"
    assert talk.lines[-1] == "(graphnn 2/4 head/clip, next head/log) quit"
    assert talk.at == 2


def test_what_is_typed_is_no_line_of_a_program(monkeypatch, talk):
    typed(monkeypatch, talk, "print totl", "goto 99")
    assert talk.lines[0].startswith('error: this run has no node, scope or output "totl"')
    assert talk.lines[1].endswith("0 to 4, not 99")


# --- completion -----------------------------------------------------------------------------------------------


def completed(talk, line, text=None):
    """What readline is offered at the end of a line, whose last part by its reckoning is `text`."""
    text = line.rpartition(" ")[2] if text is None else text
    session = talk.session
    if " " not in line:
        return session.completenames(text, line, 0, len(line))
    return session.completedefault(text, line, len(line) - len(text), len(line))


def test_completion_of_verbs_nodes_operations_and_runs(talk):
    assert completed(talk, "unt") == ["until "]
    assert completed(talk, "print head/") == ["head/matmul", "head/clip", "head/log"]
    # readline takes a slash to end a word, and is given what comes after it.
    assert completed(talk, "p head/cl", "cl") == ["clip"]
    assert completed(talk, "p to") == ["total"]
    assert completed(talk, "break cl") == ["clip"]
    assert completed(talk, "until head") == ["head/matmul", "head/clip", "head/log", "head"]
    assert completed(talk, "break head/log if na") == ["nan", "nans"]
    assert completed(talk, "b if sat") == ["saturated"]
    assert completed(talk, "help wh") == ["what-if", "where", "why"]
    talk("step", "set w = ones")
    assert completed(talk, "use what-if") == ["what-if 1"]
    assert completed(talk, "echo x") == []
    assert completed(talk, "nonsense x") == []


def test_a_name_that_commands_the_terminal_is_not_completed():
    g = gn.Graph()
    y = gn.negative(g.parameter("p\x1b[2J", 1.0), name="plain")
    assert completed(Talk(gn.debug(y, echo=None)), "print p") == ["plain"]


# --- stopping -------------------------------------------------------------------------------------------------


def test_breakpoints_are_listed_and_taken_away(talk):
    assert talk("break head/clip if max > 3") == 'breakpoint 1: after "head/clip" if max > 3, 1 operation'
    assert talk("b if nan or inf") == "breakpoint 2: after any node if nan or inf, 4 operations"
    # In the same words when it is made and when it stops a run.
    assert talk("continue").startswith('stopped by breakpoint 1: after "head/clip" if max > 3\n')
    first, second = talk("info breakpoints").split("\n")[2:]
    assert first.split() == ["1", '"head/clip"', "max", ">", "3", "1", "1"]
    assert second.split()[-2:] == ["4", "0"]
    assert talk("break") == talk("info breakpoints") == talk("i b")
    assert talk("d 1") == "1 breakpoint removed"
    assert talk("d") == "1 breakpoint removed"
    assert talk("i b") == "no breakpoints"


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('x')",
        "max > nan2",
        "step.value.max() > 1",
        "max",
        "1",
        "",
        "max > 1 if nan",
        "nan; nan",
    ],
)
def test_a_condition_is_parsed_and_never_evaluated(talk, condition):
    assert talk(f"break head/clip if {condition}").startswith("error: ")
    assert talk(f"recheck {condition}").startswith("error: ")
    assert talk.dbg.breakpoints == []


def test_a_watch_prints_what_changes(talk):
    assert talk("watch total") == "    W total (sum): waiting"
    assert "watch total = -inf" in talk("continue")
    assert "watch total = 2.48" in talk("set head/clip[1] = 1")
    assert talk("info watches") == "--> C total (sum) = 2.485"
    assert talk("unwatch total") == "0 nodes still watched"
    assert talk("info w") == "nothing is watched"
    assert "watch" not in talk("restart", "continue")


def names_in(listed: str) -> list[str]:
    """Return the names in a list of nodes, each after its mark and the letter of its state."""
    return [line[6:].split()[0].strip(":") for line in listed.split("\n")]


def test_recheck_lists_what_a_condition_holds_of(talk):
    assert talk("recheck inf") == "inf holds for nothing that has run"
    talk("continue")
    assert names_in(talk("recheck inf")) == ["head/log", "sum"]
    assert names_in(talk("recheck head/* if max >= 12")) == ["head/matmul", "head/clip"]


# --- looking --------------------------------------------------------------------------------------------------


def test_print_shows_what_numpy_has(talk):
    talk("continue")
    y = X @ W
    assert numbers(talk("print head/matmul[0]")) == y[0].tolist()
    assert numbers(talk("print head/matmul[:, 0]")) == y[:, 0].tolist()
    assert numbers(talk("p head/matmul[::2, -1]")) == y[::2, -1].tolist()
    assert numbers(talk("p x[..., 1]")) == X[..., 1].tolist()
    assert numbers(talk("p x [2,0]")) == [2.0]
    assert talk("print head/matmul").startswith("head/matmul  3 × 1 float64, done\n")
    assert talk("p total[]") == "-inf"
    talk("goto head/log")
    assert numbers(talk("p [2, 0]")) == pytest.approx([np.log(12)], abs=1e-6)
    assert talk("print").startswith("head/log  3 × 1 float64, current")


def test_print_shows_statistics_and_settings(talk):
    talk("continue")
    told = dict(line.split() for line in talk("print head/log.stats").split("\n"))
    assert float(told["max"]) == pytest.approx(np.log(12), abs=1e-3)
    assert (told["neginfs"], told["zeros"], told["size"]) == ("1", "1", "3")
    assert talk("print head/clip.hi") == "head/clip.hi = 100.0"
    talk("set head/clip.hi = 5")
    assert talk("print head/clip.hi") == "head/clip.hi = 5"
    assert 'has no "high"' in talk("print head/clip.high")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("print total", "has not run yet: it is operation 4 of 4, and 1 have run; until sum runs it"),
        ("print totl", 'Did you mean "total"'),
        ("print x[3, 0]", "and so no part [3, 0]"),
        ("print x[0, 0, 0]", "no part [0, 0, 0]"),
        ("print x[y]", '"y" in [y] is not an index'),
        ("print x[::0]", '"::0" in [::0] is not an index'),
        ("print x[1,]", "is not an index"),
        ("step two", "the number of operations is a whole number, not two"),
        ("step 0", "of 1 or more"),
        ("step -1", "of 1 or more"),
        ("back -1", "of 1 or more"),
        ("goto", "goto which node"),
        ("goto 5", "positions are 0 to 4, not 5"),
        ("until", "until which node"),
        ("until x", '"x" is known before the run: there is nothing to run'),
        ("until matmul", "goto head/matmul goes back to it, restart to the beginning"),
        ("break x", "known before the run"),
        ("break nothing", "nothing in this run"),
        ("clear 4", "no breakpoint 4"),
        ("clear x", "the number of a breakpoint is a whole number, not x"),
        ("watch", "watch which node"),
        ("info frames", 'no list of "frames"'),
        ("recheck", "recheck which condition"),
        ("why", "say which number, as in head/matmul[2, 0]"),
        ("why total", "has not run yet"),
        ("why x[7, 7]", "no element [7, 7]"),
        ("why x[:, 0]", 'one number of "x" is expected, not the part [:, 0]'),
        ("influence x[...]", 'one number of "x" is expected, not the part [...]'),
        ("ancestry x.stats", "a number of x is expected, such as x[0], not .stats"),
        ("up x", "type why first"),
        ("list x", "the number of nodes to list is a whole number, not x"),
        ("up", "type why first"),
        ("down", "type why first"),
        ("sample", "which sample"),
        ("sample one", "the number of a sample is a whole number, not one"),
        ("sample 3", "no sample 3"),
        ("set", "set NODE = VALUE"),
        ("set w", "set NODE = VALUE"),
        ("set w =", "set NODE = VALUE"),
        ("set w = x", "x is neither"),
        ("set w = None", "None is only for an attribute of an operation"),
        ("set w = [1, 2]", "has shape (2,)"),
        ("set w = [[1], [2, 3]]", "ragged"),
        ("set w[0, 1] = 3", "no part [0, 1]"),
        ("set w[0] = [1, 2]", "that part of"),
        ("set total[] = 3", "has not run yet"),
        ("set head/clip.low = 3", 'no attribute "low"'),
        ("patch", "patch which node"),
        ("patch w", "patch NODE from FILE.trace"),
        ("patch w from nowhere.trace", "nowhere.trace"),
        ("patch head/clip.lo from x.trace", "lo is an attribute"),
        ("unset w", "is not overridden"),
        ("unset", "unset which node"),
        ("use what-if 1", 'no run "what-if 1"'),
        ("use", "runs lists them"),
        ("drop run", "is the current run"),
        ("diff", "is the current run"),
        ("commit", "no updates to make"),
        ("save", "save to which file"),
        ("save /no/such/folder/x.trace", "No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(talk, command, words):
    talk("step")
    told = talk(command)
    assert told.startswith("error: ")
    assert words in " ".join(told.split())
    assert len(told.split("\n")[0]) <= 80
    assert "dbg." not in told
    assert (talk.at, talk.dbg.run, talk.session.failures) == (1, "run", 1)


def test_list_marks_where_it_stands(talk):
    assert "-->" in talk("list").split("nothing has run yet")[0].split("\n")[-1]
    talk("step 2")
    lines = talk("list").split("\n")
    (marked,) = [line for line in lines if line.startswith("-->")]
    assert marked.split()[1:4] == ["2", "C", "head/clip"]
    assert "[[1], [0], [12]]" in marked
    assert [line.split()[1] for line in lines if line.split()[0] in "34"] == ["W", "W"]
    assert talk("l") == "\n".join(lines)
    assert len(talk("l 1").split("\n")) == 3


def test_where_says_how_much_has_run_and_in_which_scopes(talk):
    assert "before the first of 4 operations" in talk("where")
    talk("step 2", "set w = ones")
    told = talk("where")
    for words in ("after head/clip, 2 of 4 operations", "next: head/log", "in what-if 1", "in head, made at"):
        assert words in told
    assert told == talk("bt") == talk("w")


def test_screen_shows_all_of_it(talk):
    talk("step 2")
    told = talk("screen")
    assert told.startswith(talk("where").split("\n")[0])
    assert talk("list") in told
    assert "low = gn.clip(x @ w, 0.0, 100.0)" in told


def test_the_neighbourhood(talk):
    talk("step 2")
    assert talk("inputs") == "    D head/matmul = [[1], [0], [12]]"
    assert talk("users") == "    W head/log: waiting"
    assert talk("users head/matmul") == "--> C head/clip = [[1], [0], [12]]"
    assert talk("inputs head/matmul").split("\n")[0].startswith("    F ")
    assert talk("users total") == "nothing in this run reads sum"
    assert talk("inputs x") == "x reads nothing"
    assert names_in(talk("path w")) == ["w", *ORDER]
    assert talk("twin") == "head/clip has no twin in this run"
    assert "head/matmul" in talk("neighbours")
    assert "head/log" in talk("nb")


def test_twins_of_a_gradient():
    g = gn.Graph()
    x = g.placeholder("x")
    y = gn.exp(gn.sin(x))
    talk = Talk(gn.debug([y, gn.grad(y, x)], {x: 0.5}, echo=None))
    back = [node.name for node in talk.dbg.order if node.twin is not None and node.twin.name == "sin"]
    assert names_in(talk("twin sin")) == back
    assert names_in(talk(f"twin {back[0]}")) == ["sin"]


def test_what_was_set_by_hand_is_marked_in_lists(talk):
    talk("continue", "set head/clip[1] = 1")
    assert names_in(talk("inputs head/log")) == ["head/clip"]
    assert talk("inputs head/log").startswith("    O head/clip")


def test_why_says_how_what_is_bad_came_about():
    x = gn.Graph().placeholder("x", shape=(2,))
    y = gn.where(x > 0, gn.log(x), 0.0)
    talk = Talk(gn.debug([y, gn.grad(gn.sum(y), x)], {x: [0.0, 2.0]}, echo=None))
    talk("continue")
    said = " ".join(talk("why grad/divide[0]").split())
    assert said.startswith("grad/divide[0] = nan = 0 / 0")
    assert "x[0] = 0 in log" in said
    assert re.search(r"the where \S+ hid it", said), said
    assert "hid it" not in talk("why grad/divide[1]")


def test_why_of_a_convolution_folds_its_equation():
    g = gn.Graph()
    x, w = g.placeholder("x", (1, 2, 6, 6)), g.parameter("w", np.full((2, 2, 3, 3), 0.125))
    y = gn.conv(x, w, padding=1)
    gn.name(y, "y")
    talk = Talk(gn.debug(y, {x: np.full((1, 2, 6, 6), 1.25)}))
    talk("resume")
    said = talk("why y[0, 1, 2, 3]").split("\n")
    equation = "y[0, 1, 2, 3] = 2.812 = Σ x[0, :, 1:4, 2:5] · w[1] = 1.25·0.125 + 1.25·0.125 + … (18 products)"
    assert " ".join(" ".join(said[:2]).split()) == equation
    assert max(map(len, said)) <= 80


def test_why_of_what_only_passes_on_says_where_it_arose():
    x = gn.Graph().placeholder("x", shape=(4, 3))
    y = gn.sum(gn.exp(x / gn.std(x, axis=1, keepdims=True)) * 2.0)
    talk = Talk(gn.debug(y, {x: np.r_[np.ones((1, 3)) * 0, np.eye(3)]}, echo=None))
    talk("continue")
    told = " ".join(talk("why").split())
    assert "since divide[0, 0] = nan = 0 / 0; so is all of [0, :]" in told
    assert "in std (" in told
    assert "as with divide[0, 0]: so is all of [0, :]" in " ".join(talk("why divide[0, 2]").split())
    assert "since" not in talk("why divide[1, 2]")


def test_why_keeps_to_the_memory_budget():
    h = x = gn.Graph().placeholder("x", shape=("n",))
    for _ in range(100):
        h = gn.tanh(h)
    values = np.linspace(-1, 1, 10_000)
    talk = Talk(gn.debug(gn.sum(gn.log(h)), {x: values}, budget=12 * values.nbytes, echo=None))
    talk("continue")
    tracemalloc.start()
    try:
        assert "nan" in talk("why")
        assert "nan = log(-" in talk("why log[3]")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 * values.nbytes  # a run has 103 values


def test_why_is_of_the_run_that_it_is_asked_in_though_another_had_its_name():
    g = gn.Graph()
    a = g.parameter("a", 1.0)
    talk = Talk(gn.debug(gn.exp(gn.log(a)), echo=None))
    talk("continue", "set a = -1.0")
    assert "a = -1, set by hand" in talk("why exp")
    talk("use run", "drop what-if 1", "set a = 0.0")
    assert "a = 0, set by hand" in talk("why log")


def test_lists_hold_what_was_set_and_has_not_run(talk):
    talk("continue", "set head/clip = 3.0", "goto 1")
    assert talk("inputs head/log") == "    O head/clip: overridden"
    assert names_in(talk("path w")) == ["w", *ORDER]
    assert talk("watch head/clip") == "    O head/clip: overridden"
    assert talk("info watches") == "    O head/clip: overridden"


def test_recheck_of_a_node_says_what_it_does_not_hold_of(talk):
    assert talk("recheck sum if nan") == "nan does not hold for what has run of sum"


def test_why_of_a_number_asks_why_first(talk):
    assert talk("why 1") == "error: type why first"


def test_why_of_a_loss_says_what_guessing_gives():
    g = gn.Graph()
    x, labels = g.placeholder("x", shape=("batch", 4)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    loss = nn.softmax_crossentropy(x @ g.parameter("w", np.zeros((4, 3))), labels)
    talk = Talk(gn.debug(loss, {x: np.ones((5, 4)), labels: [0, 1, 2, 0, 1]}, echo=None))
    assert "  1.0986 ≈ ln 3: the network is guessing" in talk("continue", "why")
    assert "guessing" not in talk("set w = 7.0", "set x[0, 0] = 100", "why softmax_crossentropy_1/subtract_2[0]")


def test_why_after_a_failure_is_about_what_failed():
    g = gn.Graph()
    x, labels = g.placeholder("x", shape=("n", 3)), g.placeholder("labels", shape=("n",), dtype=np.int64)
    dbg = gn.debug(gn.pick(gn.exp(x), labels), {x: np.zeros((4, 3)), labels: [0, 1, 3, 0]}, echo=None)
    talk = Talk(dbg)
    talk("continue")
    for ask in ("why", "why pick"):
        said = talk(ask)
        assert said.startswith("pick (test_terminal.py:")
        assert "labels[2] = 3" in said
        assert names_in("\n".join(said.split("\n")[-2:])) == ["exp", "labels"]
    with pytest.raises(UsageError, match='"pick" has not run: while evaluating "pick"'):
        dbg.why()


def test_verbs_that_take_nothing_refuse_something(talk):
    for verb in ("commit", "profile", "check", "restart", "continue", "trace"):
        assert talk(f"{verb} junk") == f"error: {verb} takes no argument, not junk"
    assert talk("set = 3").startswith("error: set needs a node and a value")


def test_a_row_is_printed_in_numbers():
    x = gn.Graph().placeholder("x", shape=(2, 10))
    talk = Talk(gn.debug(gn.exp(x), {x: np.arange(20.0).reshape(2, 10) / 10}, echo=None))
    said = talk("print x[0]")
    assert [float(word) for word in said.strip("[]").split()] == [k / 10 for k in range(10)]


def test_a_message_to_a_program_is_turned_to_who_types():
    g = gn.Graph()
    a = g.parameter("a", 0.0)
    loss = gn.log(a * 0.0 - 1.0)
    talk = Talk(gn.debug(gn.compile(loss, updates={a: a + loss}, guard="nan"), echo=None))
    talk("continue")
    said = " ".join(talk("commit", "set a = 1.0", "continue", "diff run", "trace").split())
    assert "is NaN; no update was made" in said
    assert "holds NaN in both: a health check says why" in said
    assert "hold NaN or infinities: a check of their health says where they arise" in said
    assert "error.debug()" not in said
    assert "gn." not in said


def test_source_shows_the_line_that_made_a_node(talk):
    talk("step 2")
    told = talk("source").split("\n")
    assert told[0].startswith("head/clip, made at test_terminal.py:")
    marked = next(line for line in told if line.startswith("→"))
    assert marked.endswith("low = gn.clip(x @ w, 0.0, 100.0)")
    assert f" {told[0].rpartition(':')[2]} " in marked


def test_trace_and_check_print_what_they_are_about(talk):
    talk("step 2")
    assert "head/clip" in talk("trace") or "3 of 6 nodes" in talk("trace")
    told = talk("check")
    assert "log-of-zero" in told
    assert "head/log[1, 0]" in told
    assert talk.at == 2


# --- asking ---------------------------------------------------------------------------------------------------


def test_why_goes_upstream_to_what_was_fed(talk):
    talk("break if inf", "continue")
    told = talk("why").split("\n")
    assert told[0] == "head/log[1, 0] = -inf = log(0)"
    assert told[1].split() == ["1", "head/clip[1,", "0]", "=", "0"]
    assert told[2].endswith("y = gn.log(low)")
    assert talk("up").startswith("head/clip[1, 0] = 0 = clip(0, 0.0, 100.0)")
    product = talk("why 1").split("\n")
    assert product[0].startswith("head/matmul[1, 0] = 0 = 0·1 + 0·10")
    assert [line.strip() for line in product[1:5]] == [
        "1  x[1, 0] = 0, fed",
        "2  x[1, 1] = 0, fed",
        "3  w[0, 0] = 1, a parameter",
        "4  w[1, 0] = 10, a parameter",
    ]
    assert talk("up 4").startswith("w[1, 0] = 10, a parameter")
    assert "no number 1" in talk("up")
    assert talk("down") == "\n".join(product)
    assert talk("down").startswith("head/clip[1, 0]")
    assert talk("why head/matmul[2, 0]").startswith("head/matmul[2, 0] = 12 = 2·1 + 1·10")
    assert "number that was asked about" in talk("down")


def test_why_lists_one_of_what_is_equal():
    g = gn.Graph()
    x = g.placeholder("x", shape=(3, 4), dtype="float32")
    talk = Talk(gn.debug(gn.std(x, axis=1), {x: [[21.5] * 4, [0, 0.1, 0, 0], [3, 3, 4, 5]]}, echo=None))
    assert talk("continue", "why [0]").split("\n")[-5:-2] == [
        "std[0] = 0 = std of 21.5, 21.5, 21.5, 21.5",
        "      x[0, :] = 21.5, 21.5, 21.5, 21.5, fed; among them",
        "   1  x[0, 0] = 21.5, fed; 3 more like it",
    ]
    assert [line.strip() for line in talk("why [1]").split("\n")[2:4]] == [
        "1  x[1, 0] = 0, fed; 2 more like it",
        "2  x[1, 1] = 0.1, fed",
    ]
    assert talk("up 2").startswith("x[1, 1] = 0.1, fed")
    # Two are listed one by one: each may have another story.
    assert [line.split()[0] for line in talk("why [2]").split("\n")[1:5]] == ["1", "2", "3", "4"]


def test_why_lists_a_number_that_is_read_twice_once():
    g = gn.Graph()
    x = g.placeholder("x")
    talk = Talk(gn.debug(x * x, {x: 3.0}, echo=None))
    assert talk("step", "why").split("\n")[-3].strip() == "1  x = 3, fed"
    assert "no number 2" in talk("up 2")


def test_why_counts_no_more_than_it_has_seen_as_equal():
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    talk = Talk(gn.debug(gn.sum(x), {x: np.ones(10_000)}, echo=None))
    assert "x[0] = 1, fed; at least 4,095 more like it" in talk("step", "why")


def test_a_line_that_is_too_long_is_seen_to_be():
    g = gn.Graph()
    x = g.placeholder("x")
    y = gn.exp(x, name="a_name_that_is_long_enough_for_the_line_to_be_cut_where_the_terminal_has_its_edge")
    (line,) = [
        line for line in Talk(gn.debug(y, {x: 1.0}, echo=None), width=60)("step", "why").split("\n") if "y =" in line
    ]
    assert len(line) == 60
    assert line.endswith("…")


def test_why_lists_what_is_not_finite_of_many():
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    data = np.ones(1000)
    data[700] = np.nan
    talk = Talk(gn.debug(gn.sum(x), {x: data}, echo=None))
    told = talk("step", "why")
    assert "x[700] = nan" in told
    assert "x = 1,000 numbers" in told or "x[:] = 1,000 numbers" in told
    assert len(told.split("\n")) < 20
    number = next(line.split()[0] for line in told.split("\n") if "x[700]" in line)
    assert int(number) > 1
    assert talk(f"up {number}").startswith("x[700] = nan, fed")
    talk("down")
    assert talk("up").startswith("x[700] = nan, fed")


def test_ancestry_influence_and_one_sample(talk):
    talk("continue")
    rows = {line.split()[0]: line.split()[1:] for line in talk("ancestry head/log[2, 0]").split("\n")[2:]}
    assert rows["x"] == ["2", "[2,", "0]", "[2,", "1]"]
    assert rows["w"][0] == "2"
    assert "sum" not in rows
    rows = {line.split()[0]: line.split()[1:] for line in talk("influence x[2, 1]").split("\n")[2:]}
    assert rows["head/log"] == ["1", "[2,", "0]"]
    assert rows["sum"] == ["1"]
    told = talk("sample 2")
    assert told == talk("sample 2 batch")
    rows = {line.split()[0]: line.split(maxsplit=2)[2] for line in told.split("\n")[2:]}
    assert rows["x"] == "[2, 1]"
    assert rows["head/matmul"] == "[12]"
    assert "w" not in rows


# --- what if --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "w"),
    [
        ("w = ones", [[1.0], [1.0]]),
        ("w = zeros", [[0.0], [0.0]]),
        ("w = 0.5", [[0.5], [0.5]]),
        ("w = [[3], [-4e1]]", [[3.0], [-40.0]]),
        ("w=[[3],[.5]]", [[3.0], [0.5]]),
        ("w[1, 0] = 7", [[1.0], [7.0]]),
        ("w[:, 0] = [7, 8]", [[7.0], [8.0]]),
        ("w[...] = inf", [[np.inf], [np.inf]]),
        ("w = w.npy", [[5.0], [6.0]]),
    ],
)
def test_set_recomputes_what_numpy_computes(change, w):
    asked = []

    def load(file):
        asked.append(file)
        return np.array([[5.0], [6.0]])

    talk = Talk(example(), load)
    talk("continue")
    told = talk(f"set {change}")
    assert "what-if 1: w changed, recomputed 4 of 4" in told
    assert talk.session.prompt == "(graphnn 4/4 sum; what-if 1) "
    with np.errstate(all="ignore"):
        expected = np.log(np.clip(X @ np.array(w), 0, 100)).sum()
    np.testing.assert_equal(talk.dbg["total"].value, expected)
    assert asked == (["w.npy"] if change.endswith("npy") else [])
    talk("use run")
    assert talk.dbg["total"].value == -np.inf


def test_a_setting_of_an_operation_is_set(talk):
    talk("continue", "set head/clip.lo = 1e-7")
    assert talk.dbg["total"].value == pytest.approx(np.log([1, 1e-7, 12]).sum())
    assert 'run and what-if 1 first differ at "head/clip"' in talk("diff")
    assert talk("diff run") == talk("diff")
    talk("unset head/clip")
    assert talk.dbg["total"].value == -np.inf
    assert [line.split("  ")[-1].strip() for line in talk("runs").split("\n")[2:]] == [
        "nothing",
        "head/clip",
        "nothing",
    ]
    talk("use run", "drop what-if 1")
    assert list(talk.dbg.runs) == ["run", "what-if 2"]


def test_a_number_fills_a_node_that_has_not_run(talk):
    assert "4 have" not in talk("set head/log = 2")
    talk("continue")
    assert talk.dbg["total"].value == 6.0


def test_an_integer_is_not_set_to_a_fraction():
    g = gn.Graph()
    n = g.placeholder("n", shape=(3,), dtype=np.int64)
    talk = Talk(gn.debug(n + n, {n: [1, 2, 3]}, echo=None))
    for command in ("set n = 0.5", "set n[0] = 0.5", "set n = [1, 2, nan]"):
        assert "float64" in talk(command)
    for command in ("set n = 99999999999999999999", "set n[0] = 99999999999999999999"):
        assert talk(command).startswith("error: ")
    talk("set n[-1] = 5", "step")
    assert talk.dbg.step_now.value.tolist() == [2, 4, 10]


def trained():
    g = gn.Graph("halving")
    w = g.parameter("w", 8.0)
    return gn.compile(w * 1.0, updates={w: w * 0.5})


def test_commit_makes_the_updates_and_restart_goes_on(tmp_path):
    step = trained()
    talk = Talk(gn.debug(step, echo=None))
    assert "operations are yet to run" in talk("commit")
    assert talk("continue", "commit").endswith("1 update made; restart begins the next step with them")
    assert step.graph["w"].value == 4.0
    talk("restart", "continue", "commit")
    assert step.graph["w"].value == 2.0
    talk(f"save {tmp_path / 'halved.gnn'}")
    assert gn.load(tmp_path / "halved.gnn")["w"].value == 2.0


def test_a_graph_with_a_loop_is_saved_with_it_and_its_new_parameters(tmp_path):
    g = gn.Graph("loop")
    xs, w = g.placeholder("xs", ("time",)), g.parameter("w", 3.0)
    last, outs = gn.scan(lambda h, x: (h * w + x, h), np.zeros(()), xs)
    step = gn.compile(gn.sum(outs) + last, updates={w: w * 0.5})
    talk = Talk(gn.debug(step, {xs: [1.0, 2.0]}, echo=None))
    talk("continue", "commit", f"save {tmp_path / 'loop.gnn'}", f"save {tmp_path / 'loop.trace'}")
    kept = gn.load(tmp_path / "loop.gnn")
    assert kept["w"].value == 1.5
    assert "scan_1/loop" in kept
    assert gn.load(tmp_path / "loop.trace").stopped is None


def test_save_keeps_what_has_run(talk, tmp_path):
    assert talk("step 2", f"save {tmp_path / 'run'}").endswith(f"wrote {tmp_path / 'run'}")
    again = Talk(gn.debug(gn.load(tmp_path / "run"), echo=None))
    assert again.at == 2
    again("continue")
    assert again.dbg["total"].value == -np.inf


def test_where_nothing_is_computed_what_is_given_can_be_looked_at():
    g = gn.Graph("given")
    talk = Talk(gn.debug(g.parameter("w", [1.0, np.nan]), echo=None))
    talk.session.greet()
    assert talk.lines == [
        '"given": 0 operations; help lists the verbs',
        f"  {(idle := 'there is nothing to compute: every value is given')}",
    ]
    for command in ("step", "continue", "over", "out", "into"):
        assert talk(command) == f"error: {idle}"
    assert "nothing to go back to" in talk("back")
    assert talk("why").split("\n")[0] == "w[1] = nan, a parameter"
    assert talk("print") == "w  2 float64, fed\n[ 1. nan]"
    assert "there is nothing to run" in talk("list")


# --- what fails -----------------------------------------------------------------------------------------------


def dividing():
    g = gn.Graph()
    n = g.placeholder("n", shape=(3,), dtype=np.int64)
    d = g.placeholder("d", shape=(3,), dtype=np.int64)
    return gn.debug(-(n // abs(d)), {n: [1, 2, 3], d: [1, 0, -3]}, echo=None)


def test_an_operation_that_fails_is_shown_with_its_operands_and_the_loop_goes_on():
    talk = Talk(dividing())
    told = talk("continue")
    assert "an integer is divided by 0" in " ".join(told.split())
    assert "\n  n = [1, 2, 3]\n  absolute = [1, 0, 3]\n" in told
    assert "  next: floor_divide = floor_divide(n, absolute)" in told
    assert (talk.at, talk.session.failures) == (1, 1)
    assert talk.session.prompt == "(graphnn 1/3 absolute, next floor_divide) "
    talk("set absolute[1] = 2", "continue")
    assert talk.dbg.step_now.value.tolist() == [-1, -1, -1]


def test_a_what_if_that_fails_goes_on_before_it():
    g = gn.Graph()
    n = g.placeholder("n", dtype=np.int64)
    talk = Talk(gn.debug(-(6 // n), {n: 3}, echo=None))
    told = talk("continue", "set n = 0")
    assert "error: while evaluating" in told
    assert "  n = 0\n" in told
    assert talk.at == 0
    talk("use run")
    assert talk.at == 0
    talk("continue")
    assert talk.dbg.step_now.value == -2


# --- what is written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+2.5e-3", 0.0025),
        (".5", 0.5),
        ("1.", 1.0),
        ("inf", np.inf),
        ("-inf", -np.inf),
        ("nan", np.nan),
        ("True", True),
        ("None", None),
        ("[]", []),
        ("[1,2]", [1, 2]),
        (" [ [1, -2] , [3.5, inf] ] ", [[1, -2], [3.5, np.inf]]),
    ],
)
def test_literals(text, value):
    found = literal_of(text)
    assert repr(found) == repr(value)


def test_lists_are_as_deep_as_arrays():
    found = literal_of("[" * 32 + "1" + "]" * 32)
    assert np.shape(found) == (1,) * 32


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "x", "1 2", "1,2", "[1", "1]", "[1,,2]", "[,1]", "[1,]", "[1 2]", "][", "[]]", "[1] [2]", "()"],
        *["(1, 2)", "'a'", "__import__('os')", "lambda: 1", "1+1", "2**3", "1;2", "--1"],
        *["0x10", "1_000", "1e", "1j", "nano", "inf2", "Truex", "−1", "١"],
        *["[" * 40 + "]" * 40, "[" * 100_000],
    ],
)
def test_what_is_no_literal_is_refused(text):
    with pytest.raises(gn.ValueRangeError):
        literal_of(text)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("", ()),
        ("0", (0,)),
        ("-1, 2", (-1, 2)),
        (":", (slice(None),)),
        ("1:, :-2, ::3, 1:5:2", (slice(1, None), slice(None, -2), slice(None, None, 3), slice(1, 5, 2))),
        ("..., 0", (..., 0)),
    ],
)
def test_indices(text, index):
    assert index_of(text) == index


@pytest.mark.parametrize("text", ["x", "1.5", "1,,2", ",", "1:2:3:4", "::0", "None", "[0]", "0 1", "9" * 30, "True"])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(gn.ValueRangeError):
        index_of(text)


# --- hostile names --------------------------------------------------------------------------------------------

LONG = "d" * 10_000


def hostile():
    g = gn.Graph("g\x1b[31m")
    n = g.placeholder("n\x1b[2J", shape=(3,), dtype=np.int64)
    d = g.placeholder(LONG, shape=(3,), dtype=np.int64)
    with g.scope("scope\x9b\nx"):
        q = gn.floor_divide(n, d, name="q\x1b]0;evil\x07")  # \x1b[31m	and a tab
    y = gn.multiply(gn.add(q, 1, name=""), 2, name="max if nan")
    g.outputs["out\x1b[7m"] = y
    return gn.debug(y, {n: np.arange(3), d: np.array([1, 0, 2])}, echo=None)


def test_no_name_commands_the_terminal(tmp_path):
    shown = []
    talk = Talk(hostile())
    talk.session._write = lambda text, coloured: shown.append(printable(text))
    quiet = r"scope\x9b\nx/q\x1b]0;evil\x07"
    talk.session.greet()
    for command in [
        "c",
        "where",
        "list",
        rf"source {quiet}",
        rf"neighbours {quiet}",
        rf"watch {quiet}",
        rf"break {quiet}",
        "info",
        r"print n\x1b[2J",
        r"set n\x1b[2J = 5",
        rf"set {quiet} = [1, 2, 3]",
        "runs",
        "c",
        "diff",
        'print ""',
        "print max if nan",
        'break "max if nan" if zero',
        "break max if nan",
        r"p out\x1b[7m",
        "why max if nan[0]",
        "up",
        "ancestry max if nan[0]",
        "sample 0",
        "check",
        "trace",
        f"print {LONG}",
        f"print {LONG}x",
        "nonsense\x1b[2J",
        "print \x1b[2J\udc80",
        "echo \x1b[2J",
        rf"save {tmp_path}/x\x1b",
    ]:
        talk(command)
        shown.append(talk.session.prompt)
        assert len(talk.session.prompt) < 80
    assert "".join(shown).replace("\n", "").isprintable()
    assert len(max("\n".join(shown).split("\n"), key=len)) < 250
    assert [b.target for b in talk.dbg.breakpoints] == [f'"{quiet}"', '"max if nan"', '"max if nan"']


def test_no_error_and_no_repr_commands_the_terminal_or_fills_it():
    bad = hostile()
    n, d = bad.order[:2]
    step = gn.compile(bad.fetches)
    dbg = gn.debug(step, {n: np.arange(3), d: np.ones(3, int)}, echo=None)
    dbg.step()
    things = [dbg, dbg[n], dbg.break_at(dbg.current), dbg.trace(), dbg.trace()[n], dbg.step_now, n, d, n.graph, step]
    with gn.recording(step) as film:
        step({n: np.arange(3), d: np.ones(3, int)})
    things += [film, dbg.what_if(n, np.zeros(3, int), name="\x9b" + LONG)]
    asked = [
        lambda: dbg["nothing\x1b[2J"],
        lambda: dbg[LONG + "x"],
        lambda: dbg.until(["\x9b", LONG + "x"]),
        lambda: dbg.use("\x1b]0;evil\x07"),
        lambda: dbg.why(d),
        lambda: n.graph.placeholder(d.name),
        lambda: gn.run(dbg.fetches, {n: np.arange(3), d: np.zeros(3, int)}),
        lambda: gn.run(dbg.fetches, {n: [1.5], d: "x"}),
    ]
    for ask in asked:
        with pytest.raises(gn.GraphnnError) as caught:
            ask()
        things.append(caught.value)
    for thing in things:
        told = [str(thing)] if isinstance(thing, Exception) else [repr(thing), str(thing)]
        for text in told:
            assert text.replace("\n", "").isprintable()
            assert len(max(text.split("\n"), key=len)) < 2000


def test_of_a_name_of_any_length_the_numbers_are_still_seen():
    talk = Talk(hostile())
    talk(r"set n\x1b[2J = 6", f"set {LONG} = [1, 3, 2]", "step")
    told = talk("why [1]").split("\n")
    assert told[0].endswith("[1] = 2 = 6 // 3")
    assert re.fullmatch(r" +2  d+…d+\[1\] = 3, set in what-if \d", told[2])
    assert talk("inputs").split("\n")[1].endswith("d = [1, 3, 2]")
    g = gn.Graph()
    x = g.placeholder(LONG, shape=(9,))
    talk = Talk(gn.debug(gn.sum(x), {x: np.arange(9.0)}, echo=None))
    assert re.search(r"d+…d+\[:\] = 9 numbers, 0 to 8", talk("step", "why"))


def test_only_colours_are_kept_and_only_where_they_are_ours():
    assert printable("a\x1b[1;31mb\x1b[0m\x1b[2J", coloured=True) == "a\x1b[1;31mb\x1b[0m\\x1b[2J"
    assert printable("a\x1b[31m\nb\t") == "a\\x1b[31m\nb\\t"
    assert printable("θ", "ascii") == "\\u03b8"
    assert printable("") == ""


# --- a real terminal ------------------------------------------------------------------------------------------


def odd_nodes():
    g = gn.Graph("odd")
    a, u = g.placeholder("a", ("n",), np.int8), g.placeholder("u", ("n",), np.uint8)
    f, h = g.placeholder("f", ("n",), np.float32), g.placeholder("h", ("n",), np.float16)
    feed = {"a": np.array([1, 2], "i1"), "u": np.array([1, 2], "u1"), "f": np.ones(2, "f4"), "h": np.ones(2, "f2")}
    return [a + a, u + u, f * 2.0, h * 2.0], feed


@pytest.mark.parametrize("part", ["", "[0]"])
def test_a_number_that_is_typed_takes_the_dtype_of_the_node_or_is_refused(part):
    dbg = gn.debug(*odd_nodes(), echo=None)
    talk = Talk(dbg)
    for line, error in (
        ("a{} = 300", 'the value of "a" holds 300, which does not fit into int8'),
        ("u{} = -1", 'the value of "u" holds -1, which does not fit into uint8'),
        ("f{} = 1e300", '1e300 does not fit into float32, that of "f": it ends at 3.4028e+38'),
        ("h{} = 100000", '100000 does not fit into float16, that of "h": it ends at 65504'),
        ("a{} = 2.5", 'the value given for "a" is float64, and the node is int8'),
    ):
        assert talk(f"set {line.format(part)}").replace("\n  ", " ").startswith(f"error: {error}"), line
        assert len(dbg.runs) == 1
    for line, name, value in (("u{} = 3", "u", 3), ("f{} = inf", "f", np.inf), ("h{} = 2", "h", 2)):
        talk(f"set {line.format(part)}")
        assert dbg[name].value[0] == value
        assert dbg[name].value.dtype == dbg.graph[name].dtype


def test_nan_is_led_back_to_nan_and_not_to_an_infinity_beside_it():
    g = gn.Graph()
    a, b = g.placeholder("a", ("n",)), g.placeholder("b", ("n",))
    talk = Talk(gn.debug(gn.sum(a * b), {a: [np.inf, np.nan], b: [1.0, 1.0]}, echo=None))
    talk("c")
    assert "since a[1] = nan, fed" in talk("why")
    assert talk("up").startswith("multiply[1] = nan")


def test_recheck_takes_an_operation_or_a_scope_as_break_does():
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    with g.scope("add"):
        y = gn.log(x)
    dbg = gn.debug([x + 1.0, y], {x: [-1.0, 1.0]}, echo=None)
    talk = Talk(dbg)
    talk("c")
    assert "add/log" in talk("recheck scope=add if nan")
    assert "does not hold for what has run of op=add" in talk("recheck op=add if nan")
    assert dbg.recheck("nan", op="log") == [y]


def test_a_part_that_is_printed_says_that_it_is_counted_by_itself():
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    talk = Talk(gn.debug(x * 1.0, {x: [[1.0, 2.0, np.nan], [np.inf, -np.inf, 0.1]]}, echo=None))
    told = talk("p x[1:]")
    assert told.startswith("x[1:]  1 × 3 float64, counted from its own beginning\n")
    assert "all finite ones 0.1; 1 inf, at [0, 0]" in told


def test_a_window_may_be_made_wider_or_narrower():
    g = gn.Graph()
    widths = [80]
    lines = []
    dbg = gn.debug(gn.exp(g.placeholder("x", ("n",))), {"x": [1.0]}, echo=None)
    session = Session(dbg, lambda text, coloured: lines.append(text), None, width=lambda: widths[0])
    for widths[0] in (80, 30):
        lines.clear()
        session.onecmd("print nothing of that name, which is a long one")
        assert widths[0] - 15 < max(map(len, "\n".join(lines).split("\n"))) <= widths[0]


def test_a_tab_parts_a_verb_from_what_follows_it():
    g = gn.Graph()
    x = g.placeholder("x")
    dbg = gn.debug(gn.exp(gn.exp(gn.exp(x))), {x: -1.0}, echo=None)
    Talk(dbg)("s\t2")
    assert dbg.position == 2


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("recheck dense_1 if na", "nan"),
        ("recheck den", "dense_1"),
        ("recheck na", "nan"),
        ("b if (na", "nan"),
        ("b dense_1 if max > 1 o", "or"),
        ("b op=ad", "op=add"),
        ("b scope=den", "scope=dense_1"),
        ("info br", "breakpoints"),
        ("  p den", "dense_1"),
    ],
)
def test_what_is_typed_is_completed(line, found):
    g = gn.Graph()
    x = g.placeholder("x", ("n", 2))
    session = Talk(gn.debug(nn.Dense(2)(x), {x: [[1.0, 2.0]]}, echo=None)).session
    begins = max(map(line.rfind, " =(")) + 1  # where readline cuts
    offers = session.completedefault(line[begins:], line, begins, len(line))
    assert found.rpartition("=")[2] in offers


def test_only_what_would_be_taken_is_completed():
    g = gn.Graph()
    session = Talk(gn.debug(nn.Dense(2)(g.placeholder("x", ("n", 2))), {"x": [[1.0, 2.0]]}, echo=None)).session
    for line in ("until op=ma", "watch scope=de"):
        assert not session.completedefault(line.rpartition("=")[2], line, line.index("=") + 1, len(line))


def test_ctrl_c_in_a_what_if_leaves_what_was_computed(monkeypatch):
    g = gn.Graph()
    x = h = g.placeholder("x", ("n",))
    for _ in range(5):
        h = gn.tanh(h)
    dbg = gn.debug(h, {x: [1.0, 2.0]}, echo=None)
    talk = Talk(dbg)
    talk("c")
    at, calls = type(dbg._now.tape).at, []

    def interrupted(tape, place):
        calls.append(place)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return at(tape, place)

    monkeypatch.setattr(type(dbg._now.tape), "at", interrupted)
    told = talk("set x = 0")
    assert told.startswith("interrupted\n")
    assert dbg.run == "what-if 1"
    assert 0 < dbg.position < 5
    talk("c")
    assert not dbg[h].value.any()


def test_of_what_a_guard_refused_why_and_inputs_speak():
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    step = gn.compile(gn.sum(gn.exp(x) * g.constant([1.0, np.nan], name="c")), guard="nan")
    with pytest.raises(gn.ValueRangeError) as refused:
        step({x: [1.0, 2.0]})
    dbg = refused.value.debug()
    dbg.echo = None
    talk = Talk(dbg)
    assert talk("why").startswith("c[1] = nan, a constant")
    assert dbg.why().equation == "c[1] = nan, a constant"
    assert dbg.here() is g["c"]


def test_wide_characters_wrap_by_the_cells_that_they_take():
    g = gn.Graph()
    x = g.placeholder("x")
    for k in range(4):
        g.placeholder("重" * 12 + str(k))
    talk = Talk(gn.debug(x * 2.0, {x: 1.0}, echo=None))
    told = talk("p " + " ".join(["重" * 12] * 8))
    assert max(len(line) + line.count("重") for line in told.split("\n")) <= 80


def test_what_an_error_advises_is_what_one_types(talk):
    said = {
        "until x": "error: ",
        "print sum": 'error: "sum" has not run yet: it is operation 4 of 4, and 0 have run; until sum runs it',
        "commit": "error: there are no updates to make",
        "drop run": 'error: "run" is the current run: go to another one first, use …',
    }
    for line, told in said.items():
        text = " ".join(talk(line).split())
        assert text.startswith(told)
        assert "dbg." not in text
    talk("continue")
    assert "goto head/log goes back to it, restart to the beginning" in " ".join(talk("until head/log").split())
    with pytest.raises(gn.GraphnnError, match=r'dbg\.goto\("head/log"\)') as caught:
        talk.dbg.until("head/log")
    assert [call.typed for call in caught.value.calls] == ["goto head/log", "restart"]


def test_the_debuggers_verbs_keep_their_signatures_and_their_help():
    for name in ("step", "goto", "break_at", "what_if", "why", "trace", "commit"):
        verb = getattr(gn.Debugger, name)
        assert verb.__doc__
        assert verb.__name__ == name
        assert next(iter(inspect.signature(verb).parameters)) == "self"
    assert str(inspect.signature(step := gn.Debugger.step)).startswith("(self, n: 'int' = 1)")
    assert inspect.getdoc(step).startswith("Run the next operation")
    assert isinstance(gn.Debugger.finished, property)
    assert gn.Debugger.finished.__doc__ == "Whether all operations have run."


def test_a_verb_is_one_function_with_its_help_its_argument_and_its_completion(talk):
    @verb_registry.verb("count [NODE]", example="count x", group="looking", takes="node")
    def count(session, node):
        """Count the numbers of a node."""
        session.say(session.dbg[node].value.size)

    try:
        other = Talk(example())
        assert other("count x") == "6"
        assert "there is no verb" in talk("count x")
        assert "count" in other("help")
        assert other("help count").startswith("count [NODE]\n\nCount the numbers of a node.")
        assert "x" in other.session.completedefault("", "count ", 6, 6)
    finally:
        VERBS.remove(next(each for each in VERBS if each.name == "count"))


# --- names for positions ----------------------------------------------------------------------------------------


@pytest.fixture
def pets():
    g = gn.Graph("pets")
    x = g.placeholder("x", ("batch", 2))
    logits = gn.name(nn.Dense(3)(x), "logits")
    g.labels[logits, 1] = ["cat", "dog", "a, [fish]"]
    g.labels[x, 1] = ["age", "weight"]
    talk = Talk(gn.debug(gn.softmax(logits), {x: np.eye(2)}, echo=None))
    talk("continue")
    return talk


@pytest.mark.parametrize("part", ["1, dog", "1, 'dog'", '1, "dog"', "-1,dog", "..., 1, dog", "1, 1"])
def test_why_takes_labels(pets, part):
    if "..." in part:
        assert "one number" in pets(f"why logits[{part}]")
        return
    said = pets(f"why logits[{part}]")
    assert "logits[1, 'dog'] = " in said
    assert "dense_1/bias['dog'] = 0, a parameter" in said
    assert "dense_1/matmul[1, 'dog'] = " in pets("why 1")


def test_a_label_with_a_comma_and_brackets_stands_in_quotes(pets):
    assert "logits[0, 'a, [fish]'] = " in pets("why logits[0, 'a, [fish]']")


def test_print_takes_labels_and_shows_them(pets):
    assert "cat" in pets("print logits").split("\n")[1]
    part = pets("print logits[:, dog]")
    assert float(part.replace("[", " ").replace("]", " ").split()[0]) == pytest.approx(
        pets.dbg["logits"].value[0, 1], abs=1e-5
    )
    rows = pets("print dense_1/weight[:, :2]")
    assert rows.split("\n")[1].split() == ["cat", "dog"]
    assert rows.split("\n")[2].split()[0] == "age"


def test_set_and_ancestry_take_labels(pets):
    pets("set dense_1/bias[dog] = 5")
    assert pets.dbg["dense_1/bias"].value.tolist() == [0, 5, 0]
    assert "[1, 'age']" in pets("ancestry logits[1, cat]")


def test_a_label_that_is_not_there_says_which_are(pets):
    assert 'Did you mean "dog"?' in pets("why logits[1, dgo]")
    assert "is not an index" in pets("why logits[x, dog]")
    assert "is not an index" in pets("print logits[, dog]")
