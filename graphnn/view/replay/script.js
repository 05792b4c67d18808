"use strict";

/* The replay page. It reads the data of the page, draws them, and asks nothing of anyone else.
   What comes from data is text or a number, and never markup: nodes of the document are made by `make`. */

// --- the data -------------------------------------------------------------------------------------------------

const ARRAYS = {
  float64: Float64Array, float32: Float32Array, float16: Uint16Array, int64: BigInt64Array, uint64: BigUint64Array,
  int32: Int32Array, uint32: Uint32Array, int16: Int16Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array,
  bool: Uint8Array,
};

let data, arrays, nodes, runs, values;

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
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

/** A value: its numbers, or some of them. A place is that of an element in C order. */
class Value {
  constructor(told) {
    this.told = told;
    this.shape = told.shape;
    this.dtype = data.arrays[told.data][0];
    this.raw = arrays[told.data];
    this.size = product(told.shape);
    this.partial = told.axes !== null;
    this.axes = told.axes ?? told.shape.map(upTo);
    this.range = told.range;
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

/** The differences of two values, as if they were a value. */
class Difference extends Value {
  constructor(a, b) {
    super(a.told);
    this.dtype = "float64";
    this.raw = Float64Array.from({ length: a.raw.length }, (_, i) => Number(b.raw[i]) - Number(a.raw[i]));
    const finite = this.raw.filter(Number.isFinite);
    const ends = finite.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
    this.range = finite.length ? ends : [null, null];
  }
}

const known = new Map();

function valueOf(run, place) {
  const number = runs[run].values[place];
  if (number === undefined || number < 0) return null;
  if (!known.has(number)) known.set(number, new Value(data.values[number]));
  return known.get(number);
}

const product = (sizes) => sizes.reduce((total, n) => total * n, 1);
const upTo = (n) => Array.from({ length: n }, (_, i) => i);
const shapeText = (shape) => shape.join(" × ") || "scalar";

function unravel(place, shape) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = place % shape[axis];
    place = Math.floor(place / shape[axis]);
  }
  return index;
}

const ravel = (index, shape) => index.reduce((place, i, axis) => place * shape[axis] + i, 0);

// --- numbers in words, as `graphnn.inspector.why` writes them ---------------------------------------------------

