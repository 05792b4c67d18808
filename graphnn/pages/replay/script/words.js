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
  const trim = (text) => (full || !text.includes(".") ? text : text.replace(/\.?0*$/, ""));
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
  const scaled = x / step,
    low = Math.floor(scaled);
  const up = scaled - low > 0.5 || (scaled - low === 0.5 && low % 2 !== 0);
  const rounded = (low + Number(up)) * step;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Infinity : rounded;
}

/** Return a number in four digits, fewer if they are exact. */
function numeral(value, dtype) {
  if (typeof value === "boolean") return value ? "True" : "False";
  const rounded = ROUNDED[dtype];
  if (!rounded) return String(value);
  const exact = (digits) => rounded(fromText(general(value, digits))) === value;
  if (!exact(4)) return general(value, 4, true).replace(/\.$/, "");
  return general(fromText(general(value, [1, 2, 3, 4].find(exact))), 4);
}

const fromText = (text) => (text.endsWith("inf") ? (text[0] === "-" ? -Infinity : Infinity) : Number(text));

// --- what an element was made of --------------------------------------------------------------------------------

const MOST_PLACES = 65536;
const FEW = 4,
  FIRST = 2;

/** Return, of each operand, how many elements an element read, and which; null where the page does not know. */
function readBy(run, place, cell) {
  const value = valueOf(run, place),
    own = isLive(run) && value !== null ? readByLabel(place, cell) : null,
    rules = value === null || own ? null : rulesOf(run, place);
  if (!rules) return own;
  const now = isLive(run) ? maskNow(place) : null,
    slot = (isLive(run) ? recordedOf(place).value : value).slot(cell); // rules are of the elements that were kept
  if (slot < 0 && !isLive(run)) return null;
  const inputs = nodes.inputs[place],
    index = unravel(cell, value.shape);
  const found = rules.map((rule, i) => followed(rule, index, slot, valueOf(run, inputs[i])));
  if (found.includes(null)) return null;
  const first = now && valueOf(run, inputs[0]).number(found[0].places[0]);
  return now ? found.map((each, i) => (now(i, first) ? each : { count: 0, places: [] })) : found;
}

function followed(rule, index, slot, operand) {
  if (!rule || (slot < 0 && (rule[0] === "lists" || rule[5] !== undefined))) return null;
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
  const value = valueOf(run, place),
    found = value === null ? undefined : value.at(cell);
  if (found === undefined) return null;
  const index = unravel(cell, value.shape),
    name = called(nodes.name[place], indexOf(place, index, value.shape));
  const said = numeral(found, value.dtype),
    kind = givenAs(run, place);
  const told = {
    run,
    place,
    cell,
    equation: `${name} = ${said}${positionText(place, found)}${kind ? `, ${kind}` : ""}`,
    reads: [],
    missing: false,
  };
  if (kind || givers.has(place)) return told;
  const read = readBy(run, place, cell);
  if (read === null) return { ...told, missing: true };
  const operands = nodes.inputs[place].map((input) => valueOf(run, input));
  const row = index.length ? `row ${index.join(", ")}` : "the row";
  const formula = equation(
    setIn(run, place).formula ?? nodes.formula[place],
    { row, ...(setIn(run, place).settings ?? nodes.settings[place]) },
    read,
    operands,
  );
  told.missing = formula === undefined;
  if (formula === null) told.equation += ", from no numbers";
  else if (formula && formula !== said) told.equation += ` = ${formula}`;
  told.reads = read.map((each, i) => readText(run, nodes.inputs[place][i], each, operands[i])).filter((each) => each.count);
  const before = upstream(run, place, cell);
  if (before === null) return told;
  return {
    ...told,
    equation: `${name} = ${said} = ${before.symbols} = ${before.numbers}`,
    reads: before.reads,
    direct: told.reads,
    missing: false,
  };
}

const formulaOf = (run, place) => setIn(run, place).formula ?? nodes.formula[place];

/** Tell an element of a product by what its factors were before they were moved; null where nothing was, or it is not known. */
function upstream(run, place, cell) {
  const found = { moved: false, summed: false, reads: [] };
  let terms = [[place, cell]];
  if (nodes.op[place] === "add") {
    const read = readBy(run, place, cell);
    if (read === null) return null;
    terms = read.map((each, i) => [nodes.inputs[place][i], each.places[0]]);
  }
  const told = [];
  for (const [each, at] of terms) {
    const term = termOf(run, each, at, found);
    if (term === null) return null;
    told.push(term);
  }
  if (!found.moved || !found.summed) return null;
  const added = (text, each) => (each.startsWith("-") ? `${text} - ${each.slice(1)}` : `${text} + ${each}`);
  return {
    symbols: told.map(([symbol]) => symbol).join(" + "),
    numbers: told.map(([, numbers]) => numbers).reduce(added),
    reads: found.reads,
  };
}

