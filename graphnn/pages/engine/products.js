import { copied, fromEnd, inFront, inOrder, made, scratch, sizeOfShape, stored, walk } from "./arrays.js";
/** @import { Computed, Data, Operations, Value } from "./arrays.js" */
/** @typedef {string | number} Letter of an axis */

/**
 * Put into the rows of `to` the products of matrices of doubles, (rows, inner) by (inner, columns): eight elements at a
 * time, which stay in registers. Of an odd number of rows the last is computed twice, and so are the last columns.
 *
 * @type {(to: Data, x: Float64Array, y: Float64Array, rows: number, inner: number, columns: number, start: number, one: number, other: number) => void}
 */
function putProduct(to, x, y, rows, inner, columns, start, one, other) {
  for (let i = 0; i < rows; i += 2) {
    const from = one + i * inner, end = from + inner, more = i + 1 < rows ? 1 : 0, under = more * inner, row = start + i * columns, below = more * columns;
    for (let j = 0; columns > 3 && j < columns; j += 4) {
      const column = Math.min(j, columns - 4), at = row + column;
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (let p = from, k = other + column; p < end; p++, k += columns) {
        const u = x[p], v = x[p + under], q = y[k], r = y[k + 1], s = y[k + 2], t = y[k + 3];
        a += u * q; b += u * r; c += u * s; d += u * t;
        e += v * q; f += v * r; g += v * s; h += v * t;
      }
      to[at] = a; to[at + 1] = b; to[at + 2] = c; to[at + 3] = d;
      to[at + below] = e; to[at + below + 1] = f; to[at + below + 2] = g; to[at + below + 3] = h;
    }
    for (let j = 0; columns < 4 && j < columns; j++) {
      let a = 0, e = 0;
      for (let p = from, k = other + j; p < end; p++, k += columns) { a += x[p] * y[k]; e += x[p + under] * y[k]; }
      to[row + j] = a;
      to[row + j + below] = e;
    }
  }
}

/**
 * Return the strides of a value by letters; a letter that is there twice takes the diagonal, a side of 1 is repeated.
 *
 * @type {(x: Value, term: Letter[], letters: Letter[], sizes: Map<Letter, number>) => number[]}
 */
function byLetters(x, term, letters, sizes) {
  return letters.map((letter) => term.reduce((/** @type {number} */ step, each, axis) => step + (each === letter && !(x.shape[axis] === 1 && sizes.get(letter) !== 1) ? x.strides[axis] : 0), 0));
}

/**
 * Return doubles of a value, with its letters in an order: its own, if they lie so.
 *
 * @type {(n: Computed, which: number, x: Value, term: Letter[], letters: Letter[], sizes: Map<Letter, number>) => Float64Array}
 */
function ordered(n, which, x, term, letters, sizes) {
  const shape = letters.map((letter) => sizes.get(letter) ?? 1), strides = byLetters(x, term, letters, sizes), wanted = inOrder(shape);
  if (x.data instanceof Float64Array && x.offset === 0 && x.data.length === sizeOfShape(shape) && strides.every((step, k) => shape[k] === 1 || step === wanted[k])) return x.data;
  const to = scratch(n, which, sizeOfShape(shape)), { data } = x;
  walk(shape, [wanted, strides], [0, x.offset], (count, [i, j], [r, s]) => {
    for (let e = 0; e < count; e++, i += r, j += s) to[i] = data[j];
  });
  return to;
}

/**
 * Return the sum of products that letters describe: `terms` those of each operand, `right` those of the result.
 *
 * @type {(n: Computed, operands: Value[], terms: Letter[][], right: Letter[]) => Data}
 */