/** Return so many digits of a positive number and its exponent, ties to even. */
function decimal(x, digits) {
  let [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  if (x.toExponential(digits).split("e")[0].endsWith("5")) {
    const [exact, itsExponent] = x.toExponential(100).split("e");
    const all = exact.replace(".", "");
    if (/^50*$/.test(all.slice(digits)) && Number(all[digits - 1]) % 2 === 0) {
      [mantissa, exponent] = [all.slice(0, digits), itsExponent];
    }
  }
  return [mantissa.replace(".", ""), Number(exponent)];
}

/** Return a number as Python's format does with "g"; `full` as with "#". */
function general(x, digits, full) {
  if (Number.isNaN(x)) return "nan";
  const sign = x < 0 || Object.is(x, -0) ? "-" : "";
  if (!Number.isFinite(x)) return `${sign}inf`;
  const [all, exponent] = x === 0 ? ["0".repeat(digits), 0] : decimal(Math.abs(x), digits);
  const trim = (text) => (full || !text.includes(".") ? text : text.replace(/\.?0+$/, ""));
  if (exponent < -4 || exponent >= digits) {
    const power = `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    return `${sign}${trim(`${all[0]}.${all.slice(1)}`)}e${power}`;
  }
  if (exponent < 0) return `${sign}${trim(`0.${"0".repeat(-exponent - 1)}${all}`)}`;
  return `${sign}${trim(`${all.slice(0, exponent + 1)}.${all.slice(exponent + 1)}`)}`;
}

const ROUNDED = { float64: (x) => x, float32: Math.fround, float16: toHalf };

function toHalf(x) {
  if (!Number.isFinite(x) || x === 0) return x;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  const scaled = x / step, low = Math.floor(scaled);
  const up = scaled - low > 0.5 || (scaled - low === 0.5 && low % 2 !== 0);
  const rounded = (low + Number(up)) * step;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Infinity : rounded;
}

/** Return a number in four digits, fewer if they are exact. */
function numeral(value, dtype) {
  if (typeof value === "boolean") return value ? "True" : "False";
  const rounded = ROUNDED[dtype];
  if (!rounded) return String(value);
  const short = general(value, 4);
  return rounded(fromText(short)) === value ? short : general(value, 4, true).replace(/\.$/, "");
}

const fromText = (text) => (text.endsWith("inf") ? (text[0] === "-" ? -Infinity : Infinity) : Number(text));

// --- what an element was made of --------------------------------------------------------------------------------

const MOST_PLACES = 65536;
const FEW = 4, FIRST = 2;

/** Return, of each operand, how many elements an element read, and which; null where the page does not know. */
function readBy(run, place, cell) {
  const number = runs[run].rules[place], value = valueOf(run, place);
  if (number === undefined || number < 0 || value === null) return null;
  const slot = value.slot(cell);
  if (slot < 0) return null;
  const inputs = nodes.inputs[place], index = unravel(cell, value.shape);
  const found = data.rules[number].map((rule, i) => followed(rule, index, slot, valueOf(run, inputs[i])));
  return found.includes(null) ? null : found;
}

function followed(rule, index, slot, operand) {
  if (rule === null) return null;
  if (rule[0] === "all") return { count: operand.size, places: upTo(Math.min(operand.size, MOST_PLACES)) };
  if (rule[0] === "lists") {
    const [counts, starts, places] = rule.slice(1).map((number) => arrays[number]);
    return { count: counts[slot], places: Array.from(places.subarray(starts[slot], starts[slot + 1])) };
  }
  const [, offset, strides, sizes, steps, mask] = rule;
  if (mask !== undefined && !arrays[mask][slot]) return { count: 0, places: [] };
  const start = index.reduce((total, i, axis) => total + i * strides[axis], offset);
  return { count: product(sizes), places: grid(start, sizes, steps) };
}

function grid(start, sizes, steps) {
  let places = [start];
  for (const [axis, n] of sizes.entries()) {
    if (places.length * n > MOST_PLACES) n === 0 || (places = places.slice(0, Math.ceil(MOST_PLACES / n)));
    places = places.flatMap((place) => upTo(n).map((k) => place + k * steps[axis]));
  }
  return places;
}

/** Return the equation of an element and what it read, in words; `equation` is null where the page cannot say. */
function explained(run, place, cell) {
  const value = valueOf(run, place), found = value === null ? undefined : value.at(cell);
  if (found === undefined) return null;
  const index = unravel(cell, value.shape), name = called(nodes.name[place], index.join(", "));
  const said = numeral(found, value.dtype), set = runs[run].set[place] ?? {};
  const kind = set.given || nodes.kind[place];
  const told = { run, place, cell, equation: `${name} = ${said}${kind ? `, ${kind}` : ""}`, reads: [], missing: false };
  if (kind) return told;
  const read = readBy(run, place, cell);
  if (read === null) return { ...told, missing: true };
  const operands = nodes.inputs[place].map((input) => valueOf(run, input));
  const formula = equation(nodes.formula[place], set.settings ?? nodes.settings[place], read, operands);
  told.missing = formula === undefined;
  if (formula === null) told.equation += ", of nothing";
  else if (formula && formula !== said) told.equation += ` = ${formula}`;
  told.reads = read.map((each, i) => readText(nodes.inputs[place][i], each, operands[i])).filter((each) => each.count);
  return told;
}

const called = (name, place) => (place ? `${name}[${place}]` : name);

function readText(place, { count, places }, operand) {
  const distinct = [...new Set(places)].sort((a, b) => a - b);
  const kind = nodes.kind[place], whole = count === places.length;
  const where = whole ? corners(distinct, operand.shape) : "…";
  const said = spread(distinct, whole ? distinct.length : count, operand);
  return { place, places: distinct, count, text: `${called(nodes.name[place], where)} = ${said}${kind ? `, ${kind}` : ""}` };
}

/** Return elements as one would index them, if they are all between two corners. */
function corners(places, shape) {
  if (!places.length || !shape.length) return "";
  const indices = places.map((place) => unravel(place, shape));
  const lows = shape.map((_, axis) => indices.reduce((low, index) => Math.min(low, index[axis]), Infinity));
  const highs = shape.map((_, axis) => indices.reduce((high, index) => Math.max(high, index[axis] + 1), 0));
  if (product(highs.map((high, axis) => high - lows[axis])) !== places.length) return "…";
  const between = (low, high, n) => (high - low === 1 ? String(low) : `${low || ""}:${high < n ? high : ""}`);
  return shape.map((n, axis) => between(lows[axis], highs[axis], n)).join(", ");
}

const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

function spread(places, count, operand) {
  const numbers = places.map((place) => operand.at(place));
  const whole = count === places.length && !numbers.includes(undefined);
  if (whole && count <= FEW) return numbers.map((x) => numeral(x, operand.dtype)).join(", ");
  const said = `${grouped(count)} numbers`;
  if (!whole) return said;
  if (operand.dtype === "bool") return `${said}, ${grouped(numbers.filter(Boolean).length)} of them True`;
  const finite = numbers.filter((x) => typeof x === "bigint" || Number.isFinite(x));
  const strange = finite.length < count ? `, ${grouped(count - finite.length)} not finite` : "";
  if (!finite.length) return `${said}, none of them finite`;
  const low = numeral(finite.reduce((a, b) => (b < a ? b : a)), operand.dtype);
  const high = numeral(finite.reduce((a, b) => (b > a ? b : a)), operand.dtype);
  return low === high ? `${said}, each ${low}${strange}` : `${said}, ${low} to ${high}${strange}`;
}

const TERMS = /^(.*)\[(.+)\](.+)…(.*)$/;

/** Return a formula with numbers; null if there are none, undefined if one of them is not kept. */
function equation(template, given, read, operands) {
  const numberAt = (i, k) => {
    const place = read[i].places[k], found = place === undefined ? undefined : operands[i].at(place);
    if (found === undefined) throw new Missing();
    return numeral(found, operands[i].dtype);
  };
  try {
    const settings = Object.fromEntries(Object.entries(given).map(([key, text]) => [key, [text]]));
    const terms = TERMS.exec(template);
    if (terms) return sumOf(terms.slice(1), template, settings, read, numberAt);
    const lists = {};
    read.forEach((_, i) => Object.defineProperty(lists, i, { get: () => [list(read[i].count, (k) => numberAt(i, k))] }));
    return written(pieces(template, (name) => (name in settings ? settings[name] : lists[name])));
  } catch (error) {
    if (error instanceof Missing) return undefined;
    throw error;
  }
}

class Missing extends Error {}

function sumOf([before, term, joint, after], template, given, read, numberAt) {
  const products = term.includes("{factors}");
  const meant = upTo(read.length).filter((i) => products || term.includes(`{${i}}`));
  const count = meant.length ? Math.min(...meant.map((i) => read[i].count)) : 0;
  if (!count) return null;
  const settings = { count: [grouped(count)], ...given };
  const parts = [...pieces(before, (name) => settings[name])];
  for (let k = 0; k < (count <= FEW ? count : FIRST); k++) {
    const numbers = meant.map((i) => numberAt(i, k));
    const fields = { ...settings, ...Object.fromEntries(meant.map((i, at) => [i, [numbers[at]]])), factors: numbers };
    parts.push([k ? joint : "", null], ...pieces(term, (name) => fields[name]));
  }
  if (count > FEW) {
    parts.push([`${joint}…`, null]);
    if (!template.includes("{count}")) parts.push([` (${grouped(count)} ${meant.length > 1 ? "products" : "numbers"})`, null]);
  }
  return written([...parts, ...pieces(after, (name) => settings[name])]);
}

function list(count, numberAt) {
  if (!count) return "…";
  const shown = upTo(count <= FEW ? count : FIRST).map(numberAt).join(", ");
  return count <= FEW ? shown : `${shown}, … (${grouped(count)} numbers)`;
}

/** Return the parts of a template: text, and what follows it. */
function pieces(template, field) {
  const found = [];
  let at = 0;
  for (const match of template.matchAll(/\{(\w*)\}/g)) {
    const [first, ...others] = field(match[1]) ?? ["…"];
    found.push([template.slice(at, match.index), first], ...others.map((text) => ["·", text]));
    at = match.index + match[0].length;
  }
  if (at < template.length) found.push([template.slice(at), null]);
  return found;
}

// Between these a number may stand that has a sign, or a list of them; elsewhere they need brackets.
const OPENS = /(^|[(|‖⌊⌈,=<>≤≥≠] ?|[\p{L}\p{N}_] )$/u;
const CLOSES = /^($|[)|‖⌋⌉])/, GOES_ON = /^($|[)|‖⌋⌉,·]| (?!\^))/;

function written(parts) {
  let text = "";
  parts.forEach(([literal, filled], i) => {
    const after = i + 1 < parts.length ? parts[i + 1][0] : "";
    text += literal;
    if (filled === null) return;
    const several = filled.includes(", "), plain = !several && !filled.startsWith("-");
    const ends = (several ? CLOSES : GOES_ON).test(after);
    if (plain || (ends && OPENS.test(text))) text += filled;
    else if (ends && !several && text.endsWith(" + ")) text = `${text.slice(0, -2)}- ${filled.slice(1)}`;
    else text += `(${filled})`;
  });
  return text;
}

const MOST_FOLLOWED = 4000, MOST_CELLS = 40000;

/** Return all that an element was made of: cells by place; null where a node has a part and which cells is not known. */
function ancestry(run, place, cell) {
  const found = new Map([[place, new Set([cell])]]);
  let asked = 0, seen = 0;
  for (let at = place; at >= 0; at--) {
    const cells = found.get(at);
    if (cells === undefined) continue;
    for (const each of cells ?? [null]) {
      const read = each === null || ++asked > MOST_FOLLOWED || seen > MOST_CELLS ? null : readBy(run, at, each);
      nodes.inputs[at].forEach((input, i) => {
        if (read === null) return void found.set(input, null);
        if (!read[i].count || found.get(input) === null) return;
        if (!found.has(input)) found.set(input, new Set());
        seen += read[i].places.length;
        for (const one of read[i].places) found.get(input).add(one);
      });
      if (read === null) break;
    }
  }
  return found;
}

// --- the document -----------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

/** Make an element; what is text stays text. */
function make(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const shown = { run: 0, place: 0, cell: 0, row: null, hover: null };
const trail = [];
let operations = [], playing = null;

function last() {
  const { values: all, stopped } = runs[shown.run];
  let end = all.length - 1;
  while (end > 0 && all[end] < 0) end--;
  return Math.max(end, stopped);
}

/** Go to a node, and one of its elements: it has just run, and what comes later waits. */
function go(place, cell = null, remember = true) {
  place = Math.max(0, Math.min(place, last()));
  if (remember && (place !== shown.place || (cell !== null && cell !== shown.cell))) {
    trail.push([shown.place, shown.cell]);
    if (trail.length > 500) trail.shift();
  }
  const value = valueOf(shown.run, place);
  shown.place = place;
  shown.cell = cell === null || cell < 0 ? usualCell(place) : Math.min(cell, Math.max(0, (value?.size ?? 1) - 1));
  shown.hover = null;
  drawAll();
}

/** Return the element that is looked at where none is named: the first, or the first of the chosen row. */
function usualCell(place) {
  const value = valueOf(shown.run, place), batch = batchAxis(place);
  if (!value || shown.row === null || batch < 0 || shown.row >= value.shape[batch]) return 0;
  return ravel(value.shape.map((_, axis) => (axis === batch ? shown.row : 0)), value.shape);
}

const batchAxis = (place) => (data.dim === null ? -1 : nodes.shape[place].indexOf(data.dim));

function step(by) {
  const from = by > 0 ? operations.findIndex((place) => place > shown.place) : operations.findLastIndex((p) => p < shown.place);
  if (from >= 0 && operations[from] <= last()) go(operations[from], null, false);
  else if (by < 0) go(0, null, false);
  else stop();
}

function back() {
  const before = trail.pop();
  if (before) go(before[0], before[1], false);
}

function play() {
  if (playing !== null) return stop();
  if (shown.place >= last()) go(0, null, false);
  const pause = Math.max(60, Math.min(700, 60000 / operations.length));
  playing = setInterval(() => step(1), pause);
  $("play").textContent = "❚❚";
  $("play").setAttribute("aria-label", "Stop");
}

function stop() {
  clearInterval(playing);
  playing = null;
  $("play").textContent = "▶";
  $("play").setAttribute("aria-label", "Play");
}

/** Go to the gradient of what is shown, or from a gradient to what it is of. */
function toTwin() {
  const [there] = twinOf(shown.place);
  if (there < 0) return;
  const same = valueOf(shown.run, there)?.size === valueOf(shown.run, shown.place)?.size;
  go(there, same ? shown.cell : null);
}

let gradientOf = new Map(), madeFor = new Map();

/** Return the place of the twin, and how it is related. */
function twinOf(place) {
  if (nodes.gradient[place] >= 0) return [nodes.gradient[place], "gradient"];
  if (gradientOf.has(place)) return [gradientOf.get(place), "gradient of"];
  if (nodes.twin[place] >= 0) return [nodes.twin[place], "made for"];
  return madeFor.has(place) ? [madeFor.get(place), "serves its gradient"] : [-1, ""];
}

// --- heatmaps ---------------------------------------------------------------------------------------------------

const MAGNITUDES = "00224E 1A386F 434E6C 61656F 7D7C78 9B9476 BCAE6C DEC958 FEE838".split(" ").map(rgb);
const SIGNED = "08306B 2171B5 6BAED6 BDD7E7 F7F7F7 FDD0A2 FD8D3C D94801 7F2704".split(" ").map(rgb);
const STRANGE = [179, 38, 30];
const ROW_HEIGHT = 20, HEADER = 15, LETTER = 6.7;

function rgb(code) {
  return [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16));
}

function mixed(palette, fraction) {
  const at = fraction * (palette.length - 1), low = Math.min(Math.floor(at), palette.length - 2);
  return palette[low].map((channel, i) => Math.round(channel + (palette[low + 1][i] - channel) * (at - low)));
}

/** Return the function that gives a number its colour. */
function coloursOf([low, high]) {
  if (low === null) return () => STRANGE;
  const signed = low < 0 && high > 0, most = Math.max(-low, high);
  const [from, to] = signed ? [-most, most] : [low, high];
  const scale = Math.max(Math.abs(from), Math.abs(to)) || 1;
  const span = to / scale - from / scale;
  return (x) => {
    if (!Number.isFinite(x)) return STRANGE;
    const fraction = span ? Math.min(1, Math.max(0, (x / scale - from / scale) / span)) : 0.5;
    return mixed(signed ? SIGNED : MAGNITUDES, fraction);
  };
}

const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff");
const strangeSign = (x) => (Number.isNaN(x) ? "?" : x > 0 ? "+" : "−");

/** A value as cells in a box that scrolls; only what is seen of it is drawn. */
class Heatmap {
  constructor(place, value, { label, room, height, pick, hint }) {
    Object.assign(this, { place, value, pick, room, lit: new Set(), cursor: null });
    this.layOut(height);
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.spacer = make("div", { className: "spacer" }, this.canvas);
    const told = `${label}, ${shapeText(value.shape)}, ${rangeText(value)}. Arrow keys choose an element, enter goes there.`;
    this.box = make("div", { className: "heat", tabIndex: 0, role: "application", "aria-roledescription": "heatmap" }, this.spacer);
    this.box.setAttribute("aria-label", hint ? `${told} ${hint}` : told);
    this.box.style.width = `${Math.min(this.width, room) + (this.tall ? 14 : 2)}px`;
    this.box.style.height = `${Math.min(this.height, height) + (this.width > room ? 14 : 2)}px`;
    this.spacer.style.width = `${this.width}px`;
    this.spacer.style.height = `${this.height}px`;
    this.listen();
  }

  layOut(most) {
    const { value } = this, batch = batchAxis(this.place);
    const axes = value.axes.map((kept, axis) => {
      return axis === batch && shown.row !== null && value.shape[axis] > 1 ? kept.filter((i) => i === shown.row) : kept;
    });
    this.upright = axes.length === 1 && batch === 0;
    const across = axes.length && !this.upright ? axes[axes.length - 1] : [0];
    const down = axes.slice(0, this.upright ? 1 : -1);
    this.rows = down.reduce((rows, kept) => rows.flatMap((row) => kept.map((i) => [...row, i])), [[]]);
    this.columns = across;
    this.labels = this.rows.map((row) => row.join(","));
    this.gutter = this.rows[0]?.length ? 8 + LETTER * Math.max(...this.labels.map((text) => text.length)) : 0;
    this.header = axes.length && !this.upright ? HEADER : 0;
    const sample = this.rows.slice(0, 24).flatMap((_, r) => across.slice(0, 24).map((_, c) => value.text(this.cellAt(r, c))));
    const widest = 10 + LETTER * sample.reduce((n, text) => Math.max(n, text.length), 2);
    this.numbers = this.gutter + widest * across.length <= this.room;
    const fitting = Math.floor((this.room - this.gutter) / across.length);
    this.cellWidth = this.numbers ? Math.max(widest, 30) : Math.max(4, Math.min(18, fitting));
    const tight = Math.floor((most - this.header) / this.rows.length);
    this.cellHeight = this.numbers ? ROW_HEIGHT : Math.max(5, Math.min(16, tight));
    this.width = this.gutter + this.cellWidth * across.length;
    this.height = this.header + this.cellHeight * this.rows.length;
    this.tall = this.height > most;
  }

  /** Return the place of the element that a row and a column show. */
  cellAt(r, c) {
    const index = this.value.shape.length && !this.upright ? [...this.rows[r], this.columns[c]] : this.rows[r];
    return ravel(index, this.value.shape);
  }

  /** Return the row and the column that show an element. */
  find(cell) {
    const index = unravel(cell, this.value.shape);
    const c = this.upright || !index.length ? 0 : this.columns.indexOf(index[index.length - 1]);
    const key = (this.upright ? index : index.slice(0, -1)).join(",");
    return [this.labels.indexOf(key), c];
  }

  listen() {
    const { box } = this;
    box.addEventListener("scroll", () => this.draw());
    box.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.point(this.under(event)));
    box.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.point(null));
    box.addEventListener("click", (event) => {
      const cell = this.under(event), seen = shown.hover?.place === this.place && shown.hover?.cell === cell;
      if (cell === null) return;
      if (event.pointerType === "touch" && !seen) this.point(cell);
      else this.pick(cell);
    });
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focus", () => this.move(0, 0));
    box.addEventListener("blur", () => this.point(null));
  }

  under(event) {
    const seen = this.box.getBoundingClientRect();
    const x = event.clientX - seen.left - 1 + this.box.scrollLeft - this.gutter;
    const y = event.clientY - seen.top - 1 + this.box.scrollTop - this.header;
    const r = Math.floor(y / this.cellHeight), c = Math.floor(x / this.cellWidth);
    if (x < 0 || y < 0 || r >= this.rows.length || c >= this.columns.length) return null;
    return this.cellAt(r, c);
  }

  point(cell) {
    if (cell === this.cursor) return;
    this.cursor = cell;
    hover(cell === null ? null : { place: this.place, cell });
  }

  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (moves[event.key]) this.move(...moves[event.key]);
    else if (event.key === "Enter" && this.cursor !== null) this.pick(this.cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  move(down, across) {
    if (!this.rows.length || !this.columns.length) return;
    const from = this.cursor ?? [...this.lit][0] ?? (this.place === shown.place ? shown.cell : this.cellAt(0, 0));
    const [r, c] = this.find(from).map((at) => Math.max(0, at));
    const row = Math.max(0, Math.min(this.rows.length - 1, r + down));
    const column = Math.max(0, Math.min(this.columns.length - 1, c + across));
    this.reveal(row, column);
    this.point(this.cellAt(row, column));
  }

  reveal(r, c) {
    const { box } = this, top = r * this.cellHeight, left = c * this.cellWidth;
    const high = box.clientHeight - this.header, wide = box.clientWidth - this.gutter;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.cellHeight > box.scrollTop + high) box.scrollTop = top + this.cellHeight - high;
    if (left < box.scrollLeft) box.scrollLeft = left;
    else if (left + this.cellWidth > box.scrollLeft + wide) box.scrollLeft = left + this.cellWidth - wide;
  }

  /** Light up elements; the first of them is brought into sight. */
  light(cells, reveal = true) {
    this.lit = new Set(cells);
    const first = cells[0];
    if (reveal && first !== undefined && this.cursor === null) {
      const [r, c] = this.find(first);
      if (r >= 0 && c >= 0) this.reveal(r, c);
    }
    this.draw();
  }

  draw() {
    const { box, canvas, gutter, header } = this;
    const wide = box.clientWidth, high = box.clientHeight, scale = window.devicePixelRatio || 1;
    if (!wide || !high) return;
    canvas.width = Math.round(wide * scale);
    canvas.height = Math.round(high * scale);
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${high}px`;
    const pen = canvas.getContext("2d"), style = getComputedStyle(box);
    pen.scale(scale, scale);
    pen.fillStyle = style.backgroundColor;
    pen.fillRect(0, 0, wide, high);
    pen.font = "11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
    pen.textBaseline = "middle";
    const firstRow = Math.floor(box.scrollTop / this.cellHeight), firstColumn = Math.floor(box.scrollLeft / this.cellWidth);
    const lastRow = Math.min(this.rows.length, firstRow + Math.ceil(high / this.cellHeight) + 1);
    const lastColumn = Math.min(this.columns.length, firstColumn + Math.ceil(wide / this.cellWidth) + 1);
    const colour = coloursOf(this.value.range), marked = [], all = this.lit.size > 1 && this.lit.size === this.value.size;
    box.classList.toggle("all", all);
    pen.save();
    pen.beginPath();
    pen.rect(gutter, header, wide, high);
    pen.clip();
    for (let r = firstRow; r < lastRow; r++) {
      for (let c = firstColumn; c < lastColumn; c++) {
        const spot = [gutter + c * this.cellWidth - box.scrollLeft, header + r * this.cellHeight - box.scrollTop];
        const cell = this.cellAt(r, c);
        this.drawCell(pen, spot, cell, colour);
        if (this.lit.has(cell) && !all) marked.push([spot, false]);
        if (this.place === shown.place && cell === shown.cell) marked.push([spot, true]);
      }
    }
    for (const [spot, chosen] of marked) this.drawMark(pen, spot, chosen);
    pen.restore();
    this.drawLabels(pen, style.color, firstRow, lastRow, firstColumn, lastColumn);
  }

  drawCell(pen, [x, y], cell, colour) {
    const number = this.value.number(cell), back = colour(number);
    const gap = this.cellWidth > 7 && this.cellHeight > 7 ? 1 : 0;
    pen.fillStyle = `rgb(${back.join(",")})`;
    pen.fillRect(x, y, this.cellWidth - gap, this.cellHeight - gap);
    pen.fillStyle = inkOn(back);
    pen.textAlign = "center";
    const middle = [x + this.cellWidth / 2, y + this.cellHeight / 2 + 0.5];
    if (this.numbers) pen.fillText(this.value.text(cell), ...middle);
    else if (!Number.isFinite(number) && this.cellHeight > 8) pen.fillText(strangeSign(number), ...middle);
  }

  drawMark(pen, [x, y], chosen) {
    const [w, h] = [this.cellWidth - 1, this.cellHeight - 1];
    pen.lineWidth = 3.5;
    pen.strokeStyle = "#fff";
    pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
    pen.lineWidth = 2;
    pen.strokeStyle = chosen ? "#000" : "#D55E00";
    pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
  }

  drawLabels(pen, ink, firstRow, lastRow, firstColumn, lastColumn) {
    pen.fillStyle = ink;
    pen.font = "10px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
    pen.textAlign = "right";
    const every = Math.ceil(12 / this.cellHeight), apart = Math.ceil((8 + LETTER * String(this.columns[this.columns.length - 1]).length) / this.cellWidth);
    for (let r = firstRow; this.gutter && r < lastRow; r++) {
      const y = this.header + (r + 0.5) * this.cellHeight - this.box.scrollTop;
      if (r % every === 0 && y > this.header) pen.fillText(this.labels[r], this.gutter - 4, y);
    }
    pen.textAlign = "center";
    for (let c = firstColumn; this.header && c < lastColumn; c++) {
      const x = this.gutter + (c + 0.5) * this.cellWidth - this.box.scrollLeft;
      if (c % apart === 0 && x > this.gutter) pen.fillText(String(this.columns[c]), x, this.header / 2);
    }
  }
}

function rangeText(value) {
  const [low, high] = value.range;
  if (low === null) return value.size ? "no finite number" : "no element";
  const text = (x) => numeral(x, "float64");
  return low === high ? `all ${text(low)}` : `from ${text(low)} to ${text(high)}`;
}

let heatmaps = [];

/** Return a value as a figure, with what there is to say of it. */
function figure(run, place, { title, note, room, height, value = valueOf(run, place), pick }) {
  const caption = make("figcaption", null, make("b", null, title), note ? ` ${note}` : "");
  if (!value) return make("figure", null, caption, make("p", { className: "faint" }, "It has not run."));
  caption.append(make("span", { className: "faint" }, ` ${shapeText(value.shape)} ${nodes.dtype[place]}`));
  if (value.partial) caption.append(make("span", { className: "preview" }, ` preview: ${grouped(value.raw.length)} of ${grouped(value.size)}`));
  if (!value.size) return make("figure", null, caption, make("p", { className: "faint" }, "no element"));
  const heat = new Heatmap(place, value, { label: title, room, height, pick });
  if (!heat.rows.length) return make("figure", null, caption, make("p", { className: "faint" }, `Row ${shown.row} is not kept of it.`));
  heat.run = run;
  heat.derived = value instanceof Difference;
  heatmaps.push(heat);
  return make("figure", null, caption, heat.box);
}

// --- the operation ----------------------------------------------------------------------------------------------

const MOST_OPERANDS = 8;

function drawOperation() {
  const { place, run } = shown, op = nodes.op[place], value = valueOf(run, place);
  heatmaps = [];
  $("node").textContent = nodes.name[place];
  $("about").replaceChildren(...aboutNode(place, value));
  const host = $("values"), inputs = [...new Set(nodes.inputs[place])];
  const wide = Math.max(220, host.clientWidth - 8), height = Math.max(90, Math.min(300, host.clientHeight ? 260 : 220));
  const parts = [];
  for (const input of inputs.slice(0, MOST_OPERANDS)) {
    const positions = nodes.inputs[place].flatMap((other, i) => (other === input ? [i] : []));
    const note = nodes.inputs[place].length > 1 ? `operand ${positions.join(" and ")}` : "operand";
    parts.push(...figures(input, { title: nodes.name[input], note, room: wide, height: Math.min(height, 190), pick: (cell) => go(input, cell) }));
  }
  if (inputs.length > MOST_OPERANDS) parts.push(make("p", { className: "faint" }, `… ${inputs.length - MOST_OPERANDS} more operands`));
  if (inputs.length) parts.push(make("p", { className: "arrow" }, make("b", null, op), " →"));
  parts.push(...figures(place, { title: nodes.name[place], note: "result", room: wide, height, pick: choose }));
  host.replaceChildren(...parts);
  $("details").replaceChildren(...details(value).filter(Boolean));
}

/** Return the figures of a node in the runs that are seen together: one where they are alike. */
function figures(place, options) {
  if (data.kind !== "pair") return [figure(shown.run, place, options)];
  const [a, b] = [valueOf(0, place), valueOf(1, place)];
  if (a && b && a.told.data === b.told.data) return [figure(0, place, { ...options, note: `${options.note}, the same in both` })];
  const half = { ...options, room: Math.max(200, options.room / 2 - 24) };
  const both = [0, 1].map((run) => figure(run, place, { ...half, note: `${options.note}, ${runs[run].label}` }));
  if (place === shown.place && a && b && a.raw.length === b.raw.length) {
    both.push(figure(0, place, { ...half, note: "difference", value: new Difference(a, b) }));
  }
  return [make("div", { className: "both" }, ...both)];
}

function aboutNode(place, value) {
  const phase = ["forward", "backward", "update"][nodes.phase[place]];
  const settings = Object.entries((runs[shown.run].set[place] ?? {}).settings ?? nodes.settings[place]);
  const words = [nodes.kind[place] || nodes.op[place], ...settings.map(([key, text]) => `${key}=${text}`)];
  words.push(shapeText(nodes.shape[place]), phase);
  const time = runs[shown.run].times[place];
  if (time && value) words.push(time < 1e6 ? `${general(time / 1e3, 3)} µs` : `${general(time / 1e6, 3)} ms`);
  const found = data.findings.filter((finding) => finding.place === place);
  const said = found.map((finding) => make("strong", { className: "finding" }, ` ${finding.severity}: ${finding.says}`));
  const { stopped, error } = runs[shown.run];
  if (stopped === place && error && !found.length) said.push(make("strong", { className: "finding" }, ` ${error}`));
  return [words.join(" · "), ...said];
}

function details(value) {
  if (!value || !value.size) return [];
  const [low, high, mean, spreadOf] = value.told.stats, [zeros, nans, above, below] = value.told.counts;
  const rows = [["min", low], ["max", high], ["mean", mean], ["std", spreadOf], ["zeros", grouped(zeros)]];
  if (nans) rows.push(["NaN", grouped(nans)]);
  if (above) rows.push(["+inf", grouped(above)]);
  if (below) rows.push(["−inf", grouped(below)]);
  const stats = rows.map(([key, text]) => make("div", null, make("dt", null, key), make("dd", null, text)));
  return [make("dl", { className: "stats", "aria-label": "Statistics" }, ...stats), histogram(value)];
}

function histogram(value) {
  const bins = value.told.bins ?? binned(value), most = Math.max(...bins, 1);
  if (bins.length < 2) return null;
  const bars = bins.map((n) => {
    const bar = make("span", { title: grouped(n) });
    bar.style.height = `${n ? Math.max(4, (100 * n) / most) : 0}%`;
    return bar;
  });
  const label = `Histogram ${rangeText(value)}: ${bins.join(", ")}`;
  return make("div", { className: "histogram", role: "img", "aria-label": label }, ...bars);
}

function binned(value) {
  const [low, high] = value.range, bins = new Array(24).fill(0);
  if (low === null || low === high) return [];
  for (const each of value.raw) {
    const x = Number(each);
    if (Number.isFinite(x)) bins[Math.min(23, Math.floor(((x / 2 - low / 2) / (high / 2 - low / 2)) * 24))]++;
  }
  return bins;
}

function choose(cell) {
  shown.cell = cell;
  hover(null);
  drawGradient();
}

let waiting = null;

/** Look at an element for the while that it is pointed at; null: at the chosen one again. */
function hover(spot) {
  shown.hover = spot;
  if (waiting === null) waiting = requestAnimationFrame(() => ((waiting = null), drawEquation()));
}

/** Write the equation of the element that is looked at, and light up what it read. */
function drawEquation() {
  const { place, cell } = shown.hover ?? shown, which = data.kind === "pair" ? [0, 1] : [shown.run];
  const told = which.map((run) => explained(run, place, cell));
  const lines = told.flatMap((each, i) => equationLines(each, which[i], place));
  $("equation").replaceChildren(...lines);
  const reads = told.find((each) => each)?.reads ?? [];
  for (const heat of heatmaps) {
    const found = reads.find((read) => read.place === heat.place && heat.place !== place);
    heat.light(found ? found.places : [], !heat.derived);
  }
  lightWay(place, cell, reads);
}

function equationLines(told, run, place) {
  if (told === null) {
    const value = valueOf(run, place);
    return [make("p", { className: "faint" }, value === null ? "It has not run." : value.size ? "This element is not kept." : "It has no element.")];
  }
  const name = data.kind === "pair" ? make("span", { className: "run" }, `${runs[run].label}: `) : null;
  const lines = [make("p", { className: "equation" }, name, told.equation)];
  if (told.missing) lines.push(make("p", { className: "faint" }, "An operand is kept in part, and the numbers of this equation are not among those."));
  const texts = new Set();
  const reads = told.reads.filter((read) => !texts.has(read.text) && texts.add(read.text)).map((read) => {
    const there = () => go(read.place, read.places[0]);
    return make("li", null, make("button", { type: "button", className: "link", onclick: there }, read.text));
  });
  if (reads.length) lines.push(make("ul", { className: "reads", "aria-label": "What it read" }, ...reads));
  return lines;
}

// --- source, gradient, findings ---------------------------------------------------------------------------------

function drawSource() {
  const file = data.files[nodes.file[shown.place]], line = nodes.line[shown.place];
  const heading = make("p", { className: "faint" }, nodes.where[shown.place] || "It was made by no line of the user's.");
  if (!file) return $("source").replaceChildren(heading);
  const [, lines] = file, numbers = Object.keys(lines).map(Number).filter((n) => Math.abs(n - line) <= 4);
  const code = numbers.map((n) => {
    const mark = n === line ? { className: "line here", "aria-current": "true" } : { className: "line" };
    return make("span", mark, make("span", { className: "number" }, `${n === line ? "▸" : " "}${String(n).padStart(4)} `), `${lines[n]}\n`);
  });
  $("source").replaceChildren(heading, make("pre", { tabIndex: 0, role: "region", "aria-label": "The lines of the source" }, make("code", null, ...code)));
}

function drawGradient() {
  const [there, relation] = twinOf(shown.place), host = $("gradient");
  heatmaps = heatmaps.filter((heat) => !heat.besides);
  if (there < 0) return host.replaceChildren(make("p", { className: "faint" }, "There is none of it in this run."));
  const loss = data.outputs[0]?.[0] ?? "";
  const words = {
    gradient: `∂/∂ ${nodes.name[shown.place]}`, "gradient of": "It is the gradient of:", "made for": "It was made for:",
    "serves its gradient": "For its gradient there is:",
  };
  const button = make("button", { type: "button", className: "link", id: "twin", onclick: toTwin }, `${nodes.name[there]} (t)`);
  const seen = figure(shown.run, there, { title: "", room: Math.max(160, host.clientWidth - 20), height: 150, pick: (cell) => go(there, cell) });
  const heat = heatmaps[heatmaps.length - 1];
  host.replaceChildren(make("p", null, words[relation], " ", button), seen);
  if (heat && heat.place === there && seen.contains(heat.box)) {
    heat.besides = true;
    const same = valueOf(shown.run, there)?.size === valueOf(shown.run, shown.place)?.size;
    heat.light(same ? [shown.cell] : []);
    heat.light = () => heat.draw();
  }
}

function drawFindings() {
  $("findings-part").hidden = !data.findings.length;
  $("findings").replaceChildren(...data.findings.map((finding) => {
    const here = finding.place === shown.place ? { "aria-current": "true" } : {};
    const there = () => go(finding.place, finding.cell);
    const text = `${finding.severity}, ${finding.code}: ${nodes.name[finding.place]}`;
    return make("li", null, make("button", { type: "button", className: "link", title: finding.says, onclick: there, ...here }, text));
  }));
}

function nextFinding() {
  const places = data.findings.map((finding) => finding.place);
  if (!places.length) return;
  const at = data.findings.find((finding) => finding.place > shown.place) ?? data.findings.reduce((a, b) => (b.place < a.place ? b : a));
  go(at.place, at.cell);
}

const CLASSES = ["#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#999999", "#0072B2", "#D55E00", "#8DD3C7", "#BEBADA", "#FB8072", "#FFFFB3"];

/** Draw which class the network sees where, at this step. */
function drawBoundary() {
  const seen = data.boundary;
  $("boundary-part").hidden = !seen;
  if (!seen) return;
  const side = 200, n = seen.grid, each = side / n, scale = window.devicePixelRatio || 1;
  const canvas = make("canvas", { role: "img", width: side * scale, height: side * scale });
  canvas.setAttribute("aria-label", `Which class ${seen.scores} gives to each point of ${seen.x}, at ${runs[shown.run].label}`);
  canvas.style.width = canvas.style.height = `${side}px`;
  const pen = canvas.getContext("2d"), [left, right, bottom, top] = seen.ends;
  pen.scale(scale, scale);
  pen.font = "8px sans-serif";
  pen.textAlign = "center";
  for (const [i, digit] of [...seen.classes[shown.run]].entries()) {
    const kind = digit.charCodeAt(0) - 48, x = (i % n) * each, y = side - (Math.floor(i / n) + 1) * each;
    pen.fillStyle = CLASSES[kind];
    pen.fillRect(x, y, each + 0.5, each + 0.5);
    if (i % 4 === 1 && Math.floor(i / n) % 4 === 1) {
      pen.fillStyle = "#000";
      pen.fillText(String(kind), x + each / 2, y + each - 1);
    }
  }
  pen.fillStyle = "#222";
  for (const [a, b] of seen.points) pen.fillRect(((a - left) / (right - left)) * side - 1, side - ((b - bottom) / (top - bottom)) * side - 1, 2, 2);
  $("boundary").replaceChildren(canvas, make("p", { className: "faint" }, `${seen.scores}: the digits say which class is the likeliest.`));
}

// --- the diagram ------------------------------------------------------------------------------------------------

const picture = { view: -1, svg: null, boxes: [], boxOf: new Map(), edges: new Map(), states: [], room: [1, 1], ring: null, lit: [] };

function showView(number) {
  const view = data.views[number], host = $("diagram");
  picture.view = view ? number : -1;
  $("fold").hidden = data.views.length < 2;
  if (!view) return host.replaceChildren(make("p", { className: "faint" }, `${grouped(nodes.name.length)} boxes are too many to be drawn here: step, search, or follow the numbers.`));
  $("fold").textContent = number === 0 ? "Unfold" : "Fold";
  const svg = document.importNode(new DOMParser().parseFromString(view.svg, "image/svg+xml").documentElement, true);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  Object.assign(picture, { svg, width, height, boxOf: new Map(), edges: new Map(), states: [], lit: [] });
  const byName = new Map();
  for (const group of svg.querySelectorAll("g[data-name]")) {
    const name = group.dataset.name, arrow = name.indexOf("->");
    if (arrow < 0) byName.set(name, group);
    else putInto(picture.edges, name.slice(arrow + 2), group);
  }
  picture.boxes = view.boxes.map((places, i) => ({ places, name: `n${i}`, group: byName.get(`n${i}`) }));
  picture.boxes.forEach((box, i) => {
    box.group.classList.add("box");
    box.places.forEach((place) => picture.boxOf.set(place, i));
  });
  host.replaceChildren(svg);
  const inside = picture.boxes[0]?.group.parentNode;
  picture.moved = /translate\(([-\d.]+)[ ,]([-\d.]+)\)/.exec(inside?.getAttribute("transform") ?? "")?.slice(1).map(Number) ?? [0, 0];
  picture.ring = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  picture.ring.setAttribute("class", "ring hidden");
  picture.ring.setAttribute("rx", 8);
  inside?.append(picture.ring);
  darken(svg);
  startView();
}

function putInto(map, key, item) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(item);
}

