// --- the operation ----------------------------------------------------------------------------------------------

const MOST_OPERANDS = 8,
  CAPTION = 62;

function drawOperation() {
  const { place } = shown;
  $("node").textContent = nodes.name[place];
  $("about").replaceChildren(...aboutNode(place));
  $("details").replaceChildren(...details(place));
  const wide = rooms.values,
    high = heightForValues();
  const draw = (lines) => {
    const besides = heatmaps.filter((heat) => heat.besides);
    heatmaps = [];
    $("values").replaceChildren(...valueFigures(place, wide, Math.max(onScreen === null ? 96 : 320, high / lines - CAPTION)));
    heatmaps.push(...besides);
    return new Set([...$("values").querySelectorAll(":scope > :not(.scales)")].map((part) => part.offsetTop)).size;
  };
  // Mostly there are as many lines of values as there were of the operation before.
  if (draw(linesBefore) === linesBefore) return;
  linesBefore = draw(1);
  if (linesBefore > 1) draw(linesBefore);
}

let linesBefore = 1;

/** Return how high the values of an operation may be together. */
function heightForValues() {
  if (onScreen !== null) return 760; // on paper
  if (window.innerWidth <= 1000) return Math.max(300, window.innerHeight * 0.6);
  const around = ["node", "about", "equation", "edit", "exercise", "details"].reduce((sum, id) => sum + $(id).offsetHeight, 60);
  return Math.max(240, $("operation").clientHeight - around);
}

function valueFigures(place, room, height) {
  const inputs = nodes.kind[place] ? [] : [...new Set(nodes.inputs[place])],
    [range, bar] = oneScale([...inputs.slice(0, MOST_OPERANDS), place]),
    parts = bar ? [bar] : [];
  const coloursFor = (at) => (range && isReal(at) ? { range } : {});
  for (const input of inputs.slice(0, MOST_OPERANDS)) {
    const positions = nodes.inputs[place].flatMap((other, i) => (other === input ? [i] : []));
    const note = nodes.inputs[place].length > 1 ? `operand ${positions.join(" and ")}` : "operand";
    const goThere = () => go(input);
    const title = make("button", { type: "button", className: "link", title: nodes.name[input], onclick: goThere }, shortName(input));
    parts.push(figures(input, { title, note, room, height, pick: (cell) => go(input, cell), ...coloursFor(input) }));
  }
  if (inputs.length > MOST_OPERANDS) parts.push(make("p", { className: "faint" }, `… ${inputs.length - MOST_OPERANDS} more operands`));
  const left = inputs.length ? Math.max(180, room - 44 - 9 * nodes.op[place].length) : room;
  const result = figures(place, {
    title: make("b", null, shortName(place)),
    note: "result",
    room: left,
    height,
    pick: choose,
    ...coloursFor(place),
  });
  const arrow = inputs.length ? make("p", { className: "arrow" }, make("b", null, nodes.op[place]), " →") : null;
  return [...parts, make("div", { className: "result" }, arrow, result)];
}

const isReal = (place) => nodes.dtype[place].startsWith("float"),
  FAR = 8;

/** Return the range of the colours of all values of an operation, null if each has its own; and the bar that tells it. */
function oneScale(places) {
  const real = places.filter((at) => isReal(at) && valueOf(shown.run, at)?.size),
    ranges = real.map(rangeInAll).filter(([low]) => low !== null);
  if (ranges.length < 2) return [null, null];
  const sizes = ranges.map((range) => Math.max(...range.map(Math.abs))).filter((size) => size > 0);
  // Where one value is far larger than another, that one would have one colour.
  const one = shown.one ?? (sizes.length < 2 || Math.max(...sizes) <= FAR * Math.min(...sizes)),
    range = rangeOf(ranges.flat());
  const turn = (event) => ((shown.one = event.target.checked), drawAll());
  const box = make("label", null, make("input", { type: "checkbox", id: "one", checked: one, onchange: turn }), " one scale of colours");
  return [
    one ? range : null,
    make("div", { className: "scales" }, box, one ? scaleBar(range) : make("span", { className: "faint" }, "each value has its own")),
  ];
}

