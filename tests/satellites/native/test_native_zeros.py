"""Which of 0 and -0 comes out, which are equal but not to the bit: that depends on the function, and the processor."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from test_plan_conformance import differences

import graphnn as gn
from graphnn import Op, Spec
from graphnn.native import fused_kernel_loops, fused_kernels, ufunc_addresses
from graphnn.native.llvm import engine

Array = np.ndarray[Any, np.dtype[Any]]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0]
CHOICES: dict[str, Callable[[gn.Node], gn.Node]] = {
    **{f"clip from {lo}": lambda x, lo=lo: gn.clip(x, lo, 1.0) for lo in (0.0, -0.0)},
    **{f"clip to {hi}": lambda x, hi=hi: gn.clip(x, -1.0, hi) for hi in (0.0, -0.0)},
    "clip between both": lambda x: gn.clip(x, -0.0, 0.0),
    "clip from above": lambda x: gn.clip(x, 1.0, -0.0),
    "clip at one end": lambda x: gn.clip(x, None, -0.0),
    **{f"maximum with {y}": lambda x, y=y: gn.maximum(x, y) for y in (0.0, -0.0)},
    **{f"minimum with {y}": lambda x, y=y: gn.minimum(y, x) for y in (0.0, -0.0)},
    "relu": gn.relu,
    "the larger one": lambda x: gn.maximum(x, -x),
    "the smaller one": lambda x: gn.minimum(-x, x),
    "the largest": lambda x: gn.max(x, axis=-1),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_which_zero_comes_out_is_as_in_the_interpreter(choice: str, backend: str) -> None:
    for dtype in ("float32", "float64"):
        for count in (1, 3, 17, 70):
            g = gn.Graph(dtype=dtype)
            x = g.placeholder("x", (len(SPECIAL), count))
            feed = {x: np.repeat(np.array(SPECIAL, dtype), count).reshape(x.shape)}
            assert not differences([CHOICES[choice](x)], [feed], {}, backend=backend)


BOUNDS: dict[str, tuple[Any, Any]] = {
    "arrays": (np.array([0.0, -0.0, 0.0]), np.array([1.0, 1.0, -0.0])),
    "an array and a number": (-0.0, np.full(3, 0.0)),
    "NumPy's numbers": (np.float64(-0.0), np.float64(1.0)),
    "NaN": (np.nan, 1.0),
    "NaN above": (0.0, float("nan")),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.usefixtures("own_operations")
def test_an_operation_that_clips_by_arrays_or_nan_is_as_in_the_interpreter(bounds: str) -> None:
    lo, hi = BOUNDS[bounds]

    class HeldBetween(Op):
        differentiable = False

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Array) -> Any:
            return np.clip(x, lo, hi)

    g = gn.Graph()
    x = g.placeholder("x", (len(SPECIAL), 3))
    y = HeldBetween()(x)
    feed = {x: np.repeat(np.array(SPECIAL), 3).reshape(x.shape)}
    for backend in ("numpy", "native"):
        assert not differences([y, y * 1.0], [feed], {}, backend=backend)


@pytest.fixture
def zeros_are_ordered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write kernels as for a processor that takes 0 for larger than -0."""
    monkeypatch.setattr(fused_kernels, "zeros_are_ordered", lambda: True)
    fused_kernel_loops.written.cache_clear()
    yield
    fused_kernel_loops.written.cache_clear()


@pytest.mark.usefixtures("zeros_are_ordered")
@pytest.mark.parametrize("char", ["f", "d"])
def test_where_zeros_are_ordered_the_larger_zero_is_the_maximum(char: str) -> None:
    x, y = (each.ravel().astype(char) for each in np.meshgrid(SPECIAL, SPECIAL))
    for name, sign in (("maximum", 1.0), ("minimum", -1.0)):
        each = fused_kernels.Operand(char, "each")
        line = fused_kernels.Line(name, 2 * char, char, (0, 1))
        called, text = fused_kernel_loops.written(
            fused_kernels.Kernel(1, (each, each), (line,), ((2, each),)), engine().register
        )
        (address,) = engine().functions([(called, text)])
        got = np.zeros_like(x)
        arrays = [x.ctypes.data, y.ctypes.data, got.ctypes.data]
        ufunc_addresses.call(ufunc_addresses.Loop(address, 0), arrays, [x.size], [x.itemsize] * 3)
        for one, other, found in zip(x.tolist(), y.tolist(), got.tolist(), strict=True):
            if np.isnan([one, other]).any():
                assert np.isnan(found)
            else:  # of 0 and -0, which are equal, the sign decides
                expected = max((one, other), key=lambda value: (sign * value, sign * np.copysign(1, value)))
                assert (found, np.signbit(found)) == (expected, np.signbit(expected)), (name, one, other)