const darkened = new Set();

/** Give each colour of the diagram its counterpart on a dark ground. */
function darken(svg) {
  const sheet = document.styleSheets[0];
  for (const element of svg.querySelectorAll("[fill], [stroke]")) {
    for (const what of ["fill", "stroke"]) {
      const colour = element.getAttribute(what), key = `${what} ${colour}`;
      if (!/^#[0-9a-fA-F]{6}$/.test(colour ?? "") || darkened.has(key)) continue;
      darkened.add(key);
      sheet.insertRule(`[data-theme="dark"] #diagram [${what}="${colour}"] { ${what}: ${onDark(colour)}; }`, sheet.cssRules.length);
    }
  }
}

function onDark(colour) {
  const [r, g, b] = rgb(colour.slice(1)).map((channel) => channel / 255);
  const high = Math.max(r, g, b), low = Math.min(r, g, b), light = (high + low) / 2, chroma = high - low;
  const saturation = chroma ? chroma / (1 - Math.abs(2 * light - 1)) : 0;
  const hue = !chroma ? 0 : high === r ? ((g - b) / chroma + 6) % 6 : high === g ? (b - r) / chroma + 2 : (r - g) / chroma + 4;
  return `hsl(${Math.round(hue * 60)} ${Math.round(saturation * 55)}% ${Math.round(12 + (1 - light) * 76)}%)`;
}

/** Begin with as much of the diagram as can be read. */
function startView() {
  measure();
  const scale = Math.max(0.75, Math.min(1.5, picture.room[0] / picture.width, picture.room[1] / picture.height));
  look((picture.width - picture.room[0] / scale) / 2, 0, scale);
}

function fitView() {
  if (!picture.svg) return;
  measure();
  const scale = Math.min(picture.room[0] / picture.width, picture.room[1] / picture.height);
  look((picture.width - picture.room[0] / scale) / 2, (picture.height - picture.room[1] / scale) / 2, scale);
}

const measure = () => (picture.room = [$("diagram").clientWidth || 1, $("diagram").clientHeight || 1]);

/** Show the diagram from a point on, so many times as large. It is moved as a whole: laying it out anew is slow. */
function look(x, y, scale) {
  Object.assign(picture, { x, y, scale });
  picture.svg.style.transform = `scale(${scale}) translate(${-x}px, ${-y}px)`;
}

/** Zoom about a point of the window; the middle, unless it is given. */
function zoom(factor, event) {
  if (!picture.svg) return;
  measure();
  const seen = $("diagram").getBoundingClientRect(), { x, y, scale, room } = picture;
  const [left, top] = event ? [event.clientX - seen.left, event.clientY - seen.top] : room.map((size) => size / 2);
  const changed = Math.max(0.02, Math.min(12, scale * factor));
  look(x + left / scale - left / changed, y + top / scale - top / changed, changed);
}

function listenToDiagram() {
  const host = $("diagram");
  let from = null, moved = false;
  host.addEventListener("wheel", (event) => (event.preventDefault(), zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event)), { passive: false });
  host.addEventListener("pointerdown", (event) => ((from = [event.clientX, event.clientY, picture.x, picture.y]), (moved = false)));
  host.addEventListener("pointermove", (event) => {
    if (!from || !picture.svg || !(event.buttons & 1)) return;
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    look(from[2] - dx / picture.scale, from[3] - dy / picture.scale, picture.scale);
  });
  host.addEventListener("click", (event) => {
    const group = moved ? null : event.target.closest?.("g.box");
    const box = group && picture.boxes.find((each) => each.group === group);
    if (box) go(Math.min(box.places[box.places.length - 1], last()));
  });
  host.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!picture.svg || !event.shiftKey || !by) return void (event.key === "+" ? zoom(1.25) : event.key === "-" && zoom(0.8));
    look(picture.x + (60 * by[0]) / picture.scale, picture.y + (60 * by[1]) / picture.scale, picture.scale);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Say of each box whether it has run. */
