import { axesOf, axisOf, copied, dense, flat, fromEnd, inFront, inOrder, isDense, made, sizeOfShape, stretched, walk } from "./arrays.js";
/** @import { Attributes, Computed, Data, Operations, Part, Result, Value } from "./arrays.js" */

/** @type {(x: Value, strides: number[], offset?: number) => Result} */
const viewed = (x, strides, offset = x.offset) => ({ data: x.data, strides, offset });

/**
 * Return where the elements that an index points to lie in an array with these strides.
 *
 * @type {(index: Part[], shape: number[], strides: number[], offset: number) => {shape: number[], strides: number[], offset: number}}
 */
function pointed(index, shape, strides, offset) {
  const taking = index.filter((part) => part !== null && part !== "...").length,
    rest = inFront(shape.length - taking).map(() => [null, null, null]);
  const at = index.indexOf("..."),
    parts = at < 0 ? [...index, ...rest] : [...index.slice(0, at), ...rest, ...index.slice(at + 1)];
  /** @type {{shape: number[], strides: number[], offset: number}} */
  const found = { shape: [], strides: [], offset };
  let axis = 0;
  for (const part of parts) {
    if (part === null) {
      found.shape.push(1);
      found.strides.push(0);
      continue;
    }
    const n = shape[axis],
      step = strides[axis++];
    if (!Array.isArray(part)) {
      found.offset += axisOf(Number(part), n) * step;
      continue;
    }
    const by = part[2] ?? 1,
      least = by > 0 ? 0 : -1,
      most = by > 0 ? n : n - 1;
    const within = (/** @type {number} */ bound) => Math.min(most, Math.max(least, bound < 0 ? bound + n : bound));
    const start = part[0] === null ? (by > 0 ? least : most) : within(part[0]),
      stop = part[1] === null ? (by > 0 ? most : least) : within(part[1]);
    const count = Math.max(0, Math.ceil((stop - start) / by));
    found.offset += count ? start * step : 0;
    found.shape.push(count);
    found.strides.push(step * by);
  }
  return found;
}

/**
 * Return the (before, after) of each axis, from one number, a pair, or a pair for each.
 *
 * @type {(value: number | number[] | number[][], ndim: number) => [number, number][]}
 */
function pairs(value, ndim) {
  const rows = /** @type {number[][]} */ (Array.isArray(value) ? (Array.isArray(value[0]) ? value : [value]) : [[value]]);
  return inFront(ndim).map((axis) => {
    const row = rows.length === 1 ? rows[0] : rows[axis];
    return [row[0], row[row.length - 1]];
  });
}

/**
 * Fill an array with a number, where the shape and the strides say.
 *
 * @type {(to: Data, shape: number[], strides: number[], offset: number, number: number) => void}
 */
function filled(to, shape, strides, offset, number) {
  walk(shape, [strides], [offset], (count, [i], [s]) => {
    for (let e = 0; e < count; e++, i += s) to[i] = number;
  });
}

/**
 * Put the operands one after the other along an axis.
 *
 * @type {(n: Computed, operands: Value[], axis: number) => Data}
 */
function joined(n, a, axis) {
  const to = made(n),
    strides = inOrder(n.shape);
  let offset = 0;
  for (const x of a) {
    copied(to, x.shape, strides, offset, x);
    offset += x.shape[axis] * strides[axis];
  }
  return to;
}

/** @type {(n: Computed, operands: Value[], keeps: (above: number) => boolean) => Data} */
function triangle(n, [x], keeps) {
  const to = made(n).fill(0),
    [rows, columns] = x.shape.slice(-2),
    strides = inOrder(n.shape),
    shape = [...x.shape.slice(0, -2), 1, 1];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      if (keeps(j - i)) {
        copied(to, shape, strides, i * fromEnd(strides, 2) + j, {
          ...x,
          shape,
          offset: x.offset + i * fromEnd(x.strides, 2) + j * fromEnd(x.strides),
        });
      }
  return to;
}

/**
 * Return the strides and the offset of the diagonals of an array.
 *
 * @type {(attributes: Attributes, shape: number[], strides: number[], start: number) => [number[], number]}
 */
