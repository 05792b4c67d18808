// --- the page computes ------------------------------------------------------------------------------------------

/* A run that is live has the numbers of the engine in place of those that were recorded. What the reader changes is
   kept in order, so that each change can be taken back; "back to the recording" forgets all of them. */

const live = {
  on: false,
  run: 0,
  engine: null,
  sizes: {},
  given: new Map(),
  numberOf: new Map(),
  cache: new Map(),
  edits: [],
  past: [],
  curve: [],
  lastCurve: [],
  steps: 0,
  settings: new Map(),
  pool: new Map(),
  rows: "",
  count: 0,
  batch: 0,
  order: [],
  fed: [],
  at: 0,
  seed: 1,
  fresh: false,
  version: 0,
  whole: null,
  recomputed: null,
  before: null,
  beforeReset: null,
  changed: new Set(),
  grid: null,
  inside: new Map(),
  ticks: new Set(),
};
const MOST_PAST = 200,
  MOST_PAST_BYTES = 5e7,
  MOST_ROWS = 100000,
  MOST_AT_ONCE = 512; // rows of a file that are fed at once, unless one asks for more

const canCompute = () => Boolean(data.live?.nodes);

/** The size of a dimension, as Python writes it: a number, a name, or sums, products, whole quotients and max(…, 0) of them. */
function sizeOf(dim, sizes) {
  if (typeof dim === "number") return dim;
  if (Object.hasOwn(sizes, dim)) return sizes[dim];
  const parts = dim.match(/\/\/|[-+*(),]|[0-9]+|[^-+*\/(),\s]+/g) ?? [];
  let at = 0;
  const atom = () => {
    const part = parts[at++];
    if (part === "max" && parts[at] === "(") {
      at++;
      const inner = sum();
      at += 3; // ", 0)"
      return Math.max(inner, 0);
    }
    if (part === "(") {
      const inner = sum();
      at++;
      return inner;
    }
    if (part === "-") return -atom();
    if (/^[0-9]+$/.test(part)) return Number(part);
    if (!Object.hasOwn(sizes, part)) throw new Error(`the dimension ${part} has no size`);
    return sizes[part];
  };
  const term = () => {
    let found = atom();
    while (parts[at] === "*" || parts[at] === "//") {
      const whole = parts[at++] === "//",
        by = atom();
      found = whole ? (by ? Math.floor(found / by) : 0) : found * by;
    }
    return found;
  };
  const sum = () => {
    let found = term();
    while (parts[at] === "+" || parts[at] === "-") found += parts[at++] === "-" ? -term() : term();
    return found;
  };
  return sum();
}

const bound = (value, sizes) =>
  Array.isArray(value)
    ? value.map((part) => bound(part, sizes))
    : typeof value === "string" && value !== "..."
      ? sizeOf(value, sizes)
      : value;

/** Return the graph with numbers for its dimensions; of it, only what `wanted` are computed from, all unless given. */
function boundGraph(sizes, given, wanted = null) {
  const { nodes: told, updates } = data.live,
    kept = wanted && ancestors(told.inputs, wanted);
  const numbers = upTo(told.op.length).filter((i) => !kept || kept.has(i)),
    at = new Map(numbers.map((i, k) => [i, k]));
  const pick = (column) => numbers.map((i) => column[i]),
    settings = told.attributes.map((own, i) => ({ ...own, ...live.settings.get(i) }));
  const columns = { ...told, attributes: settings, inputs: told.inputs.map((all) => all.map((i) => at.get(i))) };
  return {
    at,
    nodes: boundNodes(Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, pick(column)])), sizes),
    given: new Map(numbers.filter((i) => given.has(i)).map((i) => [at.get(i), given.get(i)])),
    updates: wanted ? [] : updates,
    fetches: wanted ? wanted.map((i) => at.get(i)) : data.live.fetches,
  };
}

/** Return nodes with numbers for their dimensions, also those in the bodies of loops, which have names of their own. */
function boundNodes(told, sizes) {
  const attributes = told.attributes.map((own, i) => ({
    ...own,
    ...Object.fromEntries(told.sized[i].map((name) => [name, bound(own[name], sizes)])),
  }));
  return {
    ...told,
    attributes,
    shape: told.shape.map((shape) => bound(shape, sizes)),
    bodies: told.bodies.map((inside) => boundBodies(inside, sizes)),
  };
}

