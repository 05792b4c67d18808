import { copied, dense, flat, fromEnd, inFront, inOrder, isDense, made, scratch, sizeOfShape, stored, walk } from "./arrays.js";
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
    const from = one + i * inner,
      end = from + inner,
      more = i + 1 < rows ? 1 : 0,
      under = more * inner,
      row = start + i * columns,
      below = more * columns;
    for (let j = 0; columns > 3 && j < columns; j += 4) {
      const column = Math.min(j, columns - 4),
        at = row + column;
      let a = 0,
        b = 0,
        c = 0,
        d = 0,
        e = 0,
        f = 0,
        g = 0,
        h = 0;
      for (let p = from, k = other + column; p < end; p++, k += columns) {
        const u = x[p],
          v = x[p + under],
          q = y[k],
          r = y[k + 1],
          s = y[k + 2],
          t = y[k + 3];
        a += u * q;
        b += u * r;
        c += u * s;
        d += u * t;
        e += v * q;
        f += v * r;
        g += v * s;
        h += v * t;
      }
      to[at] = a;
      to[at + 1] = b;
      to[at + 2] = c;
      to[at + 3] = d;
      to[at + below] = e;
      to[at + below + 1] = f;
      to[at + below + 2] = g;
      to[at + below + 3] = h;
    }
    for (let j = 0; columns < 4 && j < columns; j++) {
      let a = 0,
        e = 0;
      for (let p = from, k = other + j; p < end; p++, k += columns) {
        a += x[p] * y[k];
        e += x[p + under] * y[k];
      }
      to[row + j] = a;
      to[row + j + below] = e;
    }
  }
}

/**
 * How a sum of products is computed, which follows from the shapes alone: as stacks of products of matrices where it can be.
 *
 * @typedef {object} Contraction
 * @property {Letter[][]} terms those of each operand
 * @property {Map<Letter, number>} sizes
 * @property {Letter[]} every those of the result, and then those that are summed over
 * @property {Letter[] | null} letters those of the products, in order; null: there are no matrices
 * @property {Letter[][]} sides those of each matrix
 * @property {boolean[]} straight whether each operand, and then the result, has its letters in the order of the matrices
 * @property {boolean} again whether the first matrix is the same for all stacks
 * @property {number[]} counts of stacks, rows, inner sides and columns
 */

/**
 * Return how to compute the sum of products that letters describe: `terms` those of each operand, `right` those of the result.
 *
 * @type {(shapes: number[][], terms: Letter[][], right: Letter[]) => Contraction}
 */
function contraction(shapes, terms, right) {
  /** @type {Map<Letter, number>} */
  const sizes = new Map();
  terms.forEach((term, k) =>
    term.forEach((letter, axis) => {
      if ((sizes.get(letter) ?? 1) === 1) sizes.set(letter, shapes[k][axis]);
    }),
  );
  const own = terms.map((term, k) => new Set(term.filter((letter, axis) => shapes[k][axis] === sizes.get(letter))));
  const summed = [...sizes.keys()].filter((letter) => !right.includes(letter)),
    every = [...right, ...summed];
  if (shapes.length !== 2 || summed.some((letter) => own[0].has(letter) !== own[1].has(letter)))
    return { terms, sizes, every, letters: null, sides: [], straight: [], again: false, counts: [] };
  const batch = right.filter((letter) => own[0].has(letter) === own[1].has(letter));
  const left = right.filter((letter) => own[0].has(letter) && !own[1].has(letter)),
    beside = right.filter((letter) => own[1].has(letter) && !own[0].has(letter));
  // One matrix by a stack of them, as a convolution has it: it is used again for each, so that nothing is turned.
  const last = beside.findIndex((letter, k) => batch.length || k === beside.length - 1 || right[k] !== letter || terms[1][k] !== letter);
  const leading = beside.slice(0, Math.max(0, last)),
    rest = beside.slice(leading.length);
  const letters = [...batch, ...leading, ...left, ...rest],
    sides = [
      [...batch, ...left, ...summed],
      [...batch, ...leading, ...summed, ...rest],
    ];
  const straight = [...terms, right].map((term, k) => {
    const wanted = sides[k] ?? letters;
    return (
      term.length === wanted.length &&
      term.every((letter, axis) => letter === wanted[axis] && (k === 2 || shapes[k][axis] === sizes.get(letter)))
    );
  });
  return {
    terms,
    sizes,
    every,
    letters,
    sides,
    straight,
    again: leading.length > 0,
    counts: [[...batch, ...leading], left, summed, rest].map((part) => sizeOfShape(sized(part, sizes))),
  };
}

/** @type {(letters: Letter[], sizes: Map<Letter, number>) => number[]} */
const sized = (letters, sizes) => letters.map((letter) => sizes.get(letter) ?? 1);

/**
 * Return the strides of a value by letters; a letter that is there twice takes the diagonal, a side of 1 is repeated.
 *
 * @type {(x: Value, term: Letter[], letters: Letter[], sizes: Map<Letter, number>) => number[]}
 */
function byLetters(x, term, letters, sizes) {
  return letters.map((letter) =>
    term.reduce(
      (/** @type {number} */ step, each, axis) =>
        step + (each === letter && !(x.shape[axis] === 1 && sizes.get(letter) !== 1) ? x.strides[axis] : 0),
      0,
    ),
  );
}

/**
 * Return doubles of an operand as matrices: its own, if they lie so.
 *
 * @type {(n: Computed, k: number, x: Value, plan: Contraction) => Float64Array}
 */