function drawStates() {
  if (picture.view < 0) return;
  const now = picture.boxes[picture.boxOf.get(shown.place)];
  if (now) extentOf(now);
  const recomputed = data.pair?.recomputed ? new Set(data.pair.recomputed) : null;
  const { stopped } = runs[shown.run];
  picture.boxes.forEach((box, i) => {
    const here = box.places.includes(shown.place), ran = box.places.filter((place) => nodes.kind[place] || place <= shown.place).length;
    let state = ran === box.places.length ? "done" : ran && box.places.some((place) => !nodes.kind[place] && place <= shown.place) ? "part" : "wait";
    if (here && box.places.length === 1) state = "done";
    if (stopped >= 0 && box.places.includes(stopped)) state = "broke";
    if (recomputed && !box.places.some((place) => recomputed.has(place))) state += " same";
    if (here) state += " now";
    if (picture.states[i] === state) return;
    picture.states[i] = state;
    box.group.setAttribute("class", `box ${state}`);
  });
  ringCurrent();
}

function ringCurrent() {
  const box = picture.boxes[picture.boxOf.get(shown.place)];
  picture.ring.classList.toggle("hidden", !box);
  if (!box) return;
  const pad = 4, [x, y, w, h] = extentOf(box);
  const about = { x: x - pad, y: y - pad, width: w + 2 * pad, height: h + 2 * pad };
  for (const [key, value] of Object.entries(about)) picture.ring.setAttribute(key, value);
  reveal(x + w / 2 + picture.moved[0], y + h / 2 + picture.moved[1]);
}