function boundBodies(inside, sizes) {
  if (!inside) return [];
  const inner = Object.fromEntries(inside.names.map((name, k) => [name, bound(inside.dims[k], sizes)]));
  return inside.graphs.map(({ nodes: told, given, inputs }) => ({
    nodes: boundNodes(told, inner),
    given: new Map(given.map(([i, number]) => [i, arrays[number]])),
    inputs,
  }));
}

function ancestors(inputs, wanted) {
  const found = new Set(wanted);
  for (let i = inputs.length - 1; i >= 0; i--) if (found.has(i)) for (const input of inputs[i]) found.add(input);
  return found;
}

/** Note what was recorded: the state and the feed that the page begins with. */
function prepareLive() {
  $("live-why").hidden = canCompute() || !data.live?.why;
  $("live-why").textContent = data.live?.why ? `This page does not compute: ${data.live.why}.` : "";
  for (const id of ["edit", "live"]) $(id).hidden = !canCompute();
  if (!canCompute()) return;
  data.live.places.forEach((place, i) => place >= 0 && live.numberOf.set(place, i));
  asRecorded();
  for (const part of document.querySelectorAll(".of-live")) part.hidden = false;
  listenToLive();
}

/** Forget all that was changed: the state and the feed are those of the recorded step. */
function asRecorded() {
  const { given, sizes, play } = data.live;
  stopTraining();
  Object.assign(live, {
    on: false,
    engine: null,
    grid: null,
    whole: null,
    sizes: { ...sizes },
    edits: [],
    past: [],
    curve: [],
    steps: 0,
    at: 0,
    seed: 1,
    fresh: false,
    recomputed: null,
    before: null,
    changed: new Set(),
  });
  if (data.sight?.recorded) data.sight.ends = data.sight.recorded;
  live.settings.clear();
  live.cache.clear();
  live.given = new Map(given.map(([i, number]) => [i, arrays[number]]));
  live.rows = data.dim ?? "";
  live.pool = new Map();
  for (const i of fed()) live.pool.set(i, live.given.get(i));
  for (const [i, number] of play?.data ?? []) live.pool.set(i, arrays[number]);
  live.count = play?.count ?? sizes[live.rows] ?? 0;
  live.batch = Math.min(live.count, sizes[live.rows] ?? 0);
  live.order = upTo(live.count);
  live.fed = upTo(live.batch);
}

/** Return the placeholders that are fed rows. */
const fed = () =>
  live.rows ? data.live.nodes.op.flatMap((op, i) => (op === "placeholder" && data.live.nodes.shape[i][0] === live.rows ? [i] : [])) : [];
const rowSize = (i) => product(bound(data.live.nodes.shape[i].slice(1), live.sizes));

/** Make the engine if there is none, and turn the page to its numbers. */
function computing() {
  live.on = true;
  live.run = shown.run;
  return computed();
}

/** Return the engine, with all computed; what is seen stays as it is. */
function computed() {
  if (!live.engine) {
    live.engine = makeEngine(boundGraph(live.sizes, live.given));
    live.fresh = false;
  }
  compute();
  return live.engine;
}

function compute() {
  if (live.fresh) return;
  live.engine.run();
  live.fresh = true;
  live.version++;
  live.cache.clear();
  live.inside.clear();
}

function touched() {
  live.fresh = false;
}

/** A value that the engine has computed. */
class LiveValue extends Value {
  constructor({ shape, dtype, data: raw }) {
    super({ shape: [...shape], axes: null, ...factsOf(raw, dtype) }, raw, dtype);
  }
}

/** Return what is known of some numbers: statistics, counts and the largest. */
function factsOf(raw, dtype) {
  let low = Infinity,
    high = -Infinity,
    sum = 0,
    finite = 0,
    zeros = 0,
    nans = 0,
    above = 0,
    below = 0,
    peak = -1,
    most = -1;
  for (let i = 0; i < raw.length; i++) {
    const x = Number(raw[i]);
    if (x === 0) zeros++;
    if (Number.isNaN(x)) nans++;
    else if (x === Infinity) above++;
    else if (x === -Infinity) below++;
    else {
      if (x < low) low = x;
      if (x > high) high = x;
      if (Math.abs(x) > most) [most, peak] = [Math.abs(x), i];
      sum += x;
      finite++;
    }
  }
  const mean = sum / finite;
  let squares = 0;
  for (let i = 0; i < raw.length; i++) if (Number.isFinite(Number(raw[i]))) squares += (Number(raw[i]) - mean) ** 2;
  const stats = finite
    ? [low, high, mean, Math.sqrt(squares / finite)].map((x) => (Number.isFinite(x) ? x : null))
    : [null, null, null, null];
  return { stats, counts: [zeros, nans, above, below], peak: raw.length > 1 ? peak : -1 };
}

