import { axisOf, copied, dense, flat, fromEnd, inOrder, made, scratch, sizeOfShape, stored, stretched, walk } from "./arrays.js";
/** @import { Axis, Computed, Data, Operations, Value } from "./arrays.js" */

/** @type {(index: number, n: number) => number} */
const fromFront = (index, n) => (index < 0 ? index + n : index);
/** @type {(index: number, n: number) => boolean} */
const within = (index, n) => index >= 0 && index < n;

/**
 * Call `f(row, label)` for each label that is a class.
 *
 * @type {(labels: Value, classes: number, f: (row: number, label: number) => void) => void}
 */
function eachLabel(labels, classes, f) {
  flat(labels).forEach((label, row) => {
    if (within(label, classes)) f(row, label);
  });
}

/**
 * Call `f(place in x, place of the slice)` for each place along an axis that the indices name; -1: none.
 *
 * @type {(shape: number[], axis: number, indices: Value, f: (place: number, at: number, size: number) => void) => void}
 */
function slices(shape, axis, indices, f) {
  const outer = sizeOfShape(shape.slice(0, axis)),
    inner = sizeOfShape(shape.slice(axis + 1)),
    n = shape[axis],
    all = flat(indices);
  for (let o = 0, at = 0; o < outer; o++)
    for (const index of all) {
      const place = fromFront(index, n);
      f(within(place, n) ? (o * n + place) * inner : -1, at, inner);
      at += inner;
    }
}

/** @type {(x: Value, axis: Axis) => [Value, number]} */
const lined = (x, axis) => (axis === null ? [dense([sizeOfShape(x.shape)], x.dtype, flat(x)), 0] : [x, axisOf(axis, x.shape.length)]);

/**
 * Go along the indices of an axis, which broadcast beside it: `f(place in an array of the shape, number of the index, index)`.
 *
 * @type {(shape: number[], axis: number, indices: Value, f: (place: number, k: number) => void) => void}
 */
function along(shape, axis, indices, f) {
  const whole = indices.shape.map((n, k) => (k === axis ? n : Math.max(n === 0 ? 0 : shape[k] === 1 ? n : shape[k], 0)));
  const strides = inOrder(shape).map((step, k) => (k === axis ? 0 : shape[k] === 1 ? 0 : step)),
    step = inOrder(shape)[axis],
    n = shape[axis];
  let number = 0;
  walk(
    whole,
    [inOrder(whole), strides, stretched(indices, whole)],
    [0, 0, indices.offset],
    (count, [, i, j], [, s, t]) => {
      for (let e = 0; e < count; e++, i += s, j += t) {
        const place = fromFront(indices.data[j], n);
        f(within(place, n) ? i + place * step : -1, number++);
      }
    },
    true,
  );
}

/**
 * Return the values at the indices of an axis, in order.
 *
 * @type {(shape: number[], axis: number, indices: Value, values: Value) => Float64Array}
 */
function alongValues(shape, axis, indices, values) {
  const whole = indices.shape.map((n, k) => (k === axis || n === 0 || shape[k] === 1 ? n : shape[k]));
  return copied(new Float64Array(sizeOfShape(whole)), whole, inOrder(whole), 0, values);
}

/**
 * Change x at indices along an axis by values.
 *
 * @type {(n: Computed, operands: Value[], f: (x: number, value: number) => number) => Data}
 */
function changed(n, [x, indices, values], f) {
  const to = scratch(n, 0, sizeOfShape(n.shape)),
    axis = axisOf(n.attributes.axis, n.shape.length),
    all = alongValues(n.shape, axis, indices, values);
  copied(to, n.shape, inOrder(n.shape), 0, x);
  along(n.shape, axis, indices, (at, k) => {
    if (at >= 0) to[at] = f(to[at], all[k]);
  });
  return stored(n, to);
}

/**
 * Return where each of the indices of several axes points, and how many elements lie there.
 *
 * @type {(indices: Value, shape: number[]) => [number[], number]}
 */
function several(indices, shape) {
  const count = fromEnd(indices.shape),
    all = flat(indices),
    steps = inOrder(shape),
    many = sizeOfShape(indices.shape.slice(0, -1)),
    /** @type {number[]} */ places = [];
  for (let row = 0; row < many; row++) {
    let at = 0;
    for (let k = 0; k < count; k++) {
      const place = fromFront(all[row * count + k], shape[k]);
      at = at < 0 || !within(place, shape[k]) ? -1 : at + place * steps[k];
    }
    places.push(at);
  }
  return [places, sizeOfShape(shape.slice(count))];
}