function diagonals({ offset, axis1, axis2 }, shape, strides, start) {
  const one = axisOf(axis1, shape.length),
    other = axisOf(axis2, shape.length);
  return [
    [...strides.filter((_, axis) => axis !== one && axis !== other), strides[one] + strides[other]],
    start + Math.max(-offset, 0) * strides[one] + Math.max(offset, 0) * strides[other],
  ];
}

/** @type {Operations} */
export const SHAPE_OPERATIONS = {
  reshape([x], n) {
    return { data: isDense(x) ? x.data : copied(made(n), x.shape, inOrder(x.shape), 0, x), strides: inOrder(n.shape), offset: 0 };
  },
  expand_dims: (a, n) => reshapedView(a[0], n.shape),
  squeeze: (a, n) => reshapedView(a[0], n.shape),
  transpose(a, n) {
    const { axes } = n.attributes,
      ndim = n.shape.length;
    return viewed(
      a[0],
      (axes === null ? inFront(ndim).reverse() : axesOf(axes, ndim)).map((axis) => a[0].strides[axis]),
    );
  },
  broadcast_to: (a, n) => viewed(a[0], stretched(a[0], n.shape)),
  flip(a, n) {
    const axes = new Set(axesOf(n.attributes.axis, n.shape.length)),
      [x] = a;
    const offset = [...axes].reduce((sum, axis) => sum + Math.max(0, x.shape[axis] - 1) * x.strides[axis], x.offset);
    return viewed(
      x,
      x.strides.map((step, axis) => (axes.has(axis) ? -step : step)),
      offset,
    );
  },
  getitem(a, n) {
    const { strides, offset } = pointed(n.attributes.index, a[0].shape, a[0].strides, a[0].offset);
    return viewed(a[0], strides, offset);
  },
  slice_add(a, n) {
    const to = made(n).fill(0),
      at = pointed(n.attributes.index, n.shape, inOrder(n.shape), 0);
    return copied(to, at.shape, at.strides, at.offset, a[0]);
  },
  slices_add(a, n) {
    const to = made(n).fill(0);
    a.forEach((x, k) => {
      const at = pointed(n.attributes.indices[k], n.shape, inOrder(n.shape), 0);
      walk(at.shape, [at.strides, stretched(x, at.shape)], [at.offset, x.offset], (count, [i, j], [s, t]) => {
        for (let e = 0; e < count; e++, i += s, j += t) to[i] = n.dtype === "bool" ? to[i] | x.data[j] : to[i] + x.data[j];
      });
    });
    return to;
  },
  concatenate(a, n) {
    const { axis } = n.attributes;
    return axis === null
      ? joined(
          n,
          a.map((x) => dense([sizeOfShape(x.shape)], x.dtype, flat(x))),
          0,
        )
      : joined(n, a, axisOf(axis, n.shape.length));
  },
  stack(a, n) {
    const axis = axisOf(n.attributes.axis, n.shape.length),
      put = (/** @type {number[]} */ list, /** @type {number} */ x) => [...list.slice(0, axis), x, ...list.slice(axis)];
    return joined(
      n,
      a.map((x) => ({ ...x, shape: put(x.shape, 1), strides: put(x.strides, 0) })),
      axis,
    );
  },
  pad(a, n) {
    const [x] = a,
      ndim = n.shape.length,
      to = made(n),
      strides = inOrder(n.shape),
      widths = pairs(n.attributes.pad_width, ndim),
      numbers = pairs(n.attributes.constant_values, ndim);
    if (!ndim) return x;
    for (let axis = 0; axis < ndim; axis++) {
      const [before, after] = widths[axis];
      for (const [width, start, number] of [
        [before, 0, numbers[axis][0]],
        [after, n.shape[axis] - after, numbers[axis][1]],
      ]) {
        filled(
          to,
          n.shape.map((size, k) => (k === axis ? width : size)),
          strides,
          start * strides[axis],
          n.dtype === "bool" ? Number(Boolean(number)) : n.dtype.startsWith("float") ? Number(number) : Math.trunc(number),
        );
      }
    }
    return copied(
      to,
      x.shape,
      strides,
      widths.reduce((sum, [before], axis) => sum + before * strides[axis], 0),
      x,
    );
  },
  repeat(a, n) {
    const { axis, repeats } = n.attributes,
      x = axis === null ? dense([sizeOfShape(a[0].shape)], a[0].dtype, flat(a[0])) : a[0];
    const place = axisOf(axis ?? 0, x.shape.length),
      split = (/** @type {number[]} */ list, /** @type {number} */ one, /** @type {number} */ other) => [
        ...list.slice(0, place),
        one,
        other,
        ...list.slice(place + 1),
      ];
    return copied(made(n), split(x.shape, x.shape[place], repeats), inOrder(split(x.shape, x.shape[place], repeats)), 0, {
      ...x,
      shape: split(x.shape, x.shape[place], 1),
      strides: split(x.strides, x.strides[place], 0),
    });
  },
  tile(a, n) {
    const [x] = a,
      ndim = n.shape.length,
      front = (/** @type {number[]} */ list, /** @type {number} */ fill) => [...new Array(ndim - list.length).fill(fill), ...list];
    const shape = front(x.shape, 1),
      strides = front(x.strides, 0),
      reps = front([n.attributes.reps].flat(), 1);
    const whole = shape.flatMap((size, axis) => [reps[axis], size]);
    return copied(made(n), whole, inOrder(whole), 0, {
      ...x,
      shape: shape.flatMap((size) => [1, size]),
      strides: strides.flatMap((step) => [0, step]),
    });
  },
  roll(a, n) {
    const { shift, axis } = n.attributes,
      to = made(n);
    const x = axis === null ? dense([sizeOfShape(a[0].shape)], a[0].dtype, flat(a[0])) : a[0],
      axes = axis === null ? [0] : [axis].flat().map((each) => axisOf(each, x.shape.length));
    const shifts = new Array(x.shape.length).fill(0),
      moves = [shift].flat();
    const pairsOf =
      axes.length === 1 ? moves.map((move) => [axes[0], move]) : axes.map((each, k) => [each, moves.length === 1 ? moves[0] : moves[k]]);
    for (const [each, move] of pairsOf) shifts[each] += move;
    const strides = inOrder(x.shape);
    /** @type {(k: number, shape: number[], from: number, into: number) => void} */
    const part = (k, shape, from, into) => {
      if (k === x.shape.length) {
        copied(to, shape, strides, into, { ...x, shape, offset: from });
        return;
      }
      const size = x.shape[k],
        moved = size ? ((shifts[k] % size) + size) % size : 0,
        cut = (/** @type {number} */ count) => shape.map((each, i) => (i === k ? count : each));
      part(k + 1, cut(size - moved), from, into + moved * strides[k]);
      if (moved) part(k + 1, cut(moved), from + (size - moved) * x.strides[k], into);
    };
    part(0, x.shape, x.offset, 0);
    return to;
  },
  tril: (a, n) => triangle(n, a, (above) => above <= n.attributes.k),
  triu: (a, n) => triangle(n, a, (above) => above >= n.attributes.k),
  diagonal: (a, n) => viewed(a[0], ...diagonals(n.attributes, a[0].shape, a[0].strides, a[0].offset)),
  diagonal_add: (a, n) => copied(made(n).fill(0), a[0].shape, ...diagonals(n.attributes, n.shape, inOrder(n.shape), 0), a[0]),
  zeros: (_, n) => made(n).fill(0),
  eye(_, n) {
    const to = made(n).fill(0);
    for (let i = 0; i < n.shape[0]; i++) to[i * (n.shape[0] + 1)] = 1;
    return to;
  },
  arange(_, n) {
    const { start, step } = n.attributes,
      to = made(n),
      cut = n.dtype.startsWith("float") ? Number : Math.trunc,
      first = cut(start),
      by = cut(start + step) - first;
    for (let i = 0; i < to.length; i++) to[i] = first + i * by;
    return to;
  },
};

/**
 * Return a value with axes of one element added or taken out.
 *
 * @type {(x: Value, shape: number[]) => Result}
 */
function reshapedView(x, shape) {
  const steps = x.strides.filter((_, axis) => x.shape[axis] !== 1);
  return viewed(
    x,
    shape.map((size) => (size === 1 ? 0 : (steps.shift() ?? 0))),
  );
}
