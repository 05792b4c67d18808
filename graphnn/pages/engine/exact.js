import { ARRAY_OF, sizeOfShape } from "./arrays.js";
import { both, each } from "./elementwise.js";
/** @import { AnyData, AnyValue, Computed, ExactData, Numbers, Operation, Result, Value } from "./arrays.js" */
/** @typedef {{new (size: number): ExactData, new (buffer: ArrayBufferLike, at: number, size: number): ExactData, from(numbers: ArrayLike<number>, f: (x: number) => bigint): ExactData}} ExactConstructor */

/* Integers of 64 bits that doubles would round: numbers that are given and lie beyond 2 ** 53, what these operations make
   of them, and what loops hand on. So random numbers in loops, whose counters are mixed with the iteration, are Python's. */

/** @type {(data: Numbers) => data is ExactData} */
export const isExact = (data) => data instanceof BigInt64Array || data instanceof BigUint64Array;
/** @type {Record<string, ExactConstructor>} */
export const EXACT_OF = { int64: BigInt64Array, uint64: BigUint64Array };

/**
 * Return numbers as the engine holds those of a dtype, in an array of its own.
 *
 * @type {(dtype: string, data: Numbers) => AnyData}
 */
export function held(dtype, data) {
  if (!isExact(data)) return ARRAY_OF[dtype].from(data);
  return data.every((x) => Number.isSafeInteger(Number(x))) ? Float64Array.from(data, Number) : data.slice();
}

/** @type {Record<string, (x: bigint, y: bigint) => bigint>} */
const FUNCTIONS = {
  add: (x, y) => x + y,
  subtract: (x, y) => x - y,
  multiply: (x, y) => x * y,
  negative: (x) => -x,
  cast: (x) => x,
  bitwise_and: (x, y) => x & y,
  bitwise_or: (x, y) => x | y,
  bitwise_xor: (x, y) => x ^ y,
  invert: (x) => ~x,
};
const PASSING = new Set([
  "reshape",
  "expand_dims",
  "squeeze",
  "transpose",
  "broadcast_to",
  "getitem",
  "stop_gradient",
  "loop",
  "implicit_loop",
  "branch",
  "random_uniform",
  "random_normal",
]);

/**
 * Return a value in doubles.
 *
 * @type {(x: AnyValue) => Value}
 */
export const rounded = (x) => (isExact(x.data) ? { ...x, data: Float64Array.from(x.data, Number) } : /** @type {Value} */ (x));
/** @type {(x: AnyValue) => AnyValue} */
export const widened = (x) => (isExact(x.data) || !EXACT_OF[x.dtype] ? x : { ...x, data: EXACT_OF[x.dtype].from(x.data, BigInt) });

/**
 * Compute an operation of which an operand is exact.
 *
 * @type {(op: string, f: Operation, operands: AnyValue[], n: Computed) => Result}
 */
export function exactly(op, f, a, n) {
  const g = FUNCTIONS[op];
  if (PASSING.has(op)) return f(/** @type {Value[]} */ (a), n);
  if (!g || ![n, ...a].every(({ dtype }) => dtype === n.dtype && EXACT_OF[dtype])) return f(a.map(rounded), n);
  n.exact ??= { shape: n.shape, dtype: n.dtype, out: new EXACT_OF[n.dtype](sizeOfShape(n.shape)) };
  const wide = /** @type {Value[]} */ (a.map(widened)),
    h = /** @type {(x: number, y?: number) => number} */ (/** @type {unknown} */ (g));
  return a.length === 1 ? each(n.exact, wide, h) : both(n.exact, wide, h);
}
