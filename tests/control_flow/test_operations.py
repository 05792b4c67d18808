"""The operations that loops are made of, each by itself."""

import numpy as np
import pytest

import graphnn as gn
import graphnn.control_flow
from graphnn import Op, Spec
from graphnn.control_flow.bundle import Layout, LoopItem, place_to_write, read
from graphnn.core import registry
from graphnn.testing import check_op
from graphnn.testing.random_samples import Draw

OPS = sorted(name for name, cls in registry.items() if cls.__module__.startswith("graphnn.control_flow"))


@pytest.mark.parametrize("name", OPS)
def test_derivatives_are_those_of_finite_differences(name):
    assert check_op(registry[name]).checked > 0


@pytest.mark.parametrize("name", OPS)
def test_an_operation_gives_samples_and_its_results_are_as_inferred(name):
    for seed in range(20):
        op, operands = registry[name].samples(Draw(np.random.default_rng(seed)))
        assert isinstance(op, Op)
        spec = op.infer(*[Spec(x.shape, x.dtype) for x in operands])
        value = op.forward(*operands)
        assert (value.shape, value.dtype) == (spec.shape, spec.dtype)


def test_equal_bundles_are_equal_to_the_bit_whatever_lay_in_their_memory():
    g = gn.Graph()
    x = g.placeholder("x", (5,))
    _, (signs, _) = gn.scan(lambda c, row: (c + row, (row > 0.0, c)), x[0], x)
    taken, _ = gn.cond(signs[0], lambda: (x > 0.0, x), lambda: (x < 0.0, -x))
    for bundle in (signs.inputs[0], taken.inputs[0]):
        (size,), operands = bundle.shape, gn.run(list(bundle.inputs), {x: np.arange(5.0)})
        one, other = (bundle.op.forward(*operands, out=np.full(size, junk)) for junk in (0.1, np.pi))
        assert one.tobytes() == other.tobytes()


def test_items_of_all_dtypes_lie_aligned_and_come_back():
    rng = np.random.default_rng(0)
    dtypes = ["bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64"]
    for _ in range(200):
        chosen = rng.choice(dtypes, rng.integers(1, 6))
        arrays = [rng.integers(0, 2, rng.integers(0, 4, rng.integers(0, 3))).astype(dtype) for dtype in chosen]
        layout = Layout([(x.shape, x.dtype) for x in arrays])
        words = np.zeros(layout.size, layout.dtype)
        for place, x in zip(layout.places, arrays, strict=True):
            place_to_write(words, place)[...] = x
        for place, x in zip(layout.places, arrays, strict=True):
            found = read(words, place)
            assert found.dtype == x.dtype
            assert found.flags.aligned
            np.testing.assert_array_equal(found, x)
            again = LoopItem(place.start, place.shape, place.dtype.name).forward(words)
            np.testing.assert_array_equal(again, x)