/** Return an element in symbols and in numbers: a sum of products, or a single number. */
function termOf(run, node, cell, found) {
  const [place, [at]] = beforeMoves(run, node, [cell], found);
  const value = valueOf(run, place),
    number = value === null || at < 0 ? undefined : value.at(at);
  if (number === undefined) return null;
  if (givenAs(run, place) || !formulaOf(run, place).includes("{factors}")) {
    return [symbolOf(run, place, [at], found), numeral(number, value.dtype)];
  }
  const read = readBy(run, place, at);
  if (read === null || read.some((each) => each.count !== each.places.length)) return null;
  found.summed = true;
  const sources = read.map((each, i) => beforeMoves(run, nodes.inputs[place][i], each.places, found));
  sources.sort(([a], [b]) => Number(nodes.kind[a] === "a parameter") - Number(nodes.kind[b] === "a parameter")); // the window, then the kernel
  const operands = sources.map(([source]) => valueOf(run, source));
  if (operands.includes(null)) return null;
  const there = upTo(read[0].count).filter((k) => sources.every(([, places]) => places[k] >= 0));
  const left = sources.map(([, places]) => ({ count: there.length, places: there.map((k) => places[k]) }));
  const numbers = equation(formulaOf(run, place), {}, left, operands);
  if (!numbers) return null;
  const symbols = sources.map(([source], i) => symbolOf(run, source, left[i].places, found));
  return [`Σ ${symbols.join(" · ")}`, numbers];
}

/** Return the node from which elements were moved, and their places there; -1 of one that is 0 from padding. */
function beforeMoves(run, place, cells, found) {
  const start = place;
  while (nodes.inputs[place].length && formulaOf(run, place) === "" && !givenAs(run, place)) {
    const read = cells.map((cell) => (cell < 0 ? [] : readBy(run, place, cell)));
    if (read.includes(null)) break;
    const came = upTo(nodes.inputs[place].length).filter((i) => read.some((each) => each[i]?.count));
    if (came.length !== 1) break;
    const moved = read.map((each) => (each[came[0]]?.count ? each[came[0]].places[0] : -1));
    const filled = { ...nodes.settings[place], ...setIn(run, place).settings }.constant_values;
    if (filled !== undefined && /[1-9a-zA-Z]/.test(filled) && moved.some((cell, k) => cell < 0 && cells[k] >= 0)) break;
    [place, cells] = [nodes.inputs[place][came[0]], moved];
  }
  found.moved ||= place !== start;
  return [place, cells];
}

/** Note what was read, and return it as one would index it, without axes at the end that are taken whole. */
function symbolOf(run, place, cells, found) {
  const read = readText(run, place, { count: new Set(cells).size, places: [...new Set(cells)] }, valueOf(run, place));
  found.reads.push(read);
  const parts = corners(place, read.places, valueOf(run, place).shape);
  const kept = parts.findLastIndex((part) => part !== ":") + 1;
  return called(nodes.name[place], (parts.length - kept > 1 ? parts.slice(0, kept) : parts).join(", "));
}

const called = (name, place) => (place ? `${name}[${place}]` : name);

const setIn = (run, place) => runs[run].set[place] ?? {};

/** Return who gave a value that no operation computed; "" of others. */
const givenAs = (run, place) => setIn(run, place).given || nodes.kind[place] || (isLive(run) && isPinned(place) ? "set here" : "");

function readText(run, place, { count, places }, operand) {
  const distinct = [...new Set(places)].sort((a, b) => a - b);
  const kind = givenAs(run, place),
    whole = count === places.length;
  const where = whole ? corners(place, distinct, operand.shape).join(", ") : "…";
  const said =
    spread(distinct, whole ? distinct.length : count, operand) + (count === 1 ? positionText(place, operand.at(distinct[0])) : "");
  return { place, places: distinct, count, text: `${called(nodes.name[place], where)} = ${said}${kind ? `, ${kind}` : ""}` };
}

const divisor = (a, b) => (b ? divisor(b, a % b) : a);

