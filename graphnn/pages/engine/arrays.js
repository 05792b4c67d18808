/**
 * What all operations share. A value is `{shape, dtype, data, strides, offset}`: a typed array, and where in it the
 * elements lie; so a view copies nothing. int64 and uint64 are held as doubles, exact up to 2 ** 53, bool as 0 or 1,
 * and float16 as float32 that is rounded to float16. What Python refuses gives NaN here, or 0 among integers.
 *
 * @typedef {Float64Array | Float32Array | Int32Array | Int16Array | Int8Array | Uint32Array | Uint16Array | Uint8Array} Data
 * @typedef {BigInt64Array | BigUint64Array} ExactData integers that doubles would round: exact.js
 * @typedef {Data | ExactData} AnyData
 * @typedef {ValueOf<Data>} Value
 * @typedef {ValueOf<AnyData>} AnyValue
 * @typedef {{new (size: number): Data, new (buffer: ArrayBufferLike, at: number, size: number): Data, from(numbers: ArrayLike<number>): Data}} DataConstructor
 *
 * @typedef {{shape: number[], dtype: string, out?: AnyData}} Made what has an array that is made once
 *
 * @typedef {object} Node
 * @property {Attributes} attributes
 * @property {Float64Array[]} [kept]
 * @property {Made} [exact]
 * @property {import("./products.js").Contraction} [plan]
 * @property {AnyValue[][]} [carry]
 * @property {Engine[]} bodies
 * @property {Seen | null} [seen]
 *
 * @typedef {Made & Node} Computed a node, and the arrays that are made for it once
 * @typedef {(row: number, body: Engine, which: number) => void} Seen
 *
 * @typedef {ArrayLike<number> | ExactData} Numbers
 *
 * @typedef {object} Graph
 * @property {{op: string[], attributes: object[], inputs: number[][], shape: number[][], dtype: string[], bodies?: Graph[][]}} nodes
 * @property {Map<number, Numbers>} given the numbers of leaves
 * @property {number[][]} [updates] of each, the parameter and its next value
 * @property {number[]} [inputs] of a body: leaves that the loop gives; -1 stands for one that is not read
 *
 * @typedef {object} Engine
 * @property {string[]} unknown the operations that it does not have
 * @property {AnyValue[]} values
 * @property {number[]} inputs
 * @property {(i: number, value: AnyValue) => void} give
 * @property {(i: number, seen: Seen) => void} inside
 * @property {(i: number) => AnyValue} value
 * @property {(i: number, index: number, x: number | bigint) => void} set
 * @property {(i: number, data: Numbers) => void} load
 * @property {(i: number) => void} free
 * @property {(i: number, attributes: object) => void} setOp
 * @property {() => void} run
 * @property {() => void} commit
 *
 * @typedef {AnyData | {data: AnyData, strides: number[], offset: number}} Result new numbers, or a view of an operand's
 * @typedef {number | number[] | null | undefined} Axis
 * @typedef {number | "..." | null | (number | null)[]} Part of an index: a number, an ellipsis, a new axis or a slice
 *
 * @typedef {object} Attributes those of all operations, of which each has its own
 * @property {number} alpha
 * @property {string} approximate
 * @property {number[] | null} axes
 * @property {Axis} axis
 * @property {number} axis1
 * @property {number} axis2
 * @property {boolean} backwards
 * @property {number[]} carried
 * @property {number | number[] | number[][]} constant_values
 * @property {number} count
 * @property {boolean} counted
 * @property {number} ddof
 * @property {number} decimals
 * @property {boolean} descending
 * @property {number | number[]} dilation
 * @property {number} goes_on
 * @property {number | null} hi
 * @property {Part[]} index
 * @property {boolean} indexed
 * @property {Part[][]} indices
 * @property {number} k
 * @property {[string | number, number][]} kept
 * @property {number} length
 * @property {number | null} lo
 * @property {number} negative_slope
 * @property {number} offset
 * @property {number | null} ord
 * @property {number | number[] | number[][]} pad_width
 * @property {number} repeats
 * @property {number | number[]} reps
 * @property {number} rows
 * @property {number | bigint} seed
 * @property {number | number[]} shift
 * @property {number[]} size
 * @property {number} start
 * @property {number[]} starts
 * @property {number} step
 * @property {number | bigint} stream
 * @property {number | number[]} stride
 * @property {string} subscripts
 * @property {number} tolerance
 *
 * @typedef {(operands: Value[], node: Computed) => Result} Operation
 * @typedef {Record<string, Operation>} Operations
 */
