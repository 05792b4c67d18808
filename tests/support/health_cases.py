"""Cases for the health check: what a training with one planted fault is, and one that is sound, and how both are told.

The faults themselves are in ``faults_in_*.py``, the sound trainings in ``sound_*.py``; those of models that were read
are in tests/satellites/onnx/models_read.py. A fault is written as people
write it, and says at which nodes it sits. It counts as named if a finding is at one of them, and says what it is.
"""

import importlib
import re
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import numpy as np

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]
Feed = dict[Any, Any]
_T = TypeVar("_T")
STEPS = 60
_MODULES = ("faults_in_layers", "faults_in_losses", "faults_in_updates", "faults_in_data", "faults_in_sequences")
_SOUND_MODULES = ("sound_networks", "sound_sequences", "sound_losses", "sound_unusual")


class Planted(NamedTuple):
    """A training with one fault.

    Attributes
    ----------
    step, feed
        What the health check is given, and nothing else.
    at : set of str
        The nodes at which the fault sits: those of its line, or the parameters that it spoils.
    """

    step: Any
    feed: Feed
    at: set[str]


class Fault(NamedTuple):
    """A kind of fault, and how a training with it is made.

    Attributes
    ----------
    name, family, variant : str
        The variant is how the network is built: "nn", "hand" or "onnx".
    words : str
        A regular expression: what a finding must say, in its code, its cause or its remedy.
    make : callable
        From a generator of random numbers to a training.
    note : bool
        Whether a note will do.
    alone : bool
        Whether there must be no finding beside it, and no more than one warning when it is made.
    fixed : bool
        Whether it belongs to the share of the table that is meant for the suite.
    """

    name: str
    family: str
    variant: str
    words: str
    make: Callable[[np.random.Generator], Planted]
    note: bool = False
    alone: bool = False
    fixed: bool = False


class Sound(NamedTuple):
    """A training without a fault; the first fetch is its loss.

    Attributes
    ----------
    step, feed
        What the health check is given.
    train : callable, optional
        Makes one training step from its number and returns the loss; by default ``step(feed)``.
    share : float
        By which share of its first value the loss falls at least.
    """

    step: Any
    feed: Feed
    train: Callable[[int], float] | None = None
    share: float = 0.05


class Training(NamedTuple):
    """A kind of training without a fault, and how it is made."""

    name: str
    family: str
    variant: str
    make: Callable[[np.random.Generator], Sound]
    fixed: bool = False


FAULTS: dict[str, Fault] = {}
TRAININGS: dict[str, Training] = {}


def fault(name: str, family: str, variant: str, words: str, **more: bool) -> Callable[[Any], Any]:
    """Declare the decorated function as what makes a training with this fault."""

    def declare(make: Callable[[np.random.Generator], Planted]) -> Callable[[np.random.Generator], Planted]:
        FAULTS[name] = Fault(name, family, variant, words, make, **more)
        return make

    return declare


def sound(name: str, family: str, variant: str, **more: bool) -> Callable[[Any], Any]:
    """Declare the decorated function as what makes a training without a fault."""

    def declare(make: Callable[[np.random.Generator], Sound]) -> Callable[[np.random.Generator], Sound]:
        TRAININGS[name] = Training(name, family, variant, make, **more)
        return make

    return declare


def declared(*modules: str) -> tuple[dict[str, Fault], dict[str, Training]]:
    """Return all faults and all sound trainings of some modules, by name; by default, of those in this folder."""
    wanted = modules or (*_MODULES, *_SOUND_MODULES)
    for module in wanted:
        importlib.import_module(module)
    return (
        {name: case for name, case in FAULTS.items() if case.make.__module__ in wanted},
        {name: case for name, case in TRAININGS.items() if case.make.__module__ in wanted},
    )


def made(case: Fault | Training, seed: int, right: bool = False) -> tuple[Any, int]:
    """Return the training that this seed gives, and how many warnings there were when it was made.

    With ``right``, that of a fault is made without it.
    """
    token = _RIGHT.set(right)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            return case.make(np.random.default_rng([seed, zlib.crc32(case.name.encode())])), len(told)
    finally:
        _RIGHT.reset(token)


_RIGHT = ContextVar("right", default=False)


def either(wrong: _T, right: _T) -> _T:
    """Return what makes the fault, or what stands there in the same training without it."""
    return right if _RIGHT.get() else wrong


@contextmanager
def lines(graph: gn.Graph) -> Iterator[set[str]]:
    """Give the set of all nodes that are made meanwhile; it is filled at the end."""
    before, names = len(graph.dag), set[str]()
    yield names
    names.update(list(graph.dag)[before:])