/** Return the colours from the least number to the greatest. */
function scaleBar([low, high]) {
  const signed = low < 0 && high > 0,
    most = Math.max(-low, high),
    [from, to] = signed ? [-most, most] : [low, high];
  const bar = make("span", { className: "scale", "aria-hidden": "true" }),
    colour = coloursOf([from, to]);
  const stops = upTo(9).map((i) => `rgb(${colour(from * (1 - i / 8) + to * (i / 8)).join(",")})`);
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return make("span", { className: "ends" }, general(from, 3), bar, general(to, 3));
}

/** Return the name of a node as it is called where another one stands: that which is shown, unless it is said. */
function shortName(place, from = shown.place) {
  const here = nodes.name[from],
    scope = here.slice(0, here.lastIndexOf("/") + 1),
    name = nodes.name[place];
  return scope && name.startsWith(scope) ? name.slice(scope.length) : name;
}

/** Return the runs that are seen at once: all that lie side by side, or the one that is chosen. */
const seenRuns = () => (data.kind === "pair" ? runs.map((_, run) => run) : [shown.run]);

/** Return the figure of a node; of several runs, those of all, unless they are alike. */
function figures(place, options) {
  if (data.kind !== "pair") return figure(shown.run, place, options);
  const values = seenRuns().map((run) => valueOf(run, place)),
    [a, b] = values,
    same = runs.length === 2 ? "both" : "all";
  if (values.every((value) => value && value.told.data === a.told.data))
    return figure(0, place, { ...options, note: `${options.note}, the same in ${same}` });
  const room = Math.max(180, (options.room - 14) / 2 - 18),
    height = Math.max(90, options.height / 2 - 12);
  const part = { ...options, room, height, alike: values.filter(Boolean) };
  const both = seenRuns().map((run) =>
    figure(run, place, { ...part, note: `${options.note}, ${runs[run].label}`, title: options.title.cloneNode(true) }),
  );
  if (place === shown.place && a && b && String(a.shape) === String(b.shape) && a.raw.length === b.raw.length) {
    const value = new Difference(a, b);
    both.push(figure(0, place, { ...part, title: "difference", note: "b − a", value, range: value.signed }));
  }
  return make("div", { className: "both" }, ...both);
}

const PHASES = ["forward", "backward", "update"];

/** Return what a node is, in words. */
function wordsOf(place) {
  const settings = Object.entries(setIn(shown.run, place).settings ?? nodes.settings[place]);
  return [
    nodes.kind[place] || nodes.op[place],
    ...settings.map(([key, text]) => `${key}=${text}`),
    shapeText(nodes.shape[place]),
    PHASES[nodes.phase[place]],
  ];
}

function aboutNode(place) {
  const { times, stopped, error, findings } = runs[shown.run],
    words = wordsOf(place);
  if (!nodes.kind[place] && times[place] && valueOf(shown.run, place)) words.push(inSeconds(times[place]));
  const heading = $("opening").textContent,
    parts = [words.join(" · ")];
  const bad = (text) => parts.push(make("strong", { className: "finding" }, text));
  const found = findings.filter((finding) => finding.place === place);
  // What the heading says need not be said twice.
  const told = found.map(({ severity, code, says }) => `${severity}, ${code}${heading.includes(says) ? "" : `: ${says}`}`);
  if (told.length) bad(` ${told.join("; and ")}`);
  if (isPending(place) && valueOf(shown.run, place)) {
    const there = () => runTo(place, shown.cell);
    parts.push(
      " ",
      make("span", { className: "pending" }, "pending at this time"),
      " ",
      make("button", { type: "button", className: "link", id: "here", onclick: there }, "Run to here (h)"),
    );
  }
  if (isLeftOut(place) && data.loops[loopOf.get(place)].side)
    parts.push(" ", make("span", { className: "pending" }, "not computed: the other side was taken"));
  parts.push(...othersLike(place));
  if (stopped === place && error && !found.length && !heading.includes(error)) bad(` ${error}`);
  return parts;
}

/** Say which of several calls a node is of that are drawn as one, and lead to the same in the call before and after. */
function othersLike(place) {
  const alike = drawnAsOne(place),
    at = alike.indexOf(place);
  if (at < 0) return [];
  const step = (by, sign, says) =>
    make(
      "button",
      {
        type: "button",
        className: "link",
        title: says,
        ariaLabel: says,
        disabled: !(at + by in alike),
        onclick: () => go(alike[at + by], shown.cell),
      },
      sign,
    );
  return [
    " ",
    make(
      "span",
      { className: "alike" },
      step(-1, "‹", "The same in the call before"),
      `call ${grouped(at + 1)} of ${grouped(alike.length)}`,
      step(1, "›", "The same in the next call"),
    ),
  ];
}