const isLive = (run) => live.on && run === live.run;

function liveValue(place) {
  const number = live.numberOf.get(place),
    k = loopOf.get(place);
  if (k !== undefined) return liveInside(k, data.loops[k].row).values.get(place) ?? null;
  if (number === undefined || isBundle(number)) return null;
  if (!live.cache.has(place)) live.cache.set(place, new LiveValue(live.engine.value(number)));
  return live.cache.get(place);
}

/** A value that is several arrays in one, whose numbers say nothing. */
const isBundle = (number) => data.live.nodes.bodies[number] !== null || data.live.nodes.op[number] === "loop_bundle";

/** Return the rows of a loop in the order of its iterations, and what was computed in one of them. */
function liveInside(k, row) {
  const known = live.inside.get(k),
    { numbers } = data.live.loops[k];
  if (known && (known.row === row || !known.rows.includes(row))) return known;
  const found = { row, rows: [], values: new Map() };
  eachIteration(k, (at, engine) => {
    found.rows.push(at);
    if (at !== row) return;
    data.loops[k].places.forEach((place, i) => {
      if (numbers[i] < 0) return;
      const value = engine.value(numbers[i]);
      found.values.set(place, new LiveValue({ ...value, data: value.data.slice() }));
    });
  });
  live.inside.set(k, found);
  return found;
}

/** Compute a loop again, or a branch, and call `f` with each row and the engine of the body. */
function eachIteration(k, f) {
  const { node, body } = data.live.loops[k];
  live.engine.inside(node, (row, engine, which) => which === body && f(row, engine));
}

/** Return the value of a node in an iteration, or in a side that was taken; undefined of a name that is no such one. */
function valueInside(name) {
  const inside = insideNamed(name);
  if (!inside) return undefined;
  const number = data.live.loops[inside.k].numbers[inside.i];
  let found;
  eachIteration(inside.k, (row, engine) => {
    if (row !== inside.row || number < 0) return;
    const { shape, dtype, data: raw } = engine.value(number);
    found = { shape, dtype, data: raw.slice() };
  });
  if (!found) throw new Error(`“${name.slice(0, 80)}” has not run`);
  return found;
}

/** Return an element of a node of a loop in all iterations, by their rows. */
function liveSeries(place, cell) {
  const k = loopOf.get(place),
    number = data.live.loops[k].numbers[data.loops[k].places.indexOf(place)],
    found = new Map();
  if (number >= 0) eachIteration(k, (row, engine) => found.set(row, Number(engine.value(number).data[cell] ?? NaN)));
  return found;
}

/** Return what was recorded of a node, and by which rule its elements were computed; of one in a loop, in the first iteration that is kept. */
function recordedOf(place) {
  const k = loopOf.get(place),
    run = runs[live.run],
    i = k === undefined ? place : data.loops[k].places.indexOf(place);
  const { values, rules } = k === undefined ? run : { values: run.loops[k].values[0] ?? [], rules: run.loops[k].rules[0] ?? [] };
  const deciding = k === undefined ? data.live.deciding[live.numberOf.get(place)] : data.live.loops[k].deciding[i];
  return { value: values[i] >= 0 ? valueNumbered(values[i]) : null, rule: rules[i] ?? -1, deciding: deciding ?? [] };
}

/** Return whether an operand that decides what is read, an index or a label, is as it was when it was recorded. */
function isAsRecorded(place) {
  const { value } = recordedOf(place),
    now = liveValue(place);
  if (!value || !now) return false;
  const alike = (raw) => raw.every((x, i) => Number(x) === Number(now.raw[i]));
  if (!value.partial) return alike(value.raw);
  const first = data.live.given.find(([i]) => data.live.places[i] === place); // of what is given the page has all
  return first !== undefined && alike(arrays[first[1]]);
}

/** Return which elements a mask lets through now, by the operand that decides them; null of an operation without one. */
function maskNow(place) {
  const op = nodes.op[place];
  if (op !== "where" && op !== "prelu") return null;
  return (i, first) => (op === "where" ? i === 0 || (first !== 0) === (i === 1) : i === 0 || !(first > 0));
}

