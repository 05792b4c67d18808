"""Native plans: to the bit what the interpreter gives, with all that a plan promises, and never on a doubt."""

import copy
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from random_mixed import random_mixed
from random_networks import random_training
from test_ops import OPS
from test_plan import alarms, learner
from test_plan_conformance import (
    LARGE,
    bits,
    differences,
    differences_by_number,
    large_differences,
    large_graph_differences,
    op_differences,
    random_graph_differences,
)

import graphnn as gn
from graphnn import Op, nn
from graphnn.errors import GraphnnWarning
from graphnn.native import fused_kernel_loops, fused_kernels, llvm, llvm_runtime, selftest, ufunc_addresses, work_list
from graphnn.native import native_plan as planning
from graphnn.native.native_plan import Native

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("g")


def native_plan(step: Any, feed: Any) -> Native:
    plan = step.plan(feed)
    assert isinstance(plan, Native)
    return plan


# --- to the bit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", range(3))
def test_native_plans_of_random_graphs_are_the_interpreter_to_the_bit(part: int) -> None:
    for number in range(25 * part, 25 * (part + 1)):
        assert not random_graph_differences(11, number, "native"), f"graph {number}"


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_a_native_plan_of_each_operation_is_the_interpreter_to_the_bit(cls: type[Op]) -> None:
    for number in range(8):
        found = op_differences(cls, np.random.default_rng([number, 17]), "native")
        assert not found, f"draw {number}: {found}"


@pytest.mark.parametrize("cls", LARGE, ids=lambda cls: cls.name)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_large_arrays_are_the_interpreters_to_the_bit_natively(cls: type[Op], dtype: str) -> None:
    assert not large_differences(cls, dtype, "native")


def test_large_random_graphs_are_the_interpreters_to_the_bit_natively() -> None:
    for number in range(12):
        assert not large_graph_differences(3, number, "native"), f"graph {number}"


@pytest.mark.parametrize("large", [False, True])
def test_graphs_of_all_dtypes_and_of_changing_sizes_are_the_interpreters_to_the_bit(large: bool) -> None:
    for number in range(8 if large else 25):
        drawn = random_mixed(np.random.default_rng([number, 3]), large)
        found = differences_by_number(number, *drawn, "native")
        assert not found, f"graph {number}: {found}"


@pytest.mark.parametrize("written_over", [0, 2**15])
def test_random_networks_train_as_the_interpreter_does_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, written_over: int
) -> None:
    monkeypatch.setattr(planning, "NATIVE", replace(planning.NATIVE, written_over=written_over))
    for number in range(15):
        fetches, feeds, updates = random_training(np.random.default_rng([number, written_over]), (1, 2, 7, 33, 300))
        assert not differences(fetches, feeds, updates, backend="native"), f"network {number}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shapes", [(a, b) for a in [(), (1,), (1, 1), (3,)] for b in [(), (1,), (1, 1), (3,)]], ids=str
)
def test_powers_of_minus_zero_are_the_interpreters_to_the_bit(shapes: Any, dtype: str) -> None:
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", shapes[0]), g.placeholder("y", shapes[1])
    both = [gn.power(x, y), gn.power(x * 1.0, y * 1.0)]  # fed, and computed in the plan
    for exponent in (0.5, 2.0, 3.0, -0.5):
        feed = {x: np.full(shapes[0], -0.0), y: np.full(shapes[1], exponent)}
        step = gn.compile(both, backend="native")
        for found in [step(feed) for _ in range(3)]:
            for a, b in zip(found, gn.run(both, feed), strict=True):
                np.testing.assert_array_equal(np.signbit(a), np.signbit(b))
                np.testing.assert_array_equal(a, b)


_OF_ONE = "exp expm1 log log2 log10 log1p sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh"
_PARTS: dict[str, Any] = {
    "columns": (..., slice(3, 20)),
    "every second": (..., slice(None, None, 2)),
    "every third row": slice(None, None, 3),
    "a stack": (slice(None), 2),
}


