// --- the controls of a page that computes -----------------------------------------------------------------------

function tellEdit(text) {
  $("edit-says").textContent = text;
}

/** Say what became of training, data and settings of the training. */
function tellLive(text) {
  $("live-says").textContent = text;
}

/** Do something with the engine, and say it where that fails. */
function trying(what, tell = tellLive) {
  tellEdit("");
  tellLive("");
  try {
    what();
  } catch (error) {
    stopTraining();
    tell(`${error.message}.`);
  }
  drawAll();
}

/** Compute once while a number is typed, so that what it changes is seen at once. */
function warm() {
  try {
    computed();
  } catch {
    // it is said when the number is set
  }
}

function listenToLive() {
  const { updates, rates } = data.live,
    trains = updates.length > 0;
  $("set").addEventListener("click", setTyped);
  $("edit-number").addEventListener("focus", warm);
  $("edit-number").addEventListener("keydown", (event) => {
    if (event.key === "Enter") setTyped();
    if (event.key === "Escape" || event.key === "Enter") chosenHeatmap()?.box.focus();
  });
  const actions = {
    undo: () => trying(undo, tellEdit),
    recording: backToRecording,
    train: toggleTraining,
    "train-step": () => trying(() => trainSteps(1)),
    "train-back": stepBack,
    reset: backToRecording,
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  for (const part of document.querySelectorAll(".trains")) part.hidden = !trains;
  $("live-more").open = window.innerWidth > 680;
  $("speed").max = SPEEDS.length - 1;
  $("speed").value = SPEEDS.length - 1;
  $("speed").addEventListener("input", () => {
    if (live.timer) (stopTraining(), toggleTraining());
    else drawLive();
  });
  $("rate-choice").hidden = !rates.length;
  $("rate").addEventListener("input", () => trying(() => useRate(Number((10 ** Number($("rate").value)).toPrecision(2)))));
  $("rate-number").addEventListener("change", (event) => trying(() => useRate(numberFrom(event.target.value, "float64"))));
  $("batch-choice").hidden = !trains || !live.rows || live.count < 2;
  $("batch").addEventListener("change", () => trying(() => (useBatch(Number($("batch").value)), live.changed.add("batch"), computing())));
  $("table-choice").hidden = !live.pool.size;
  $("table").addEventListener(
    "change",
    (event) => event.target.files[0] && readTable(event.target.files[0]).then(() => (event.target.value = "")),
  );
  listenToPoints();
  listenToCurve();
  if (data.kind === "run") document.querySelector("aside").prepend($("boundary-part"), $("units-part"));
  if (data.playground) layOutPlayground();
}

/** Put what one plays with first: training above all, what the network sees in the middle, the numbers of a box beside it. */
function layOutPlayground() {
  const main = document.querySelector("main"),
    aside = document.querySelector("aside"),
    operation = $("operation");
  main.before($("live"));
  $("reset").textContent = "Reset";
  $("speed").value = SPEEDS.length - 2;
  $("table-choice").after($("live-says"));
  if (!data.sight) return;
  document.body.classList.add("playground");
  $("left").after(aside, $("right"), operation);
  if (window.innerWidth <= 1000) main.prepend(aside);
  aside.setAttribute("aria-label", "What the network sees");
  $("right").setAttribute("aria-label", "Width of the numbers");
  operation.append(...["gradient-part", "source-part"].map($));
  paneOf.right = "#operation";
}

function useRate(rate) {
  computing();
  for (const number of data.live.rates) live.engine.set(number, 0, rate);
  live.changed.add("learning rate");
  touched();
  compute();
}

/** Set what was typed, at the element that is looked at; several numbers with commas, from there on. */
function setTyped() {
  const { place, cell } = shown;
  trying(() => {
    const dtype = nodes.dtype[place],
      texts = $("edit-number")
        .value.split(/[,\s]+/)
        .filter(Boolean);
    change(
      place,
      cell,
      (texts.length ? texts : [""]).map((text) => numberFrom(text, dtype)),
    );
    const count = live.recomputed ? live.recomputed.size : 0,
      was = live.before?.loss ?? NaN,
      loss = Number.isNaN(was) ? "" : `; ${lossName()} ${inFour(was)} → ${inFour(lossNow())}`;
    tellEdit(
      count ? `${grouped(count)} of ${grouped(nodes.name.length)} nodes were set or computed again; the others are grey${loss}.` : "",
    );
  }, tellEdit);
}

/** Begin to type a number for an element: a digit that was pressed in a heatmap. */
function typeNumber(text) {
  if (!canCompute() || $("edit").hidden) return;
  $("edit-number").value = text;
  $("edit-number").focus();
}

function drawEdit() {
  if (!canCompute()) return;
  const { place, cell } = shown,
    value = valueOf(shown.run, place),
    number = live.numberOf.get(place),
    can = number !== undefined && Boolean(value?.size) && !isHidden(place, cell);
  $("edit").hidden = !can;
  $("undo").disabled = !live.edits.length && !(live.beforeReset && !live.steps);
  $("recording").hidden = !live.on || data.live.updates.length > 0;
  if (!can) return;
  const index = indexOf(place, unravel(cell, value.shape), value.shape),
    found = value.at(cell);
  $("edit-name").textContent = called(shortName(place), index);
  if (document.activeElement !== $("edit-number"))
    $("edit-number").value = found === undefined ? "" : typeof found === "boolean" ? String(Number(found)) : general(Number(found), 6);
  const tunable = isGiven(number) ? [] : data.live.nodes.tunable[number];
  $("edit-settings").replaceChildren(
    ...tunable.map((name) => {
      const now = readAttribute({ ...data.live.nodes.attributes[number], ...live.settings.get(number) }[name]);
      const set = (event) => trying(() => changeSetting(place, name, numberFrom(event.target.value, "float64")), tellEdit);
      return make(
        "label",
        null,
        `${name} `,
        make("input", { type: "text", inputMode: "decimal", autocomplete: "off", value: String(now), onchange: set }),
      );
    }),
  );
}

/** Say what an element was before the last change, or when it was recorded, where it is another number now. */
function recordedText(run, place, cell) {
  if (!isLive(run)) return null;
  const number = runs[run].values[place],
    kept = live.before && !live.before.recorded ? live.before.values.get(place)?.() : null,
    value = kept ?? (number === undefined || number < 0 ? null : valueNumbered(number));
  const before = value && cell < value.size ? value.at(cell) : undefined,
    now = liveValue(place)?.at(cell);
  if (before === undefined || now === undefined || numeral(before, value.dtype) === numeral(now, nodes.dtype[place])) return null;
  return make("p", { className: "was" }, `It was ${numeral(before, value.dtype)} ${kept ? "before the change" : "when it was recorded"}.`);
}

/** Return a number with four digits, always as many. */
const inFour = (x) => general(x, 4, true).replace(/\.$/, "");

const lossName = () => data.outputs.find(([, place]) => place === data.live.places[data.live.fetches[0]])?.[0] ?? "loss";

/** Return what is not as it was recorded, besides the steps that were made. */
function changedText() {
  const names = [...live.changed, ...new Set(live.edits.map((edit) => data.live.nodes.name[edit.number]))].map((name) =>
    shortened(name, 22),
  );
  return names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(" and ");
}

/** Return how far the training is, and what was changed. */
function stateText() {
  const steps = live.steps ? `${grouped(live.steps)} ${live.steps === 1 ? "step" : "steps"} made` : "",
    changed = changedText() && `${changedText()} changed`;
  return [steps, changed].filter(Boolean).join(", ") || (data.playground ? "no step made yet" : "as recorded");
}

function drawLive() {
  if (!canCompute()) return;
  const { updates, rates } = data.live;
  $("live").hidden = !updates.length;
  document.body.classList.toggle("computing", live.on);
  const recorded = live.on ? "When recorded: " : ""; // what the heading says was then
  if ($("opening").firstChild.textContent !== recorded) $("opening").firstChild.textContent = recorded;
  if (!updates.length) return;
  $("train").textContent = live.timer ? "❚❚ Stop" : "▶ Train";
  $("train-back").disabled = !live.past.length && !live.beforeReset;
  $("train-back").title = live.past.length || !live.beforeReset ? "One step of training back" : "Take the reset back";
  $("reset").disabled = !live.on;
  const [, speed] = SPEEDS[Number($("speed").value)];
  $("speed-name").textContent = speed;
  $("speed").setAttribute("aria-valuetext", speed);
  if (rates.length) {
    const rate = Number(live.engine ? live.engine.value(rates[0]).data[0] : live.given.get(rates[0])[0]);
    if (document.activeElement !== $("rate")) $("rate").value = Math.log10(rate);
    if (document.activeElement !== $("rate-number")) $("rate-number").value = general(rate, 6);
    $("rate").setAttribute("aria-valuetext", `learning rate ${general(rate, 3)}`);
  }
  $("batch").max = live.count;
  if (document.activeElement !== $("batch")) $("batch").value = live.batch;
  $("batch-name").textContent =
    live.batch === live.count ? `all ${grouped(live.count)} rows` : `${grouped(live.batch)} of ${grouped(live.count)} rows`;
  $("batch").setAttribute("aria-valuetext", $("batch-name").textContent);
  const loss = live.engine && live.on ? lossNow() : Number(valueOf(shown.run, data.live.places[data.live.fetches[0]])?.number(0));
  const name = lossName();
  const found = Number.isNaN(loss) && !live.on ? "" : `${live.batch < live.count ? "batch " : ""}${name} = ${inFour(loss)}, `;
  $("train-says").textContent = $("train-says").title = `${found}${stateText()}`;
  drawTraining(name);
}

let stepPointed = null,
  curveDrawn = { stepAt: (x) => x, last: 0 };

/** Draw the losses of the steps that were made, and faint those of the run before; say the one that is pointed at. */
function drawTraining(name = lossName()) {
  const canvas = $("train-curve"),
    now = live.curve.length ? [...live.curve, lossNow()] : [],
    runs_ = [live.lastCurve, now].filter((run) => run.filter(Number.isFinite).length > 1);
  canvas.hidden = !runs_.length;
  if (!runs_.length) return;
  const beside_ = canvas.closest("#seen-beside"),
    [wide, high] = beside_ ? [Math.max(150, Math.min(420, beside_.clientWidth)), 110] : [190, 58];
  const [, pen] = canvasOf(canvas, wide, high),
    ink = getComputedStyle(document.body),
    finite = runs_.flat().filter(Number.isFinite);
  const [least, top] = rangeOf(finite),
    low = Math.min(0, least),
    most = Math.max(...runs_.map((run) => run.length)) - 1;
  const [left, right, roof, floor] = [8 + 6.2 * Math.max(...[low, top].map((x) => general(x, 3).length)), wide - 6, 18, high - 15];
  const spot = (x, i) => [left + ((right - left) * i) / most, floor - ((floor - roof) * (x - low)) / (top - low || 1)];
  pen.font = "11px sans-serif";
  pen.fillStyle = ink.getPropertyValue("--line");
  pen.fillRect(left, roof, 1, floor - roof);
  pen.fillRect(left, spot(Math.max(0, low), 0)[1], right - left, 1);
  pen.fillStyle = ink.getPropertyValue("--faint");
  Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
  for (const x of low < top ? [low, top] : [low]) pen.fillText(general(x, 3), left - 4, spot(x, 0)[1]);
  Object.assign(pen, { textAlign: "left", textBaseline: "alphabetic" });
  pen.fillText("0", left, high - 3);
  pen.textAlign = "right";
  pen.fillText(`${grouped(most)} steps`, right, high - 3);
  runs_.forEach((run) => {
    const every = Math.max(1, Math.ceil(run.length / 600));
    pen.strokeStyle = run === now ? ink.color : ink.getPropertyValue("--line");
    pen.lineWidth = 1.5;
    pen.beginPath();
    run.forEach((x, i) => Number.isFinite(x) && (i % every === 0 || i === run.length - 1) && pen.lineTo(...spot(x, i)));
    pen.stroke();
  });
  const run = now.length > 1 ? now : runs_[0],
    at = Math.max(0, Math.min(run.length - 1, stepPointed ?? run.length - 1));
  if (Number.isFinite(run[at])) {
    pen.fillStyle = ink.getPropertyValue("--mark");
    pen.beginPath();
    pen.arc(...spot(run[at], at), 4, 0, 2 * Math.PI);
    pen.fill();
  }
  const says = stepPointed === null ? `${name} over the steps` : `step ${grouped(at)}: ${name} ${inFour(run[at])}`;
  pen.fillStyle = ink.color;
  pen.textAlign = "left";
  pen.fillText(says, 3, 11, wide - 6);
  canvas.setAttribute(
    "aria-label",
    `${says}, ${run === now ? "" : "of the run before the reset, "}from ${inFour(run[0])} to ${inFour(run[run.length - 1])}, between ${inFour(Math.min(...run.slice(-5000)))} and ${inFour(Math.max(...run.slice(-5000)))}`,
  );
  canvas.tabIndex = 0;
  curveDrawn = { stepAt: (x) => Math.round(((x - left) / (right - left)) * most), last: run.length - 1 };
}

/** Point at a step of the curve, with the mouse or with the arrow keys. */
function listenToCurve() {
  const canvas = $("train-curve"),
    point = (step) => ((stepPointed = step), drawTraining());
  canvas.addEventListener("pointermove", (event) => point(curveDrawn.stepAt(event.offsetX)));
  for (const left of ["pointerleave", "blur"]) canvas.addEventListener(left, () => point(null));
  canvas.addEventListener("focus", () => point(curveDrawn.last));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!by) return;
    point(Math.max(0, Math.min(curveDrawn.last, (stepPointed ?? curveDrawn.last) + by)));
    event.preventDefault();
    event.stopPropagation();
  });
}

