"""Train by shards on clusters of processes: the same bits, how fast, and what happens when processes are killed.

    python tests/benchmarks/shards.py equal [--rows 10000000]      # 1, 2 and 4 workers, and separate processes
    python tests/benchmarks/shards.py speed [--milliseconds 500 50]
    python tests/benchmarks/shards.py kills [--kills 50] [--seed 0]
    python tests/benchmarks/shards.py scheduler

All ends with an error if a bit differs, something hangs or a process is left over, or if shards are further than 1e-6
from whole batches where no slope jumps.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import dask
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits

import graphnn as gn
from graphnn import nn
from graphnn.distributed.blas_threads import one_blas_thread

SHARDS, BATCH = 8, 100_000
HANGS_AFTER = 2400.0  # seconds
NEAR = 1e-6
"""How far shards may be from whole batches where no slope jumps."""
KINK = 1e-5
"""How near to 0 a sum in front of ReLU is left out, where it is asked what those sums do."""

LIMITS: dict[str, Any] = {"clip_norm": 1.0, "weight_decay": 0.01}


class Net:
    """A network of dense layers with its step; built anew, it begins with the same bits."""

    def __init__(
        self,
        *sizes: int,
        dropout: float = 0.0,
        dtype: str = "float32",
        activation: Callable[[], nn.Layer] = nn.ReLU,
        optimizer: nn.Optimizer | None = None,
    ) -> None:
        self.graph, rng = gn.Graph("net", dtype=dtype), np.random.default_rng(0)
        self.x = self.graph.placeholder("x", ("batch", sizes[0]))
        self.y = self.graph.placeholder("y", ("batch",), np.int64)
        layers: list[Any] = []
        for size in sizes[1:-1]:
            layers += [nn.Dense(size, rng=rng), activation(), *([nn.Dropout(dropout)] if dropout else [])]
        scores = nn.Sequential(*layers, nn.Dense(sizes[-1], rng=rng))(self.x, training=True)
        loss = nn.softmax_crossentropy(scores, self.y)
        optimizer = optimizer or nn.Adam(0.001, **LIMITS)
        self.step = gn.compile(loss, optimizer.updates(loss))

    @property
    def state(self) -> dict[str, Any]:
        return {node.name: value for node, value in self.graph.state.items()}

    @property
    def bits(self) -> dict[str, bytes]:
        return {name: value.tobytes() for name, value in self.state.items()}


class Trained:
    """What came of a training."""

    def __init__(self, net: Net, data: Any, **more: Any) -> None:
        self.times: list[float] = []

        class Clock(nn.Callback):
            def batch(_, run: Any) -> None:  # noqa: N805 - the self of the training is meant
                self.times.append(perf_counter())

        begun = perf_counter()
        more["callbacks"] = [Clock(), *more.get("callbacks", [])]
        self.history = nn.fit(net.step, data, **more)
        self.seconds = perf_counter() - begun
        self.net = net

    @property
    def step(self) -> float:
        """Seconds of a step, the first ones aside."""
        return statistics.median(np.diff(self.times)[2:])

    def check(self, other: Trained, what: str) -> None:
        if self.history != other.history or self.net.bits != other.net.bits:
            raise SystemExit(f"{what}: other bits")

    def apart(self, other: Trained) -> Apart:
        """Return how far two trainings are from each other."""
        losses = [abs(a / b - 1) for a, b in zip(self.history["loss"], other.history["loss"], strict=True)]
        parameters, slots = [0.0], [0.0]
        for name, value in self.net.state.items():
            theirs = other.net.state[name]
            scale = np.max(np.abs(theirs), initial=1e-30)
            far = float(np.max(np.abs(value.astype(float) - theirs), initial=0)) / scale
            (parameters if name.startswith("dense") else slots).append(far)
        return Apart(max(losses), max(parameters), max(slots))

    def check_near(self, other: Trained, what: str) -> None:
        """Say how far two trainings are from each other, and end where that is too far."""
        apart = self.apart(other)
        say(f"  {what}: {apart}")
        if max(apart) > NEAR:
            raise SystemExit(f"{what}: further than {NEAR:.0e}")


class Apart(NamedTuple):
    """How far two trainings are from each other: losses by themselves, arrays by the largest element of each."""

    losses: float
    parameters: float
    slots: float

    def __str__(self) -> str:
        return f"losses {self.losses:.1e}, parameters {self.parameters:.1e}, the optimizer's slots {self.slots:.1e}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def local(workers: int) -> Iterator[Client]:
    with (
        # Where the machine is busy, a worker takes longer to begin again than a LocalCluster waits for it.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "300 s"}),
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def separate(workers: int) -> Iterator[tuple[Client, int]]:
    """Begin a scheduler and workers as separate processes; give a client, and the process of the scheduler."""
    begin, quiet = [sys.executable, "-m", "dask"], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scheduler.json"
        where = ["--scheduler-file", str(file)]
        commands = [["scheduler", "--port", "0", "--no-dashboard", "--no-show"]]
        commands += [["worker", "--nthreads", "1", "--no-dashboard"]] * workers
        pids = []
        for command in commands:
            process = stack.enter_context(subprocess.Popen([*begin, *command, *where], **quiet))  # type: ignore[call-overload]
            stack.callback(process.terminate)
            pids.append(process.pid)
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=10))
        client.wait_for_workers(workers)
        yield client, pids[0]


# --- the same bits ------------------------------------------------------------------------------------------------


def synthetic(rows: int, batch: int) -> Callable[[], Iterator[tuple[Any, Any]]]:
    """Return a function that makes the batches of a set of so many rows, one by one."""

    def batches() -> Iterator[tuple[Any, Any]]:
        for number in range(rows // batch):
            rng = np.random.default_rng([7, number])
            x = rng.standard_normal((batch, 16), dtype=np.float32)
            yield x, (x[:, :4].argmax(1) + (x[:, 5] > 1)) % 4

    return batches


def equal(args: argparse.Namespace) -> None:
    """Compare trainings with 1, 2 and 4 workers with the same shards here, and with whole batches."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    size = f"synthetic, {args.rows:,} rows in batches of {BATCH:,}"
    trainings: list[tuple[str, Callable[..., Trained], bool]] = [
        (f"digits, {len(images):,} rows", lambda **more: _on_digits(Net(64, 64, 10), images, labels, **more), True),
        (
            "digits with dropout, which draws by shards",
            lambda **more: _on_digits(Net(64, 64, 10, dropout=0.3), images, labels, **more),
            False,
        ),
        (f"{size}, tanh, float32", partial(_on_synthetic, args.rows, activation=nn.Tanh), True),
        (f"{size}, ReLU, float64", partial(_on_synthetic, args.rows, dtype="float64"), True),
        (f"{size}, ReLU, float32", partial(_on_synthetic, args.rows), False),
    ]
    for name, train, near in trainings:
        whole, here = train(), train(shards=SHARDS)
        say(f"{name}: whole batches {whole.seconds:.1f} s, {SHARDS} shards here {here.seconds:.1f} s")
        if near:
            here.check_near(whole, "shards here from whole batches")
        else:
            say(f"  shards here from whole batches: {here.apart(whole)}")
        for workers in (1, 2, 4):
            with local(workers) as client:
                there = train(shards=SHARDS, client=client)
            there.check(here, f"{workers} workers")
            say(f"  {workers} workers: the same bits, {there.seconds:.1f} s")
        with separate(2) as (client, _):
            there = train(shards=SHARDS, client=client)
        there.check(here, "separate processes")
        say(f"  separate dask scheduler and 2 dask workers: the same bits, {there.seconds:.1f} s")
    _jumps(args.rows)