/** Return where a box is; asked of the browser once, for it is slow to answer where much has changed. */
function extentOf(box) {
  if (!box.extent) {
    const { x, y, width, height } = box.group.getBBox();
    box.extent = [x, y, width, height];
  }
  return box.extent;
}

/** Move the diagram where the current box would be out of sight. */
function reveal(cx, cy) {
  const [w, h] = picture.room.map((size) => size / picture.scale), { x, y } = picture;
  const across = cx > x + w * 0.08 && cx < x + w * 0.92, down = cy > y + h * 0.08 && cy < y + h * 0.92;
  if (!across || !down) look(across ? x : cx - w / 2, down ? y : cy - h / 2, picture.scale);
}

/** Light up the way by which an element was made. */
function lightWay(place, cell, reads) {
  for (const element of picture.lit) element.classList.remove("lit", "way");
  picture.lit = [];
  if (picture.view < 0) return;
  const mark = (element, kind) => (element.classList.add(kind), picture.lit.push(element));
  const direct = new Set(reads.map((read) => read.place)), found = ancestry(shown.run, place, cell), done = new Set();
  for (const at of found.keys()) {
    const number = picture.boxOf.get(at), box = picture.boxes[number];
    if (!box) continue;
    if (at !== place) mark(box.group, direct.has(at) ? "lit" : "way");
    const names = nodes.inputs[at].filter((input) => found.has(input)).map((input) => nodes.name[input]);
    for (const edge of picture.edges.get(box.name) ?? []) {
      // Its tooltip begins with the name of what goes along it.
      const text = edge.firstChild?.textContent ?? "";
      if (done.has(edge) || !names.some((name) => text.startsWith(`${name} `))) continue;
      done.add(edge);
      mark(edge, at === place ? "lit" : "way");
    }
  }
}

