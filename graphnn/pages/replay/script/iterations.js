// --- the iterations of loops, and the sides of branches ---------------------------------------------------------

/* A node of a loop has one place, and the value of the iteration that is shown: its columns are written anew when
   another one is chosen. A side of a branch is a loop with one iteration, or with none if the other side was taken. */

const loopOf = new Map(),
  givers = new Map(),
  carriedFrom = new Map(),
  readBefore = new Map();
let loopShown = -1;

function prepareLoops() {
  data.loops.forEach((loop, k) => {
    for (const place of loop.places) loopOf.set(place, k);
    for (const [item, said, place] of loop.gives) givers.set(item, [...(givers.get(item) ?? []), { k, said, place }]);
    for (const [input, place] of loop.before) carriedFrom.set(input, place);
    const [row] = runs.map((run) => run.loops[k].rows[0]).filter((each) => each !== undefined);
    if (row !== undefined) showRow(k, row);
  });
  for (const item of givers.keys()) readBefore.set(item, nodes.inputs[item]);
  loopShown = data.loops.findIndex(({ side }) => !side);
  for (const part of document.querySelectorAll(".of-loop")) part.hidden = loopShown < 0;
}

/** Return what gives an array of a loop or branch; of the sides of a branch, the one that was taken. */
const givenBy = (place) => givers.get(place)?.find(({ k }) => rowsOf(k).length) ?? givers.get(place)?.[0];

/** Return whether a node is in a side that was not taken, or in a loop without iterations. */
const isLeftOut = (place) => loopOf.has(place) && seenRuns().every((run) => !iterationsOf(run, loopOf.get(place)).rows.length);

const nameInside = ({ title, side, names }, row, i) => `${title}@${side || row}/${names[i]}`;

/** Return which node of which loop a name such as scan_1@3/tanh or cond_1@then/exp is of, and the row; null of other names. */
function insideNamed(name) {
  const [, title, row, rest] = /^(.*)@(\d+|then|otherwise)\/(.*)$/s.exec(name) ?? [];
  const k = data.loops.findIndex((loop) => loop.title === title && (!loop.side || loop.side === row) && loop.names.includes(rest));
  return k < 0 ? null : { k, i: data.loops[k].names.indexOf(rest), row: data.loops[k].side ? 0 : Number(row) };
}

/** Have the nodes of a loop hold the values of one iteration, in all runs. */
function showRow(k, row) {
  const loop = data.loops[k];
  loop.row = row;
  for (const run of runs) {
    const { rows, values, rules } = run.loops[k],
      slot = rows.indexOf(row);
    loop.places.forEach((place, i) => {
      run.values[place] = slot < 0 ? -1 : values[slot][i];
      run.rules[place] = slot < 0 ? -1 : rules[slot][i];
    });
  }
  loop.places.forEach((place, i) => {
    placeOf.delete(nodes.name[place]);
    nodes.name[place] = nameInside(loop, row, i);
    placeOf.set(nodes.name[place], place);
  });
}

/** Return whether a node is an array that a loop gives to another pass: whether that has run says nothing of the loop. */
const isLent = (place) => givers.has(place) && nodes.phase[place] !== nodes.phase[givenBy(place).place];

/** Return how many iterations a loop makes in a run, the rows of those that are known, and which these are in their order. */
function iterationsOf(run, k) {
  if (!isLive(run)) return runs[run].loops[k];
  const { rows } = liveInside(k, data.loops[k].row);
  return { count: rows.length, rows, at: upTo(rows.length) };
}

const rowsOf = (k) => iterationsOf(shown.run, k).rows;
const nearest = (rows, row) => rows.reduce((a, b) => (Math.abs(b - row) < Math.abs(a - row) ? b : a));

/** Show an iteration of a loop, and of all loops that keep the same ones: those of layers above it, and of its gradient. */
function toRow(k, row) {
  const rows = rowsOf(k),
    key = [...rows].sort().join();
  if (!rows.length) return;
  const chosen = nearest(rows, row);
  lookAt(k);
  data.loops.forEach((_, other) => [...rowsOf(other)].sort().join() === key && showRow(other, chosen));
}

/** Go so many iterations on, in the order in which they ran. */
function iterate(by) {
  const k = loopHere();
  if (k < 0) return;
  const rows = rowsOf(k),
    at = rows.indexOf(data.loops[k].row) + by;
  if (!rows.length || at < 0 || at >= rows.length) return;
  toRow(k, rows[at]);
  drawAll();
}

/** Note which loop is looked at; a side of a branch has no iterations to choose from. */
function lookAt(k) {
  if (!data.loops[k]?.side) loopShown = k ?? loopShown;
}

/** Return the loop in which the node is that is looked at, or that gives it; else the one that was looked at before. */
function loopHere() {
  lookAt(loopOf.get(shown.place) ?? givenBy(shown.place)?.k);
  return loopShown;
}

