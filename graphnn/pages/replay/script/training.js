// --- the controls of a page that computes -----------------------------------------------------------------------

function tellEdit(text) {
  $("edit-says").textContent = text;
}

/** Do something with the engine, and say it where that fails. */
function trying(what) {
  tellEdit("");
  try {
    what();
  } catch (error) {
    stopTraining();
    tellEdit(`${error.message}.`);
  }
  drawAll();
}

function listenToLive() {
  const { updates, rates } = data.live,
    trains = updates.length > 0;
  $("set").addEventListener("click", setTyped);
  $("edit-number").addEventListener("keydown", (event) => {
    if (event.key === "Enter") setTyped();
    if (event.key === "Escape" || event.key === "Enter") chosenHeatmap()?.box.focus();
  });
  const actions = {
    undo: () => trying(undo),
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
  $("rate").addEventListener("input", () => trying(() => useRate(10 ** Number($("rate").value))));
  $("batch-choice").hidden = !trains || !live.rows || live.count < 2;
  $("batch").addEventListener("change", () => trying(() => (useBatch(Number($("batch").value)), computing())));
  $("table-choice").hidden = !live.pool.size;
  $("table").addEventListener(
    "change",
    (event) => event.target.files[0] && readTable(event.target.files[0]).then(() => (event.target.value = "")),
  );
  listenToPoints();
  if (data.kind === "run") document.querySelector("aside").prepend($("boundary-part"));
}

function useRate(rate) {
  computing();
  for (const number of data.live.rates) live.engine.set(number, 0, Number(rate.toPrecision(2)));
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
    const count = live.recomputed ? live.recomputed.size : 0;
    tellEdit(count ? `${grouped(count)} of ${grouped(nodes.name.length)} nodes were set or computed again; the others are grey.` : "");
  });
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
  $("undo").disabled = !live.edits.length;
  $("recording").hidden = !live.on || data.live.updates.length > 0;
  if (!can) return;
  const index = unravel(cell, value.shape).join(", "),
    found = value.at(cell);
  $("edit-name").textContent = called(shortName(place), index);
  if (document.activeElement !== $("edit-number"))
    $("edit-number").value = found === undefined ? "" : typeof found === "boolean" ? String(Number(found)) : general(Number(found), 6);
  const tunable = isGiven(number) ? [] : data.live.nodes.tunable[number];
  $("edit-settings").replaceChildren(
    ...tunable.map((name) => {
      const now = readAttribute({ ...data.live.nodes.attributes[number], ...live.settings.get(number) }[name]);
      const set = (event) => trying(() => changeSetting(place, name, numberFrom(event.target.value, "float64")));
      return make(
        "label",
        null,
        `${name} `,
        make("input", { type: "text", inputMode: "decimal", autocomplete: "off", value: String(now), onchange: set }),
      );
    }),
  );
}

/** Say what an element was when it was recorded, where it is another number now. */
function recordedText(run, place, cell) {
  if (!isLive(run)) return null;
  const number = runs[run].values[place],
    value = number === undefined || number < 0 ? null : valueNumbered(number);
  const before = value && cell < value.size ? value.at(cell) : undefined,
    now = liveValue(place)?.at(cell);
  if (before === undefined || now === undefined || numeral(before, value.dtype) === numeral(now, nodes.dtype[place])) return null;
  return make("p", { className: "was" }, `It was ${numeral(before, value.dtype)} when it was recorded.`);
}

function drawLive() {
  if (!canCompute()) return;
  const { updates, rates } = data.live;
  $("live").hidden = !updates.length;
  document.body.classList.toggle("computing", live.on);
  if (!updates.length) return;
  $("train").textContent = live.timer ? "❚❚ Stop" : "▶ Train";
  $("train-back").disabled = !live.past.length;
  $("reset").disabled = !live.on;
  const [, speed] = SPEEDS[Number($("speed").value)];
  $("speed-name").textContent = speed;
  $("speed").setAttribute("aria-valuetext", speed);
  if (rates.length) {
    const rate = Number(live.engine ? live.engine.value(rates[0]).data[0] : live.given.get(rates[0])[0]);
    if (document.activeElement !== $("rate")) $("rate").value = Math.log10(rate);
    $("rate-name").textContent = general(rate, 3);
    $("rate").setAttribute("aria-valuetext", `learning rate ${general(rate, 3)}`);
  }
  $("batch").max = live.count;
  if (document.activeElement !== $("batch")) $("batch").value = live.batch;
  $("batch-name").textContent =
    live.batch === live.count ? `all ${grouped(live.count)}` : `${grouped(live.batch)} of ${grouped(live.count)}`;
  const loss = live.engine && live.on ? lossNow() : Number(valueOf(shown.run, data.live.places[data.live.fetches[0]])?.number(0));
  const first = data.live.places[data.live.fetches[0]],
    [name] = data.outputs.find(([, place]) => place === first) ?? ["loss"];
  $("train-says").textContent =
    `${live.steps ? `${grouped(live.steps)} ${live.steps === 1 ? "step" : "steps"} made here` : live.on ? "changed" : "as recorded"}${Number.isNaN(loss) && !live.on ? "" : `, ${name} = ${general(loss, 4)}`}`;
  const all = live.curve.length ? [...live.curve, lossNow()] : [],
    every = Math.max(1, Math.ceil(all.length / 400)),
    curve = all.filter((_, i) => i % every === 0 || i === all.length - 1);
  $("train-curve").hidden = !drawNumbers($("train-curve"), curve, curve.length - 1, 130, 30, name, "");
}

