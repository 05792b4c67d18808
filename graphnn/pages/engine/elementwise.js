import { bitsOf, even, isDense, isFloat, made, stretched, walk, inOrder } from "./arrays.js";
import { erf, normal } from "./erf.js";
/** @import { Data, Made, Operations, Value } from "./arrays.js" */

/**
 * Compute rows of a result. What takes most of a training has a loop of its own for this: `f` below is called for each element.
 *
 * @type {(n: Made, operands: Value[], row: (to: Data, count: number, h: number, r: number, x: Data, i: number, s: number, y: Data, j: number, t: number) => void) => Data}
 */
function rows(n, a, row) {
  const to = made(n),
    [x, y = x] = a,
    one = straight(x, to.length),
    other = straight(y, to.length);
  if (one >= 0 && other >= 0) row(to, to.length, 0, 1, x.data, 0, one, y.data, 0, other);
  else
    walk(n.shape, [inOrder(n.shape), stretched(x, n.shape), stretched(y, n.shape)], [0, x.offset, y.offset], (count, at, by) =>
      row(to, count, at[0], by[0], x.data, at[1], by[1], y.data, at[2], by[2]),
    );
  return to;
}

/**
 * Return the step from one element of an operand to the next, where all of them, or its only one, are gone through in order; else -1.
 *
 * @type {(x: Value, size: number) => number}
 */
const straight = (x, size) => (x.data.length === 1 ? 0 : x.data.length === size && isDense(x) ? 1 : -1);

/**
 * Compute each element of one operand.
 *
 * @type {(n: Made, operands: Value[], f: (x: number) => number | boolean) => Data}
 */
export const each = (n, a, f) =>
  rows(n, a, (to, count, h, r, x, i, s) => {
    for (; count > 0; count--, h += r, i += s) to[h] = /** @type {number} */ (f(x[i]));
  });

/**
 * Compute each element of two operands that broadcast.
 *
 * @type {(n: Made, operands: Value[], f: (x: number, y: number) => number | boolean) => Data}
 */
export const both = (n, a, f) =>
  rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
    for (; count > 0; count--, h += r, i += s, j += t) to[h] = /** @type {number} */ (f(x[i], y[j]));
  });

/**
 * Compute with the bits of integers.
 *
 * @type {(n: Made, operands: Value[], f: (...x: bigint[]) => bigint) => Data}
 */
function bits(n, a, f) {
  const cut = n.dtype.startsWith("int") ? BigInt.asIntN : BigInt.asUintN,
    width = bitsOf(n.dtype);
  const g = (/** @type {number[]} */ ...all) => Number(cut(width, f(...all.map(BigInt))));
  return a.length === 1 ? each(n, a, g) : both(n, a, g);
}

/**
 * x to a whole power, in whole numbers that wrap.
 *
 * @type {(x: bigint, y: bigint) => bigint}
 */
function wholePower(x, y) {
  let power = 1n;
  for (let base = BigInt(x), left = BigInt(y); left > 0n; left >>= 1n, base = BigInt.asIntN(64, base * base))
    if (left & 1n) power = BigInt.asIntN(64, power * base);
  return power;
}

/** @type {(x: number, y: number) => number} */
function remainder(x, y) {
  const rest = x % y;
  return rest === 0 ? (y < 0 ? -0 : 0) : y < 0 !== rest < 0 ? rest + y : rest;
}

/** @type {(x: number, y: number) => number} */
function floorDivide(x, y) {
  if (y === 0) return x / y;
  const rest = x % y,
    quotient = (x - rest) / y - (rest !== 0 && y < 0 !== rest < 0 ? 1 : 0),
    low = Math.floor(quotient);
  return quotient === 0 ? (x / y) * 0 : quotient - low > 0.5 ? low + 1 : low;
}

/**
 * Return the function for numbers that are cast to a dtype.
 *
 * @type {(dtype: string) => (x: number) => number}
 */
function caster(dtype) {
  if (dtype === "bool") return (x) => (x !== 0 ? 1 : 0);
  if (dtype === "int64") return (x) => (Math.abs(x) < 2 ** 63 ? Math.trunc(x) : -(2 ** 63));
  if (dtype === "uint64")
    return (x) => {
      const whole = Math.trunc(x);
      return Number.isFinite(whole) ? (whole < 0 ? whole + 2 ** 64 : whole) : 2 ** 63;
    };
  return (x) => x;
}