function inSeconds(nanoseconds) {
  /** @type {[string, number][]} */
  const units = [
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ];
  const [unit, size] = units.find(([, least]) => nanoseconds >= least) ?? units[2];
  return `${general(nanoseconds / size, 3)} ${unit}`;
}

function details(place) {
  const found = seenRuns()
    .map((run) => [run, valueOf(run, place)])
    .filter(([, value]) => value?.size);
  const alike = found.every(([, value]) => value === found[0][1]);
  const parts = found
    .slice(0, alike ? 1 : found.length)
    .map(([run, value]) => detailsOf(run, place, value, found.length > 1 && !alike))
    .filter(Boolean);
  if (found.length) parts.push(...context(place, found[0][1]));
  const several = data.kind === "film" ? runs.length > 1 : loopOf.has(place) && rowsOf(loopOf.get(place)).length > 1;
  if (several && found.length) parts.push(make("canvas", { id: "series", role: "img" }));
  return parts;
}

const LINKS = 4;

/** Say how a value came about: what it was computed from, node by node; of a number also which numbers made it. */
function context(place, value) {
  const way = [place];
  while (way.length <= LINKS && !nodes.kind[way[0]]) {
    const read = nodes.inputs[way[0]].filter((input) => nodes.kind[input] !== "a constant");
    if (!read.length) break;
    way.unshift(
      Math.max(...read.filter((input) => !nodes.kind[input]), -1) >= 0 ? Math.max(...read.filter((input) => !nodes.kind[input])) : read[0],
    );
  }
  const parts = [];
  if (way.length > 1) {
    const links = way
      .slice(0, -1)
      .flatMap((at) => [
        make("button", { type: "button", className: "link", title: nodes.name[at], onclick: () => go(at) }, shortName(at)),
        " → ",
      ]);
    const more = !nodes.kind[way[0]] && nodes.inputs[way[0]].length ? "… → " : "";
    parts.push(
      make(
        "p",
        { className: "way", id: "way" },
        make("span", { className: "faint" }, "computed from "),
        more,
        ...links,
        make("b", null, shortName(place)),
      ),
    );
  }
  const many = value.size === 1 ? nodes.inputs[place].find((input) => valueOf(shown.run, input)?.size > 1) : undefined;
  if (many !== undefined && data.kind !== "pair") {
    const of = valueOf(shown.run, many);
    parts.push(
      make(
        "div",
        { id: "made-of" },
        make("p", { className: "faint" }, `its ${grouped(of.size)} numbers, ${shortName(many)}:`),
        detailsOf(shown.run, many, of, false, (cell) => go(many, cell)) ?? "",
      ),
    );
  }
  return parts;
}

function detailsOf(run, place, { size, told, range, raw, hidden }, labelled, pick = (cell) => choose(cell, true)) {
  if (hidden) return null;
  const [zeros, nans, above, below] = told.counts,
    rows = [];
  if (size > 1) ["min", "max", "mean", "std"].forEach((key, i) => told.stats[i] !== null && rows.push([key, general(told.stats[i], 4)]));
  if (size > 1 || zeros) rows.push(["zeros", grouped(zeros)]);
  for (const [key, count] of [
    ["NaN", nans],
    ["+inf", above],
    ["−inf", below],
  ])
    if (count) rows.push([key, grouped(count)]);
  const stats = rows.map(([key, text]) => make("div", null, make("dt", null, key), make("dd", null, text)));
  const name = labelled ? make("p", { className: "whose" }, runs[run].label) : null;
  const list = rows.length ? make("dl", { className: "stats", "aria-label": "Statistics" }, ...stats) : null;
  return make("div", { className: "details" }, name, list, histogram(told.bins ?? binned(raw, range), range), largest(run, place, pick));
}