function contracted(n, a, terms, right) {
  /** @type {Map<Letter, number>} */
  const sizes = new Map();
  terms.forEach((term, k) => term.forEach((letter, axis) => { if ((sizes.get(letter) ?? 1) === 1) sizes.set(letter, a[k].shape[axis]); }));
  const own = terms.map((term, k) => new Set(term.filter((letter, axis) => a[k].shape[axis] === sizes.get(letter))));
  const all = [...sizes.keys()], summed = all.filter((letter) => !right.includes(letter)), sides = (/** @type {Letter[]} */ letters) => letters.map((letter) => sizes.get(letter) ?? 1);
  const total = sizeOfShape(n.shape);
  if (a.length !== 2 || summed.some((letter) => own[0].has(letter) !== own[1].has(letter))) {
    const letters = [...right, ...summed], to = scratch(n, 2, total).fill(0), places = [...inOrder(n.shape), ...summed.map(() => 0)];
    walk(sides(letters), [places, ...a.map((x, k) => byLetters(x, terms[k], letters, sizes))], [0, ...a.map((x) => x.offset)], (count, at, steps) => {
      for (let e = 0; e < count; e++) {
        let product = 1;
        for (let k = 0; k < a.length; k++) product *= a[k].data[at[k + 1] + e * steps[k + 1]];
        to[at[0] + e * steps[0]] += product;
      }
    });
    return stored(n, to);
  }
  const batch = right.filter((letter) => own[0].has(letter) === own[1].has(letter));
  const left = right.filter((letter) => own[0].has(letter) && !own[1].has(letter)), rest = right.filter((letter) => own[1].has(letter) && !own[0].has(letter));
  const [stacks, rows, inner, columns] = [batch, left, summed, rest].map((letters) => sizeOfShape(sides(letters)));
  const x = ordered(n, 0, a[0], terms[0], [...batch, ...left, ...summed], sizes), y = ordered(n, 1, a[1], terms[1], [...batch, ...summed, ...rest], sizes);
  const letters = [...batch, ...left, ...rest], straight = letters.every((letter, k) => letter === right[k]);
  const to = straight && n.dtype === "float64" ? made(n) : scratch(n, 2, total);
  for (let k = 0; k < stacks; k++) putProduct(to, x, y, rows, inner, columns, k * rows * columns, k * rows * inner, k * inner * columns);
  if (straight) return to === n.out ? to : stored(n, to);
  const turned = scratch(n, 3, total), result = inOrder(n.shape);
  walk(sides(letters), [letters.map((letter) => result[right.indexOf(letter)]), inOrder(sides(letters))], [0, 0], (count, [i, j], [s, t]) => {
    for (let e = 0; e < count; e++, i += s, j += t) turned[i] = to[j];
  });
  return stored(n, turned);
}

/** @type {Operations} */
export const PRODUCT_OPERATIONS = {
  matmul(a, n) {
    const [x, y] = a, one = x.shape.length === 1, other = y.shape.length === 1, count = Math.max(x.shape.length, y.shape.length) - 2;
    const stack = (/** @type {number} */ ndim) => inFront(Math.max(0, count)).slice(Math.max(0, count) - Math.max(0, ndim - 2));
    const terms = [[...stack(x.shape.length), ...(one ? [] : ["r"]), "s"], [...stack(y.shape.length), "s", ...(other ? [] : ["c"])]];
    return contracted(n, a, terms, [...inFront(Math.max(0, count)), ...(one ? [] : ["r"]), ...(other ? [] : ["c"])]);
  },
  einsum(a, n) {
    const [left, right] = n.attributes.subscripts.split("->");
    return contracted(n, a, left.split(",").map((term) => [...term]), [...right]);
  },
  outer(a, n) {
    const whole = (/** @type {Value} */ x, /** @type {string} */ letter) => x.shape.map((_, axis) => `${letter}${axis}`), terms = [whole(a[0], "x"), whole(a[1], "y")];
    const shape = [...a[0].shape, ...a[1].shape];
    return contracted({ ...n, shape, out: made(n), kept: (n.kept ??= []) }, a, terms, terms.flat());
  },
  inv(a, n) { return solved(n, a[0], null); },
  solve(a, n) { return solved(n, a[0], a[1]); },
  det(a, n) {
    const to = scratch(n, 2, sizeOfShape(n.shape)), size = fromEnd(a[0].shape), matrices = doubles(n, 0, a[0], a[0].shape);
    for (let k = 0; k < to.length; k++) to[k] = eliminated(matrices, k * size * size, size, null, 0, 0);
    return stored(n, to);
  },
  cholesky(a, n) {
    const [x] = a, size = fromEnd(x.shape), from = doubles(n, 0, x, x.shape), to = scratch(n, 1, from.length).fill(0);
    for (let at = 0; at < from.length; at += size * size) {
      for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) {
        let left = (from[at + i * size + j] + from[at + j * size + i]) / 2;
        for (let k = 0; k < j; k++) left -= to[at + i * size + k] * to[at + j * size + k];
        to[at + i * size + j] = i === j ? Math.sqrt(left) : left / to[at + j * size + j];
      }
    }
    return stored(n, to);
  },
};