/** Return elements as one would index them, if they are all between two corners, evenly spaced along each axis. */
function corners(node, places, shape) {
  if (!places.length || !shape.length) return [];
  const indices = places.map((place) => unravel(place, shape));
  const lows = shape.map((_, axis) => indices.reduce((low, index) => Math.min(low, index[axis]), Infinity));
  const highs = shape.map((_, axis) => indices.reduce((high, index) => Math.max(high, index[axis] + 1), 0));
  const count = (steps) => product(highs.map((high, axis) => Math.ceil((high - lows[axis]) / steps[axis])));
  let steps = shape.map(() => 1);
  if (count(steps) !== places.length)
    steps = shape.map((_, axis) => indices.reduce((step, index) => divisor(step, index[axis] - lows[axis]), 0) || 1);
  if (count(steps) !== places.length) return ["…"];
  const between = (low, high, n, step, axis) =>
    high - low === 1 ? partOf(node, axis, n, low) : `${low || ""}:${high < n ? high : ""}${step > 1 ? `:${step}` : ""}`;
  return shape.map((n, axis) => between(lows[axis], highs[axis], n, steps[axis], axis));
}

const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

function spread(places, count, operand) {
  const numbers = places.map((place) => operand.at(place));
  const whole = count === places.length && !numbers.includes(undefined);
  if (whole && count <= FEW) return numbers.map((x) => numeral(x, operand.dtype)).join(", ");
  const said = `${grouped(count)} numbers`;
  if (!whole) return said;
  if (operand.dtype === "bool") return `${said}, ${grouped(numbers.filter(Boolean).length)} of them True`;
  const isFinite_ = (x) => typeof x === "bigint" || Number.isFinite(x);
  const finite = numbers.filter(isFinite_);
  const first = finite.length < count && unravel(places[numbers.findIndex((x) => !isFinite_(x))], operand.shape).join(", ");
  const strange =
    finite.length < count ? `, ${grouped(count - finite.length)} not finite: ${count - finite.length === 1 ? "" : "first "}[${first}]` : "";
  if (!finite.length) return `${said}, none of them finite`;
  const low = numeral(
    finite.reduce((a, b) => (b < a ? b : a)),
    operand.dtype,
  );
  const high = numeral(
    finite.reduce((a, b) => (b > a ? b : a)),
    operand.dtype,
  );
  if (finite.length === 1) return `${said}, one of them ${low}${strange}`;
  return low === high ? `${said}, each ${low}${strange}` : `${said}, ${low} to ${high}${strange}`;
}

const TERMS = /^(.*)\[(.+)\](.+)…(.*)$/;

/** Return a formula with numbers; null if there are none, undefined if one of them is not kept. */
function equation(template, given, read, operands) {
  const numberAt = (i, k) => {
    const place = read[i].places[k],
      found = place === undefined ? undefined : operands[i].at(place);
    if (found === undefined) throw new Missing();
    return numeral(found, operands[i].dtype);
  };
  try {
    const settings = Object.fromEntries(Object.entries(given).map(([key, text]) => [key, [text]]));
    const terms = TERMS.exec(template);
    if (terms) return sumOf(terms.slice(1), template, settings, read, operands, numberAt);
    const lists = {};
    read.forEach((each, i) => Object.defineProperty(lists, i, { get: () => [list(each, operands[i], (k) => numberAt(i, k))] }));
    return written(pieces(template, (name) => (Object.hasOwn(settings, name) ? settings[name] : lists[name])));
  } catch (error) {
    if (error instanceof Missing) return undefined;
    throw error;
  }
}

class Missing extends Error {}

/** Return which of many numbers are written out: the first, but rather those that are not finite, one of each kind. */
function toldOf(count, operands, numberAt) {
  if (count <= FEW) return upTo(count);
  const found = new Map();
  const last = operands.some((operand) => operand.partial) ? 0 : Math.min(count, MOST_PLACES);
  for (let k = 0; k < last; k++) {
    const x = numberAt(k);
    if (!Number.isFinite(x) && !found.has(String(x))) found.set(String(x), k);
  }
  const strange = ["NaN", "Infinity", "-Infinity"].filter((kind) => found.has(kind)).map((kind) => found.get(kind));
  return [...new Set([...strange, ...upTo(FIRST)])].slice(0, FIRST).sort((a, b) => a - b);
}