/** @type {(n: Computed) => number} */
const nothing = (n) => (n.dtype.startsWith("float") ? NaN : 0);

/** @type {Operations} */
export const INDEXING_OPERATIONS = {
  one_hot(a, n) {
    const to = made(n).fill(0),
      classes = fromEnd(n.shape);
    eachLabel(a[0], classes, (row, label) => (to[row * classes + label] = 1));
    return to;
  },
  pick(a, n) {
    const to = made(n).fill(nothing(n)),
      x = flat(a[0]),
      classes = fromEnd(a[0].shape);
    eachLabel(a[1], classes, (row, label) => (to[row] = x[row * classes + label]));
    return to;
  },
  scatter_labels(a, n) {
    const to = made(n).fill(0),
      x = flat(a[0]),
      classes = fromEnd(n.shape);
    eachLabel(a[1], classes, (row, label) => (to[row * classes + label] = x[row]));
    return to;
  },
  take(a, n) {
    const [x, axis] = lined(a[0], n.attributes.axis),
      from = flat(x),
      to = made(n).fill(nothing(n));
    slices(x.shape, axis, a[1], (i, j, inner) => {
      for (let e = 0; i >= 0 && e < inner; e++) to[j + e] = from[i + e];
    });
    return to;
  },
  index_add(a, n) {
    const from = flat(a[0]),
      to = scratch(n, 0, sizeOfShape(n.shape)).fill(0),
      { axis } = n.attributes;
    const shape = axis === null ? [to.length] : n.shape;
    slices(shape, axisOf(axis ?? 0, shape.length), a[1], (i, j, inner) => {
      for (let e = 0; i >= 0 && e < inner; e++) to[i + e] += from[j + e];
    });
    return stored(n, to);
  },
  take_along_axis(a, n) {
    const [x, axis] = lined(a[0], n.attributes.axis),
      from = flat(x),
      to = made(n).fill(nothing(n));
    along(x.shape, axis, a[1], (i, k) => {
      if (i >= 0) to[k] = from[i];
    });
    return to;
  },
  add_along_axis(a, n) {
    const from = flat(a[0]),
      to = scratch(n, 0, sizeOfShape(n.shape)).fill(0),
      { axis } = n.attributes,
      shape = axis === null ? [to.length] : n.shape;
    along(shape, axisOf(axis ?? 0, shape.length), a[1], (i, k) => {
      if (i >= 0) to[i] += from[k];
    });
    return stored(n, to);
  },
  put_along_axis: (a, n) => changed(n, a, (_, value) => value),
  maximum_along_axis: (a, n) => changed(n, a, (x, value) => Math.max(x, value)),
  minimum_along_axis: (a, n) => changed(n, a, (x, value) => Math.min(x, value)),
  multiply_along_axis: (a, n) => changed(n, a, (x, value) => x * value),
  gather_nd(a, n) {
    const [places, inner] = several(a[1], a[0].shape),
      from = flat(a[0]),
      to = made(n).fill(nothing(n));
    places.forEach((at, row) => {
      for (let e = 0; at >= 0 && e < inner; e++) to[row * inner + e] = from[at + e];
    });
    return to;
  },
  scatter_nd(a, n) {
    const [places, inner] = several(a[1], n.shape),
      from = flat(a[0]),
      to = scratch(n, 0, sizeOfShape(n.shape)).fill(0);
    places.forEach((at, row) => {
      for (let e = 0; at >= 0 && e < inner; e++) to[at + e] += from[row * inner + e];
    });
    return stored(n, to);
  },
  update_slice(a, n) {
    const [x, update, start] = a,
      to = made(n),
      strides = inOrder(n.shape),
      axis = axisOf(n.attributes.axis, n.shape.length);
    const first = fromFront(start.data[start.offset], n.shape[axis]);
    copied(to, n.shape, strides, 0, x);
    return within(first, n.shape[axis] - update.shape[axis] + 1)
      ? copied(to, update.shape, strides, first * strides[axis], update)
      : to.fill(nothing(n));
  },
};
