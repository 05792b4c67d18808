import { axesOf, axisOf, dense, flat, inOrder, made, scratch, stored, stretched, walk, sizeOfShape } from "./arrays.js";
/** @import { Axis, Computed, Data, Operations, Value } from "./arrays.js" */

/**
 * Return the strides, along the axes of x, of a result of which these axes are gone: 0 along them.
 *
 * @type {(shape: number[], axes: number[]) => number[]}
 */
function without(shape, axes) {
  const gone = new Set(axes),
    strides = new Array(shape.length).fill(0);
  for (let axis = shape.length - 1, step = 1; axis >= 0; axis--)
    if (!gone.has(axis)) {
      strides[axis] = step;
      step *= shape[axis];
    }
  return strides;
}

/**
 * Join the elements over axes, in double precision: `row` joins `count` elements to totals that lie at i, i + s, …
 *
 * @type {(n: Computed, x: Value, axes: number[], start: number, row: (to: Float64Array, count: number, i: number, s: number, data: Data, j: number, t: number) => void) => Float64Array}
 */
function foldedRows(n, x, axes, start, row) {
  const to = scratch(n, 0, sizeOfShape(n.shape)).fill(start);
  walk(x.shape, [without(x.shape, axes), x.strides], [0, x.offset], (count, at, by) => row(to, count, at[0], by[0], x.data, at[1], by[1]));
  return to;
}

/**
 * Join the elements over axes: `f` is given the total, an element and the place of the total.
 *
 * @type {(n: Computed, x: Value, axes: number[], start: number, f: (total: number, x: number, i: number) => number) => Float64Array}
 */
const folded = (n, x, axes, start, f) =>
  foldedRows(n, x, axes, start, (to, count, i, s, data, j, t) => {
    for (; count > 0; count--, i += s, j += t) to[i] = f(to[i], data[j], i);
  });

/** @type {(n: Computed, x: Value, axes: number[]) => Float64Array} */
const summed = (n, x, axes) =>
  foldedRows(n, x, axes, 0, (to, count, i, s, data, j, t) => {
    if (s === 0) {
      let sum = to[i];
      for (; count > 0; count--, j += t) sum += data[j];
      to[i] = sum;
    } else for (; count > 0; count--, i += s, j += t) to[i] += data[j];
  });

/** @type {(n: Computed, x: Value, axes: number[]) => Float64Array} */
const largestOf = (n, x, axes) =>
  foldedRows(n, x, axes, -Infinity, (to, count, i, s, data, j, t) => {
    for (; count > 0; count--, i += s, j += t) to[i] = Math.max(to[i], data[j]);
  });

/** @type {(n: Computed, x: Value, start: number, f: (total: number, x: number) => number) => Data} */
const reduced = (n, x, start, f) => stored(n, folded(n, x, axesOf(n.attributes.axis, x.shape.length), start, f));
/** @type {(x: Value, axes: number[]) => number} */
const counted = (x, axes) => axes.reduce((count, axis) => count * x.shape[axis], 1);

/**
 * Return the variances over axes.
 *
 * @type {(n: Computed, x: Value) => Float64Array}
 */
function moments(n, x) {
  const axes = axesOf(n.attributes.axis, x.shape.length),
    count = counted(x, axes),
    left = count - n.attributes.ddof;
  const means = scratch(n, 1, sizeOfShape(n.shape));
  means.set(summed(n, x, axes));
  for (let i = 0; i < means.length; i++) means[i] /= count;
  const found = folded(n, x, axes, 0, (total, each, i) => total + (each - means[i]) ** 2);
  for (let i = 0; i < found.length; i++) found[i] = left > 0 ? found[i] / left : NaN;
  return found;
}

/**
 * Return a value with its axes one, of all its elements in order, if there is no axis; and the axis.
 *
 * @type {(x: Value, axis: Axis) => [Value, number]}
 */
function alongOne(x, axis) {
  return axis === null || axis === undefined ? [dense([sizeOfShape(x.shape)], x.dtype, flat(x)), 0] : [x, axisOf(axis, x.shape.length)];
}

/**
 * Go along an axis: `line` is given where each line begins in the value and in the result, and the steps in both.
 *
 * @type {(x: Value, axis: number, toShape: number[], line: (from: number, to: number, step: number, toStep: number, count: number) => void) => void}
 */
function lines(x, axis, toShape, line) {
  const shape = x.shape.slice(),
    to = inOrder(toShape),
    count = shape[axis];
  shape[axis] = 1;
  walk(shape, [x.strides, to], [x.offset, 0], (many, [j, i], [t, s]) => {
    for (let e = 0; e < many; e++, i += s, j += t) line(j, i, x.strides[axis], to[axis], count);
  });
}

/** @type {(n: Computed, operands: Value[], start: number, f: (total: number, x: number) => number) => Data} */
function running(n, [operand], start, f) {
  const [x, axis] = alongOne(operand, n.attributes.axis),
    to = scratch(n, 0, sizeOfShape(n.shape)),
    { data } = x;
  lines(x, axis, n.shape, (j, i, t, s, count) => {
    for (let k = 0, total = start; k < count; k++, i += s, j += t) to[i] = total = f(total, data[j]);
  });
  return stored(n, to);
}

/**
 * Return where along an axis the first element is that no other is better than; NaN is best.
 *
 * @type {(n: Computed, operands: Value[], better: (x: number, best: number) => boolean) => Data}
 */