// --- points

let pointHeld = null,
  pointMoved = false,
  pointTold = -1,
  pointChosen = -1;

function spotsOf(seen, points, wide, high) {
  const [left, right, bottom, top] = seen.ends;
  return points.map(([a, b]) => [((a - left) / (right - left)) * wide, high - ((b - bottom) / (top - bottom)) * high]);
}

/** Have all points in the picture: those of a file may lie anywhere. */
function spanPoints() {
  const seen = data.sight;
  if (!seen?.ends) return;
  const { points } = livePoints(seen),
    ends = [0, 1].flatMap((axis) => {
      const [low, high] = rangeOf(points.map((point) => point[axis])),
        margin = 0.1 * (high - low) || 1;
      return [low - margin, high + margin];
    });
  Object.assign(seen, { ends, recorded: seen.recorded ?? seen.ends });
  live.grid = null;
}

/** Points are dragged; a click where there is none adds one; the keyboard chooses, moves and deletes them. */
function listenToPoints() {
  const host = $("boundary"),
    seen = data.sight;
  if (!seen?.ends) return;
  const room = () => [host.firstElementChild.clientWidth, host.firstElementChild.clientHeight];
  const at = (event) => {
    const box = host.firstElementChild.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** @type {(spot: number[]) => number[]} */
  const numbersAt = (spot) => {
    const [left, right, bottom, top] = seen.ends,
      [across, down] = room().map((most, axis) => Math.max(0, Math.min(1, spot[axis] / most)));
    return [left + across * (right - left), top - down * (top - bottom)].map((x) => Number(x.toPrecision(6)));
  };
  const nearest = (spot, event) => {
    const room_ = event.pointerType === "touch" ? 14 : dotSize(live.count) + 2;
    const far = spotsOf(seen, livePoints(seen).points, ...room()).map(([a, b]) => Math.hypot(a - spot[0], b - spot[1])),
      least = Math.min(...far);
    return least < room_ ? far.indexOf(least) : -1;
  };
  /** Return the numbers of a point, by the placeholder that has them. */
  const rowOfPoint = (numbers) => {
    const { x, y } = livePoints(seen);
    return seen.kind === "line"
      ? new Map([
          [x, numbers.slice(0, 1)],
          [y, numbers.slice(1)],
        ])
      : new Map([[x, numbers]]);
  };
  const move = (row, numbers) => trying(() => rowOfPoint(numbers).forEach((part, number) => moveRow(number, row, part)));
  const isThere = (event) => event.target === host.firstElementChild && event.target instanceof HTMLCanvasElement;
  host.addEventListener("pointerdown", (event) => {
    if (!isThere(event)) return;
    pointHeld = nearest(at(event), event);
    pointMoved = false;
    if (pointHeld < 0 && $("point-add")) add(numbersAt(at(event)));
  });
  host.addEventListener("pointermove", (event) => {
    if (pointHeld === null || pointHeld < 0 || !(event.buttons & 1)) return;
    event.preventDefault();
    if (!pointMoved) choosePoint(pointHeld);
    pointMoved = true;
    move(pointHeld, numbersAt(at(event)));
  });
  for (const ended of ["pointerup", "pointercancel"])
    window.addEventListener(ended, () => {
      if (pointHeld !== null && pointHeld >= 0 && !pointMoved) choosePoint(pointHeld === pointChosen ? -1 : pointHeld, true);
      pointHeld = null;
    });
  const add = (numbers) =>
    trying(() => {
      const { y, points, targets } = livePoints(seen),
        row = rowOfPoint(numbers),
        near = points.map(([a, b]) => Math.hypot(a - numbers[0], b - numbers[1])),
        kind = Number($("point-class")?.value ?? targets?.[near.indexOf(Math.min(...near))]);
      if (y !== undefined && !row.has(y)) row.set(y, [ownKind(y, kind)]);
      addRow(row);
      choosePoint(live.count - 1);
    });
  const remove = () => pointChosen >= 0 && trying(() => (removeRow(pointChosen), choosePoint(Math.min(pointChosen, live.count - 1))));
  host.addEventListener("change", (event) => {
    const { y } = livePoints(seen);
    if (event.target.id === "point-class" && pointChosen >= 0 && y !== undefined)
      trying(() => moveRow(y, pointChosen, [ownKind(y, Number(event.target.value))]));
  });
  host.addEventListener("click", (event) => {
    if (event.target.id === "point-add") add(numbersAt(room().map((size) => size / 2)));
    if (event.target.id === "point-delete") remove();
  });
  host.addEventListener("keydown", (event) => {
    if (!isThere(event)) return;
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key],
      { points } = livePoints(seen);
    if (event.key === "Enter") choosePoint((pointChosen + (event.shiftKey ? points.length - 1 : 1)) % points.length, true);
    else if (event.key === "Delete" || event.key === "-") remove();
    else if (by && pointChosen >= 0) {
      const [[a, b]] = spotsOf(seen, [points[pointChosen]], ...room());
      move(pointChosen, numbersAt([a + 4 * by[0], b + 4 * by[1]]));
    } else return;
    event.preventDefault();
    event.stopPropagation();
    drawBoundary();
    host.querySelector("canvas").focus({ preventScroll: true });
  });
}

