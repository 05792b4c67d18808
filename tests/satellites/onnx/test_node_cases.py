"""ONNX's own node cases: each is equal, or stands below with the reason."""

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, defs, numpy_helper
from onnx.backend.test.case.node import collect_testcases

import graphnn as gn
from graphnn.onnx.rules.refused import REFUSED, read, unread

REASONS = {
    "test_bernoulli*": "Not equal",  # random numbers, and ONNX does not say which
    "test_training_dropout_default*": "Not equal",
    "test_training_dropout_mask": "Not equal",
    "test_training_dropout": "Not equal",
    "test_image_decoder_*": "decodes files of pictures",
    "test_nonmaxsuppression_*": "how many boxes it keeps depends on data",
}
"""Names of cases → what is said of them."""

PLAIN = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13}
"""ONNX's numbers of the dtypes that graphnn has."""
LEAST = 1_150
"""The least cases that are equal."""


def plain(case: Any) -> bool:
    """Whether a case is one node of the standard domain, with arrays of graphnn's dtypes."""
    graph = case.model.graph
    ends = [each.type for each in (*graph.input, *graph.output)]
    return (
        case.kind == "node"
        and "_expanded" not in case.name
        and len(graph.node) == 1
        and not graph.node[0].domain
        and all(end.HasField("tensor_type") and end.tensor_type.elem_type in PLAIN for end in ends)
    )


@pytest.mark.filterwarnings("ignore")
def test_each_case_is_equal_or_refused_for_a_reason() -> None:
    cases = [case for case in collect_testcases(None) if plain(case)]
    wrong, equal = [], 0
    for case in cases:
        reason = next((reason for name, reason in REASONS.items() if fnmatch(case.name, name)), None)
        try:
            compare(case)
        except (AssertionError, gn.errors.GraphnnError) as error:
            op = case.model.graph.node[0].op_type
            if not (reason in str(error) if reason is not None else any(each in str(error) for each in unread())):
                wrong.append(f"{case.name}, of {op}: {error}")
        else:
            equal += 1
            if reason is not None:
                wrong.append(f"{case.name} is equal, and stands among those that are not")
    assert not wrong, "\n".join(wrong)
    assert equal >= LEAST
    assert len(cases) > 1_000


@pytest.mark.filterwarnings("ignore")
def test_what_is_read_with_names_for_sizes_gives_the_same() -> None:
    equal = 0
    for case in [case for case in collect_testcases(None) if plain(case)][::6]:
        if not any(fnmatch(case.name, name) for name in REASONS):
            with contextlib.suppress(gn.errors.GraphnnError):  # some need a size, and say so
                compare(case, named(case.model))
                equal += 1
    assert equal >= LEAST // 7


@pytest.mark.filterwarnings("ignore")
def test_recurrent_layers_and_loops_go_over_any_length() -> None:
    over = {"GRU": 1, "LSTM": 1, "RNN": 1, "Scan": None, "Loop": None, "If": None}
    cases = [case for case in collect_testcases(None) if plain(case) and case.model.graph.node[0].op_type in over]
    for case in cases:
        compare(case, named(case.model, over[case.model.graph.node[0].op_type]))
    assert len(cases) > 20


def named(model: Any, inputs: int | None = None) -> Any:
    """Return a model of which inputs, all or the first ones, have names for sizes above 1, one for each size."""
    changed = ModelProto()
    changed.CopyFrom(model)
    for each in changed.graph.input[:inputs]:
        for dim in each.type.tensor_type.shape.dim:
            if dim.dim_value > 1:
                dim.dim_param = f"size_{dim.dim_value}"
    return changed


def compare(case: Any, model: Any = None) -> None:
    """Read the model of a case, with as few values known as it takes, and hold its outputs against those it has."""
    for inputs, outputs in case.data_sets:
        names = [each.name for each in case.model.graph.input]
        feed = dict(zip(names, [array(each) for each in inputs], strict=False))
        graph = readable(model or case.model, feed)
        fed = {node: feed[node.name] for node in graph.placeholders}
        found = gn.run(list(graph.outputs.values()), fed)
        for a, b in zip(found, [array(each) for each in outputs], strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            if b.dtype.kind != "f":
                np.testing.assert_array_equal(a, b)
            else:
                half, largest = b.dtype == np.float16, np.max(np.abs(b[np.isfinite(b)]), initial=1)
                np.testing.assert_allclose(a, b, 1e-2 if half else case.rtol, (1e-3 if half else case.atol) * largest)


def readable(model: Any, feed: dict[str, Any]) -> gn.Graph:
    """Return the graph of a model, of whose inputs some must be known for what decides shapes."""
    fixed = list(choices(list(feed)))
    for names in fixed:
        try:
            return gn.from_onnx(model, values={name: feed[name] for name in names})
        except NotImplementedError:
            if names == fixed[-1]:
                raise
    raise AssertionError


def choices(names: list[str]) -> Iterator[list[str]]:
    """Yield which inputs are known: none, all but the first, all but the last, all."""
    yield []
    yield from (chosen for chosen in (names[1:], names[:-1]) if chosen)
    if names:
        yield names


def array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def test_what_is_refused_is_an_operation_that_is_not_read() -> None:
    there = {(each.domain, each.name) for each in defs.get_all_schemas()}
    assert set(REFUSED) <= there
    assert not set(REFUSED) & set(read())