/** Say which element and which row of a value are the largest. */
function largest(run, place, pick) {
  const value = valueOf(run, place),
    { peak = -1, row } = value.told,
    parts = [];
  const point = (text, cell) => {
    const kept = value.slot(cell) >= 0;
    return kept ? make("button", { type: "button", className: "link", onclick: () => pick(cell) }, text) : text;
  };
  if (peak >= 0 && value.told.stats[3] > 0) {
    const at = indexOf(place, unravel(peak, value.shape), value.shape),
      found = value.at(peak);
    parts.push(
      found < 0 ? "largest magnitude: " : "largest: ",
      point(found === undefined ? `[${at}]` : `[${at}] = ${numeral(found, value.dtype)}`, peak),
    );
  }
  const axis = batchAxis(place);
  if (row && axis >= 0) {
    const first = ravel(
      value.shape.map((_, i) => (i === axis ? row[0] : 0)),
      value.shape,
    );
    parts.push(
      parts.length ? " · " : "",
      "largest row: ",
      point(row[1] === null ? String(row[0]) : `${row[0]}, norm ${general(row[1], 4)}`, first),
    );
  }
  return parts.length ? make("p", { className: "largest" }, ...parts) : null;
}

function histogram(bins, range) {
  if (bins.length < 2) return null;
  const most = Math.max(...bins, 1);
  const bars = bins.map((n) => {
    const bar = make("span", { title: grouped(n) });
    bar.style.height = `${n ? Math.max(4, (100 * n) / most) : 0}%`;
    return bar;
  });
  const [low, high] = range.map((end) => general(end, 3));
  const label = `Histogram from ${low} to ${high}: ${bins.join(", ")}`;
  const ends = make("span", { className: "ends", "aria-hidden": "true" }, make("span", null, low), make("span", null, high));
  return make("div", null, make("div", { className: "histogram", role: "img", "aria-label": label }, ...bars), ends);
}

function binned(raw, [low, high]) {
  const bins = new Array(24).fill(0);
  if (low === null || low === high || raw.length < 2) return [];
  for (const each of raw) {
    const x = Number(each);
    if (Number.isFinite(x)) bins[Math.min(23, Math.floor(((x / 2 - low / 2) / (high / 2 - low / 2)) * 24))]++;
  }
  return bins;
}

/** Choose an element of the result. */
function choose(cell, reveal = false) {
  shown.cell = cell;
  if (reveal && valueOf(shown.run, shown.place).shape.length > 2) return go(shown.place, cell);
  if (shown.row !== null && batchAxis(shown.place) >= 0 && rowOf(shown.place, cell) !== shown.row)
    return chooseRow(rowOf(shown.place, cell));
  hover(null);
  drawGradient();
  drawEdit();
  drawExercise();
  if (reveal) revealChosen();
  lightBesides();
}

let waiting = null;

/** Look at an element for the while that it is pointed at; null: at the chosen one again. */
function hover(spot) {
  const box = $("equation"); // while one points, it stays as high as it is, so that nothing moves under the pointer
  if (spot && !shown.hover && !box.style.height) box.style.height = `${box.offsetHeight}px`;
  shown.hover = spot;
  if (waiting === null) waiting = requestAnimationFrame(() => ((waiting = null), drawEquation()));
}

/** Write the equation of the element that is looked at, and light up what it read. */
function drawEquation() {
  lightUp(writeEquation());
}

/** Write the equation; return whose it is, and what that read. */
function writeEquation() {
  const { place, cell } = shown.hover ?? shown,
    which = seenRuns();
  const told = which.map((run) => explained(run, place, cell));
  const lines = told.flatMap((each, i) => equationLines(each, which[i], place));
  $("equation").replaceChildren(...lines);
  if (!shown.hover) $("equation").style.height = "";
  const first = told.find((each) => each);
  return { place, cell, reads: first?.direct ?? first?.reads ?? [] };
}

function lightUp({ place, cell, reads }) {
  const operands = heatmaps.filter((heat) => !heat.besides);
  for (const heat of operands) {
    const found = reads.find((read) => read.place === heat.place && heat.place !== place);
    heat.light(found ? found.places : [], !heat.derived);
  }
  drawHeatmaps(operands);
  lightWay(place, cell, reads);
  drawSeries(place, cell);
}

