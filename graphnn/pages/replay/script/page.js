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

// --- where one is -----------------------------------------------------------------------------------------------

/** `place` is what is looked at; the run has come as far as `time`. */
const shown = { run: 0, place: 0, time: 0, cell: 0, row: null, hover: null, overlay: "", slices: new Map(), whole: new Set(), one: null };
const trail = [];
let operations = [],
  playing = null;

function last() {
  const { values: all, stopped } = runs[shown.run];
  let end = all.length - 1;
  while (end > 0 && all[end] < 0 && seenRuns().every((run) => runs[run].values[end] < 0)) end--;
  return Math.max(end, stopped);
}

/** Look at a node, and one of its elements. The time stays where it is. */
function go(place, cell = null, remember = true) {
  place = Math.max(0, Math.min(place, nodes.name.length - 1));
  if (remember && (place !== shown.place || (cell !== null && cell !== shown.cell))) {
    trail.push([shown.place, shown.cell]);
    if (trail.length > 500) trail.shift();
  }
  const value = valueOf(shown.run, place);
  if (place !== shown.place) toTop();
  shown.place = place;
  shown.cell = cell === null || cell < 0 ? usualCell(place) : Math.min(cell, Math.max(0, (value?.size ?? 1) - 1));
  shown.hover = null;
  if (cell !== null) sliceTo(place, shown.cell);
  drawAll();
}

/** Have the beginning of what is looked at in sight, where a link was followed further down. */
function toTop() {
  $("operation").scrollTop = 0;
  if (window.innerWidth <= 1000 && $("operation").contains(document.activeElement)) $("node").scrollIntoView({ block: "nearest" });
}

/** Set the time: a node has just run, what comes later is pending. The node is looked at, too. */
function runTo(place, cell = null) {
  shown.time = Math.max(0, Math.min(place, last()));
  go(shown.time, cell, false);
}

const isPending = (place) => !nodes.kind[place] && (place > shown.time || isLeftOut(place));

/** Return the element that is looked at where none is named: the first, or the first of the chosen row. */
function usualCell(place) {
  const value = valueOf(shown.run, place),
    batch = batchAxis(place);
  if (!value || shown.row === null || batch < 0 || shown.row >= value.shape[batch]) return 0;
  return ravel(
    value.shape.map((_, axis) => (axis === batch ? shown.row : 0)),
    value.shape,
  );
}

const batchAxis = (place) => (data.dim === null ? -1 : nodes.shape[place].indexOf(data.dim));
const rowOf = (place, cell) => unravel(cell, valueOf(shown.run, place).shape)[batchAxis(place)];

function step(by) {
  const isNext = (place) => (by > 0 ? place > shown.time : place < shown.time) && !isLeftOut(place);
  const from = by > 0 ? operations.findIndex(isNext) : operations.findLastIndex(isNext);
  if (from >= 0 && operations[from] <= last()) runTo(operations[from]);
  else if (by < 0) runTo(0);
  else stop();
}

function back() {
  const before = trail.pop();
  if (before) go(before[0], before[1], false);
}

const READING = 1400; // milliseconds for an equation

const filming = () => playing?.what === "film";

/** Return the element that tells most: the farthest from 0, in the row that is chosen or in that of the largest number that is fed. */
function tellingCell(place) {
  const value = valueOf(shown.run, place),
    batch = batchAxis(place),
    farthest = (cells, of) => cells.reduce((best, cell) => (Math.abs(of.number(cell)) > Math.abs(of.number(best)) ? cell : best), cells[0]);
  if (!value?.size) return null;
  const fed_ = nodes.kind.findIndex((kind, at) => kind === "fed" && batchAxis(at) === 0 && isReal(at)),
    largest_ = fed_ < 0 ? null : valueOf(shown.run, fed_);
  const row = shown.row ?? (largest_?.told.peak >= 0 ? rowOf(fed_, largest_.told.peak) : 0),
    inside = batch === 0 ? value.size / value.shape[0] : value.size;
  const cells = upTo(Math.min(inside, MOST_TOLD))
    .map((i) => (batch === 0 ? row * inside : 0) + i)
    .filter((cell) => cell < value.size && Number.isFinite(value.number(cell)));
  return cells.length ? farthest(cells, value) : null;
}

const MOST_TOLD = 4096; // of a value, among which the one that tells most is looked for