function asMatrices(n, k, x, { straight, terms, sides, sizes }) {
  if (straight[k] && x.data instanceof Float64Array && isDense(x)) return x.data;
  const shape = sized(sides[k], sizes),
    to = scratch(n, k, sizeOfShape(shape)),
    { data } = x;
  walk(shape, [inOrder(shape), byLetters(x, terms[k], sides[k], sizes)], [0, x.offset], (count, [i, j], [r, s]) => {
    for (let e = 0; e < count; e++, i += r, j += s) to[i] = data[j];
  });
  return to;
}

/**
 * Return the sum of products that letters describe.
 *
 * @type {(n: Computed, operands: Value[], described: () => [Letter[][], Letter[]]) => Data}
 */
function contracted(n, a, described) {
  n.plan ??= contraction(
    a.map((x) => x.shape),
    ...described(),
  );
  const { plan } = n,
    {
      terms,
      sizes,
      every,
      letters,
      straight,
      again,
      counts: [stacks, rows, inner, columns],
    } = plan,
    total = sizeOfShape(n.shape);
  if (!letters) {
    const to = scratch(n, 2, total).fill(0),
      own = inOrder(n.shape);
    walk(
      sized(every, sizes),
      [every.map((_, k) => own[k] ?? 0), ...a.map((x, k) => byLetters(x, terms[k], every, sizes))],
      [0, ...a.map((x) => x.offset)],
      (count, at, steps) => {
        for (let e = 0; e < count; e++) {
          let product = 1;
          for (let k = 0; k < a.length; k++) product *= a[k].data[at[k + 1] + e * steps[k + 1]];
          to[at[0] + e * steps[0]] += product;
        }
      },
    );
    return stored(n, to);
  }
  const x = asMatrices(n, 0, a[0], plan),
    y = asMatrices(n, 1, a[1], plan),
    to = straight[2] && n.dtype === "float64" ? made(n) : scratch(n, 2, total);
  for (let k = 0; k < stacks; k++)
    putProduct(to, x, y, rows, inner, columns, k * rows * columns, again ? 0 : k * rows * inner, k * inner * columns);
  if (straight[2]) return to === n.out ? to : stored(n, to);
  const right = every.slice(0, n.shape.length),
    own = inOrder(n.shape),
    strides = inOrder(sized(letters, sizes));
  const turned = {
    shape: n.shape,
    dtype: "float64",
    data: to,
    strides: right.map((letter) => strides[letters.indexOf(letter)]),
    offset: 0,
  };
  return stored(n, copied(scratch(n, 3, total), n.shape, own, 0, turned));
}

/** @type {Operations} */
export const PRODUCT_OPERATIONS = {
  matmul(a, n) {
    return contracted(n, a, () => {
      const [x, y] = a.map(({ shape }) => shape.length),
        count = Math.max(x, y, 2) - 2,
        stack = (/** @type {number} */ ndim) => inFront(count).slice(count - Math.max(0, ndim - 2));
      const row = x === 1 ? [] : ["r"],
        column = y === 1 ? [] : ["c"];
      return [
        [
          [...stack(x), ...row, "s"],
          [...stack(y), "s", ...column],
        ],
        [...inFront(count), ...row, ...column],
      ];
    });
  },
  einsum(a, n) {
    return contracted(n, a, () => {
      const [left, right] = n.attributes.subscripts.split("->");
      return [left.split(",").map((term) => [...term]), [...right]];
    });
  },
  outer: (a, n) =>
    contracted(
      n,
      a.map((x) => dense([sizeOfShape(x.shape)], x.dtype, flat(x))),
      () => [
        [["x"], ["y"]],
        ["x", "y"],
      ],
    ),
  inv: (a, n) => solved(n, a[0], null),
  solve: (a, n) => solved(n, a[0], a[1]),
  det(a, n) {
    const to = scratch(n, 2, sizeOfShape(n.shape)),
      size = fromEnd(a[0].shape),
      matrices = doubles(n, 0, a[0], a[0].shape);
    for (let k = 0; k < to.length; k++) to[k] = eliminated(matrices, k * size * size, size, null, 0, 0);
    return stored(n, to);
  },
  cholesky(a, n) {
    const [x] = a,
      size = fromEnd(x.shape),
      from = doubles(n, 0, x, x.shape),
      to = scratch(n, 1, from.length).fill(0);
    for (let at = 0; at < from.length; at += size * size) {
      for (let i = 0; i < size; i++)
        for (let j = 0; j <= i; j++) {
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
  const swap = (array, one, other, count) => {
    for (let j = 0; j < count; j++) [array[one + j], array[other + j]] = [array[other + j], array[one + j]];
  };
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
  for (let k = size - 1; b && k >= 0; k--)
    for (let j = 0; j < wide; j++) {
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
  const size = fromEnd(a.shape),
    vector = b?.shape.length === 1,
    wide = vector ? 1 : fromEnd(n.shape),
    stack = vector ? n.shape.slice(0, -1) : n.shape.slice(0, -2);
  const matrices = doubles(n, 0, a, [...stack, size, size]),
    right = scratch(n, 1, sizeOfShape(n.shape));
  if (b) right.set(doubles(n, 2, b, n.shape));
  else
    for (let at = 0; at < right.length; at += size * size)
      for (let i = 0; i < size * size; i++) right[at + i] = i % (size + 1) === 0 ? 1 : 0;
  for (let k = 0, count = sizeOfShape(stack); k < count; k++) eliminated(matrices, k * size * size, size, right, k * size * wide, wide);
  return stored(n, right);
}