/**
 * @template {AnyData} D
 * @typedef {{shape: number[], dtype: string, data: D, strides: number[], offset: number}} ValueOf
 */
/** @type {Record<string, DataConstructor>} */
export const ARRAY_OF = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Float32Array,
  int64: Float64Array,
  uint64: Float64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};
/** @type {(dtype: string) => boolean} */
export const isFloat = (dtype) => dtype.startsWith("float");
/** @type {(dtype: string) => number} */
export const bitsOf = (dtype) => (dtype === "bool" ? 1 : Number(dtype.replace(/\D+/, "")));
/** @type {(shape: number[]) => number} */
export const sizeOfShape = (shape) => shape.reduce((size, n) => size * n, 1);

/**
 * Return one of the last sizes of a shape, or of the last strides.
 *
 * @type {(list: number[], k?: number) => number}
 */
export const fromEnd = (list, k = 1) => list[list.length - k];

/**
 * Return the strides of an array in C order.
 *
 * @type {(shape: number[]) => number[]}
 */
export function inOrder(shape) {
  const strides = new Array(shape.length);
  for (let axis = shape.length - 1, step = 1; axis >= 0; step *= shape[axis--]) strides[axis] = step;
  return strides;
}

/**
 * Return a value whose elements lie in C order.
 *
 * @type {<D extends AnyData>(shape: number[], dtype: string, data: D) => ValueOf<D>}
 */
export const dense = (shape, dtype, data) => ({ shape, dtype, data, strides: inOrder(shape), offset: 0 });

/**
 * Return the array of a result, which is made once.
 *
 * @type {(n: Made) => Data}
 */
export function made(n) {
  const size = sizeOfShape(n.shape);
  if (n.out?.length !== size) n.out = new ARRAY_OF[n.dtype](size);
  return /** @type {Data} */ (n.out);
}

/**
 * Return one of the doubles that an operation computes with, which are made once.
 *
 * @type {(n: Computed, which: number, size: number) => Float64Array}
 */
export function scratch(n, which, size) {
  n.kept ??= [];
  if (n.kept[which]?.length !== size) n.kept[which] = new Float64Array(size);
  return n.kept[which];
}

/**
 * Put doubles into the array of a result, in its dtype.
 *
 * @type {(n: Made, numbers: ArrayLike<number>) => Data}
 */
export function stored(n, numbers) {
  const to = made(n);
  if (n.dtype === "bool") for (let i = 0; i < to.length; i++) to[i] = numbers[i] !== 0 ? 1 : 0;
  else to.set(numbers);
  return to;
}

/**
 * Return the axes that an attribute names, from 0 on: one, several, or all.
 *
 * @type {(axis: Axis, ndim: number) => number[]}
 */
export const axesOf = (axis, ndim) =>
  axis === null || axis === undefined ? inFront(ndim) : [axis].flat().map((each) => (each < 0 ? each + ndim : each));
/** @type {(axis: Axis, ndim: number) => number} */
export const axisOf = (axis, ndim) => (Number(axis) < 0 ? Number(axis) + ndim : Number(axis));
/** @type {(count: number) => number[]} */
export const inFront = (count) => Array.from({ length: count }, (_, i) => i);

/**
 * Return the strides of a value that is broadcast to a shape.
 *
 * @type {(x: AnyValue, shape: number[]) => number[]}
 */
export const stretched = (x, shape) =>
  shape.map((_, axis) => {
    const own = axis - shape.length + x.shape.length;
    return own < 0 || x.shape[own] === 1 ? 0 : x.strides[own];
  });

/**
 * Go through arrays of a shape together: the one strided iterator. Axes that lie one in the other are joined, and the
 * longest one is the innermost where the last is short, unless the elements must come in order.
 *
 * @param {number[]} shape
 * @param {number[][]} strides of each array
 * @param {number[]} offsets of each array
 * @param {(count: number, at: number[], steps: number[]) => void} row is called for each innermost row
 * @param {boolean} ordered
 */
