import { ARRAY_OF, copied, dense, emptyLike, flat, inOrder, isFloat, made, sizeOfShape } from "./arrays.js";
import { EXACT_OF, held, isExact, widened } from "./exact.js";
/** @import { AnyValue, Attributes, Computed, Engine, Operations, Value } from "./arrays.js" */

/* A loop gives several arrays as one value, its bundle, in which they lie as in Python: floats as words of the bundle, and
   all else by its bytes. So a bundle is a value as any other, and what is read of it is a view. */

/**
 * Return where an item lies in a bundle, as a value that may have a wider dtype.
 *
 * @type {(bundle: AnyValue, start: number, shape: number[], dtype: string) => AnyValue}
 */
function placed({ data, dtype: word }, start, shape, dtype) {
  if (isFloat(dtype) || dtype === word) return { shape, dtype, data, strides: inOrder(shape), offset: start };
  return dense(
    shape,
    dtype,
    new (EXACT_OF[dtype] ?? ARRAY_OF[dtype])(data.buffer, data.byteOffset + start * data.BYTES_PER_ELEMENT, sizeOfShape(shape)),
  );
}

/**
 * Return a bundle with zeros, as a value: its words are left as they are, whatever lies in them.
 *
 * @type {(n: Computed) => Value}
 */
const emptied = (n) => dense(n.shape, n.dtype, made(n).fill(0));

/**
 * Write a value into a bundle; where it is a row of an item, into that row.
 *
 * @type {(bundle: Value, start: number, x: AnyValue, row?: number, rows?: number) => void}
 */
function written(bundle, start, x, row = 0, rows = 1) {
  const to = placed(bundle, start, [rows, ...x.shape], x.dtype);
  copied(to.data, x.shape, to.strides.slice(1), to.offset + row * to.strides[0], isExact(to.data) ? widened(x) : x);
}

/**
 * Give an input of a body a value, if the body reads it.
 *
 * @type {(body: Engine, k: number, x: AnyValue) => void}
 */
const give = (body, k, x) => body.inputs[k] >= 0 && body.give(body.inputs[k], x);

/**
 * Return how many iterations there are, if no condition ends them before.
 *
 * @type {(attributes: Attributes, operands: Value[]) => number}
 */
function most({ counted, length }, [count]) {
  if (!counted) return length;
  const whole = count.data[count.offset];
  return whole && count.dtype === "bool" ? length : Math.min(Math.max(whole, 0), length);
}

/**
 * Return what is carried in arrays of their own: two for each, since a state may be what another one was.
 *
 * @type {(n: Computed, body: Engine, done: number) => AnyValue[]}
 */
function carriedOn(n, body, done) {
  const { carried } = n.attributes,
    carry = (n.carry ??= [[], []])[done % 2];
  carried.forEach((at, k) => {
    const x = body.values[at],
      size = sizeOfShape(x.shape);
    const known = carry[k]?.data;
    if (known?.length !== size || known.constructor !== x.data.constructor) carry[k] = dense(x.shape, x.dtype, emptyLike(x.data, size));
    copied(carry[k].data, x.shape, carry[k].strides, 0, x);
  });
  return carry;
}

/**
 * Compute the iterations; return the bundle, what is carried out of the last one, and how many there were.
 *
 * @type {(operands: Value[], n: Computed) => {bundle: Value, carry: AnyValue[], done: number}}
 */
function iterated(a, n) {
  const [body] = n.bodies,
    { carried, rows, indexed, counted, backwards, goes_on: goesOn, kept, starts } = n.attributes;
  const limit = most(n.attributes, a),
    bundle = emptied(n),
    operands = a.slice(counted ? 1 : 0),
    first = indexed ? 1 : 0,
    stacks = carried.length + rows;
  /** @type {AnyValue[]} */
  let carry = operands.slice(0, carried.length),
    done = 0;
  operands.forEach((x, k) => {
    if (k >= stacks) give(body, first + k, x);
  });
  for (let more = true; more && done < limit;) {
    const row = backwards ? limit - 1 - done : done;
    if (indexed) give(body, 0, dense([], "int64", Float64Array.of(row)));
    carry.forEach((x, k) => give(body, first + k, x));
    for (let k = carried.length; k < stacks; k++) {
      const { shape, dtype, data, strides, offset } = operands[k];
      give(body, first + k, { shape: shape.slice(1), dtype, data, strides: strides.slice(1), offset: offset + row * strides[0] });
    }
    body.run();
    kept.forEach(([kind, at], k) => {
      if (kind === "each") written(bundle, starts[k], body.values[at], row, n.attributes.length);
    });
    n.seen?.(row, body, 0);
    if (goesOn >= 0) more = body.values[goesOn].data[body.values[goesOn].offset] !== 0;
    carry = carriedOn(n, body, done++);
  }
  kept.forEach(([kind, at], k) => {
    if (kind === "last") written(bundle, starts[k], carry[at]);
    else if (kind === "count") placed(bundle, starts[k], [], "int64").data[0] = BigInt(done);
  });
  return { bundle, carry, done };
}

/** @type {Operations} */
export const LOOP_OPERATIONS = {
  loop: (a, n) => iterated(a, n).bundle,
  implicit_loop(a, n) {
    const { bundle, carry, done } = iterated(a, n),
      { tolerance, length } = n.attributes,
      last = carry[carry.length - 1],
      residual = Number(last.data[last.offset]);
    const spoilt = carry.slice(0, -1).some((x) => flat(x).some(Number.isNaN));
    if (!(residual <= tolerance || spoilt))
      throw new Error(
        `the state of a fixed point does not stay as it is: in step ${done} of at most ${length}, its largest change is ${residual.toPrecision(3)}, and the tolerance ${tolerance.toPrecision(3)}`,
      );
    return bundle;
  },
  branch([flag, ...operands], n) {
    const side = flag.data[flag.offset] !== 0 ? 0 : 1,
      body = n.bodies[side],
      bundle = emptied(n),
      { kept, starts } = n.attributes;
    operands.forEach((x, k) => give(body, k, x));
    body.run();
    kept.forEach((pair, k) => {
      const at = Number(pair[side]);
      if (at >= 0) written(bundle, starts[k], body.values[at]);
    });
    n.seen?.(0, body, side);
    return bundle;
  },
  loop_item([bundle], n) {
    const x = placed(bundle, n.attributes.start, n.shape, n.dtype);
    if (isExact(x.data)) return held(n.dtype, x.data);
    return x.data instanceof ARRAY_OF[n.dtype] ? x : copied(made(n), n.shape, inOrder(n.shape), 0, x);
  },
  loop_bundle([x], n) {
    const bundle = emptied(n);
    written(bundle, n.attributes.start, x);
    return bundle;
  },
};