// --- points

let pointHeld = null,
  pointChosen = -1;

function spotsOf(seen, points, side) {
  const [left, right, bottom, top] = seen.ends;
  return points.map(([a, b]) => [((a - left) / (right - left)) * side, side - ((b - bottom) / (top - bottom)) * side]);
}

const SIDE = 220;

/** Points are dragged; a click where there is none adds one; the keyboard chooses, moves and deletes them. */
function listenToPoints() {
  const host = $("boundary"),
    seen = data.boundary;
  if (!seen) return;
  const at = (event) => {
    const box = host.querySelector("canvas").getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** @type {(spot: number[]) => number[]} */
  const numbersAt = ([across, down]) => {
    const [left, right, bottom, top] = seen.ends,
      within = (x) => Math.max(0, Math.min(SIDE, x));
    return [left + (within(across) / SIDE) * (right - left), top - (within(down) / SIDE) * (top - bottom)].map((x) =>
      Number(x.toPrecision(6)),
    );
  };
  const nearest = (spot) => {
    const spots = spotsOf(seen, livePoints(seen).points, SIDE),
      far = spots.map(([a, b]) => Math.hypot(a - spot[0], b - spot[1])),
      least = Math.min(...far);
    return least < 8 ? far.indexOf(least) : -1;
  };
  const move = (row, numbers) => trying(() => moveRow(livePoints(seen).x, row, numbers));
  host.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("canvas")) return;
    pointHeld = nearest(at(event));
    if (pointHeld >= 0) pointChosen = pointHeld;
    else if ($("point-class")) add(numbersAt(at(event)));
    drawBoundary();
  });
  host.addEventListener("pointermove", (event) => {
    if (pointHeld === null || pointHeld < 0 || !(event.buttons & 1)) return;
    event.preventDefault();
    move(pointHeld, numbersAt(at(event)));
  });
  for (const ended of ["pointerup", "pointercancel"]) window.addEventListener(ended, () => (pointHeld = null));
  const add = (numbers) =>
    trying(() => {
      const { x, labels } = livePoints(seen),
        row = new Map([[x, numbers]]),
        kind = Number($("point-class")?.value ?? 0);
      if (labels !== undefined) row.set(labels, [live.pool.get(labels) instanceof BigInt64Array ? BigInt(kind) : kind]);
      addRow(row);
      pointChosen = live.count - 1;
    });
  const remove = () => pointChosen >= 0 && trying(() => (removeRow(pointChosen), (pointChosen = Math.min(pointChosen, live.count - 1))));
  host.addEventListener("click", (event) => {
    if (event.target.id === "point-add") add(numbersAt([SIDE / 2, SIDE / 2]));
    if (event.target.id === "point-delete") remove();
  });
  host.addEventListener("keydown", (event) => {
    if (!event.target.closest("canvas")) return;
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key],
      { points } = livePoints(seen);
    if (event.key === "Enter") pointChosen = (pointChosen + (event.shiftKey ? points.length - 1 : 1)) % points.length;
    else if (event.key === "Delete" || event.key === "-") remove();
    else if (by && pointChosen >= 0) {
      const [[a, b]] = spotsOf(seen, [points[pointChosen]], SIDE);
      move(pointChosen, numbersAt([a + 4 * by[0], b + 4 * by[1]]));
    } else return;
    event.preventDefault();
    event.stopPropagation();
    drawBoundary();
    host.querySelector("canvas")?.focus({ preventScroll: true });
  });
}

/** Return the controls of points. */
function pointControls(seen) {
  const classes = [...new Set(livePoints(seen).classes ?? [])].sort((a, b) => a - b),
    before = $("point-class")?.value;
  const select = make(
    "select",
    { id: "point-class", ariaLabel: "The class of a new point" },
    ...classes.map((kind) => make("option", { value: String(kind), selected: String(kind) === before }, `class ${kind}`)),
  );
  return make(
    "div",
    { className: "points" },
    classes.length ? select : null,
    make("button", { type: "button", id: "point-add" }, "Add a point"),
    make("button", { type: "button", id: "point-delete", disabled: pointChosen < 0 }, "Delete it"),
  );
}

// --- what other programs of the page may ask

/** Return the number of a node, by its name as in Python. */
function numberNamed(name) {
  const number = data.live.nodes.name.indexOf(String(name));
  if (number >= 0) return number;
  const output = data.outputs.find(([each]) => each === name);
  if (output && live.numberOf.has(output[1])) return live.numberOf.get(output[1]);
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
