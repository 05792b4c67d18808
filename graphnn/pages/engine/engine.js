import { ARRAY_OF, dense, fitted, flat, isDense } from "./arrays.js";
import { ELEMENTWISE_OPERATIONS } from "./elementwise.js";
import { INDEXING_OPERATIONS } from "./indexing.js";
import { PRODUCT_OPERATIONS } from "./products.js";
import { RANDOM_OPERATIONS } from "./random.js";
import { REDUCTION_OPERATIONS } from "./reductions.js";
import { SHAPE_OPERATIONS } from "./shapes.js";
import { WINDOW_OPERATIONS } from "./windows.js";

/** Return the functions of all operations, by name. */
const operations = () => new Map([
  ELEMENTWISE_OPERATIONS, REDUCTION_OPERATIONS, PRODUCT_OPERATIONS, SHAPE_OPERATIONS, INDEXING_OPERATIONS, WINDOW_OPERATIONS, RANDOM_OPERATIONS,
].flatMap(Object.entries));

/** Return an attribute as the functions read it: JSON has no infinity, no NaN and no integer beyond 2 ** 53, so these come as text. */
export function readAttribute(value) {
  if (Array.isArray(value)) return value.map(readAttribute);
  if (typeof value?.number !== "string") return value;
  return /^-?\d+$/.test(value.number) ? BigInt(value.number) : Number(value.number);
}

const readAttributes = (attributes) => Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, readAttribute(value)]));

/** Return numbers as the engine holds those of a dtype, in an array of its own. */
const held = (dtype, data) => (data instanceof BigInt64Array || data instanceof BigUint64Array ? Float64Array.from(data, Number) : ARRAY_OF[dtype].from(data));

/**
 * Make an engine of a graph: it computes the nodes in order, each into an array that is made once.
 *
 * @param {{nodes: {op: string[], attributes: object[], inputs: number[][], shape: number[][], dtype: string[]}, given: Map<number, any>, updates: number[][]}} graph
 *   `given` has the numbers of leaves; of an update, the first is the parameter, the second its next value.
 */
export function makeEngine({ nodes: all, given, updates }) {
  const functions = operations(), values = [], pinned = new Set(), spare = new Map();
  const unknown = [...new Set(all.op.filter((op, i) => !given.has(i) && !functions.has(op)))];
  const computed = all.op.map((op, i) => ({ shape: all.shape[i], dtype: all.dtype[i], attributes: readAttributes(all.attributes[i]) }));
  const stale = new Uint8Array(all.op.length).fill(1), changed = new Uint8Array(all.op.length);
  for (const [i, data] of given) values[i] = dense(all.shape[i], all.dtype[i], held(all.dtype[i], data));

  /** Compute a node. */
  function compute(i) {
    const n = computed[i], found = functions.get(all.op[i])(all.inputs[i].map((j) => values[j]), n);
    values[i] = found.strides ? { shape: n.shape, dtype: n.dtype, data: found.data, strides: found.strides, offset: found.offset } : dense(n.shape, n.dtype, found);
    if (!found.strides) fitted(n.dtype, found);
  }

  /** Return a value whose elements lie in order, in an array that is no other's if it is `own`. */
  function whole(i, own = false) {
    const x = values[i];
    if (!isDense(x) || (own && !given.has(i) && x.data !== computed[i].out)) {
      const data = flat(x);
      values[i] = dense(x.shape, x.dtype, data === x.data ? data.slice() : data);
      if (own) computed[i].out = values[i].data;
    }
    return values[i];
  }

  return {
    unknown, values,
    value: (i) => whole(i),
    set(i, index, x) {
      whole(i, true).data[index] = x;
      stale[i] = 1;
      if (!given.has(i)) pinned.add(i);
    },
    load(i, data) { values[i].data.set(held(all.dtype[i], data)); stale[i] = 1; },
    free(i) { pinned.delete(i); stale[i] = 1; },
    setOp(i, attributes) { computed[i].attributes = readAttributes(attributes); stale[i] = 1; },
    /** Compute what depends on what was set since the last time. */
    run() {
      for (let i = 0; i < computed.length; i++) {
        const leaf = given.has(i) || pinned.has(i);
        changed[i] = stale[i] || (!leaf && all.inputs[i].some((j) => changed[j])) ? 1 : 0;
        stale[i] = 0;
        if (changed[i] && !leaf) compute(i);
      }
    },
    /** Make the updates, all at once; what was computed keeps the numbers that it was computed from. */
    commit() {
      const next = updates.map(([to, from]) => {
        const { data } = values[to], kept = spare.get(to) ?? new data.constructor(data.length);
        kept.set(flat(values[from]));
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