/** Show the values pass forwards, and then the gradients pass backwards over the same boxes, at reading speed. */
function playFilm() {
  const before = playing;
  stop();
  if (before?.what === "film") return drawStates();
  const way = operations.filter((place) => !isLeftOut(place) && place <= last() && (nodes.phase[place] === 0 || gradientOf.has(place)));
  const names = ["forward operations", "operations", "forward layers", "layers"].map(named).filter((i) => i >= 0);
  let at = 0;
  const on = () => (at < way.length ? runTo(way[at], tellingCell(way[at++])) : (stop(), drawStates()));
  if (canCompute()) stopTraining();
  playing = { what: "film", timer: setInterval(on, READING) };
  changeView(names.find((i) => data.views[i].boxes.length <= 60) ?? names[names.length - 1]);
  tellPlaying();
  on();
}

/** Go through the operations, or through the steps of a film, by itself. */
function play(what = "operations") {
  const before = playing;
  stop();
  if (before?.what === what) return;
  const steps = what === "steps",
    count = steps ? runs.length : operations.length;
  if (steps && shown.run === runs.length - 1) toRun(0);
  if (!steps && shown.time >= last()) runTo(0);
  const on = steps ? () => (shown.run < runs.length - 1 ? toRun(shown.run + 1) : stop()) : () => step(1);
  const pause = Math.max(steps ? 120 : 60, Math.min(700, (steps ? 12000 : 60000) / count));
  playing = { what, timer: setInterval(on, pause) };
  tellPlaying();
}

function stop() {
  clearInterval(playing?.timer);
  playing = null;
  tellPlaying();
}

function tellPlaying() {
  for (const [id, what, name] of [
    ["play", "operations", "Play"],
    ["play-steps", "steps", "Play the steps"],
  ]) {
    const runs_ = playing?.what === what;
    $(id).textContent = runs_ ? "❚❚" : "▶";
    $(id).setAttribute("aria-label", runs_ ? "Stop" : name);
  }
  $("play-film").textContent = filming() ? "❚❚ ∂" : "▶ ∂";
}

/** Go to the gradient of what is shown, or from a gradient to what it is of. */
function toTwin() {
  const [there] = twinOf(shown.place);
  if (there < 0) return;
  const same = String(valueOf(shown.run, there)?.shape) === String(valueOf(shown.run, shown.place)?.shape);
  go(there, same ? shown.cell : null);
}

let gradientOf = new Map(),
  madeFor = new Map();

/** Return the place of the twin, and how it is related. */
function twinOf(place) {
  if (nodes.gradient[place] >= 0) return [nodes.gradient[place], "gradient"];
  if (gradientOf.has(place)) return [gradientOf.get(place), "gradient of"];
  if (nodes.twin[place] >= 0) return [nodes.twin[place], "made for"];
  return madeFor.has(place) ? [madeFor.get(place), "serves its gradient"] : [-1, ""];
}

function chooseRow(row) {
  shown.row = row;
  $("row").value = row ?? "";
  if (row !== null) shown.cell = inRow(shown.cell, row);
  shown.hover = null;
  drawAll();
}

/** Return the element beside another that lies in a row. */
function inRow(cell, row) {
  const value = valueOf(shown.run, shown.place),
    batch = batchAxis(shown.place);
  if (!value || batch < 0 || row >= value.shape[batch]) return cell;
  return ravel(
    unravel(cell, value.shape).map((i, axis) => (axis === batch ? row : i)),
    value.shape,
  );
}

function toggleRow() {
  if (shown.row !== null) chooseRow(null);
  else if (valueOf(shown.run, shown.place) && batchAxis(shown.place) >= 0) chooseRow(rowOf(shown.place, shown.cell));
}

// --- everything together ----------------------------------------------------------------------------------------

function drawAll() {
  // What is drawn anew loses the focus; it then goes to the value that is shown.
  const focused = document.activeElement?.closest("#values, #equation, #details, #gradient") !== null;
  measureRooms();
  if (canCompute() && data.loops.length) keepRows(); // there may be fewer iterations now, or another side
  drawTimeline();
  drawCurve();
  drawIterations();
  drawStates();
  drawOverlay();
  drawSource();
  drawFindings();
  drawChanges();
  drawBoundary();
  const told = writeEquation();
  drawGradient();
  drawOperation();
  drawEdit();
  drawExercise();
  drawLive();
  for (const heat of heatmaps) heat.seenNow();
  revealChosen();
  lightUp(told);
  lightBesides();
  tellLink();
  if (focused) chosenHeatmap()?.box.focus({ preventScroll: true });
}

