/* The replay page. It reads the data of the page, draws them, and asks nothing of anyone else.
   What comes from data is text or a number, and never markup: nodes of the document are made by `make`. */

// --- the data -------------------------------------------------------------------------------------------------

const ARRAYS = {
  float64: Float64Array,
  float32: Float32Array,
  float16: Uint16Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

let data, arrays, nodes, runs;

/** Unpack the data of the page: eight bytes of length, a text of JSON, and a block of arrays. */
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const block = told.arrays.map(([dtype, at, size]) => {
    const array = new ARRAYS[dtype](buffer, 8 + length + at, size);
    return dtype === "float16" ? Float64Array.from(array, fromHalf) : array;
  });
  return [told, block];
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1,
    exponent = (bits >> 10) & 31,
    fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

/** A value: its numbers, or some of them. A place is that of an element in C order. */
class Value {
  constructor(told, raw = arrays[told.data], dtype = data.arrays[told.data][0]) {
    this.told = told;
    this.shape = told.shape;
    this.dtype = dtype;
    this.raw = raw;
    this.size = product(told.shape);
    this.partial = told.axes !== null;
    this.axes = told.axes ?? told.shape.map(upTo);
    this.range = told.stats.slice(0, 2);
    this.texts = [];
    this.slots = this.partial ? this.axes.map((kept) => new Map(kept.map((i, slot) => [i, slot]))) : null;
  }

  /** Return where an element stands among those that are kept, -1 if it does not. */
  slot(place) {
    if (!this.partial) return place;
    let slot = 0;
    for (const [axis, i] of unravel(place, this.shape).entries()) {
      const at = this.slots[axis].get(i);
      if (at === undefined) return -1;
      slot = slot * this.axes[axis].length + at;
    }
    return slot;
  }

  /** Return an element as it is: a number, a bigint or a bool; undefined where it is not kept. */
  at(place) {
    const slot = this.slot(place);
    if (slot < 0) return undefined;
    return this.dtype === "bool" ? this.raw[slot] !== 0 : this.raw[slot];
  }

  /** Return an element in four digits. */
  text(place) {
    const slot = this.slot(place);
    this.texts[slot] ??= slot < 0 ? "" : numeral(this.at(place), this.dtype);
    return this.texts[slot];
  }

  number(place) {
    const found = this.at(place);
    return found === undefined ? undefined : Number(found);
  }
}

/** The second of two values less the first, as if it were a value. */
class Difference extends Value {
  constructor(a, b) {
    super(a.told, a.raw, a.dtype);
    this.dtype = "float64";
    this.raw = Float64Array.from({ length: a.raw.length }, (_, i) => Number(b.raw[i]) - Number(a.raw[i]));
    this.range = rangeOf([...this.raw.filter(Number.isFinite)]);
    const most = Math.max(...this.range.map(Math.abs));
    this.signed = this.range[0] === null ? this.range : [-most, most]; // 0 in the middle, whatever the differences are
  }
}

/** Return the least and the greatest of some numbers; null twice of none. */
function rangeOf(numbers) {
  if (!numbers.length) return [null, null];
  return numbers.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
}

const known = new Map();

/** Return a value as it is seen: of an exercise without the numbers that are to be found. */
function valueOf(run, place) {
  const value = seenValue(run, place),
    seen = value && answered.get(place);
  return seen && seen.size < value.size ? new HiddenValue(value, seen) : value;
}

function seenValue(run, place) {
  if (isLive(run)) return liveValue(place);
  const number = runs[run].values[place];
  return number === undefined || number < 0 ? null : valueNumbered(number);
}

function valueNumbered(number) {
  if (!known.has(number)) known.set(number, new Value(data.values[number]));
  return known.get(number);
}

/** Return between what the numbers of a node lie in all runs: their colours then mean the same in each. */
function rangeInAll(place) {
  const ranges = runs.map((_, run) => valueOf(run, place)?.range ?? [null, null]);
  return rangeOf(ranges.flat().filter((end) => end !== null));
}

const product = (sizes) => sizes.reduce((total, n) => total * n, 1);
const upTo = (n) => Array.from({ length: n }, (_, i) => i);
const shapeText = (shape) => shape.join(" × ") || "scalar";

/** Return the name of an axis of a node, "" if it has none. */
const axisName = (place, axis) => (/^\d*$/.test(nodes.shape[place][axis] ?? "") ? "" : nodes.shape[place][axis]);

/** Return a shape with the names of its axes. */
const namedShape = (place, shape) => shape.map((n, axis) => `${axisName(place, axis)} ${n}`.trim()).join(" × ") || "scalar";

function unravel(place, shape) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = place % shape[axis];
    place = Math.floor(place / shape[axis]);
  }
  return index;
}

const ravel = (index, shape) => index.reduce((place, i, axis) => place * shape[axis] + i, 0);