function position(n, [operand], better) {
  const [x, axis] = alongOne(operand, n.attributes.axis),
    to = made(n),
    { data } = x,
    shape = x.shape.slice();
  shape[axis] = 1;
  lines(x, axis, shape, (j, i, t, _, count) => {
    let best = 0,
      most = data[j];
    for (let k = 1; k < count && most === most; k++) {
      const each = data[j + k * t];
      if (better(each, most) || each !== each) [best, most] = [k, each];
    }
    to[i] = best;
  });
  return to;
}

/** @type {Operations} */
export const REDUCTION_OPERATIONS = {
  sum: (a, n) => stored(n, summed(n, a[0], axesOf(n.attributes.axis, a[0].shape.length))),
  sum_to(a, n) {
    const [x] = a,
      extra = x.shape.length - n.shape.length;
    return stored(
      n,
      summed(
        n,
        x,
        axesOf(null, x.shape.length).filter((axis) => axis < extra || n.shape[axis - extra] === 1),
      ),
    );
  },
  mean(a, n) {
    const axes = axesOf(n.attributes.axis, a[0].shape.length),
      count = counted(a[0], axes),
      found = summed(n, a[0], axes);
    for (let i = 0; i < found.length; i++) found[i] /= count;
    return stored(n, found);
  },
  prod: (a, n) => reduced(n, a[0], 1, (total, x) => total * x),
  max: (a, n) => stored(n, largestOf(n, a[0], axesOf(n.attributes.axis, a[0].shape.length))),
  min: (a, n) => reduced(n, a[0], Infinity, (total, x) => Math.min(total, x)),
  any: (a, n) => reduced(n, a[0], 0, (total, x) => (x !== 0 ? 1 : total)),
  all: (a, n) => reduced(n, a[0], 1, (total, x) => (x !== 0 ? total : 0)),
  var: (a, n) => stored(n, moments(n, a[0])),
  std: (a, n) => stored(n, moments(n, a[0]).map(Math.sqrt)),
  logsumexp(a, n) {
    const [x] = a,
      axes = axesOf(n.attributes.axis, x.shape.length),
      largest = scratch(n, 1, sizeOfShape(n.shape));
    largest.set(largestOf(n, x, axes));
    for (let i = 0; i < largest.length; i++) if (!Number.isFinite(largest[i])) largest[i] = 0;
    const found = folded(n, x, axes, 0, (total, each, i) => total + Math.exp(each - largest[i]));
    for (let i = 0; i < found.length; i++) found[i] = Math.log(found[i]) + largest[i];
    return stored(n, found);
  },
  norm(a, n) {
    const { ord } = n.attributes,
      size = Math.abs;
    if (ord === Infinity) return reduced(n, a[0], 0, (total, x) => Math.max(total, size(x)));
    if (ord === -Infinity) return reduced(n, a[0], Infinity, (total, x) => Math.min(total, size(x)));
    if (ord === 1) return reduced(n, a[0], 0, (total, x) => total + size(x));
    const axes = axesOf(n.attributes.axis, a[0].shape.length),
      power = ord ?? 2;
    const found = folded(n, a[0], axes, 0, power === 2 ? (total, x) => total + x * x : (total, x) => total + size(x) ** power);
    for (let i = 0; i < found.length; i++) found[i] = power === 2 ? Math.sqrt(found[i]) : found[i] ** (1 / power);
    return stored(n, found);
  },
  argmax: (a, n) => position(n, a, (x, most) => x > most),
  argmin: (a, n) => position(n, a, (x, least) => x < least),
  cumsum: (a, n) => running(n, a, 0, (total, x) => total + x),
  cumprod: (a, n) => running(n, a, 1, (total, x) => total * x),
  prod_others(a, n) {
    const [x] = a,
      { data } = x,
      to = scratch(n, 0, sizeOfShape(n.shape));
    lines(x, axisOf(n.attributes.axis, x.shape.length), n.shape, (j, i, t, s, count) => {
      for (let k = 0, before = 1; k < count; before *= data[j + k++ * t]) to[i + k * s] = before;
      for (let k = count - 1, after = 1; k >= 0; after *= data[j + k-- * t]) to[i + k * s] *= after;
    });
    return stored(n, to);
  },
  first_occurrence(a, n) {
    const [x, y] = a,
      axes = axesOf(n.attributes.axis, x.shape.length),
      places = without(x.shape, axes),
      to = made(n);
    const { data } = x,
      sought = y.data,
      found = new Uint8Array(data.length),
      one = stretched(y, x.shape);
    walk(
      x.shape,
      [inOrder(n.shape), x.strides, one, places],
      [0, x.offset, y.offset, 0],
      (count, [i, j, k, l], [, s, t, u]) => {
        for (let e = 0; e < count; e++, i++, j += s, k += t, l += u) {
          const here = data[j],
            wanted = sought[k];
          to[i] = (here === wanted || (here !== here && wanted !== wanted)) && !found[l] ? 1 : 0;
          found[l] |= to[i];
        }
      },
      true,
    );
    return to;
  },
  argsort(a, n) {
    const [x, axis] = alongOne(a[0], n.attributes.axis),
      down = n.attributes.descending ? -1 : 1,
      to = made(n),
      { data } = x;
    lines(x, axis, n.shape, (j, i, t, s, count) => {
      const order = Float64Array.from({ length: count }, (_, k) => k);
      order.sort((p, q) => {
        const one = data[j + p * t],
          other = data[j + q * t];
        return down * (one < other ? -1 : one > other ? 1 : Number(one !== one) - Number(other !== other)) || p - q;
      });
      for (let k = 0; k < count; k++) to[i + k * s] = order[k];
    });
    return to;
  },
};