/** Keep to the iteration when another run is shown, which may have others; it may have taken other sides. */
function keepRows() {
  data.loops.forEach((loop, k) => rowsOf(k).length && !rowsOf(k).includes(loop.row) && showRow(k, nearest(rowsOf(k), loop.row)));
  for (const [item, all] of readBefore) nodes.inputs[item] = all.filter((place) => !isLeftOut(place));
  placeAll();
}

function toFinding({ place, cell, loop, iteration }) {
  if (loop !== undefined) toRow(loop, iteration);
  go(place, cell);
}

/** Return the node of a finding; of one in a loop, in the iteration in which it was found. */
function nameOfFinding({ place, loop, iteration }) {
  if (loop === undefined) return nodes.name[place];
  return nameInside(data.loops[loop], iteration, data.loops[loop].places.indexOf(place));
}

function drawIterations() {
  const k = loopHere();
  $("loop").hidden = k < 0;
  if (k < 0) return;
  const { title, row } = data.loops[k],
    { rows, count } = iterationsOf(shown.run, k);
  $("iteration").max = Math.max(0, rows.length - 1);
  $("iteration").value = Math.max(0, rows.indexOf(row));
  const part = rows.length < count ? `; ${grouped(rows.length)} are kept` : "";
  $("iteration-name").textContent = rows.length
    ? `iteration ${grouped(row)} of ${title} (${grouped(count)} in all${part})`
    : `${title}: no iteration`;
  $("iteration").setAttribute("aria-valuetext", $("iteration-name").textContent);
  $("iteration-back").disabled = rows.indexOf(row) <= 0;
  $("iteration-on").disabled = rows.indexOf(row) >= rows.length - 1;
}

/** Return where an element of an input of a loop, or of what a loop gives, comes from; null of other nodes. */
function otherIteration(run, place, cell) {
  const value = valueOf(run, place),
    given = givenBy(place),
    k = given?.k ?? loopOf.get(place);
  if (k === undefined || value === null) return null;
  const told = iterationsOf(run, k),
    index = unravel(cell, value.shape);
  if (given) {
    const stacked = given.said === "stacked",
      row = stacked ? index[0] : told.rows[told.rows.length - 1];
    return { k, row, place: given.place, cell: stacked ? cell % (product(value.shape.slice(1)) || 1) : cell };
  }
  const [operand] = nodes.inputs[place],
    at = told.at[told.rows.indexOf(data.loops[k].row)];
  if (nodes.kind[place] === "one row") return { place: operand, cell: data.loops[k].row * value.size + cell };
  if (nodes.kind[place] !== "carried") return null;
  if (at === 0) return { place: operand, cell };
  const slot = told.at.indexOf(at - 1);
  return { k, row: slot < 0 ? null : told.rows[slot], place: carriedFrom.get(place), cell };
}

/** Say where an element comes from, if that is another iteration; a click goes there. */
function fromIteration(run, place, cell) {
  const from = otherIteration(run, place, cell);
  if (from === null || from.place === undefined) return null;
  if (from.k === undefined)
    return make(
      "button",
      { type: "button", className: "link", id: "from", onclick: () => go(from.place, from.cell) },
      `from ${elementName(from.place, from.cell, nodes.name[from.place])}`,
    );
  const loop = data.loops[from.k],
    name = nameInside(loop, from.row, loop.places.indexOf(from.place));
  if (from.row === null || !iterationsOf(run, from.k).rows.includes(from.row))
    return make("span", { className: "faint" }, "from an iteration that is not kept on this page");
  const there = () => (toRow(from.k, from.row), go(from.place, from.cell));
  return make(
    "button",
    { type: "button", className: "link", id: "from", onclick: there },
    `from ${elementName(from.place, from.cell, name)}`,
  );
}

function elementName(place, cell, name) {
  const value = valueOf(shown.run, place);
  return value === null ? name : called(name, unravel(cell, value.shape).join(", "));
}

/** Return an element in all iterations that are kept, in the order of their rows; and which of them is shown. */
function overIterations(place, cell) {
  const k = loopOf.get(place),
    { rows } = iterationsOf(shown.run, k),
    { values } = runs[shown.run].loops[k],
    i = data.loops[k].places.indexOf(place);
  const order = upTo(rows.length).sort((a, b) => rows[a] - rows[b]),
    now = isLive(shown.run) && liveSeries(place, cell);
  if (now) return [order.map((slot) => now.get(rows[slot])), order.indexOf(rows.indexOf(data.loops[k].row))];
  const numbers = order.map((slot) => (values[slot][i] < 0 ? NaN : (valueNumbered(values[slot][i]).number(cell) ?? NaN)));
  return [numbers, order.indexOf(rows.indexOf(data.loops[k].row))];
}