const chosenHeatmap = () =>
  heatmaps.find((heat) => heat.place === shown.place && !heat.besides && heat.find(shown.cell)[0] >= 0) ??
  heatmaps.find((heat) => heat.place === shown.place && !heat.besides);

function revealChosen() {
  const heat = chosenHeatmap();
  if (heat) heat.reveal(...heat.find(shown.cell).map((at) => Math.max(0, at)));
}

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

let onScreen = null; // the theme there, while the page is laid out for paper

/** Lay the page out for paper, on which it is light; or for the screen again. */
function toPaper(on) {
  if (on === (onScreen !== null)) return;
  const root = document.documentElement,
    theme = on ? "light" : onScreen;
  onScreen = on ? root.dataset.theme : null;
  root.classList.toggle("paper", on);
  useTheme(theme);
  $("printed").hidden = !on;
  // The screen stays as it is behind cards: of what is not seen, nobody knows how much room it has.
  const cards = on && asking.places !== null;
  root.classList.toggle("cards", cards);
  if (cards) {
    asking.begun = true;
    return drawCards();
  }
  $("printed").replaceChildren(...(on ? printed() : []));
  drawAll();
  sizeText(on ? SHARP : picture.scale);
}

function useOverlay(name) {
  shown.overlay = name;
  $("overlay").value = name;
  drawOverlay();
}

const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  " ": () => play(),
  Home: () => runTo(0),
  End: () => runTo(last()),
  ",": () => iterate(-1),
  ".": () => iterate(1),
  "[": () => toRun(shown.run - 1),
  "]": () => toRun(shown.run + 1),
  p: () => data.kind === "film" && play("steps"),
  t: toTwin,
  n: nextFinding,
  r: toggleRow,
  Backspace: back,
  f: fold,
  o: openLayer,
  v: nextOverlay,
  g: () => gradientOf.size && playFilm(),
  h: () => runTo(shown.place, shown.cell),
  "/": () => $("search").select(),
  "?": () => $("keys").click(),
  Escape: letGo,
  e: () => canCompute() && !$("edit").hidden && $("edit-number").select(),
  u: () => canCompute() && !$("undo").disabled && trying(undo, tellEdit),
  l: () => canCompute() && data.live.updates.length && toggleTraining(),
};

function nextOverlay() {
  const names = [...$("overlay").options].map((option) => option.value);
  useOverlay(names[(names.indexOf(shown.overlay) + 1) % names.length]);
}

/** Give the keyboard back to the page, and the panes their places. */
function letGo() {
  $("matches").hidden = true;
  if (document.activeElement instanceof HTMLInputElement) document.activeElement.blur();
  else fillWith(null);
}

/** Keys of the search and of what it has found. */
function onSearchKey(event) {
  const links = [...$("matches").querySelectorAll("button")],
    at = links.indexOf(event.target),
    by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) (links[at + by] ?? $("search")).focus();
  else if (event.key === "Enter" && event.target === $("search")) {
    const [first] = search(event.target.value);
    if (first === undefined) return;
    letGo();
    go(first);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function onKey(event) {
  const { target } = event;
  const typing =
    (target instanceof HTMLInputElement && target.type !== "range") ||
    (target.type === "range" &&
      (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") &&
      target.closest("#live")) ||
    target instanceof HTMLSelectElement;
  if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
  if (event.key === " " && target instanceof HTMLButtonElement) return;
  if ((target.id === "step" || target.id === "iteration") && event.key.startsWith("Arrow")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  const actions = {
    "play-film": playFilm,
    first: KEYS.Home,
    back: () => step(-1),
    play: () => play(),
    on: () => step(1),
    last: KEYS.End,
    "play-steps": () => play("steps"),
    open: openLayer,
    in: () => zoom(1.25),
    out: () => zoom(0.8),
    fit: fitView,
    "iteration-back": () => iterate(-1),
    "iteration-on": () => iterate(1),
    theme: () => (useTheme(isDark() ? "light" : "dark"), drawAll()),
    keys: () => ($("keys").setAttribute("aria-expanded", String(!($("help").hidden = !$("help").hidden))), drawAll()),
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  document.addEventListener("keydown", onKey);
  $("position").addEventListener("input", (event) => runTo(Number(event.target.value)));
  $("step").addEventListener("input", (event) => toRun(Number(event.target.value)));
  $("iteration").addEventListener("input", (event) => (toRow(loopHere(), rowsOf(loopHere())[Number(event.target.value)]), drawAll()));
  $("view").addEventListener("change", (event) => changeView(Number(event.target.value)));
  $("overlay").addEventListener("change", (event) => useOverlay(event.target.value));
  $("search").addEventListener("input", (event) => search(event.target.value));
  document.querySelector(".search").addEventListener("keydown", onSearchKey);
  $("row").addEventListener("change", (event) =>
    chooseRow(event.target.value === "" ? null : Math.max(0, Math.floor(Number(event.target.value)))),
  );
  $("ticks").addEventListener("click", (event) => runTo(nodeUnder(event)));
  $("ticks").addEventListener("pointermove", (event) => ($("ticks").title = nodes.name[nodeUnder(event)]));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  useTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => (useTheme(dark.matches ? "dark" : "light"), drawAll()));
  let resizing = null;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => document.documentElement.classList.contains("cards") || (measure(), reachSays(), drawAll()), 100);
  });
  window.addEventListener("beforeprint", () => toPaper(true));
  window.addEventListener("afterprint", () => toPaper(false));
  window.matchMedia("print").addEventListener("change", ({ matches }) => toPaper(matches));
  listenToDiagram();
  listenToPanes();
  listenToPrinting();
}

