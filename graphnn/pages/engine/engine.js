import { dense, emptyLike, fitted, flat, isDense } from "./arrays.js";
import { ELEMENTWISE_OPERATIONS } from "./elementwise.js";
import { exactly, held, isExact } from "./exact.js";
import { INDEXING_OPERATIONS } from "./indexing.js";
import { LOOP_OPERATIONS } from "./loops.js";
import { PRODUCT_OPERATIONS } from "./products.js";
import { RANDOM_OPERATIONS } from "./random.js";
import { REDUCTION_OPERATIONS } from "./reductions.js";
import { SHAPE_OPERATIONS } from "./shapes.js";
import { WINDOW_OPERATIONS } from "./windows.js";
/** @import { AnyData, AnyValue, Attributes, Computed, Data, Engine, Graph, Operation, Value } from "./arrays.js" */

/**
 * Return the functions of all operations, by name.
 *
 * @type {() => Map<string, Operation>}
 */
const operations = () =>
  new Map(
    [
      ELEMENTWISE_OPERATIONS,
      REDUCTION_OPERATIONS,
      PRODUCT_OPERATIONS,
      SHAPE_OPERATIONS,
      INDEXING_OPERATIONS,
      WINDOW_OPERATIONS,
      RANDOM_OPERATIONS,
      LOOP_OPERATIONS,
    ].flatMap(Object.entries),
  );

/**
 * Return an attribute as the functions read it: JSON has no infinity, no NaN and no integer beyond 2 ** 53, so these come as text.
 *
 * @type {(value: any) => unknown}
 */
export function readAttribute(value) {
  if (Array.isArray(value)) return value.map(readAttribute);
  if (typeof value?.number !== "string") return value;
  return /^-?\d+$/.test(value.number) ? BigInt(value.number) : Number(value.number);
}

/** @type {(attributes: object) => Attributes} */
const readAttributes = (attributes) =>
  /** @type {Attributes} */ (Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, readAttribute(value)])));

/**
 * Make an engine of a graph: it computes the nodes in order, each into an array that is made once.
 *
 * @type {(graph: Graph) => Engine}
 */
export function makeEngine({ nodes: all, given, updates = [], inputs = [] }) {
  /** @type {AnyValue[]} */
  const values = [];
  /** @type {Map<number, AnyData>} */
  const spare = new Map();
  const functions = operations(),
    pinned = new Set();
  const leaves = new Set([...given.keys(), ...inputs]);
  /** @type {Computed[]} */
  const computed = all.op.map((op, i) => ({
    shape: all.shape[i],
    dtype: all.dtype[i],
    attributes: readAttributes(all.attributes[i]),
    bodies: (all.bodies?.[i] ?? []).map((body) => makeEngine(body)),
  }));
  const unknown = [
    ...new Set([
      ...all.op.filter((op, i) => !leaves.has(i) && !functions.has(op)),
      ...computed.flatMap(({ bodies }) => bodies.flatMap((body) => body.unknown)),
    ]),
  ];
  const stale = new Uint8Array(all.op.length).fill(1),
    changed = new Uint8Array(all.op.length);
  for (const [i, data] of given) values[i] = dense(all.shape[i], all.dtype[i], held(all.dtype[i], data));

  /**
   * Compute a node.
   *
   * @type {(i: number) => void}
   */
  function compute(i) {
    const n = computed[i],
      op = all.op[i],
      f = /** @type {Operation} */ (functions.get(op)),
      operands = all.inputs[i].map((j) => values[j]);
    const found = operands.some(({ data }) => isExact(data)) ? exactly(op, f, operands, n) : f(/** @type {Value[]} */ (operands), n);
    if ("strides" in found) values[i] = { shape: n.shape, dtype: n.dtype, data: found.data, strides: found.strides, offset: found.offset };
    else {
      if (values[i]?.data !== found) values[i] = dense(n.shape, n.dtype, found);
      if (!isExact(found)) fitted(n.dtype, found);
    }
  }

  /**
   * Return a value whose elements lie in order, in an array that is no other's if it is `own`.
   *
   * @type {(i: number, own?: boolean) => AnyValue}
   */
  function whole(i, own = false) {
    const x = values[i];
    if (!isDense(x) || (own && !leaves.has(i) && x.data !== computed[i].out)) {
      const data = flat(x);
      values[i] = dense(x.shape, x.dtype, data === x.data ? data.slice() : data);
      if (own) computed[i].out = values[i].data;
    }
    return values[i];
  }

  return {
    unknown,
    values,
    inputs,
    /** Have an input be a value, which nobody changes until the next time. */
    give(i, value) {
      values[i] = value;
      stale[i] = 1;
    },
    /** Compute a loop or a branch again: `seen` is called with each row, the engine of the body that has its values, and which body it is. */
    inside(i, seen) {
      computed[i].seen = seen;
      compute(i);
      computed[i].seen = null;
    },
    value: (i) => whole(i),
    set(i, index, x) {
      const value = whole(i, true);
      value.data[index] = isExact(value.data) ? BigInt(x) : x;
      stale[i] = 1;
      if (!leaves.has(i)) pinned.add(i);
    },
    load(i, data) {
      const next = held(all.dtype[i], data);
      if (next.constructor === values[i].data.constructor) /** @type {Data} */ (values[i].data).set(/** @type {Data} */ (next));
      else values[i] = dense(all.shape[i], all.dtype[i], next);
      stale[i] = 1;
    },
    free(i) {
      pinned.delete(i);
      stale[i] = 1;
    },
    setOp(i, attributes) {
      computed[i].attributes = readAttributes(attributes);
      stale[i] = 1;
    },
    /** Compute what depends on what was set since the last time. */
    run() {
      for (let i = 0; i < computed.length; i++) {
        const leaf = leaves.has(i) || pinned.has(i);
        changed[i] = stale[i] || (!leaf && all.inputs[i].some((j) => changed[j])) ? 1 : 0;
        stale[i] = 0;
        if (!changed[i] || leaf) continue;
        try {
          compute(i);
        } catch (error) {
          stale.fill(1); // what was not reached is not known to be as it was
          throw error;
        }
      }
    },
    /** Make the updates, all at once; what was computed keeps the numbers that it was computed from. */
    commit() {
      const next = updates.map(([to, from]) => {
        const next = flat(values[from]),
          known = spare.get(to),
          kept = known?.constructor === next.constructor ? known : emptyLike(next, next.length);
        /** @type {Data} */ (kept).set(/** @type {Data} */ (next));
        return kept;
      });
      updates.forEach(([to], k) => {
        spare.set(to, values[to].data);
        values[to] = dense(all.shape[to], all.dtype[to], next[k]);
        stale[to] = 1;
      });
    },
  };
}