/**
 * Return a copy of a value, broadcast to a shape, in doubles.
 *
 * @type {(n: Computed, which: number, x: Value, shape: number[]) => Float64Array}
 */
const doubles = (n, which, x, shape) => copied(scratch(n, which, sizeOfShape(shape)), shape, inOrder(shape), 0, x);

/**
 * Eliminate a matrix by rows, with the right side beside it, which becomes the solution; return the determinant.
 *
 * @type {(m: Float64Array, at: number, size: number, b: Float64Array | null, from: number, wide: number) => number}
 */
function eliminated(m, at, size, b, from, wide) {
  let determinant = 1;
  /** @type {(array: Float64Array, one: number, other: number, count: number) => void} */
  const swap = (array, one, other, count) => { for (let j = 0; j < count; j++) [array[one + j], array[other + j]] = [array[other + j], array[one + j]]; };
  for (let k = 0; k < size; k++) {
    let most = k;
    for (let i = k + 1; i < size; i++) if (Math.abs(m[at + i * size + k]) > Math.abs(m[at + most * size + k])) most = i;
    if (most !== k) {
      determinant = -determinant;
      swap(m, at + k * size, at + most * size, size);
      if (b) swap(b, from + k * wide, from + most * wide, wide);
    }
    const pivot = m[at + k * size + k];
    determinant *= pivot;
    if (pivot === 0 && !b) return 0;
    for (let i = k + 1; i < size; i++) {
      const factor = m[at + i * size + k] / pivot;
      for (let j = k; j < size; j++) m[at + i * size + j] -= factor * m[at + k * size + j];
      for (let j = 0; b && j < wide; j++) b[from + i * wide + j] -= factor * b[from + k * wide + j];
    }
  }
  for (let k = size - 1; b && k >= 0; k--) for (let j = 0; j < wide; j++) {
    for (let i = k + 1; i < size; i++) b[from + k * wide + j] -= m[at + k * size + i] * b[from + i * wide + j];
    b[from + k * wide + j] /= m[at + k * size + k];
  }
  return determinant;
}

/**
 * Return the solutions of equations with matrices; of those with the identity, unless a right side is given.
 *
 * @type {(n: Computed, a: Value, b: Value | null) => Data}
 */
function solved(n, a, b) {
  const size = fromEnd(a.shape), vector = b?.shape.length === 1, wide = vector ? 1 : fromEnd(n.shape), stack = vector ? n.shape.slice(0, -1) : n.shape.slice(0, -2);
  const matrices = doubles(n, 0, a, [...stack, size, size]), right = scratch(n, 1, sizeOfShape(n.shape));
  if (b) right.set(doubles(n, 2, b, n.shape));
  else for (let at = 0; at < right.length; at += size * size) for (let i = 0; i < size * size; i++) right[at + i] = i % (size + 1) === 0 ? 1 : 0;
  for (let k = 0, count = sizeOfShape(stack); k < count; k++) eliminated(matrices, k * size * size, size, right, k * size * wide, wide);
  return stored(n, right);
}