function search(text) {
  const wanted = text.trim().toLowerCase(), host = $("matches"), found = [];
  for (let place = 0; wanted && place < nodes.name.length && found.length < 12; place++) {
    if (nodes.name[place].toLowerCase().includes(wanted) || nodes.op[place].toLowerCase() === wanted) found.push(place);
  }
  host.hidden = !wanted;
  host.replaceChildren(...found.map((place) => {
    const there = () => ((host.hidden = true), go(place));
    return make("li", null, make("button", { type: "button", className: "link", onclick: there }, nodes.name[place]));
  }));
  if (wanted && !found.length) host.append(make("li", { className: "faint" }, "No node is called that."));
  return found;
}

// --- the timeline -----------------------------------------------------------------------------------------------

const LANE = 13;
const PHASE_COLOURS = { light: ["#3C4043", "#8E3B6E", "#00664B"], dark: ["#C4C9D1", "#E3A6CB", "#7FD1B4"] };

function drawTimeline() {
  const canvas = $("ticks"), wide = canvas.parentNode.clientWidth, high = 3 * LANE + 12, scale = window.devicePixelRatio || 1;
  canvas.width = wide * scale;
  canvas.height = high * scale;
  canvas.style.height = `${high}px`;
  const pen = canvas.getContext("2d"), n = nodes.name.length, dark = document.documentElement.dataset.theme === "dark";
  const colours = PHASE_COLOURS[dark ? "dark" : "light"], at = (place) => 8 + ((wide - 16) * place) / Math.max(1, n - 1);
  const thick = Math.max(1, Math.min(4, (wide - 16) / n - 1));
  pen.scale(scale, scale);
  for (let place = 0; place < n; place++) {
    const lane = 10 + nodes.phase[place] * LANE, done = place <= shown.place || nodes.kind[place];
    pen.fillStyle = colours[nodes.phase[place]];
    pen.globalAlpha = done ? 1 : 0.35;
    pen.fillRect(at(place) - thick / 2, done ? lane : lane + 7, thick, done ? LANE - 3 : 3);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = dark ? "#FF8A80" : "#B3261E";
  for (const { place } of data.findings) mark(pen, at(place), high, thick, "!");
  if (data.pair?.first >= 0) {
    pen.fillStyle = dark ? "#FFB26B" : "#B34700";
    mark(pen, at(data.pair.first), high, thick, "◆");
  }
  pen.fillStyle = dark ? "#FFB26B" : "#D55E00";
  pen.fillRect(at(shown.place) - 1, 0, 2, high);
  $("position").value = shown.place;
  $("position").setAttribute("aria-valuetext", `${nodes.name[shown.place]}, ${shown.place + 1} of ${n}`);
  $("place").textContent = `${grouped(shown.place + 1)} of ${grouped(n)}`;
}

function mark(pen, x, high, thick, sign) {
  pen.fillRect(x - Math.max(1, thick / 2), 10, Math.max(2, thick), high - 10);
  pen.font = "bold 10px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "top";
  pen.fillText(sign, x, 0);
}

/** Draw the loss over the steps, with the one that is seen. */
function drawCurve() {
  const film = data.kind === "film" && runs.length > 1;
  $("film").hidden = !film;
  if (!film) return;
  $("step").value = shown.run;
  const [name, place] = data.outputs.find(([, at]) => valueOf(0, at)?.size === 1) ?? ["", -1];
  const losses = place < 0 ? [] : runs.map((_, run) => valueOf(run, place)?.number(0) ?? NaN);
  const said = place < 0 ? "" : `, ${name} = ${numeral(losses[shown.run], nodes.dtype[place])}`;
  $("step-name").textContent = `step ${shown.run + 1} of ${runs.length}: ${runs[shown.run].label}${said}`;
  $("step").setAttribute("aria-valuetext", $("step-name").textContent);
  const canvas = $("curve"), finite = losses.filter(Number.isFinite), low = Math.min(...finite), high = Math.max(...finite);
  canvas.width = 320;
  canvas.height = 64;
  canvas.hidden = finite.length < 2;
  canvas.setAttribute("aria-label", `${name} over the steps, from ${general(losses[0], 4)} to ${general(losses[losses.length - 1], 4)}`);
  const pen = canvas.getContext("2d"), spot = (x, i) => [6 + (308 * i) / (losses.length - 1), 58 - (52 * (x - low)) / (high - low || 1)];
  pen.strokeStyle = pen.fillStyle = getComputedStyle(document.body).color;
  pen.lineWidth = 2;
  pen.beginPath();
  losses.forEach((x, i) => Number.isFinite(x) && pen.lineTo(...spot(x, i)));
  pen.stroke();
  if (Number.isFinite(losses[shown.run])) pen.fillRect(spot(losses[shown.run], shown.run)[0] - 4, spot(losses[shown.run], shown.run)[1] - 4, 8, 8);
}

function toRun(run) {
  const changed = Math.max(0, Math.min(runs.length - 1, run));
  if (data.kind !== "film" || changed === shown.run) return;
  shown.run = changed;
  drawAll();
}

// --- everything together ----------------------------------------------------------------------------------------

function drawAll() {
  drawTimeline();
  drawCurve();
  drawStates();
  drawOperation();
  drawSource();
  drawGradient();
  drawBoundary();
  drawFindings();
  for (const heat of heatmaps) heat.draw();
  const chosen = heatmaps.find((heat) => heat.place === shown.place && !heat.besides);
  if (chosen) chosen.reveal(...chosen.find(shown.cell).map((at) => Math.max(0, at)));
  drawEquation();
}

function chooseRow(row) {
  shown.row = row;
  $("row").value = row ?? "";
  if (row !== null) shown.cell = inRow(shown.cell, row);
  drawAll();
}

/** Return the element beside another that lies in a row. */
function inRow(cell, row) {
  const value = valueOf(shown.run, shown.place), batch = batchAxis(shown.place);
  if (!value || batch < 0 || row >= value.shape[batch]) return cell;
  return ravel(unravel(cell, value.shape).map((i, axis) => (axis === batch ? row : i)), value.shape);
}

function toggleRow() {
  const value = valueOf(shown.run, shown.place), batch = batchAxis(shown.place);
  if (shown.row !== null) chooseRow(null);
  else if (value && batch >= 0) chooseRow(unravel(shown.cell, value.shape)[batch]);
}

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": play, Home: () => go(0, null, false), End: () => go(last(), null, false),
  "[": () => toRun(shown.run - 1), "]": () => toRun(shown.run + 1), t: toTwin, n: nextFinding, r: toggleRow, Backspace: back,
  f: () => fold(), "/": () => $("search").focus(), "?": () => $("keys").click(), Escape: () => ($("matches").hidden = true),
};