def _jumps(rows: int) -> None:
    """Say where the difference in float32 comes from: a slope of ReLU jumps where a sum in front of it is near 0."""
    say("how far two trainings of the synthetic set in float32 are from each other")
    optimizers = {"Adam": None, "SGD": nn.SGD(0.1, **LIMITS), "momentum": nn.SGD(0.1, momentum=0.9, **LIMITS)}
    for activation in (nn.ReLU, nn.Tanh):
        for name, optimizer in optimizers.items():
            say(f"{activation.__name__}, {name}")
            _compare(partial(_on_synthetic, rows, activation=activation, optimizer=optimizer))
    exact, clear = _without_kinks(rows)
    left_out = rows - sum(len(y) for _, y in clear())
    say(f"ReLU, Adam, without the {left_out:,} rows of {rows:,} with a sum within {KINK:.0e} of 0 in front of ReLU")
    here, whole = _compare(partial(_on_synthetic, rows, source=clear), exact)
    here.check_near(whole, "so shards here from whole batches")


def _compare(train: Callable[..., Trained], exact: Trained | None = None) -> tuple[Trained, Trained]:
    """Say how far shards, whole batches and float64 are from each other; return the first two."""
    here, whole = train(shards=SHARDS), train()
    with one_blas_thread():
        one = train()
    exact = exact or train(dtype="float64")
    pairs = [(here, whole), (here, one), (one, whole), (here, exact), (whole, exact), (one, exact)]
    for what, *far in zip(Apart._fields, *[a.apart(b) for a, b in pairs], strict=True):
        if any(far):
            apart = [f"{each:.1e}" for each in far]
            say(
                f"  {what}: shards from whole batches {apart[0]}, from those on one thread of BLAS {apart[1]}, "
                f"these from those on all {apart[2]};\n    from float64: shards {apart[3]}, whole batches {apart[4]}, "
                f"on one thread {apart[5]}"
            )
    return here, whole