function equationLines(told, run, place) {
  if (told === null) {
    const value = valueOf(run, place);
    const says =
      value === null
        ? "It has not run."
        : value.hidden
          ? "This number is for you to find."
          : value.size
            ? "This element is not kept."
            : "It has no element.";
    return [make("p", { className: "faint" }, says)];
  }
  const name = data.kind === "pair" ? make("span", { className: "whose" }, `${runs[run].label}: `) : null;
  const lines = [make("p", { className: "equation" }, name, told.equation), recordedText(run, place, told.cell)].filter(Boolean);
  if (told.missing)
    lines.push(
      make(
        "p",
        { className: "faint" },
        isLive(run)
          ? "What it was computed from is known only as it was recorded."
          : "Of an operand a part is kept, and not all numbers of this equation are in it.",
      ),
    );
  const texts = new Set();
  const reads = told.reads
    .filter((read) => !texts.has(read.text) && texts.add(read.text))
    .map((read) => {
      const there = () => go(read.place, read.places[0]);
      return make("li", null, make("button", { type: "button", className: "link", onclick: there }, read.text));
    });
  const before = fromIteration(run, place, told.cell);
  if (before) reads.push(make("li", null, before));
  const after = afterStep(run, place, told.cell);
  if (after) reads.push(make("li", null, after));
  if (reads.length) lines.push(make("ul", { className: "reads", "aria-label": "What it read" }, ...reads));
  return lines;
}

/** Return what an element of a parameter is after the next step, leading to the node that computes it; null of others. */
function afterStep(run, place, cell) {
  const update = canCompute() && data.live.updates.find(([to]) => data.live.places[to] === place),
    there = update ? data.live.places[update[1]] : -1,
    value = there >= 0 ? valueOf(run, there) : null;
  if (!value || value.at(cell) === undefined) return null;
  const text = `after the next step: ${numeral(value.at(cell), value.dtype)}, ${nodes.name[there]}`;
  return make("button", { type: "button", className: "link", onclick: () => go(there, cell) }, text);
}

// --- beside it: source, gradient, findings, two runs ------------------------------------------------------------

const LINES_AROUND = 4;

let sourceOf = null;

function drawSource() {
  const file = data.files[nodes.file[shown.place]],
    line = nodes.line[shown.place],
    key = [nodes.file[shown.place], line, nodes.where[shown.place]].join();
  if (key === sourceOf) return;
  sourceOf = key;
  const heading = make("p", { className: "faint" }, nodes.where[shown.place] || "No line of yours made it.");
  if (!file) return $("source").replaceChildren(heading);
  const [, lines] = file,
    numbers = Object.keys(lines)
      .map(Number)
      .filter((n) => Math.abs(n - line) <= LINES_AROUND);
  const indents = numbers.filter((n) => lines[n].trim()).map((n) => lines[n].search(/\S/));
  const indent = indents.length ? Math.min(...indents) : 0,
    digits = String(Math.max(...numbers)).length;
  const code = numbers.map((n) => {
    const mark = n === line ? { className: "line here", "aria-current": "true" } : { className: "line" };
    const number = `${n === line ? "▸" : " "}${String(n).padStart(digits)} `;
    return make("span", mark, make("span", { className: "number" }, number), make("span", null, `${lines[n].slice(indent)}\n`));
  });
  $("source").replaceChildren(
    heading,
    make("pre", { tabIndex: 0, role: "region", "aria-label": "The lines of the source" }, make("code", null, ...code)),
  );
}

const HEADINGS = { "gradient of": "The value it is the gradient of", "made for": "The value it was made for" };

/** Say how a node is related to its twin. */
function relationTold(place, there, relation) {
  // Paths have slashes of their own: the scope of what is differentiated is not said, neither of it nor of what stands beside it.
  const own = ownName(data.loss),
    scope = data.loss.slice(0, data.loss.length - own.length);
  const of = (at) =>
    `∂${visibleShort(own)}/∂${scope && nodes.name[at].startsWith(scope) ? nodes.name[at].slice(scope.length) : nodes.name[at]}`;
  const words = {
    gradient: place === data.differentiated ? "This is what is differentiated. Its own gradient:" : of(place),
    "gradient of": `This is ${of(there)}. The value:`,
    "made for": "It was made for:",
    "serves its gradient": "For its gradient there is:",
  };
  return words[relation];
}