/** Return the rules that say what each element read, of each operand; of a live value where shapes, and the operands that decide it, are as recorded, or other shapes can be followed. */
function rulesOf(run, place) {
  if (!isLive(run)) return data.rules[runs[run].rules[place] ?? -1] ?? null;
  const { rule, deciding, value } = recordedOf(place),
    inputs = nodes.inputs[place],
    rules = data.rules[rule] ?? null;
  if (!rules || !value || !liveValue(place) || inputs.some((input) => !recordedOf(input).value || !liveValue(input))) return null;
  const masked = maskNow(place) !== null,
    open = masked ? rules.map((each) => each?.slice(0, 5)) : rules;
  const alike = [place, ...inputs].every((at) => String(recordedOf(at).value.shape) === String(liveValue(at).shape));
  if (alike) return masked || deciding.every((i) => isAsRecorded(inputs[i])) ? open : null;
  if (deciding.length && !masked) return null;
  const found = open.map((each, i) => resized(each, recordedOf(inputs[i]).value.shape, liveValue(inputs[i]).shape));
  return found.includes(null) ? null : found;
}

/** Return a rule for an operand that has other sizes now, such as other rows in a batch; null where the rule does not tell. */
function resized(rule, before, after) {
  if (!rule || rule[0] === "all") return rule;
  if (rule[0] !== "at" || rule.length > 5 || before.length !== after.length) return null;
  const changed = before.map((n, axis) => n !== after[axis]),
    [, offset, strides, sizes, steps] = rule;
  const moves = [...strides, ...steps].map((flat) => (flat < 0 ? [2] : unravel(flat, before)));
  if (offset < 0 || unravel(offset, before).some((at, axis) => at && changed[axis])) return null;
  if (before.some((n, axis) => n === 1 && changed[axis]) || moves.some((move) => move.some((by) => by > 1))) return null;
  const now = moves.map((move) => ravel(move, after));
  const wide = sizes.map((n, k) => {
    const along = moves[strides.length + k].findIndex((by, axis) => by && changed[axis]);
    return along < 0 ? n : n === before[along] ? after[along] : NaN;
  });
  if (wide.some(Number.isNaN)) return null;
  return ["at", ravel(unravel(offset, before), after), now.slice(0, strides.length), wide, now.slice(strides.length)];
}

/** Return what an element reads now by a label, whatever the label was; null of other operations. */
function readByLabel(place, cell) {
  const [x, labels] = nodes.inputs[place].map(liveValue),
    op = nodes.op[place];
  if ((op !== "pick" && op !== "scatter_labels") || !x || !labels) return null;
  const one = (at) => ({ count: 1, places: [at] });
  if (op === "pick") return [one(cell * x.shape[x.shape.length - 1] + labels.number(cell)), one(cell)];
  const { shape } = liveValue(place),
    classes = shape[shape.length - 1],
    row = Math.floor(cell / classes);
  return [labels.number(row) === cell % classes ? one(row) : { count: 0, places: [] }, one(row)];
}

// --- what the reader changes

/** Return the number that a text is, for a dtype. Throws what is to be said where it is none. */
function numberFrom(text, dtype) {
  const word = text.trim().toLowerCase().replace("−", "-");
  const words = {
    nan: NaN,
    inf: Infinity,
    "+inf": Infinity,
    "-inf": -Infinity,
    infinity: Infinity,
    "-infinity": -Infinity,
    true: 1,
    false: 0,
  };
  const named_ = Object.hasOwn(words, word),
    x = named_ ? words[word] : /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(word) ? Number(word) : undefined;
  const asked = word.length > 24 ? `${word.slice(0, 23)}…` : word;
  if (x === undefined) throw new Error(word ? `“${asked}” is not a number` : "type a number");
  if (!named_ && !Number.isFinite(x)) throw new Error(`${asked} is too large; write inf for infinity`);
  if (dtype === "bool" && x !== 0 && x !== 1) throw new Error("this is True or False: write 1 or 0");
  if (/^u?int/.test(dtype)) {
    if (!Number.isInteger(x)) throw new Error(`${dtype} takes whole numbers`);
    const bits = Number(dtype.match(/\d+/)[0]),
      least = dtype[0] === "u" ? 0 : -(2 ** (bits - 1)),
      most = dtype[0] === "u" ? 2 ** bits - 1 : 2 ** (bits - 1) - 1;
    if (x < least || x > most || !Number.isSafeInteger(x)) throw new Error(`${asked} is beyond what ${dtype} holds`);
  }
  return x;
}