def _without_kinks(rows: int) -> tuple[Trained, Callable[[], Iterator[tuple[Any, Any]]]]:
    """Train in float64 without rows at which a slope jumps; return that training, and its batches."""
    net, taken = _net("float64"), list[Any]()

    def choosing() -> Iterator[tuple[Any, Any]]:
        for x, y in synthetic(rows, BATCH)():
            sums = x @ net.state["dense_1/weight"] + net.state["dense_1/bias"]
            taken.append((np.abs(sums) > KINK).all(axis=1))
            yield x[taken[-1]], y[taken[-1]]

    def chosen() -> Iterator[tuple[Any, Any]]:
        for (x, y), places in zip(synthetic(rows, BATCH)(), taken, strict=True):
            yield x[places], y[places]

    return Trained(net, choosing), chosen


def _net(dtype: str, **more: Any) -> Net:
    """Return the network for the synthetic set; it begins with the same values in each precision."""
    net, begun = Net(16, 32, 4, dtype=dtype, **more), Net(16, 32, 4)
    for name, value in begun.state.items():
        if name.startswith("dense"):
            net.graph[name].value = value.astype(dtype)
    return net


def _on_synthetic(
    rows: int,
    dtype: str = "float32",
    activation: Callable[[], nn.Layer] = nn.ReLU,
    optimizer: nn.Optimizer | None = None,
    source: Callable[[], Iterator[tuple[Any, Any]]] | None = None,
    **more: Any,
) -> Trained:
    net = _net(dtype, activation=activation, optimizer=optimizer)
    return Trained(net, source or synthetic(rows, BATCH), **more)


def _on_digits(net: Net, images: Any, labels: Any, **more: Any) -> Trained:
    return Trained(net, {net.x: images, net.y: labels}, epochs=5, batch_size=100, **more)


# --- speed --------------------------------------------------------------------------------------------------------


def speed(args: argparse.Namespace) -> None:
    """Time steps here, with one worker and with two; and the bytes of a step."""
    beside = []
    for wanted in args.milliseconds:
        rows = _rows_for(wanted / 1e3)
        steps = max(8, int(8e3 / wanted))
        with local(1) as one, local(2) as two:
            free = _timed(rows, steps)
            with one_blas_thread():
                plain = _timed(rows, steps)
            shards = _timed(rows, steps, shards=SHARDS)
            single = _timed(rows, steps, shards=SHARDS, client=one)
            before = _loopback()
            double = _timed(rows, steps, shards=SHARDS, client=two)
            wire = (_loopback() - before) / steps
        double.check(shards, "two workers")
        single.check(shards, "one worker")
        say(
            f"{rows:,} rows: fit on one thread {plain.step * 1e3:.0f} ms, with BLAS on all {free.step * 1e3:.0f} ms\n"
            f"  {SHARDS} shards here {shards.step * 1e3:.0f} ms, one worker {single.step * 1e3:.0f} ms, two "
            f"{double.step * 1e3:.0f} ms: {single.step / double.step:.2f} × as fast as one, "
            f"{plain.step / double.step:.2f} × as fit on one thread, {free.step / double.step:.2f} × as on all"
        )
        beside.append((plain.step, double.step))
        parameters = sum(v.nbytes for n, v in double.net.state.items() if n.startswith("dense"))
        for address, did in double.history.workers.items():
            say(f"  {address}: {did}")
        down = rows * (784 * 4 + 8) + 2 * parameters
        say(
            f"  a step sends {down / 1e6:.1f} MB down (rows, and {parameters / 1e6:.2f} MB of parameters to each) and "
            f"{2 * parameters / 1e6:.1f} MB up; the scheduler hands both on, and {wire / 1e6:.1f} MB pass the loopback"
        )
    with local(2) as two:
        tiny = Net(16, 16, 4)
        data = {tiny.x: np.ones((64, 16), np.float32), tiny.y: np.zeros(64, np.int64)}
        trip = Trained(tiny, data, epochs=200, shards=SHARDS, client=two, batch_size=None).step
    say(f"a round trip with nothing to compute takes {trip * 1e3:.1f} ms")
    if len(beside) > 1:
        slope, fixed = np.polyfit(*np.transpose(beside), 1)
        say(f"two workers are as fast as fit on one thread at a step of {fixed / (1 - slope) * 1e3:.0f} ms")