function drawGradient() {
  const [there, relation] = twinOf(shown.place),
    host = $("gradient");
  $("gradient-title").textContent = HEADINGS[relation] ?? "Gradient";
  heatmaps = heatmaps.filter((heat) => !heat.besides);
  if (there < 0) return host.replaceChildren(make("p", { className: "faint" }, "There is none of it in this run."));
  const button = make("button", { type: "button", className: "link", id: "twin", onclick: toTwin }, `${nodes.name[there]} (t)`);
  const before = heatmaps.length,
    value = valueOf(shown.run, there);
  const seen = figure(shown.run, there, { title: "", room: rooms.gradient, height: 170, pick: (cell) => go(there, cell) });
  const same = value !== null && String(value.shape) === String(valueOf(shown.run, shown.place)?.shape);
  const element =
    same && value.size > 1 && value.at(shown.cell) !== undefined
      ? make("p", { className: "equation" }, elementText(there, shown.cell, value))
      : null;
  const most = value?.size ? largest(shown.run, there, (cell) => go(there, cell)) : null;
  host.replaceChildren(make("p", null, relationTold(shown.place, there, relation), " ", button), seen, ...[element, most].filter(Boolean));
  for (const heat of heatmaps.slice(before)) {
    heat.besides = true;
    heat.meant = same ? [shown.cell] : [];
  }
}

/** Light up, in the value beside, the element that is looked at. */
function lightBesides() {
  const besides = heatmaps.filter((heat) => heat.besides);
  for (const heat of besides) heat.light(heat.meant);
  drawHeatmaps(besides);
}

const elementText = (place, cell, value) =>
  `${called(nodes.name[place], indexOf(place, unravel(cell, value.shape), value.shape))} = ${numeral(value.at(cell), value.dtype)}`;
const ownName = (name) => name.slice(name.lastIndexOf("/") + 1);
const visibleShort = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);

function drawFindings() {
  const { findings } = runs[shown.run];
  $("findings-part").hidden = !findings.length;
  $("findings-title").textContent = live.on ? "Findings when it was recorded" : "Findings";
  $("findings").replaceChildren(
    ...findings.map((finding) => {
      const here = finding.place === shown.place ? { "aria-current": "true" } : {};
      const there = () => toFinding(finding);
      const text = `${finding.severity}, ${finding.code}: ${nameOfFinding(finding)}`;
      return make("li", null, make("button", { type: "button", className: "link", title: finding.says, onclick: there, ...here }, text));
    }),
  );
}

function nextFinding() {
  const { findings } = runs[shown.run];
  if (!findings.length) return;
  const at = findings.find(({ place }) => place > shown.place) ?? findings.reduce((a, b) => (b.place < a.place ? b : a));
  toFinding(at);
}

/** Say what became of the outputs in the second run. */
function drawChanges() {
  $("changes-part").hidden = data.kind !== "pair";
  if (data.kind !== "pair") return;
  const leading = (there, ...text) => make("li", null, make("button", { type: "button", className: "link", onclick: there }, ...text));
  const link = (place, cell, ...text) => leading(() => go(place, cell), ...text);
  const { first, differences, recomputed } = data.pair,
    parting = { ...data.pair, place: first },
    items = [];
  if (first >= 0) items.push(leading(() => toFinding(parting), `the first to differ: ${nameOfFinding(parting)}`));
  for (const [name, place] of data.outputs) {
    const values = seenRuns().map((run) => valueOf(run, place)),
      missing = values.findIndex((value) => !value);
    if (missing >= 0) items.push(link(place, null, `${name}: not run in ${runs[missing].label}`));
    else if (values[0].size === 1) items.push(link(place, 0, `${name}: ${values.map((value) => value.text(0)).join(" → ")}`));
    else {
      const apart = differences.find(([at]) => at === place);
      items.push(
        link(place, null, `${name}: ${apart ? (apart[1] === null ? "differs" : `up to ${general(apart[1], 4)} apart`) : "the same"}`),
      );
    }
  }
  const total = grouped(nodes.name.length),
    counts = [`${total} nodes, of which ${grouped(differences.length)} differ`];
  if (recomputed)
    counts.push(`${grouped(operations.length)} of the ${total} are operations, of which ${grouped(recomputed.length)} were recomputed`);
  items.push(make("li", { className: "faint" }, counts.join("; ")));
  $("changes").replaceChildren(...items);
}

const CLASSES = [
  "#56B4E9",
  "#E69F00",
  "#CC79A7",
  "#009E73",
  "#F0E442",
  "#999999",
  "#0072B2",
  "#D55E00",
  "#8DD3C7",
  "#BEBADA",
  "#FB8072",
  "#FFFFB3",
];

const BLOCK = 6,
  DIGIT = { across: 7, down: 8 }; // cells of a side of what has one digit; how far its middle keeps off the middles of dots