/** Return whether a value that an operation computes stays as it was set. */
const isPinned = (place) => live.edits.some(({ number, setting }) => !setting && data.live.places[number] === place && !isGiven(number));

const isGiven = (number) => live.given.has(number);

/** Change numbers of a node, from an element on, and compute what depends on them. */
function change(place, cell, numbers) {
  const number = live.numberOf.get(place),
    engine = computing(),
    value = engine.value(number);
  if (cell + numbers.length > value.data.length)
    throw new Error(`there are ${value.data.length - cell} numbers from here on, and not ${numbers.length}`);
  if (isGiven(number)) for (const x of numbers) checkClass(number, x);
  const before = numbers.map((_, k) => Number(value.data[cell + k]));
  keepBefore();
  live.edits.push({
    number,
    cell,
    before,
    steps: live.steps,
    pinned: isGiven(number) || live.edits.some((edit) => edit.number === number),
  });
  try {
    numbers.forEach((x, k) => engine.set(number, cell + k, x));
    touched();
    compute();
  } catch (error) {
    undo();
    throw error;
  }
  keepFed(number);
  tellRecomputed();
}

/** Change settings of an operation, and compute what depends on it. */
function changeSetting(place, name, x) {
  const number = live.numberOf.get(place);
  computing();
  const before = live.settings.get(number);
  keepBefore();
  live.edits.push({ number, setting: true, before, steps: live.steps });
  try {
    setSettings(number, { ...before, [name]: x });
    compute();
  } catch (error) {
    undo();
    throw error;
  }
  tellRecomputed();
}

function setSettings(number, settings) {
  if (settings === undefined) live.settings.delete(number);
  else live.settings.set(number, settings);
  const { nodes: told } = data.live,
    own = { ...told.attributes[number], ...settings };
  for (const name of told.sized[number]) own[name] = bound(own[name], live.sizes);
  live.engine.setOp(number, own);
  live.grid = live.whole = null;
  touched();
}

/** Return a function that makes something when it is first asked for. */
function once(made) {
  let found;
  return () => (found ??= made());
}

const MOST_BEFORE = 2e7; // numbers that are kept of before a change

/** Keep what there is before a change: the numbers are compared with it. */
function keepBefore() {
  const numbers = data.live.places.flatMap((place, i) => (place >= 0 && !isBundle(i) ? [i] : [])),
    values = new Map();
  let count = 0;
  for (const i of numbers) {
    const { shape, dtype, data: raw } = live.engine.value(i);
    if ((count += raw.length) > MOST_BEFORE) break;
    const kept = raw.slice();
    values.set(
      data.live.places[i],
      once(() => new LiveValue({ shape, dtype, data: kept })),
    );
  }
  live.before = { values, loss: lossNow(), recorded: !live.steps && !live.edits.length && !live.changed.size };
}

/** Take the last change back. */
function undo() {
  const edit = live.edits.pop();
  if (!edit && live.beforeReset && !live.steps) return undoReset();
  if (!edit || !live.engine) return;
  live.before = null;
  if (edit.setting) setSettings(edit.number, edit.before);
  else {
    edit.before.forEach((x, k) => live.engine.set(edit.number, edit.cell + k, x));
    if (!edit.pinned) live.engine.free(edit.number);
    keepFed(edit.number);
  }
  touched();
  if (!live.edits.length && !live.steps && live.count === (data.live.play?.count ?? live.count)) asRecorded();
  else compute();
  tellRecomputed();
}

/** What is fed from all rows is kept with them. */
function keepFed(number) {
  if (live.pool.has(number) && live.batch === live.count) live.pool.set(number, live.engine.value(number).data.slice());
}

/** Note which places were computed again: what depends on the changes since the last step of training. */
function tellRecomputed() {
  const edits = live.edits.filter((edit) => edit.steps === live.steps);
  if (!edits.length) live.before = null;
  if (!live.on || !edits.length) live.recomputed = null;
  else {
    const { inputs } = data.live.nodes,
      found = new Set(edits.map((edit) => edit.number));
    inputs.forEach((all, i) => all.some((input) => found.has(input)) && found.add(i));
    const inside = data.live.loops.flatMap(({ node }, k) => (found.has(node) ? data.loops[k].places : []));
    live.recomputed = new Set([...[...found].map((i) => data.live.places[i]).filter((place) => place >= 0), ...inside]);
  }
  unchanged = live.recomputed ? new Set(upTo(nodes.name.length).filter((place) => !live.recomputed.has(place))) : null;
  $("same-key").hidden = !unchanged;
  $("same-key").textContent = "not recomputed";
}