/** @type {(x: number, y: number) => number} */
const power = (x, y) => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y);
/** @type {(x: number) => number} */
const sigmoid = (x) => {
  const e = Math.exp(-Math.abs(x));
  return Math.max(e, x >= 0 ? 1 : 0) / (1 + e);
};
const LINEAR = 2 * Math.sqrt(2 / Math.PI),
  CUBIC = 0.044715 * LINEAR;
/** @type {(x: number, f: (x: number) => number) => number} */
const whole = (x, f) => (Number.isFinite(x) ? f(x) : 0);
/** @type {(x: number) => boolean} */
const holds = (x) => x !== 0;

/** @type {Operations} */
export const ELEMENTWISE_OPERATIONS = {
  add(a, n) {
    return n.dtype === "bool"
      ? both(n, a, (x, y) => x | y)
      : rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
          for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] + y[j];
        });
  },
  subtract(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] - y[j];
    });
  },
  multiply(a, n) {
    return n.dtype === "int64" || n.dtype === "uint64"
      ? both(n, a, (x, y) => product64(x, y, n.dtype))
      : n.dtype.endsWith("32") && !isFloat(n.dtype)
        ? both(n, a, Math.imul)
        : rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
            for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] * y[j];
          });
  },
  divide(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] / y[j];
    });
  },
  divide_by_size(a, n) {
    const { count } = n.attributes;
    return each(n, a, (x) => x / count);
  },
  floor_divide: (a, n) => (isFloat(n.dtype) ? both(n, a, floorDivide) : both(n, a, (x, y) => whole(floorDivide(x, y), (q) => q))),
  remainder: (a, n) => (isFloat(n.dtype) ? both(n, a, remainder) : both(n, a, (x, y) => whole(remainder(x, y), (q) => q))),
  fmod: (a, n) => (isFloat(n.dtype) ? both(n, a, (x, y) => x % y) : both(n, a, (x, y) => whole(x % y, (q) => q))),
  negative(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = -x[i];
    });
  },
  absolute: (a, n) => each(n, a, Math.abs),
  sign: (a, n) => each(n, a, (x) => Math.sign(x) + 0),
  power: (a, n) => (isFloat(n.dtype) ? both(n, a, power) : bits(n, a, wholePower)),
  square(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = x[i] * x[i];
    });
  },
  sqrt(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = Math.sqrt(x[i]);
    });
  },
  reciprocal: (a, n) =>
    isFloat(n.dtype)
      ? each(n, a, (x) => 1 / x)
      : each(n, a, (x) => (x === 0 && /^int(32|64)$/.test(n.dtype) ? -(2 ** (bitsOf(n.dtype) - 1)) : whole(1 / x, Math.trunc))),
  exp(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = Math.exp(x[i]);
    });
  },
  expm1: (a, n) => each(n, a, Math.expm1),
  log(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = Math.log(x[i]);
    });
  },
  log1p: (a, n) => each(n, a, Math.log1p),
  log2: (a, n) => each(n, a, Math.log2),
  log10: (a, n) => each(n, a, Math.log10),
  sin: (a, n) => each(n, a, Math.sin),
  cos: (a, n) => each(n, a, Math.cos),
  tan: (a, n) => each(n, a, Math.tan),
  arcsin: (a, n) => each(n, a, Math.asin),
  arccos: (a, n) => each(n, a, Math.acos),
  arctan: (a, n) => each(n, a, Math.atan),
  sinh: (a, n) => each(n, a, Math.sinh),
  cosh: (a, n) => each(n, a, Math.cosh),
  tanh(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = Math.tanh(x[i]);
    });
  },
  arcsinh: (a, n) => each(n, a, Math.asinh),
  arccosh: (a, n) => each(n, a, Math.acosh),
  arctanh: (a, n) => each(n, a, Math.atanh),
  erf: (a, n) => each(n, a, erf),
  floor: (a, n) => each(n, a, Math.floor),
  ceil: (a, n) => each(n, a, Math.ceil),
  round(a, n) {
    const { decimals } = n.attributes,
      scale = 10 ** Math.abs(decimals);
    if (decimals === 0 || (decimals > 0 && !isFloat(n.dtype))) return each(n, a, even);
    return decimals > 0 ? each(n, a, (x) => even(x * scale) / scale) : each(n, a, (x) => even(x / scale) * scale);
  },
  cast: (a, n) => each(n, a, caster(n.dtype)),
  stop_gradient: (a) => a[0],
  sum_over_batches: (a) => a[0],

  sigmoid(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = sigmoid(x[i]);
    });
  },
  softplus: (a, n) => each(n, a, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  relu(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s) => {
      for (; count > 0; count--, h += r, i += s) to[h] = Math.max(x[i], 0);
    });
  },
  leaky_relu(a, n) {
    const slope = n.attributes.negative_slope;
    return each(n, a, (x) => (x > 0 ? x : x * slope));
  },
  elu(a, n) {
    const { alpha } = n.attributes;
    return each(n, a, (x) => (x > 0 ? x : Math.expm1(x) * alpha));
  },
  prelu: (a, n) => both(n, a, (x, slope) => (x > 0 ? x : x * slope)),
  gelu: (a, n) =>
    n.attributes.approximate === "tanh" ? each(n, a, (x) => x * sigmoid(x * (x * x * CUBIC + LINEAR))) : each(n, a, (x) => x * normal(x)),
  silu: (a, n) => each(n, a, (x) => x * sigmoid(x)),

  maximum(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = Math.max(x[i], y[j]);
    });
  },
  minimum: (a, n) => both(n, a, (x, y) => Math.min(x, y)),
  clip(a, n) {
    const lo = n.attributes.lo ?? -Infinity,
      hi = n.attributes.hi ?? Infinity;
    return each(n, a, (x) => Math.min(hi, Math.max(lo, x)));
  },
  where(a, n) {
    const [c, x, y] = a,
      to = made(n),
      [flags, one, other] = a.map(({ data }) => data);
    walk(
      n.shape,
      [inOrder(n.shape), ...a.map((each) => stretched(each, n.shape))],
      [0, c.offset, x.offset, y.offset],
      (count, [i, j, k, l], [r, s, t, u]) => {
        for (let e = 0; e < count; e++, i += r, j += s, k += t, l += u) to[i] = flags[j] !== 0 ? one[k] : other[l];
      },
    );
    return to;
  },
  equal(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] === y[j] ? 1 : 0;
    });
  },
  not_equal: (a, n) => both(n, a, (x, y) => x !== y),
  less(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] < y[j] ? 1 : 0;
    });
  },
  less_equal(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] <= y[j] ? 1 : 0;
    });
  },
  greater(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] > y[j] ? 1 : 0;
    });
  },
  greater_equal(a, n) {
    return rows(n, a, (to, count, h, r, x, i, s, y, j, t) => {
      for (; count > 0; count--, h += r, i += s, j += t) to[h] = x[i] >= y[j] ? 1 : 0;
    });
  },
  logical_and: (a, n) => both(n, a, (x, y) => holds(x) && holds(y)),
  logical_or: (a, n) => both(n, a, (x, y) => holds(x) || holds(y)),
  logical_xor: (a, n) => both(n, a, (x, y) => holds(x) !== holds(y)),
  logical_not: (a, n) => each(n, a, (x) => x === 0),
  isnan: (a, n) => each(n, a, Number.isNaN),
  isfinite: (a, n) => each(n, a, Number.isFinite),
  isinf: (a, n) => each(n, a, (x) => Math.abs(x) === Infinity),
  bitwise_and: (a, n) => bits(n, a, (x, y) => x & y),
  bitwise_or: (a, n) => bits(n, a, (x, y) => x | y),
  bitwise_xor: (a, n) => bits(n, a, (x, y) => x ^ y),
  invert: (a, n) => bits(n, a, (x) => ~x),
  left_shift: (a, n) => bits(n, a, (x, y) => (y < 0n || y >= BigInt(bitsOf(n.dtype)) ? 0n : x << y)),
  right_shift: (a, n) => bits(n, a, (x, y) => (y < 0n || y > 64n ? (x < 0n ? -1n : 0n) : x >> y)),
};

/**
 * Return the product of whole numbers of 64 bits, which wraps; to the precision of a double beyond 2 ** 53.
 *
 * @type {(x: number, y: number, dtype: string) => number}
 */
function product64(x, y, dtype) {
  const found = x * y;
  if (Math.abs(found) <= 2 ** 63) return found;
  return Number((dtype === "int64" ? BigInt.asIntN : BigInt.asUintN)(64, BigInt(x) * BigInt(y)));
}