# --- the measure ------------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """What the health check tells of a training at one moment.

    Attributes
    ----------
    named : bool
        Whether a finding names the fault.
    first : bool
        Whether the first finding does.
    findings, notes : list of str
        As they are printed, each in one line.
    spoiled : str
        Which part of state or feed the check changed, or how it failed.
    evaluations : int or None
        How often the check evaluated the network, where the report says it.
    """

    named: bool
    first: bool
    findings: list[str]
    notes: list[str]
    spoiled: str
    seconds: float
    evaluations: int | None


def told(finding: gn.Finding) -> str:
    """Return the code, the place and the sentences of a finding in one line."""
    return re.sub(
        r"\s+", " ", f"{finding.severity}: {finding.code} {finding.place}: {finding.cause} → {finding.remedy}"
    )


def names_it(finding: gn.Finding, at: Iterable[str], words: str) -> bool:
    """Return whether a finding says one of the words, and is at one of the nodes, or tells where one of them is.

    To tell where it is means its whole name, with an element, a line of the user's code or a value: ``relu_1[0, 3]``.
    """
    there, text = {finding.node.name} | ({finding.culprit.node.name} if finding.culprit else set()), told(finding)
    if not re.search(words, text, re.IGNORECASE):
        return False
    where = r"(?<![\w/])(?:" + "|".join(map(re.escape, sorted(at))) + r")(?:\[| \(\S+:\d+\)| = )"
    return not there.isdisjoint(at) or bool(re.search(where, text))


def look(step: Any, feed: Feed, planted: tuple[Iterable[str], str] = ((), ""), note: bool = False) -> Look:
    """Return what the health check tells, and whether it leaves state and feed as they are."""
    state, fed = _values(step.graph.state), {key: np.array(value) for key, value in feed.items()}
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            health = gn.check_health(step, feed)
    except Exception as error:  # noqa: BLE001  the table tells it
        return Look(False, False, [], [], f"{type(error).__name__}: {error}", time.perf_counter() - start, None)
    seconds, spoiled = time.perf_counter() - start, ""
    for name, value in _values(step.graph.state).items():
        spoiled = spoiled if _same(value, state[name]) else f"{name} was changed"
    for key, value in feed.items():
        spoiled = spoiled if _same(np.array(value), fed[key]) else f"the feed of {key} was changed"
    counted = [*health.findings, *health.notes] if note else [*health.findings]
    names = [names_it(each, *planted) for each in counted]
    return Look(
        any(names),
        bool(names) and names[0],
        list(map(told, health.findings)),
        list(map(told, health.notes)),
        spoiled,
        seconds,
        getattr(health, "evaluations", None),
    )


def _values(state: Iterable[gn.Node]) -> Mapping[str, Array]:
    return {node.name: np.array(node.value) for node in state}


def _same(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class Row(NamedTuple):
    """One line of the table: a fault, with what is told of it before and after the training."""

    case: Fault
    seed: int
    at: list[str]
    warned: int
    before: Look
    after: Look

    @property
    def named(self) -> bool:
        """Whether the fault is named, before or after; alone, where it must be, and with one warning at most."""
        if self.case.alone:
            return self.warned < 2 and any(each.named and len(each.findings) == 1 for each in self.looks)
        return any(each.named for each in self.looks)

    @property
    def first(self) -> bool:
        """Whether it is named by the first finding of a report."""
        return self.named and any(each.first for each in self.looks)

    @property
    def looks(self) -> tuple[Look, Look]:
        """Both moments."""
        return self.before, self.after


def tried(case: Fault, seed: int, steps: int = STEPS) -> Row:
    """Plant a fault, and look before and after so many steps."""
    planted, warned = made(case, seed)
    missing = planted.at - set(planted.step.graph.dag)
    assert planted.at, f"{case.name}: it says nowhere where the fault is"
    assert not missing, f"{case.name}: there are no nodes {missing}"
    sought = planted.at, case.words
    before = look(planted.step, planted.feed, sought, case.note)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(steps):
            try:
                planted.step(planted.feed)
            except gn.GraphnnError:  # a fault may well stop the training
                break
    after = look(planted.step, planted.feed, sought, case.note)
    return Row(case, seed, sorted(planted.at), warned, before, after)


class Alarms(NamedTuple):
    """What is told of a sound training before and after, and how its loss went."""

    case: Training | Fault
    seed: int
    before: Look
    after: Look
    losses: list[float]
    learned: bool

    @property
    def looks(self) -> tuple[Look, Look]:
        """Both moments."""
        return self.before, self.after

    @property
    def findings(self) -> list[str]:
        """All false alarms."""
        return [*self.before.findings, *self.after.findings]


def trained(case: Training | Fault, seed: int, steps: int = STEPS) -> Alarms:
    """Look at a sound training before and after so many steps, in which it must learn; a fault is left out."""
    training, _ = made(case, seed, right=True)
    if isinstance(training, Planted):
        training = Sound(training.step, training.feed, share=0.0)
    before = look(training.step, training.feed)
    losses = [_one_step(training, number) for number in range(steps)]
    first, last = float(np.mean(losses[:3])), float(np.mean(losses[-5:]))
    learned = bool(np.isfinite(losses).all()) and last <= first - training.share * abs(first)
    return Alarms(case, seed, before, look(training.step, training.feed), losses, learned)


def _one_step(training: Sound, number: int) -> float:
    if training.train:
        return float(training.train(number))
    found = training.step(training.feed)
    while isinstance(found, list | tuple | dict):
        found = found[0] if not isinstance(found, dict) else next(iter(found.values()))
    return float(found)