function backToRecording() {
  const before = live.on ? kept() : null;
  if (live.curve.length > 1) live.lastCurve = [...live.curve, lossNow()];
  asRecorded();
  live.beforeReset = before;
  tellRecomputed();
  tellEdit("");
  tellLive("");
  drawAll();
}

/** Return all that going back to the recording forgets, but for computed numbers that were set. */
function kept() {
  const names = ["sizes", "given", "curve", "steps", "past", "pool", "count", "batch", "order", "fed", "at", "seed", "changed"];
  return {
    state: Object.fromEntries(names.map((name) => [name, live[name]])),
    settings: [...live.settings],
    given: new Map([...live.given.keys()].map((i) => [i, live.engine.value(i).data.slice()])),
    ends: data.sight?.ends,
    recorded: data.sight?.recorded,
  };
}

/** Take back that one went back to the recording. */
function undoReset() {
  const { state, settings, given, ends, recorded } = live.beforeReset;
  asRecorded();
  Object.assign(live, state, { given, beforeReset: null });
  for (const [number, own] of settings) live.settings.set(number, own);
  if (data.sight) Object.assign(data.sight, { ends, recorded });
  computing();
  tellRecomputed();
  drawAll();
}

// --- training

/** Return numbers between 0 and 1 that look random, the same for each page. */
function chance() {
  live.seed = (Math.imul(live.seed, 1664525) + 1013904223) >>> 0;
  return live.seed / 2 ** 32;
}