/** Return a target as the data have it. */
const ownKind = (y, kind) => (live.pool.get(y) instanceof BigInt64Array ? BigInt(kind) : kind);

/** Choose a point, -1: none; `alone`: and show its row alone everywhere, if it is in the batch. */
function choosePoint(point, alone = false) {
  const row = alone ? live.fed.indexOf(point) : -1;
  pointChosen = point;
  chooseRow(row < 0 ? null : row);
}

const MOST_KINDS = 12; // of targets, to choose one for a new point

/** Return the controls of points. */
function pointControls(seen) {
  const { y, targets } = livePoints(seen),
    all = seen.kind === "line" ? [] : [...new Set(targets ?? [])].sort((a, b) => a - b),
    before = $("point-class")?.value;
  const kinds = all.length <= MOST_KINDS ? all : [],
    word = y !== undefined && /^u?int/.test(data.live.nodes.dtype[y]) ? "class" : nodes.name[seen.targets];
  const select = make(
    "select",
    { id: "point-class", ariaLabel: `The ${word} of the chosen point, or of a new one` },
    ...kinds.map((kind) => make("option", { value: String(kind), selected: String(kind) === before }, `${word} ${kind}`)),
  );
  return make(
    "div",
    { className: "points" },
    kinds.length ? select : null,
    make("button", { type: "button", id: "point-add" }, "Add a point"),
    make("button", { type: "button", id: "point-delete", disabled: pointChosen < 0 }, "Delete it"),
  );
}

