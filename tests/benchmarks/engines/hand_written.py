"""The step in NumPy alone: as one writes it, and with every buffer planned by hand."""

from __future__ import annotations

import numpy as np

from . import Problem, Training


def plain(problem: Problem) -> Training:
    """Write the step as a good user of NumPy does, with a new array for every result."""
    X, labels, rate = problem.X, problem.labels, problem.rate
    w1, b1, w2, b2 = problem.start
    count = len(X)
    rows = np.arange(count)

    def step() -> float:
        nonlocal w1, b1, w2, b2
        h = X @ w1 + b1
        a = np.maximum(h, 0)
        z = a @ w2 + b2
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        loss = (np.log(total)[:, 0] - z[rows, labels]).mean()

        dz = e / total
        dz[rows, labels] -= 1
        dz /= count
        dh = dz @ w2.T
        dh[h <= 0] = 0
        dw2, db2 = a.T @ dz, dz.sum(axis=0)
        dw1, db1 = X.T @ dh, dh.sum(axis=0)

        w1 = w1 - rate * dw1
        b1 = b1 - rate * db1
        w2 = w2 - rate * dw2
        b2 = b2 - rate * db2
        return float(loss)

    return Training(step, lambda: [w1, b1, w2, b2])


def planned(problem: Problem) -> Training:
    """Write the same step so that it allocates nothing that grows with the batch."""
    X, labels = problem.X, problem.labels
    w1, b1, w2, b2 = problem.start
    count, dtype, classes = len(X), X.dtype, len(b2)
    hidden = len(b1)
    rate, share = dtype.type(problem.rate), dtype.type(1 / count)

    h, dh = np.empty((count, hidden), dtype), np.empty((count, hidden), dtype)
    active = np.empty((count, hidden), bool)
    z, e = np.empty((count, classes), dtype), np.empty((count, classes), dtype)
    column, chosen = np.empty((count, 1), dtype), np.empty(count, dtype)
    dw1, db1, dw2, db2 = (np.empty_like(array) for array in (w1, b1, w2, b2))
    flat_z, flat_e = z.reshape(-1), e.reshape(-1)
    at = np.arange(count) * classes + labels
    XT, aT, w2T = X.T, dh.T, w2.T
    matmul, add, subtract, multiply, divide = np.matmul, np.add, np.subtract, np.multiply, np.divide
    maximum, greater, exp, log = np.maximum, np.greater, np.exp, np.log
    total_of, largest_of = np.add.reduce, np.maximum.reduce

    def step() -> float:
        matmul(X, w1, out=h)
        add(h, b1, out=h)
        maximum(h, 0, out=dh)  # what follows the ReLU lies where its gradient will
        matmul(dh, w2, out=z)
        add(z, b2, out=z)
        largest_of(z, axis=1, keepdims=True, out=column)
        subtract(z, column, out=z)
        exp(z, out=e)
        total_of(e, axis=1, keepdims=True, out=column)
        divide(e, column, out=e)
        flat_z.take(at, out=chosen, mode="clip")
        loss = (total_of(log(column, out=column), axis=None) - total_of(chosen)) * share

        flat_e[at] -= 1
        multiply(e, share, out=e)
        matmul(aT, e, out=dw2)
        total_of(e, axis=0, out=db2)
        matmul(e, w2T, out=dh)
        greater(h, 0, out=active)
        multiply(dh, active, out=dh)
        matmul(XT, dh, out=dw1)
        total_of(dh, axis=0, out=db1)

        multiply(dw1, rate, out=dw1)
        subtract(w1, dw1, out=w1)
        multiply(db1, rate, out=db1)
        subtract(b1, db1, out=b1)
        multiply(dw2, rate, out=dw2)
        subtract(w2, dw2, out=w2)
        multiply(db2, rate, out=db2)
        subtract(b2, db2, out=b2)
        return float(loss)

    return Training(step, lambda: [array.copy() for array in (w1, b1, w2, b2)])


def products(problem: Problem) -> Training:
    """Compute nothing but the five matrix products of the step: no step that multiplies with NumPy is faster."""
    X = problem.X
    w1, b1, w2, b2 = problem.start
    h, z = X @ w1, np.zeros((len(X), len(b2)), X.dtype)
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    XT, w2T, dh = X.T, w2.T, np.zeros_like(h)
    hT, matmul = h.T, np.matmul

    def step() -> float:
        matmul(X, w1, out=h)
        matmul(h, w2, out=z)
        matmul(hT, z, out=dw2)
        matmul(z, w2T, out=dh)
        matmul(XT, dh, out=dw1)
        return 0.0

    return Training(step, lambda: [w1, b1, w2, b2])