function fold() {
  if (data.views.length < 2) return;
  showView(picture.view === 0 ? 1 : 0);
  drawStates();
  drawEquation();
}

function onKey(event) {
  const { target } = event, typing = target instanceof HTMLInputElement && target.type !== "range";
  if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
  if (event.key === " " && target instanceof HTMLButtonElement) return;
  if (target.type === "range" && target.id === "step" && event.key.startsWith("Arrow")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  const actions = {
    first: () => go(0, null, false), back: () => step(-1), play, on: () => step(1), last: () => go(last(), null, false),
    fold, in: () => zoom(1.25), out: () => zoom(0.8), fit: fitView,
    theme: () => (useTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"), drawAll()),
    keys: () => $("keys").setAttribute("aria-expanded", String(!($("help").hidden = !$("help").hidden))),
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  document.addEventListener("keydown", onKey);
  $("position").addEventListener("input", (event) => go(Number(event.target.value), null, false));
  $("step").addEventListener("input", (event) => toRun(Number(event.target.value)));
  $("search").addEventListener("input", (event) => search(event.target.value));
  $("search").addEventListener("keydown", (event) => {
    const [first] = event.key === "Enter" ? search(event.target.value) : [];
    if (first !== undefined) ($("matches").hidden = true), go(first);
  });
  $("row").addEventListener("change", (event) => chooseRow(event.target.value === "" ? null : Math.max(0, Number(event.target.value))));
  $("ticks").addEventListener("click", (event) => {
    const seen = event.target.getBoundingClientRect();
    go(Math.round(((event.clientX - seen.left - 8) / (seen.width - 16)) * (nodes.name.length - 1)), null, false);
  });
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  useTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => (useTheme(dark.matches ? "dark" : "light"), drawAll()));
  let resizing = null;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => (measure(), drawAll()), 100);
  });
  listenToDiagram();
}