def test_functions_of_parts_of_an_array_are_the_interpreters_to_the_bit() -> None:
    for dtype, (name, part) in product(("float32", "float64"), _PARTS.items()):
        g = gn.Graph(dtype=dtype)
        x = g.placeholder("x", (7, 5, 24))
        fetches = [getattr(gn, function)(x[part]) for function in _OF_ONE.split()]
        value = np.random.default_rng(0).normal(size=x.shape) * 2.0 ** np.random.default_rng(1).integers(-9, 9, x.shape)
        value[0, :4, :6] = [[0.0, -0.0, np.inf, -np.inf, np.nan, 1.0]]
        assert not differences(fetches, [{x: value.astype(dtype)}], {}, backend="native"), name
        told = native_plan(gn.compile(fetches, backend="native"), {x: value.astype(dtype)}).explain()
        assert not told.why, name


def test_a_function_that_looks_at_how_an_array_lies_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    x = g.placeholder("x", (4, 8))
    y = gn.tanh(x[:, :3])
    monkeypatch.setattr(work_list, "same_of_rows", lambda ufunc, dtype: ufunc is not np.tanh)
    told = native_plan(gn.compile(y, backend="native"), {x: np.ones((4, 8))}).explain()
    assert told.why == {y: "an operand of tanh does not lie in order"}
    monkeypatch.setattr(ufunc_addresses, "quietly", lambda ufunc, x: ufunc(x) + (x.base is not None))
    assert not ufunc_addresses.same_of_rows.__wrapped__(np.tanh, np.dtype(float))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 32, 300])
def test_a_training_is_the_interpreters_to_the_bit(dtype: str, rows: int) -> None:
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", ("batch", 3)), graph.placeholder("y", ("batch",), np.int64)
    network = nn.Sequential(nn.Dense(16), nn.ReLU(), nn.Dense(16), nn.Tanh(), nn.Dense(4))
    loss = nn.softmax_crossentropy(network(x), y)
    updates = nn.Adam(0.01).updates(loss)
    rng = np.random.default_rng(0)
    feeds = [{x: rng.normal(size=(rows, 3)).astype(dtype), y: rng.integers(0, 4, rows)} for _ in range(5)]
    assert not differences([loss], feeds, updates, backend="native")
    step = gn.compile(loss, updates, "native")
    assert native_plan(step, feeds[0]).is_whole


# --- what a plan promises ---------------------------------------------------------------------------------------


def test_all_of_a_training_is_native(graph: gn.Graph) -> None:
    loss, updates, feed = learner(graph, 8, 8)
    told = native_plan(gn.compile(loss, updates, "native"), feed).explain()
    assert {node.op.name for node in told.why} <= {"random_uniform"}
    assert "a loop of NumPy" in told.fates.values()


def test_a_label_out_of_range_is_told_as_the_interpreter_tells_it(graph: gn.Graph) -> None:
    x, y = graph.placeholder("x", ("batch", 3)), graph.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(nn.Dense(4)(x), y)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), "native")
    right = {x: np.ones((2, 3)), y: np.array([1, 2])}
    step(right)
    before = dict(graph.state)
    for labels in ([0, 4], [-1, 0]):
        with pytest.raises(gn.errors.LabelError, match="pick: label"):
            step({x: np.ones((2, 3)), y: np.array(labels)})
        assert all(graph.state[node] is value for node, value in before.items())
    assert np.isfinite(step(right))


