"""The step in Numba: its loops fused by hand, and compiled for the sizes of the layers."""

from __future__ import annotations

import numpy as np
from numba import njit

from . import Array, Problem, Training

NARROW = 4096
"""Up to so many weights in the first layer, one loop over all rows is faster than products by BLAS."""

# Sums may be taken in any order, which their vectors need.
_compiled = njit(fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")


def fused(problem: Problem) -> Training:
    """Return the step as one function: one loop over rows, or three of them between five products of BLAS."""
    return _one_loop(problem) if problem.weight1.size <= NARROW else _with_products(problem)


@_compiled
def _softmax(z: Array, label: int, share: float) -> float:
    """Write the gradient of a row's loss over its logits, and return the loss."""
    top = z[0]
    for logit in z:
        top = max(top, logit)
    right, total = z[label] - top, share * 0
    for c in range(len(z)):
        z[c] = np.exp(z[c] - top)
        total += z[c]
    factor = share / total
    for c in range(len(z)):
        z[c] *= factor
    z[label] -= share
    return np.log(total) - right


def _one_loop(problem: Problem) -> Training:
    X, labels = problem.X, problem.labels
    w1, b1, w2, b2 = problem.start
    w2t = np.ascontiguousarray(w2.T)  # so that each inner loop goes along the hidden layer
    (inputs, hidden), classes, dtype = w1.shape, len(b2), X.dtype.type
    rate, share, zero = dtype(problem.rate), dtype(1 / len(X)), dtype(0)

    @_compiled
    def advance(X: Array, labels: Array, w1: Array, b1: Array, w2t: Array, b2: Array) -> float:
        dw1, db1 = np.zeros((inputs, hidden), dtype), np.zeros(hidden, dtype)
        dw2t, db2 = np.zeros((classes, hidden), dtype), np.zeros(classes, dtype)
        a, z = np.empty(hidden, dtype), np.empty(classes, dtype)
        loss = zero
        for i in range(len(X)):
            for j in range(hidden):
                h = b1[j]
                for k in range(inputs):
                    h += X[i, k] * w1[k, j]
                a[j] = max(h, zero)
            for c in range(classes):
                logit = b2[c]
                for j in range(hidden):
                    logit += a[j] * w2t[c, j]
                z[c] = logit
            loss += _softmax(z, labels[i], share)
            for c in range(classes):
                db2[c] += z[c]
            for j in range(hidden):
                active, dh = a[j], zero
                for c in range(classes):
                    dw2t[c, j] += z[c] * active
                    dh += z[c] * w2t[c, j]
                dh = dh if active > 0 else zero
                db1[j] += dh
                for k in range(inputs):
                    dw1[k, j] += X[i, k] * dh
        w1 -= rate * dw1
        b1 -= rate * db1
        w2t -= rate * dw2t
        b2 -= rate * db2
        return loss * share

    return Training(lambda: advance(X, labels, w1, b1, w2t, b2), lambda: [w1, b1, w2t.T, b2])


def _with_products(problem: Problem) -> Training:
    X, labels = problem.X, problem.labels
    w1, b1, w2, b2 = problem.start
    (inputs, hidden), classes, dtype = w1.shape, len(b2), X.dtype.type
    rate, share, zero = dtype(problem.rate), dtype(1 / len(X)), dtype(0)
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    a, dh = np.empty((2, len(X), hidden), dtype)
    z = np.empty((len(X), classes), dtype)

    @_compiled
    def advance(
        X: Array,
        labels: Array,
        w1: Array,
        b1: Array,
        w2: Array,
        b2: Array,
        dw1: Array,
        dw2: Array,
        a: Array,
        dh: Array,
        z: Array,
    ) -> float:
        db1, db2 = np.zeros(hidden, dtype), np.zeros(classes, dtype)
        np.dot(X, w1, out=a)
        for i in range(len(X)):
            for j in range(hidden):
                a[i, j] = max(a[i, j] + b1[j], zero)
        np.dot(a, w2, out=z)
        loss = zero
        for i in range(len(X)):
            z[i] += b2
            loss += _softmax(z[i], labels[i], share)
            db2 += z[i]
        np.dot(a.T, z, out=dw2)
        np.dot(z, w2.T, out=dh)
        for i in range(len(X)):
            for j in range(hidden):
                dh[i, j] = dh[i, j] if a[i, j] > 0 else zero
                db1[j] += dh[i, j]
        np.dot(X.T, dh, out=dw1)
        for k in range(inputs):
            for j in range(hidden):
                w1[k, j] -= rate * dw1[k, j]
        b1 -= rate * db1
        w2 -= rate * dw2
        b2 -= rate * db2
        return loss * share

    return Training(lambda: advance(X, labels, w1, b1, w2, b2, dw1, dw2, a, dh, z), lambda: [w1, b1, w2, b2])