function prepare() {
  ({ nodes, runs, values } = data);
  operations = upTo(nodes.name.length).filter((place) => !nodes.kind[place]);
  gradientOf = new Map(nodes.gradient.map((there, place) => [there, place]).filter(([there]) => there >= 0).reverse());
  nodes.twin.forEach((there, place) => there >= 0 && nodes.phase[place] === 1 && !madeFor.has(there) && madeFor.set(there, place));
  document.title = `${data.graph} — replay`;
  $("title").textContent = data.graph;
  $("opening").textContent = data.opening.says;
  $("position").max = Math.max(0, nodes.name.length - 1);
  $("step").max = Math.max(0, runs.length - 1);
  $("row-choice").hidden = data.dim === null;
  $("same-key").hidden = !data.pair?.recomputed;
  const row = $("row-choice").firstChild;
  if (data.dim !== null) row.textContent = `${data.dim} `;
}

async function start() {
  try {
    [data, arrays] = await unpacked($("data").textContent);
  } catch (error) {
    $("failed").hidden = false;
    $("failed").textContent = `The data of this page cannot be read here (${error}). It needs a browser of 2023 or later.`;
    return;
  }
  $("data").remove();
  prepare();
  listen();
  const whole = data.views.findIndex((view) => view.label === "operations" && view.boxes.length <= 400);
  showView(Math.max(0, whole));
  go(data.opening.place, data.opening.cell, false);
  document.documentElement.dataset.ready = "true";
}

start();