export function walk(shape, strides, offsets, row, ordered = false) {
  if (shape.includes(0)) return;
  const many = strides.length,
    /** @type {number[]} */ sizes = [],
    steps = strides.map(() => /** @type {number[]} */ ([]));
  for (let axis = 0; axis < shape.length; axis++) {
    if (shape[axis] === 1) continue;
    const last = sizes.length - 1;
    let joined = last >= 0;
    for (let k = 0; joined && k < many; k++) joined = steps[k][last] === strides[k][axis] * shape[axis];
    if (joined) sizes[last] *= shape[axis];
    else sizes.push(shape[axis]);
    for (let k = 0; k < many; k++) steps[k][sizes.length - 1] = strides[k][axis];
  }
  const axes = Math.max(0, sizes.length - 1),
    longest = sizes.indexOf(Math.max(...sizes));
  if (!ordered && sizes[axes] < 16 && longest < axes) for (const list of [sizes, ...steps]) list.push(...list.splice(longest, 1));
  const count = sizes[axes] ?? 1;
  const at = offsets.slice(),
    within = steps.map((each) => each[axes] ?? 0),
    index = new Array(axes).fill(0);
  for (;;) {
    row(count, at, within);
    let axis = axes - 1;
    for (; axis >= 0; axis--) {
      const more = ++index[axis] < sizes[axis];
      for (let k = 0; k < many; k++) at[k] += more ? steps[k][axis] : -steps[k][axis] * (sizes[axis] - 1);
      if (more) break;
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/**
 * Copy a value, broadcast to the shape, into an array with these strides.
 *
 * @type {<D extends AnyData>(to: D, shape: number[], strides: number[], offset: number, x: AnyValue) => D}
 */
export function copied(to, shape, strides, offset, x) {
  const { data } = /** @type {Value} */ (x),
    into = /** @type {Data} */ (to);
  walk(shape, [strides, stretched(x, shape)], [offset, x.offset], (count, [i, j], [s, t]) => {
    for (let e = 0; e < count; e++, i += s, j += t) into[i] = data[j];
  });
  return to;
}

/** @type {(x: AnyValue) => boolean} */
export function isDense({ shape, strides, offset, data }) {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; step *= shape[axis--]) if (shape[axis] !== 1 && strides[axis] !== step) return false;
  return offset === 0 && data.length === step;
}

/**
 * Return an array of the kind of another, of zeros.
 *
 * @type {<D extends AnyData>(data: D, size: number) => D}
 */
export const emptyLike = (data, size) => new /** @type {new (size: number) => typeof data} */ (data.constructor)(size);

/**
 * Return the elements in C order: the array itself, if they lie so.
 *
 * @type {<D extends AnyData>(x: ValueOf<D>) => D}
 */
export const flat = (x) => (isDense(x) ? x.data : copied(emptyLike(x.data, sizeOfShape(x.shape)), x.shape, inOrder(x.shape), 0, x));

/**
 * Make numbers fit their dtype where the array that holds them is wider: float16, and integers of 64 bits, which wrap.
 *
 * @type {(dtype: string, data: Data) => void}
 */
export function fitted(dtype, data) {
  if (dtype === "float16") for (let i = 0; i < data.length; i++) data[i] = half(data[i]);
  else if (dtype === "int64")
    for (let i = 0; i < data.length; i++) data[i] += data[i] >= 2 ** 63 ? -(2 ** 64) : data[i] < -(2 ** 63) ? 2 ** 64 : 0;
  else if (dtype === "uint64") for (let i = 0; i < data.length; i++) data[i] += data[i] >= 2 ** 64 ? -(2 ** 64) : data[i] < 0 ? 2 ** 64 : 0;
}

/**
 * Return the number nearest to x that a float16 can hold; halves to even.
 *
 * @type {(x: number) => number}
 */
export function half(x) {
  const size = Math.abs(x);
  if (!(size < 65520)) return size > 0 ? Math.sign(x) * Infinity : x;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(size || 1)), -14) - 10),
    scaled = x / unit;
  return even(scaled) * unit;
}

/**
 * Return the whole number nearest to x, with its sign; halves to even.
 *
 * @type {(x: number) => number}
 */
export function even(x) {
  const low = Math.floor(x),
    rest = x - low;
  return (rest === 0.5 ? (low % 2 === 0 ? low : low + 1) : rest < 0.5 ? low : rest > 0.5 ? low + 1 : x) || x * 0;
}