function sumOf(/** @type {string[]} */ [before, term, joint, after], template, given, read, operands, numberAt) {
  const products = term.includes("{factors}");
  const meant = upTo(read.length).filter((i) => products || term.includes(`{${i}}`));
  const count = meant.length ? Math.min(...meant.map((i) => read[i].count)) : 0;
  if (!count) return null;
  const settings = { count: [grouped(count)], ...given };
  const parts = [...pieces(before, (name) => settings[name])];
  const factors = meant.map((i) => operands[i]);
  const dtypes = factors.map((operand) => operand.dtype),
    widest = ["float64", "float32", "float16"].find((dtype) => dtypes.includes(dtype));
  const rounded = dtypes.every((dtype) => dtype in ROUNDED) ? ROUNDED[widest] : (x) => x;
  const told = toldOf(count, factors, (k) => meant.map((i) => operands[i].number(read[i].places[k])).reduce((a, b) => rounded(a * b)));
  told.forEach((k, at) => {
    const numbers = meant.map((i) => numberAt(i, k));
    const fields = { ...settings, ...Object.fromEntries(meant.map((i, at) => [i, [numbers[at]]])), factors: numbers };
    if (k > (at ? told[at - 1] + 1 : 0)) parts.push([at ? `${joint}…` : "…", null]);
    parts.push([k ? joint : "", null], ...pieces(term, (name) => fields[name]));
  });
  if (told[told.length - 1] < count - 1) parts.push([`${joint}…`, null]);
  if (count > FEW && !template.includes("{count}")) parts.push([` (${grouped(count)} ${meant.length > 1 ? "products" : "numbers"})`, null]);
  return written([...parts, ...pieces(after, (name) => settings[name])]);
}

function list({ count, places }, operand, numberAt) {
  if (!count) return "…";
  if (count <= FEW) return upTo(count).map(numberAt).join(", ");
  const first = operand.at(places[0]),
    alike = count === places.length && places.every((place) => operand.at(place) === first);
  if (alike && first !== undefined) return `${numberAt(0)}, … (${grouped(count)} numbers, all equal)`;
  const told = toldOf(count, [operand], (k) => operand.number(places[k]));
  const texts = told.map((k, at) => `${k > (at ? told[at - 1] + 1 : 0) ? "…, " : ""}${numberAt(k)}`);
  return `${texts.join(", ")}${told[told.length - 1] < count - 1 ? ", …" : ""} (${grouped(count)} numbers)`;
}

/** Return the parts of a template: text, and what follows it. */
function pieces(template, field) {
  const found = [];
  let at = 0;
  for (const match of template.matchAll(/\{(\w*)\}/g)) {
    const given = field(match[1]),
      [first, ...others] = Array.isArray(given) ? given : ["…"];
    found.push([template.slice(at, match.index), first], ...others.map((text) => ["·", text]));
    at = match.index + match[0].length;
  }
  if (at < template.length) found.push([template.slice(at), null]);
  return found;
}

// Between these a number may stand that has a sign, or a list of them; elsewhere they need brackets.
const OPENS = /(^|[(|‖⌊⌈,=<>≤≥≠] ?|[\p{L}\p{N}_] )$/u;
const CLOSES = /^($|[)|‖⌋⌉])/,
  GOES_ON = /^($|[)|‖⌋⌉,·]| (?!\^))/;

function written(parts) {
  let text = "";
  parts.forEach(([literal, filled], i) => {
    const after = i + 1 < parts.length ? parts[i + 1][0] : "";
    text += literal;
    if (filled === null) return;
    const several = filled.includes(", "),
      plain = !several && !filled.startsWith("-");
    const ends = (several ? CLOSES : GOES_ON).test(after);
    if (plain || (ends && OPENS.test(text))) text += filled;
    else if (ends && !several && text.endsWith(" + ")) text = `${text.slice(0, -2)}- ${filled.slice(1)}`;
    else text += `(${filled})`;
  });
  return text;
}

const MOST_FOLLOWED = 4000,
  MOST_CELLS = 40000;

/** Return all that an element was made of: cells by place; null where a node has a part and which cells is not known. */
function ancestry(run, place, cell) {
  const found = new Map([[place, new Set([cell])]]);
  let asked = 0,
    seen = 0;
  for (let at = place; at >= 0; at--) {
    const cells = found.get(at);
    if (cells === undefined) continue;
    const inputs = nodes.inputs[at];
    for (const each of cells ?? [null]) {
      const read = each === null || ++asked > MOST_FOLLOWED || seen > MOST_CELLS ? null : readBy(run, at, each);
      if (read === null) {
        for (const input of inputs) found.set(input, null);
        break;
      }
      inputs.forEach((input, i) => {
        if (!read[i].count || found.get(input) === null) return;
        if (!found.has(input)) found.set(input, new Set());
        seen += read[i].places.length;
        for (const one of read[i].places) found.get(input).add(one);
      });
    }
  }
  return found;
}