// --- what other programs of the page may ask

/** Return the number of a node, by its name as in Python. */
function numberNamed(name) {
  const number = data.live.nodes.name.indexOf(String(name));
  if (number >= 0) return number;
  if (Object.hasOwn(data.live.called, name)) return data.live.called[name];
  throw new Error(`no node is called “${String(name).slice(0, 80)}”`);
}

/** The object `graphnn` of the page's window: what tests and those who embed the page use. */
function publishScripting() {
  const needed = () => {
    if (!canCompute()) throw new Error(data.live?.why || "this page does not compute");
  };
  const asked = {
    async value(name) {
      needed();
      const engine = computed(),
        { shape, dtype, data: raw } = valueInside(String(name)) ?? engine.value(numberNamed(name));
      return { shape: [...shape], dtype, data: raw.slice() };
    },
    async set(name, index, number) {
      needed();
      if (insideNamed(String(name))) throw new Error("what is inside a loop or a branch follows from its operands: set these");
      const i = numberNamed(name),
        shape = bound(data.live.nodes.shape[i], live.sizes),
        at = Array.isArray(index) ? index : [index].filter((each) => each !== null && each !== undefined);
      const whole = at.map((each, axis) => (each < 0 ? each + shape[axis] : each));
      if (at.length !== shape.length || whole.some((each, axis) => !Number.isInteger(each) || each < 0 || each >= shape[axis]))
        throw new Error(`[${at.join(", ")}] is not an element of ${name}, whose shape is ${shapeText(shape)}`);
      if (typeof number !== "number" && typeof number !== "bigint" && typeof number !== "boolean") throw new Error("a number is set");
      numberFrom(String(typeof number === "boolean" ? Number(number) : number), data.live.nodes.dtype[i]);
      change(data.live.places[i], ravel(whole, shape), [Number(number)]);
      drawAll();
    },
    async train(steps = 1) {
      needed();
      if (!Number.isInteger(steps) || steps < 0 || steps > 1e6) throw new Error("train takes a whole number of steps");
      trainSteps(steps);
      drawAll();
      return live.curve.slice(live.curve.length - steps);
    },
    async loss() {
      needed();
      computed();
      return lossNow();
    },
    async reset() {
      needed();
      backToRecording();
    },
    get unknown() {
      return canCompute() ? [] : [...(data.live?.missing ?? [])];
    },
  };
  Object.defineProperty(window, "graphnn", { value: Object.freeze(asked) });
}