def _rows_for(seconds: float) -> int:
    rows, step = 512, 0.0
    with one_blas_thread():
        for _ in range(3):
            step = _timed(rows, 6).step
            rows = max(SHARDS, int(rows * seconds / step) // SHARDS * SHARDS)
    return rows


def _timed(rows: int, steps: int, **more: Any) -> Trained:
    net, rng = Net(784, 512, 512, 10), np.random.default_rng(0)
    data = {net.x: rng.standard_normal((rows, 784), dtype=np.float32), net.y: rng.integers(0, 10, rows)}
    return Trained(net, nn.Loader(data, batch_size=None, shuffle=False), epochs=steps, **more)


def _loopback() -> int:
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return sum(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:"))


# --- what is killed -----------------------------------------------------------------------------------------------


class Killer:
    """Kills a worker now and then while it is entered."""

    def __init__(self, client: Client, rng: np.random.Generator, most: int) -> None:
        self.client, self.rng, self.most = client, rng, most
        self.killed: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def _kill(self) -> None:
        while len(self.killed) < self.most and not self._over.wait(self.rng.uniform(0.1, 1.5)):
            found = [pid for pid in _workers(self.client) if pid not in self.killed]
            if found:
                self.killed.append(int(self.rng.choice(found)))
                os.kill(self.killed[-1], signal.SIGKILL)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def kills(args: argparse.Namespace) -> None:
    """Kill random workers at random moments of trainings, and compare the bits."""
    rng, done, trainings = np.random.default_rng(args.seed), 0, 0
    here = _long()
    say(f"a training of {len(here.times)} steps in {here.seconds:.1f} s, here")
    begun, before = perf_counter(), _processes()
    with local(3) as client:
        while done < args.kills:
            with Killer(client, rng, min(5, args.kills - done)) as killer:
                there = _long(client=client)
            there.check(here, f"after {len(killer.killed)} kills")
            done, trainings = done + len(killer.killed), trainings + 1
            say(f"  {len(killer.killed)} kills in {there.seconds:.1f} s: the same bits")
    left = {pid: args for pid, args in _processes().items() if pid not in before}
    say(f"{done} kills in {trainings} trainings, {perf_counter() - begun:.0f} s: the same bits each time")
    if left:
        raise SystemExit(f"processes are left over: {left}")


def _long(**more: Any) -> Trained:
    net, rng = Net(64, 256, 256, 10, dropout=0.2), np.random.default_rng(0)
    data = {net.x: rng.standard_normal((2000, 64), dtype=np.float32), net.y: rng.integers(0, 10, 2000)}
    return Trained(net, data, epochs=15, batch_size=200, shards=SHARDS, **more)


def _workers(client: Client) -> list[int]:
    """Return the processes of the workers, as far as they are there."""
    return [entry["pid"] for entry in client.run(_self, nanny=False, on_error="ignore").values()]


def _self() -> dict[str, int]:
    return {"pid": os.getpid()}


def _processes() -> dict[int, str]:
    """Return what descends from this process, but what Python keeps until it ends: {process: command}."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [
        (int(pid), int(parent), args) for pid, parent, args in (line.split(None, 2) for line in listed.splitlines())
    ]
    found, grown = {os.getpid(): ""}, True
    while grown:
        more = {pid: args for pid, parent, args in rows if parent in found and pid not in found}
        more = {
            pid: args for pid, args in more.items() if "resource_tracker" not in args and not args.startswith("ps ")
        }
        grown = bool(more)
        found |= more
    return found


def scheduler(args: argparse.Namespace) -> None:
    """Kill the scheduler amid a training, and go on from the checkpoint with another one."""
    here = _long()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.checkpoint"
        killed = 0.0
        with separate(2) as (client, pid):

            class Kill(nn.Callback):
                def batch(self, run: Any) -> None:
                    nonlocal killed
                    if run.steps == 70:
                        os.kill(pid, signal.SIGKILL)
                        killed = perf_counter()

            try:
                _long(client=client, checkpoint=nn.Checkpoint(path, every=1), callbacks=[Kill()])
            except gn.ClusterError as error:
                say(f"{perf_counter() - killed:.1f} s after the scheduler was killed: ClusterError: {error}")
            else:
                raise SystemExit("the training went on without its scheduler")
        with separate(2) as (client, _):
            _long(client=client, checkpoint=nn.Checkpoint(path, resume=True)).check(here, "resumed")
        say("resumed with another scheduler: the same bits")


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, command in (("equal", equal), ("speed", speed), ("kills", kills), ("scheduler", scheduler)):
        found = commands.add_parser(name, help=command.__doc__)
        found.set_defaults(command=command)
        if name == "equal":
            found.add_argument("--rows", type=int, default=10_000_000)
        if name == "speed":
            found.add_argument("--milliseconds", type=int, nargs="+", default=[500, 50])
        if name == "kills":
            found.add_argument("--kills", type=int, default=50)
            found.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    args.command(args)


if __name__ == "__main__":
    main()