def test_labels_that_are_written_to_after_their_check_harm_nothing(
    graph: gn.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other threads run in a long step, and may write to an array that is fed.
    nothing = "define void @nothing(ptr %args, ptr %dims, ptr %steps, ptr %data) { ret void }"
    (unchecked,) = llvm.engine().functions([("nothing", nothing)])
    loops = {**llvm_runtime.own_loops(), "check": unchecked}
    monkeypatch.setattr("graphnn.native.table_writer.own_loops", lambda: loops)
    x, y = graph.placeholder("x", ("batch", 3)), graph.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(nn.Dense(4)(x), y)
    picked = gn.compile(gn.pick(x, y), backend="native")
    placed = gn.compile(gn.grad(gn.sum(gn.pick(x * x, y)), x), backend="native")
    steps = [gn.compile(loss, nn.SGD(0.1).updates(loss), "native"), picked, placed]
    fed = {x: np.ones((2, 3)), y: np.array([1, 2])}
    for step in steps:
        right = step(fed)
        before = dict(graph.state)
        for label in (3 * 2**40, -(2**40), -(2**63)):
            with pytest.raises(gn.errors.LabelError):
                step({**fed, y: np.array([1, label])})
            assert all(graph.state[node] is value for node, value in before.items())
        assert step is steps[0] or bits(step(fed)) == bits(right)


def test_feeds_are_left_alone_and_results_are_never_written_again(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", ("batch", 3)), graph.parameter("w", np.ones(3))
    y = x * w + 1
    step = gn.compile([x, w, y, y, gn.transpose(y)], {w: w * 2}, "native")
    fed = np.arange(6.0).reshape(2, 3)
    first = step({x: fed})
    kept = [value.copy() for value in first]
    for value in step({x: fed}):
        value[...] = 7
    assert all(map(np.array_equal, first, kept))
    assert fed.tolist() == [[0, 1, 2], [3, 4, 5]]
    for value in first:
        value[...] = -1
    assert w.value.tolist() == [4, 4, 4]
    assert fed.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_dtype_that_is_a_copy_of_numpys_is_taken_for_it(graph: gn.Graph) -> None:
    copied = copy.deepcopy(np.dtype("float32"))
    x = graph.placeholder("x", (2, 3), copied)
    assert x.dtype is copied
    fetches, feeds = [gn.exp(gn.take_along_axis(x, np.zeros((2, 3), int), axis=1))], [{x: np.ones((2, 3), copied)}] * 2
    assert not differences(fetches, feeds, backend="native")
    plan = native_plan(gn.compile(fetches, backend="native"), feeds[0])
    assert {id(value.dtype) for work in plan.works for value in work.values} == {id(np.dtype("float32"))}


def test_nobody_can_write_to_the_state(graph: gn.Graph) -> None:
    w = graph.parameter("w", np.ones(3))
    step = gn.compile(w, {w: w + 1}, "native")
    for _ in range(3):
        step()
        held = graph.state[w]
        assert not held.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            held.setflags(write=True)


@pytest.mark.parametrize("change", ["more rows", "integers", "by name", "transposed", "another key", "no dict"])
def test_a_feed_that_is_not_as_planned_is_checked_as_ever(graph: gn.Graph, change: str) -> None:
    x = graph.placeholder("x", ("batch", 2))
    step = gn.compile(gn.sum(x * 2, axis=-1), backend="native")
    step({x: np.ones((2, 2))})
    feeds: dict[str, Any] = {
        "more rows": {x: np.ones((5, 2))},
        "integers": {x: np.ones((2, 2), int)},
        "by name": {"x": np.ones((2, 2))},
        "transposed": {x: np.arange(4.0).reshape(2, 2).T},
        "another key": {x: np.ones((2, 2)), "z": 1},
        "no dict": [1],
    }
    feed = feeds[change]
    try:
        expected = bits(gn.run(gn.sum(x * 2, axis=-1), feed))
    except gn.GraphnnError as error:
        with pytest.raises(type(error)):
            step(feed)
    else:
        assert bits(step(feed)) == expected


def test_eight_threads_call_one_native_plan(graph: gn.Graph) -> None:
    x = graph.placeholder("x", ("batch", 3))
    network = nn.Sequential(nn.Dense(64), nn.ReLU(), nn.Dense(2), nn.Softmax())(x)
    step = gn.compile([network, gn.sum(network)], backend="native")
    rng = np.random.default_rng(0)
    feeds = [rng.normal(size=(n, 3)) for n in (1, 4, 4, 4, 2000)]
    expected = [[bits(value) for value in gn.run([network, gn.sum(network)], {x: feed})] for feed in feeds]
    together = threading.Barrier(8)

    def work(number: int) -> int:
        together.wait()
        places = np.random.default_rng(number).integers(0, len(feeds), 200)
        return sum([bits(value) for value in step({x: feeds[i]})] != expected[i] for i in places)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
def test_ctrl_c_stops_a_long_step_and_the_next_is_right(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", (500, 500)), graph.parameter("w", np.ones(()))
    y = x
    for _ in range(60):
        y = gn.sin(y) + w
    loss = gn.mean(gn.sum(y, axis=0))
    step = gn.compile(loss, {w: w + 1}, "native")
    feed = {x: np.ones((500, 500))}
    plan = native_plan(step, feed)
    assert plan.is_whole
    assert plan.segments[0].long
    with alarms() as interrupted:
        hits = sum(interrupted(lambda: step(feed), 0.02) for _ in range(3))
    assert hits
    assert float(w.value) == 1 + 3 - hits
    expected = bits(gn.run(loss, feed))
    assert bits(step(feed)) == expected


def test_a_forked_process_calls_a_native_plan(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (3,))
    step = gn.compile(gn.exp(x) + 1, backend="native")
    expected = step({x: np.ones(3)})
    child = os.fork() if hasattr(os, "fork") else None
    if child == 0:
        os._exit(0 if step({x: np.ones(3)}).tobytes() == expected.tobytes() else 1)
    if child is not None:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_guards_and_observers_see_every_node(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (2,))
    step = gn.compile(gn.log(x), backend="native", guard="nan")
    with pytest.raises(gn.ValueRangeError, match="is NaN"):
        step({x: np.array([1.0, -1.0])})


def test_a_step_holds_what_it_reads_while_others_change_it(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", (400, 400)), graph.parameter("w", np.full((400, 400), 2.0))
    y = x * w
    for _ in range(20):
        y = gn.sin(y) * w
    look = gn.compile(y, backend="native")
    feed = {x: np.ones((400, 400))}
    two = look({x: feed[x]}).tobytes()
    w.value = np.full((400, 400), 3.0)
    three = look(feed).tobytes()
    stop = threading.Event()

    def change() -> None:
        number = 2.0
        while not stop.is_set():
            number = 5.0 - number
            w.value = np.full((400, 400), number)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        seen = {look(feed).tobytes() for _ in range(30)}
    finally:
        stop.set()
        changing.join()
    assert seen <= {two, three}


# --- which backend ----------------------------------------------------------------------------------------------


def test_the_environment_and_the_argument_choose_the_backend(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    w = graph.parameter("w", 1.0)
    assert gn.compile(w).backend == "numpy"
    assert gn.compile(w, backend="native").backend == "native"
    monkeypatch.setenv("GRAPHNN_BACKEND", "interpreter")
    assert gn.compile(w).backend == "interpreter"
    monkeypatch.delenv("GRAPHNN_BACKEND")
    assert gn.compile(w).backend == "native"
    monkeypatch.setenv("GRAPHNN_BACKEND", "gpu")
    with pytest.raises(gn.ValueRangeError, match='unknown backend "gpu" in GRAPHNN_BACKEND'):
        gn.compile(w)


def test_without_llvmlite_numpy_computes(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    w = graph.parameter("w", 1.0)
    monkeypatch.setattr(selftest, "_state", {})
    monkeypatch.setattr(selftest, "find_spec", lambda name: None)
    monkeypatch.delenv("GRAPHNN_BACKEND")
    assert gn.compile(w).backend == "numpy"
    with pytest.raises(gn.UsageError, match=r"pip install graphnn\[native\]"):
        gn.compile(w, backend="native")


# --- on any doubt -----------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trusted or known yet."""
    monkeypatch.setattr(selftest, "_state", {})
    monkeypatch.setattr(ufunc_addresses, "_known", {})


def _other_loop(patch: pytest.MonkeyPatch) -> None:
    right = ufunc_addresses._read

    def wrong(ufunc: np.ufunc, signature: str) -> ufunc_addresses.Loop | None:
        return right(np.log if ufunc is np.exp else ufunc, signature)

    patch.setattr(ufunc_addresses, "_read", wrong)


def _other_signature(patch: pytest.MonkeyPatch) -> None:
    right = ufunc_addresses._read

    def wrong(ufunc: np.ufunc, signature: str) -> ufunc_addresses.Loop | None:
        return right(ufunc, signature.replace("f", "d"))

    patch.setattr(ufunc_addresses, "_read", wrong)


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "another loop": _other_loop,
    "another signature": _other_signature,
    "the list of loops elsewhere": lambda patch: patch.setattr(ufunc_addresses, "_FUNCTIONS", 40),
    "no list of loops": lambda patch: patch.setattr(ufunc_addresses, "_FUNCTIONS", 16),
    "what the loops get elsewhere": lambda patch: patch.setattr(ufunc_addresses, "_DATA", 56),
    "no list of signatures": lambda patch: patch.setattr(ufunc_addresses, "_TYPES", 16),
    "the signatures elsewhere": lambda patch: patch.setattr(ufunc_addresses, "_TYPES", 32),
    "the counts elsewhere": lambda patch: patch.setattr(ufunc_addresses, "_NTYPES", 24),
    "no function": lambda patch: patch.setattr(ufunc_addresses, "_pointer", lambda address: 0),
    "the fields of arrays elsewhere": lambda patch: patch.setattr(selftest, "_DATA", 24),
    "a choice that is another": lambda patch: patch.setattr(np, "maximum", np.fmax),
    "zeros that are ordered": lambda patch: patch.setattr(
        selftest, "zeros_are_ordered", lambda: not fused_kernels.zeros_are_ordered()
    ),
    "bounds that are taken": lambda patch: patch.setattr(
        np, "clip", lambda x, lo, hi: np.where(x <= lo, lo, np.where(x >= hi, hi, x)).astype(x.dtype)
    ),
    "a kernel that is another": lambda patch: patch.setitem(fused_kernels._ARITHMETIC, "add", "sub"),
}


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("what", PLANTED)
def test_on_any_doubt_numpy_computes_with_one_warning(
    graph: gn.Graph, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.delenv("GRAPHNN_BACKEND")
    fused_kernel_loops.written.cache_clear()
    x = graph.placeholder("x", (5,))
    with monkeypatch.context() as patch:
        PLANTED[what](patch)
        with pytest.warns(GraphnnWarning, match="computed by NumPy, not natively"):
            step = gn.compile(gn.exp(x), backend=None)
        again = gn.compile(gn.exp(x), backend="native")  # no second warning, which would be an error
    fused_kernel_loops.written.cache_clear()
    assert step.backend == again.backend == "numpy"
    fed = np.linspace(0, 1, 5)
    assert bits(step({x: fed})) == bits(np.exp(fed))


@pytest.mark.usefixtures("fresh")
def test_a_doubt_that_comes_with_a_plan_falls_back_too(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    x = graph.placeholder("x", (5,))
    step = gn.compile(gn.tanh(x), backend="native")
    assert step.backend == "native"
    right = ufunc_addresses._read
    monkeypatch.setattr(
        ufunc_addresses, "_read", lambda ufunc, signature: right(np.exp if ufunc is np.tanh else ufunc, signature)
    )
    fed = np.linspace(0, 1, 5)
    with pytest.warns(GraphnnWarning, match=r"numpy\.tanh does not give what the function gives"):
        assert bits(step({x: fed})) == bits(np.tanh(fed))
    assert step.backend == "numpy"


NO_ARRAYS: dict[str, object] = {
    "cannot be called": 3,
    "raises": lambda *_: 1 // 0,
    "takes less": lambda: None,
    "None": lambda *_: None,
    "a list": lambda *given: list(given),
    "too small": lambda *_: np.empty(1, np.float32),
    "too many axes": lambda *_: np.empty((77, 77), np.float32),
    "of another dtype": lambda *_: np.empty(77, np.int8),
    "of a derived class": lambda *_: np.zeros(77, np.float32).view(np.recarray),
    "no steps": lambda *_: np.broadcast_to(np.float32(1), 77),
    "of bytes": lambda *_: np.frombuffer(bytes(4 * 77), np.float32),
    "the same": lambda *given: given[0],
    "a copy": lambda *given: np.array(given[0]),
    "its address": id,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: a crash would be a child's")
@pytest.mark.parametrize("maker", ["empty", "view", "PyArray_Type", "PyDict_Type"])
def test_whatever_makes_arrays_instead_numpy_computes_and_nothing_crashes(maker: str) -> None:
    assert gn.compile(gn.Graph().parameter("w", 1.0), backend="native").backend == "native"
    for what, wrong in NO_ARRAYS.items():
        child = os.fork()
        if child == 0:
            os._exit(_told_of(maker, wrong))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, what


def _told_of(maker: str, wrong: object) -> int:
    """Return 0 if with something planted NumPy computes, with a warning."""
    try:
        llvm_runtime._OBJECTS[maker] = wrong
        llvm_runtime.python.cache_clear()
        selftest._state.clear()
        w = gn.Graph().parameter("w", np.arange(5.0))
        with pytest.warns(GraphnnWarning, match="computed by NumPy, not natively"):
            step = gn.compile(w * 2, {w: w + 1}, "native")
        right = [step().tolist() for _ in range(3)] == [[2 * (i + k) for i in range(5)] for k in range(3)]
        return 0 if right and step.backend == "numpy" else 1
    except BaseException:  # noqa: BLE001 - a child of a test must not go on as one
        return 2


@pytest.mark.parametrize("maker", ["empty", "view"])
def test_an_array_that_is_not_as_it_was_asked_for_is_refused(
    graph: gn.Graph, monkeypatch: pytest.MonkeyPatch, maker: str
) -> None:
    w = graph.parameter("w", np.arange(77.0))
    for what in ("raises", "None", "too small", "of another dtype"):
        monkeypatch.setitem(llvm_runtime._OBJECTS, maker, NO_ARRAYS[what])
        llvm_runtime.python.cache_clear()
        step = gn.compile(w * 2, {w: w + 1}, "native")
        native_plan(step, {})
        before = graph.state[w]
        for _ in range(3):
            with pytest.raises((ValueError, ZeroDivisionError)):
                step({})
            assert graph.state[w] is before
    monkeypatch.undo()
    llvm_runtime.python.cache_clear()
    assert before.tolist() == list(range(77))


# --- kernels ----------------------------------------------------------------------------------------------------


def test_no_product_is_contracted_with_a_sum() -> None:
    each = fused_kernels.Operand("f", "each")
    lines = (fused_kernels.Line("multiply", "ff", "f", (0, 1)), fused_kernels.Line("add", "ff", "f", (2, 0)))
    _, text = fused_kernel_loops.written(
        fused_kernels.Kernel(1, (each, each), lines, ((3, each),)), llvm.engine().register
    )
    assembly = llvm.engine().assembly(text)
    assert "fma" not in assembly.lower()
    assert "fast" not in text


def test_loops_can_be_read(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (20, 30))
    y = gn.exp(gn.sqrt(x[:, ::2]) * 2 + 1)
    plan = native_plan(gn.compile([y, gn.einsum("ij,jk->i", y, y.T)], backend="native"), {x: np.ones((20, 30))})
    fused, loop, called = plan.loops[:3]
    assert str(fused).splitlines() == [
        "fused: sqrt, multiply, add; reads 2,416 bytes, writes 2,400",
        "    x0 = view of x float64[20, 15]: each element, and they lie apart",
        "    x1 = 2.0 float64[]: one number for all elements",
        "    x2 = 1.0 float64[]: one number for all elements",
        "    x3 = sqrt(x0)",
        "    x4 = multiply(x3, x1)",
        "    x5 = add(x4, x2)",
        "    add float64[20, 15] = x5",
    ]
    assert "define void" in fused.llvm
    assert "sqrt" in fused.assembly
    assert str(loop).splitlines() == [
        "loop: exp; reads 2,400 bytes, writes 2,400",
        "    exp float64[20, 15] = exp(add float64[20, 15])",
    ]
    assert str(called).splitlines() == [
        "python: einsum; reads 4,800 bytes, writes 160 (einsum makes an array itself)",
        "    einsum float64[20] = einsum(exp float64[20, 15], view of exp float64[15, 20])",
    ]