function shuffled(count) {
  const order = upTo(count);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(chance() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Feed the next rows, in an order that is shuffled in each epoch; all of them are as they are. */
function feedNext() {
  if (!live.rows || live.batch >= live.count) return;
  if (live.at + live.batch > live.count || !live.at) [live.order, live.at] = [shuffled(live.count), 0];
  const rows = live.order.slice(live.at, live.at + live.batch);
  live.at += live.batch;
  feed(rows);
}

function feed(rows) {
  live.fed = rows;
  for (const [i, all] of live.pool) {
    const wide = rowSize(i),
      part = new all.constructor(rows.length * wide);
    rows.forEach((row, k) => part.set(all.subarray(row * wide, (row + 1) * wide), k * wide));
    live.given.set(i, part);
    live.engine?.load(i, part);
  }
  touched();
}

/** Have so many rows in a batch; the engine is made anew for them, with the state as it is. */
function useBatch(batch) {
  keepState();
  live.batch = Math.max(1, Math.min(batch, live.count));
  live.sizes = { ...live.sizes, [live.rows]: live.batch };
  live.engine = null;
  live.at = 0;
  feed(live.batch === live.count ? upTo(live.count) : shuffled(live.count).slice(0, live.batch));
  live.edits = live.edits.filter((edit) => isGiven(edit.number) && !live.pool.has(edit.number));
}

/** Take the state out of the engine. */
function keepState() {
  if (live.engine) for (const i of live.given.keys()) if (!live.pool.has(i)) live.given.set(i, live.engine.value(i).data.slice());
}

const lossNow = () => {
  const [first] = data.live.fetches,
    value = first === undefined ? null : live.engine.value(first);
  return value?.data.length === 1 ? Number(value.data[0]) : NaN;
};

/** Make steps; the state of before each is kept for a while. */
function trainSteps(count) {
  if (!data.live.updates.length) throw new Error("this run has no updates: record a compiled step");
  const engine = computing();
  for (let k = 0; k < count; k++) {
    keepPast();
    feedNext();
    compute();
    live.curve.push(lossNow());
    engine.commit();
    live.steps++;
    touched();
  }
  compute();
  live.edits = live.edits.filter((edit) => !isGiven(edit.number)); // what a step has replaced cannot be taken back
  tellRecomputed();
}

function keepPast() {
  const state = data.live.updates.map(([i]) => [i, live.engine.value(i).data.slice()]);
  const bytes = state.reduce((sum, [, part]) => sum + part.byteLength, 0);
  live.past.push({
    state,
    rows: live.fed,
    feed: live.batch < live.count ? [...live.pool.keys()].map((i) => [i, live.engine.value(i).data.slice()]) : [],
  });
  while (live.past.length > MOST_PAST || (live.past.length > 1 && live.past.length * bytes > MOST_PAST_BYTES)) live.past.shift();
}

/** Go one step of training back. */
function stepBack() {
  const before = live.past.pop();
  if (!before) return live.beforeReset && undoReset();
  for (const [i, part] of [...before.state, ...before.feed]) live.engine.load(i, part);
  live.fed = before.rows;
  live.steps--;
  live.curve.pop();
  live.before = null;
  touched();
  compute();
  tellRecomputed();
  drawAll();
}

/** @type {[pause: number, name: string][]} */
const SPEEDS = [
  [1000, "1 step/s"],
  [333, "3 steps/s"],
  [100, "10 steps/s"],
  [33, "30 steps/s"],
  [0, "fastest"],
];
const FRAME = 25; // milliseconds of a frame in which steps are made

function toggleTraining() {
  if (live.timer) return (stopTraining(), drawAll());
  const [pause] = SPEEDS[Number($("speed").value)];
  stop();
  const on = () => {
    const began = performance.now();
    try {
      do trainSteps(1);
      while (!pause && performance.now() - began < FRAME);
    } catch (error) {
      stopTraining();
      return (drawAll(), tellLive(`${error.message}.`));
    }
    drawAll();
    live.timer = setTimeout(on, Math.max(16, pause - (performance.now() - began)));
  };
  live.timer = setTimeout(on, 0);
  drawLive();
}

function stopTraining() {
  clearTimeout(live.timer);
  live.timer = null;
}

// --- the data: points that one drags, adds and deletes, and files

/** Change the rows that there are: each placeholder's numbers, row by row. */
function useRows(pool, count, most = Infinity) {
  if (count < 1) throw new Error("one row must stay");
  if (count > MOST_ROWS) throw new Error(`a page takes at most ${grouped(MOST_ROWS)} rows`);
  const all = live.batch === live.count;
  keepState();
  live.pool = pool;
  live.count = count;
  live.whole = null;
  live.on = true;
  live.changed.add("data");
  useBatch(Math.min(all ? most : live.batch, count));
  live.past = [];
  computing();
  tellRecomputed();
}

/** Add a row like another one, with its first numbers given. */
function addRow(numbersOf) {
  const pool = new Map();
  for (const [i, all] of live.pool) {
    const wide = rowSize(i),
      more = new all.constructor(all.length + wide);
    more.set(all);
    more.set(numbersOf.get(i) ?? all.subarray(0, wide), all.length);
    pool.set(i, more);
  }
  useRows(pool, live.count + 1);
}

function removeRow(row) {
  const pool = new Map();
  for (const [i, all] of live.pool) {
    const wide = rowSize(i),
      less = new all.constructor(all.length - wide);
    less.set(all.subarray(0, row * wide));
    less.set(all.subarray((row + 1) * wide), row * wide);
    pool.set(i, less);
  }
  useRows(pool, live.count - 1);
}

/** Set the numbers of a row of a placeholder. */
function moveRow(number, row, numbers) {
  const engine = computing(),
    wide = rowSize(number),
    all = live.pool.get(number).slice();
  live.changed.add("data");
  numbers.forEach((x, k) => (all[row * wide + k] = x));
  live.pool.set(number, all);
  const at = live.fed.indexOf(row);
  if (at >= 0) numbers.forEach((x, k) => engine.set(number, at * wide + k, Number(x)));
  touched();
  compute();
}

/** Return the lines of a table, as cells; what stands between quotes is one cell. */
function cellsOfTable(text) {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .map((line, at) => ({ line, number: at + 1 }))
    .filter(({ line }) => line.trim());
  if (text.includes("\0")) throw new Error("this is no text; save it as CSV");
  if (!lines.length) throw new Error("the file is empty");
  const between = ["\t", ";", ","].find((sign) => lines[0].line.replace(/"[^"]*"/g, "").includes(sign)) ?? ",";
  const cell = new RegExp(`${between} *(?:"((?:[^"]|"")*)" *(?=${between}|$)|([^${between}]*))`, "g");
  return lines.map(({ line, number }) => ({
    number,
    cells: [...`${between}${line}`.matchAll(cell)].map(
      ([, quoted, plain]) =>
        quoted?.replaceAll('""', '"').trim() ?? (between === "," ? plain : plain.replace(/^(\s*[-+]?\d*),(?=\d)/, "$1.")).trim(),
    ),
  }));
}

/** Return the rows that a table has, for the placeholders: columns are matched by their names, else by their order. */
function rowsOfTable(text) {
  const [first, ...others] = cellsOfTable(text),
    isNumber = (cell) => cell !== "" && (!Number.isNaN(Number(cell)) || /^[-+]?(nan|inf)$/i.test(cell));
  const columns = [...live.pool.keys()].flatMap((i) =>
    upTo(rowSize(i)).map((k) => ({ i, k, alone: rowSize(i) === 1, name: data.live.nodes.name[i] })),
  );
  const called_ = ({ alone, name, k }) => (alone ? name : `${name}${k}`),
    isHeader = !first.cells.some(isNumber);
  const names = ({ k, name, alone }) =>
    [`${name}${k}`, `${name}_${k}`, `${name}[${k}]`, `${name}.${k}`, ...(alone ? [name] : [])].map((each) => each.toLowerCase());
  const wanted = columns.map(called_).slice(0, 12).join(", ") + (columns.length > 12 ? ", …" : "");
  let places = upTo(columns.length);
  if (isHeader) {
    places = columns.map((column) => first.cells.findIndex((cell) => names(column).includes(cell.toLowerCase())));
    const missing = columns.filter((_, at) => places[at] < 0);
    if (missing.length) throw new Error(`the file has no column ${called_(missing[0])}: this network takes the columns ${wanted}`);
  } else if (first.cells.length !== columns.length)
    throw new Error(
      `the file has ${first.cells.length} ${first.cells.length === 1 ? "column" : "columns"}, and this network takes ${columns.length}: ${wanted}`,
    );
  const rows = isHeader ? others : [first, ...others];
  if (!rows.length) throw new Error("the file has a header and no rows");
  if (rows.length > MOST_ROWS) throw new Error(`the file has ${grouped(rows.length)} rows, and a page takes at most ${grouped(MOST_ROWS)}`);
  const pool = new Map([...live.pool].map(([i, all]) => [i, new all.constructor(rows.length * rowSize(i))]));
  rows.forEach(({ number, cells }, r) => {
    if (cells.length !== first.cells.length)
      throw new Error(
        `line ${number} has ${cells.length} ${cells.length === 1 ? "cell" : "cells"}, and the first line ${first.cells.length}`,
      );
    columns.forEach((column, at) => {
      const { i, k } = column,
        to = pool.get(i);
      try {
        if (cells[places[at]] === "") throw new Error("the cell is empty");
        const x = numberFrom(cells[places[at]], data.live.nodes.dtype[i]);
        checkClass(i, x);
        to[r * rowSize(i) + k] = to instanceof BigInt64Array || to instanceof BigUint64Array ? BigInt(x) : x;
      } catch (error) {
        throw new Error(`line ${number}, column ${places[at] + 1} (${called_(column)}): ${error.message}`);
      }
    });
  });
  return [pool, rows.length];
}

/** A class must be one that the network has, a token one of its table: what picks by it would find nothing. */
function checkClass(number, x) {
  if (!/^u?int/.test(data.live.nodes.dtype[number])) return;
  const { inputs, op, shape, attributes } = data.live.nodes,
    reader = inputs.findIndex(
      (all, i) => (["pick", "take"].includes(op[i]) && all[1] === number) || (op[i] === "one_hot" && all[0] === number),
    );
  if (reader < 0) return;
  const among =
    op[reader] === "one_hot"
      ? shape[reader].at(-1)
      : shape[inputs[reader][0]].at(op[reader] === "pick" ? -1 : (attributes[reader].axis ?? 0));
  if (typeof among === "number" && !(x >= (op[reader] === "take" ? -among : 0) && x < among))
    throw new Error(`${x} is not one of 0 to ${among - 1}`);
}

async function readTable(file) {
  try {
    if (file.size > 2e7) throw new Error("the file is larger than 20 MB");
    const [pool, count] = rowsOfTable(await file.text());
    useRows(pool, count, MOST_AT_ONCE);
    spanPoints();
    tellLive(`${grouped(count)} ${count === 1 ? "row" : "rows"} of ${file.name}. Reset goes back to the data before.`);
  } catch (error) {
    tellLive(`${file.name}: ${error.message}.`);
  }
  drawAll();
}