/** Return a cell of each block in which a digit touches no dot and no border, the nearest to the middle, and where that is; blocks full of dots have none. */
function freeCells(n, side, spots) {
  const each = side / n,
    found = new Map(),
    { across, down } = DIGIT;
  const middle = (i) => [((i % n) + 0.5) * each, side - (Math.floor(i / n) + 0.5) * each];
  const far = (i) => Math.hypot(((i % n) % BLOCK) - 2.5, (Math.floor(i / n) % BLOCK) - 2.5);
  const taken = new Set();
  for (const [x, y] of spots) {
    const columns = [(x - across) / each - 0.5, (x + across) / each - 0.5],
      rows = [(side - y - down) / each - 0.5, (side - y + down) / each - 0.5];
    for (let row = Math.max(0, Math.ceil(rows[0])); row <= Math.min(n - 1, Math.floor(rows[1])); row++) {
      for (let column = Math.max(0, Math.ceil(columns[0])); column <= Math.min(n - 1, Math.floor(columns[1])); column++)
        taken.add(row * n + column);
    }
  }
  for (const i of upTo(n * n).sort((a, b) => far(a) - far(b))) {
    const block = `${Math.floor((i % n) / BLOCK)} ${Math.floor(i / n / BLOCK)}`,
      [x, y] = middle(i);
    if (!found.has(block) && !taken.has(i) && Math.min(x, y, side - x, side - y) > 5) found.set(block, [i, x, y]);
  }
  return [...found.values()];
}

/** Draw which class the network sees where: now, or at this step as it was recorded. */
function drawBoundary() {
  const seen = data.boundary,
    now = seenSight();
  if (now) return drawSeen(now);
  $("boundary-part").hidden = !seen;
  $("units-part").hidden = true;
  if (!seen) return;
  const side = 220,
    n = seen.grid,
    each = side / n,
    [canvas, pen] = canvasOf($("boundary").querySelector("canvas"), side, side),
    kinds = [...seen.classes[shown.run]].map((digit) => digit.charCodeAt(0) - 48);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Which class ${seen.scores} gives to each point of ${seen.x}, at ${runs[shown.run].label}`);
  kinds.forEach((kind, i) => {
    pen.fillStyle = CLASSES[kind];
    pen.fillRect((i % n) * each, side - (Math.floor(i / n) + 1) * each, each + 0.5, each + 0.5);
  });
  const spots = spotsOf(seen, seen.points, side, side),
    { labels } = seen;
  seen.digits ??= freeCells(n, side, spots);
  pen.font = "11px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = "#000";
  for (const [i, x, y] of seen.digits) pen.fillText(String(kinds[i]), x, y);
  spots.forEach(([x, y], i) => {
    pen.beginPath();
    pen.arc(x, y, 2.2, 0, 2 * Math.PI);
    pen.fillStyle = labels ? CLASSES[labels[i] % CLASSES.length] : "#222";
    pen.fill();
    pen.lineWidth = 0.8;
    pen.strokeStyle = "#000";
    pen.stroke();
  });
  const said = `The digits say which class ${seen.scores} makes the likeliest; `;
  $("boundary").replaceChildren(
    canvas,
    make("p", { className: "faint" }, said + (labels ? "a dot has the colour of its own class." : "the dots are what was fed.")),
  );
}

/** How wide what depends on it may be; asked for before anything is changed, for the browser lays the page out anew to answer. */
const rooms = { values: 0, gradient: 0, ticks: 0, seen: 0 };

function measureRooms() {
  $("place").textContent = `operation ${grouped(shown.time + 1)} of ${grouped(nodes.name.length)}`; // it takes room from the timeline
  rooms.values = Math.max(200, $("values").clientWidth - 4);
  rooms.gradient = Math.max(160, $("gradient").clientWidth - 20);
  rooms.ticks = $("ticks").parentElement.clientWidth;
  rooms.seen = ($("boundary-part").parentElement.clientWidth || 300) - 26;
}

/** Return a canvas of a size in pixels of the page, and its pen; the one that is given, if it is one. */
function canvasOf(given, wide, high) {
  const canvas = given instanceof HTMLCanvasElement ? given : make("canvas"),
    scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(wide * scale);
  canvas.height = Math.round(high * scale);
  if (canvas.style.width !== `${wide}px`) canvas.style.width = `${wide}px`;
  if (canvas.style.height !== `${high}px`) canvas.style.height = `${high}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [canvas, pen];
}