function prepare() {
  ({ nodes, runs } = data);
  operations = upTo(nodes.name.length).filter((place) => !nodes.kind[place]);
  placeOf = new Map(nodes.name.map((name, place) => [name, place]));
  gradientOf = new Map(
    nodes.gradient
      .map((there, place) => [there, place])
      .filter(([there]) => there >= 0)
      .reverse(),
  );
  nodes.twin.forEach((there, place) => there >= 0 && nodes.phase[place] === 1 && !madeFor.has(there) && madeFor.set(there, place));
  document.title = `${data.graph} — replay`;
  $("title").textContent = data.graph;
  // What was found comes first, what to do about it after that.
  const [first] = /^[^;]*;?/.exec(data.opening.says);
  $("opening").replaceChildren("", make("strong", null, first), data.opening.says.slice(first.length));
  if (data.playground) document.title = `${data.graph} — playground`;
  $("hint").textContent = data.playground
    ? `A network that trains in this page, by graphnn. Press Train; ${data.sight?.ends ? "drag a point; " : ""}${matchMedia("(pointer: coarse)").matches ? "tap" : "click"} a box to see its numbers, and type another one.`
    : `A run recorded by graphnn. ${matchMedia("(pointer: coarse)").matches ? "Tap" : "Click"} a box to see its numbers, and a number to see what made it. ← → go one operation back or on.`;
  $("position").max = Math.max(0, nodes.name.length - 1);
  $("place").style.minWidth = `${2 * grouped(nodes.name.length).length + 4}ch`;
  $("play-film").hidden = !gradientOf.size || data.kind === "pair";
  $("step").max = Math.max(0, runs.length - 1);
  $("row-choice").hidden = data.dim === null;
  if (data.dim !== null) $("row-name").textContent = data.dim;
  const without = [data.kind === "pair" ? "" : "difference", nodes.phase.includes(1) ? "" : "gradients"].filter(Boolean);
  for (const option of [...$("overlay").options]) if (without.includes(option.value)) option.remove();
  for (const film of document.querySelectorAll(".of-film")) film.hidden = data.kind !== "film";
  prepareLoops();
  prepareLive();
  prepareExercise();
  prepareTour();
  document.body.classList.add(data.kind);
  prepareUnchanged();
}

/** Have the keyboard reach what is said, where it scrolls: it has the room that the rest of the header leaves. */
function reachSays() {
  if ($("says").scrollHeight > $("says").clientHeight + 1)
    Object.assign($("says"), { tabIndex: 0, role: "region", ariaLabel: "What happened" });
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
  reachSays();
  const { run, place, cell, loop, iteration } = data.opening;
  shown.run = data.kind === "pair" ? 0 : run;
  shown.place = shown.time = place;
  keepRows();
  if (loop !== undefined) toRow(loop, iteration);
  startDiagram();
  runTo(place, cell);
  showWhole();
  goToLink();
  if (tour.open && !location.hash.slice(1)) toStation(0);
  publishScripting();
  document.documentElement.dataset.ready = "true";
}

start();
