"""The error function, its complement, and the distribution function of the standard normal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..core import Array

# Coefficients from the highest power down, of numerator and denominator: the figures of s_erf.c in fdlibm, published
# by Sun Microsystems in 1993.
_ERF_SMALL = (  # (erf(x) - x) / x, of x², below 0.84375
    (-2.37630166566501626084e-05, -5.77027029648944159157e-03, -2.84817495755985104766e-02,
     -3.25042107247001499370e-01, 1.28379167095512558561e-01),
    (-3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03,
     6.50222499887672944485e-02, 3.97917223959155352819e-01, 1.0),
)  # fmt: skip
_ERF_AT_1 = 8.45062911510467529297e-01
_ERF_MIDDLE = (  # erf(x) - _ERF_AT_1, of x - 1, below 1.25
    (-2.16637559486879084300e-03, 3.54783043256182359371e-02, -1.10894694282396677476e-01,
     3.18346619901161753674e-01, -3.72207876035701323847e-01, 4.14856118683748331666e-01,
     -2.36211856075265944077e-03),
    (1.19844998467991074170e-02, 1.36370839120290507362e-02, 1.26171219808761642112e-01,
     7.18286544141962662868e-02, 5.40397917702171048937e-01, 1.06420880400844228286e-01, 1.0),
)  # fmt: skip
_ERFC_LARGE = (  # log(x erfc(x)) + x² + 0.5625, of 1/x², below 1/0.35
    (-9.81432934416914548592e+00, -8.12874355063065934246e+01, -1.84605092906711035994e+02,
     -1.62396669462573470355e+02, -6.23753324503260060396e+01, -1.05586262253232909814e+01,
     -6.93858572707181764372e-01, -9.86494403484714822705e-03),
    (-6.04244152148580987438e-02, 6.57024977031928170135e+00, 1.08635005541779435134e+02,
     4.29008140027567833386e+02, 6.45387271733267880336e+02, 4.34565877475229228821e+02,
     1.37657754143519042600e+02, 1.96512716674392571292e+01, 1.0),
)  # fmt: skip
_ERFC_LARGEST = (
    (-4.83519191608651397019e+02, -1.02509513161107724954e+03, -6.37566443368389627722e+02,
     -1.60636384855821916062e+02, -1.77579549177547519889e+01, -7.99283237680523006574e-01,
     -9.86494292470009928597e-03),
    (-2.24409524465858183362e+01, 4.74528541206955367215e+02, 2.55305040643316442583e+03,
     3.19985821950859553908e+03, 1.53672958608443695994e+03, 3.25792512996573918826e+02,
     3.03380607434824582924e+01, 1.0),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    ratio: Array = np.polyval(coefficients[0], x) / np.polyval(coefficients[1], x)
    return ratio


def _erf_parts(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return x and erf(x) - x, right below 0.84375; erf(|x|) - _ERF_AT_1, right below 1.25; and erfc(|x|) above."""
    size, near = np.abs(x), np.clip(x, -1, 1)
    middle = _ratio(_ERF_MIDDLE, np.clip(size, 0.75, 1.25) - 1)
    large = np.clip(size, 1.25, 28)
    inverse = 1 / np.square(large)
    power = np.where(large < 1 / 0.35, _ratio(_ERFC_LARGE, inverse), _ratio(_ERFC_LARGEST, inverse))
    # exp(-x²) in two parts, of which the first has an exact exponent: else its error would grow with x.
    coarse = large.astype(np.float32).astype(np.float64)
    rest = np.exp(-coarse * coarse - 0.5625) * np.exp((coarse - large) * (coarse + large) + power) / large
    return near, near * _ratio(_ERF_SMALL, np.square(near)), middle, rest


def erf(x: Array) -> Array:
    """Return 2/√π ∫₀ˣ exp(-t²) dt."""
    near, small, middle, rest = _erf_parts(x)
    size = np.abs(x)
    return np.where(size < 0.84375, near + small, np.copysign(np.where(size < 1.25, _ERF_AT_1 + middle, 1 - rest), x))


def erfc(x: Array) -> Array:
    """Return 1 - erf(x), exact where it is small."""
    near, small, middle, rest = _erf_parts(x)
    size = np.abs(x)
    small = np.where(near < 0.25, 1 - (near + small), 0.5 - (near - 0.5 + small))
    large = np.where(size < 1.25, 1 - _ERF_AT_1 - middle, rest)
    return np.where(size < 0.84375, small, np.where(x < 0, 2 - large, large))


def normal(x: Array) -> Array:
    """Return the distribution function of the standard normal, exact where it is small."""
    return 0.5 * erfc(x * -math.sqrt(0.5))


# --- of float32 -----------------------------------------------------------------------------------------------------

# Coefficients from the highest power down, fitted to the largest error relative to a unit in the last place.
_LOG_ERFC = (  # -log(erfc(t)) / t - 1, up to 3.93, where erf is 1
    (-9.256265232780835e-06, 0.00011764126721810208, -0.0006328368220589271, 0.001667027363124489,
     -0.00016039592480273103, -0.0191530640080841, 0.10277783054708019, 0.6366193819600097, 0.12837917161162124)
)  # fmt: skip
_TAIL = (  # the distribution function at -t, times exp(t²/2), up to 14.5, where it vanishes
    (0.0041162929723578484, 0.04063338750175542, 0.18323602381567042, 0.43829677172083553, 0.5000000029437908),
    (0.010317896663436599, 0.10185924284907072, 0.4694728453032463, 1.2025078273814884, 1.6744785235472004, 1.0),
)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    total: Any = coefficients[0]
    for number in coefficients[1:]:
        total = total * x + number
    return total


def erf_single(x: Any) -> Any:
    """Return the error function of float32, at most 3 units in the last place off."""
    size = np.minimum(np.abs(x), 3.93)
    return np.copysign(np.expm1(-(size * _polynomial(_LOG_ERFC, size) + size)), x)


def normal_single(x: Any) -> Any:
    """Return the distribution function of the standard normal of float32, exact where it is small."""
    size = np.minimum(np.abs(x), 14.5)
    # exp(-x²/2) in two parts, of which the first has an exact exponent: else its error would grow with x.
    coarse = (size + 2.0**16) - 2.0**16
    power = np.exp(coarse * coarse * -0.5) * np.exp((coarse - size) * (coarse + size) * 0.5)
    tail = power * (_polynomial(_TAIL[0], size) / _polynomial(_TAIL[1], size))
    return np.abs((x >= 0).astype(x.dtype) - tail)
