// --- what a network sees: the plane, the line or the samples, and the units of its layers as pictures -----------

const MOST_UNITS = 32,
  MOST_SAMPLES = 12,
  MOST_DOTS = 1000;

/** Return what is drawn of the network now, null where there is nothing to draw or the recorded pictures are. */
const seenSight = () => (data.sight && canCompute() && (data.kind === "run" || live.on) ? data.sight : null);
const numberFor = (place) => live.numberOf.get(place);

/** Return how wide and high the picture is. */
function sizeOfSeen(seen) {
  const wide = Math.max(
    180,
    seen.kind === "line" ? Math.min(420, rooms.seen) : Math.min(360, rooms.seen < 380 ? rooms.seen : rooms.seen - 180),
  );
  return [wide, seen.kind === "line" ? Math.round(0.66 * wide) : wide];
}

const IMAGE = (n) => (n >= 16 && Number.isInteger(Math.sqrt(n)) ? Math.sqrt(n) : 0);

/** Return as which pictures numbers of a shape are drawn: how many, how high and how wide each is. */
function picturesOf(shape) {
  if (shape.length >= 3) return [product(shape.slice(0, -2)), ...shape.slice(-2)];
  if (shape.length === 2) return [1, ...shape];
  const side = IMAGE(shape[0] ?? 1);
  return side && product(sampleShape()) === shape[0] ? [1, side, side] : [1, 1, shape[0] ?? 1];
}

const sampleShape = () => bound(data.live.nodes.shape[numberFor(data.sight.x)].slice(1), live.sizes);

/** Return an engine that computes the layers alone: at the points of the grid, or of the first samples. */
function engineOfSeen(seen) {
  const x = numberFor(seen.x),
    rows = seen.kind === "plane" ? seen.grid ** 2 : seen.kind === "line" ? 3 * seen.grid : Math.min(MOST_SAMPLES, live.count);
  const wanted = [...seen.layers, seen.outputs].map(numberFor);
  if (x === undefined || wanted.includes(undefined) || !rows) return null;
  if (live.grid?.rows !== rows) {
    const given = new Map(live.given),
      [left, right, bottom, top] = seen.ends ?? [],
      n = seen.grid;
    const along = (i, many, from, to) => from + ((to - from) * i) / (many - 1);
    const spots =
      seen.kind === "line"
        ? upTo(rows).map((i) => along(i, rows, left, right))
        : seen.kind === "plane"
          ? upTo(rows).flatMap((i) => [along(i % n, n, left, right), along(Math.floor(i / n), n, bottom, top)])
          : null;
    const wide = rowSize(x);
    given.set(x, spots ? live.given.get(x).constructor.from(spots) : live.pool.get(x).slice(0, rows * wide));
    const graph = boundGraph({ ...live.sizes, [live.rows]: rows }, given, wanted);
    live.grid = { engine: makeEngine(graph), at: graph.at, rows };
  }
  const { engine, at } = live.grid;
  computed();
  for (const [i, k] of at) {
    if (i === x ? seen.kind === "samples" : isGiven(i))
      engine.load(k, i === x ? live.pool.get(x).slice(0, rows * rowSize(x)) : live.engine.value(i).data);
  }
  engine.run();
  return { rows, value: (place) => engine.value(at.get(numberFor(place))) };
}

const ROWS_AT_ONCE = 512,
  MOST_COUNTED = 2000, // while it trains
  LONGEST = { training: 25, stopped: 1500 }; // milliseconds for all rows

/** Return what the network makes of all rows, also of those that are not in the batch: the outputs, and which elements of its layers are not 0 in any; null where that takes too long. */
function allRows(seen) {
  const places = [...new Set([...seen.layers, seen.outputs])],
    training = Boolean(live.timer);
  if (live.whole?.version === live.version) return live.whole.found;
  const found = { outputs: [], alive: new Map() },
    began = performance.now();
  const take = (value, rows) => {
    for (const place of places) {
      const { data: raw, shape } = value(place),
        size = raw.length / shape[0];
      if (place === seen.outputs) for (let i = 0; i < rows * size; i++) found.outputs.push(Number(raw[i]));
      if (!found.alive.has(place)) found.alive.set(place, new Uint8Array(size));
      const alive = found.alive.get(place);
      if (raw.length < 3e5 || !training) for (let i = 0; i < rows * size; i++) if (Number(raw[i]) !== 0) alive[i % size] = 1;
    }
  };
  const kept = { version: live.version, found, engine: live.whole?.engine, at: live.whole?.at, slow: live.whole?.slow };
  live.whole = kept;
  if (live.batch === live.count) take((place) => live.engine.value(numberFor(place)), live.count);
  else {
    if (training && (live.count > MOST_COUNTED || kept.slow)) return (kept.found = null);
    const many = Math.min(ROWS_AT_ONCE, live.count);
    for (let from = 0; from < live.count; from += many) {
      const rows = upTo(many).map((k) => (from + k) % live.count);
      const part = new Map(
        [...live.pool].map(([i, all]) => {
          const wide = rowSize(i),
            some = new all.constructor(many * wide);
          rows.forEach((row, k) => some.set(all.subarray(row * wide, (row + 1) * wide), k * wide));
          return [i, some];
        }),
      );
      if (!kept.engine) {
        const graph = boundGraph({ ...live.sizes, [live.rows]: many }, new Map([...live.given, ...part]), places.map(numberFor));
        Object.assign(kept, { engine: makeEngine(graph), at: graph.at });
      }
      for (const [i, k] of kept.at) if (isGiven(i)) kept.engine.load(k, part.get(i) ?? live.engine.value(i).data);
      kept.engine.run();
      take((place) => kept.engine.value(kept.at.get(numberFor(place))), Math.min(many, live.count - from));
      const took = performance.now() - began;
      kept.slow = took > LONGEST.training;
      if (took > LONGEST[training ? "training" : "stopped"] && from + many < live.count) return (kept.found = null);
    }
  }
  return found;
}

/** Return which rows have their class; null where there are no classes. */
function rightRows(seen, raw, labels) {
  const y = numberFor(seen.targets),
    wide = raw.length / labels.length,
    two = new Set(labels).size === 2;
  if (!Number.isInteger(wide) || !(wide > 1 ? /^u?int/.test(data.live.nodes.dtype[y]) : two)) return null;
  const tone = toneOf(labels);
  return labels.map((label, row) =>
    wide > 1 ? indexOfMost(raw.slice(row * wide, (row + 1) * wide)) === label : tone(squashed(Number(raw[row]))) > 0 === tone(label) > 0,
  );
}

/** Return the points that there are: where they are drawn, and their classes or targets. */
function livePoints(seen) {
  const x = numberFor(seen.x),
    y = numberFor(seen.targets),
    [raw, targets] = [live.pool.get(x), live.pool.get(y)];
  const points = upTo(live.count).map((i) =>
    seen.kind === "line" ? [Number(raw[i]), Number(targets[i])] : [Number(raw[2 * i]), Number(raw[2 * i + 1])],
  );
  return { x, y, points, targets: targets && targets.length === live.count ? Array.from(targets, Number) : null };
}

// --- colours

/** Return the probabilities of a row of scores. */
function probabilities(scores) {
  const sum = scores.reduce((a, b) => a + b, 0);
  if (data.sight.through !== "softmax" && Math.abs(sum - 1) < 1e-3 && scores.every((p) => p >= 0)) return scores;
  const most = Math.max(...scores),
    powers = scores.map((x) => Math.exp(x - most)),
    total = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / total);
}

const indexOfMost = (numbers) => numbers.reduce((best, x, k) => (x > numbers[best] ? k : best), 0);

/** Return the function that gives a number its colour, from −1 to 1 as the targets go. */
function toneOf(targets) {
  const [low, high] = targets ? rangeOf(targets) : [-1, 1],
    middle = (low + high) / 2,
    half = (high - low) / 2 || 1;
  return (x) => (x - middle) / half;
}

const squashed = (x) => (data.sight.through === "sigmoid" ? 1 / (1 + Math.exp(-x)) : x);

/** Return what colours a row of the output: its class, the stronger the surer; of one number, that number. */
function colourOfOutput(targets, wide) {
  if (wide === 1) {
    const colour = coloursOf([-1, 1]),
      tone = toneOf(targets);
    return ([x]) => colour(Math.max(-1, Math.min(1, tone(squashed(x)))));
  }
  const paper = isDark() ? [40, 42, 48] : [255, 255, 255];
  return (scores) => {
    const all = probabilities([...scores]),
      best = indexOfMost(all),
      sure = 0.25 + (0.75 * (all[best] - 1 / wide)) / (1 - 1 / wide);
    return colourOfClass(best).map((channel, i) => Math.round(paper[i] + sure * (channel - paper[i])));
  };
}

/** Paint numbers, or rows of numbers, as the points of a picture. */
function paintPoints(canvas, high, wide, colour, upwards = false) {
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d"),
    image = pen.createImageData(wide, high);
  for (let i = 0; i < wide * high; i++) {
    const at = upwards ? (high - 1 - Math.floor(i / wide)) * wide + (i % wide) : i;
    image.data.set([...colour(i), 255], 4 * at);
  }
  pen.putImageData(image, 0, 0);
}

// --- the picture

let unitSeen = null,
  field = null;

/** Draw what the network sees, in the state there is now. */
function drawSeen(seen) {
  const found = engineOfSeen(seen);
  $("boundary-part").hidden = !found;
  if (!found) return;
  if (seen.kind === "samples") drawSamples(seen, found);
  else drawPlane(seen, found);
  drawUnits(seen, found);
}

function drawPlane(seen, found) {
  const [wide, high] = sizeOfSeen(seen),
    [canvas, pen] = canvasOf($("boundary").querySelector("canvas"), wide, high),
    n = seen.grid,
    ink = getComputedStyle(document.body);
  const { points, targets } = livePoints(seen),
    output = found.value(seen.outputs),
    across = output.data.length / found.rows,
    spots = spotsOf(seen, points, wide, high);
  const of = unitSeen && seen.layers.includes(unitSeen.place) ? unitSeen : null;
  if (seen.kind === "line") {
    drawAxes(pen, seen, wide, high, ink);
    const curve = (numbers, width) => {
      pen.lineWidth = width;
      pen.beginPath();
      numbers.forEach((y, i) =>
        pen.lineTo(...spotsOf(seen, [[seen.ends[0] + ((seen.ends[1] - seen.ends[0]) * i) / (numbers.length - 1), y]], wide, high)[0]),
      );
      pen.stroke();
    };
    pen.strokeStyle = ink.getPropertyValue("--mark");
    curve(Array.from(output.data), 2.5);
    if (of) {
      const { data: raw } = found.value(of.place),
        many = raw.length / found.rows;
      pen.strokeStyle = ink.getPropertyValue("--way");
      curve(
        upTo(found.rows).map((i) => Number(raw[i * many + of.k])),
        1.5,
      );
    }
  } else {
    field ??= make("canvas");
    const { data: raw } = of ? found.value(of.place) : output,
      many = raw.length / found.rows,
      colour = of ? unitColours(raw, true) : colourOfOutput(targets, across);
    paintPoints(field, n, n, of ? (i) => colour(raw[i * many + of.k]) : (i) => colour(raw.subarray(i * across, (i + 1) * across)), true);
    pen.imageSmoothingEnabled = true;
    pen.drawImage(field, 0.5, 0.5, n - 1, n - 1, 0, 0, wide, high);
  }
  const isClasses = across > 1,
    tone = toneOf(targets),
    colours = coloursOf([-1, 1]);
  if (isClasses && !of) {
    const kinds = upTo(found.rows).map((row) => indexOfMost(output.data.subarray(row * across, (row + 1) * across)));
    pen.font = "11px sans-serif";
    Object.assign(pen, { textAlign: "center", textBaseline: "middle", fillStyle: isDark() ? "#fff" : "#000" });
    for (const [i, x, y] of freeCells(n, wide, spots)) pen.fillText(String(kinds[i]), x, y);
  }
  pen.strokeStyle = seen.kind === "line" ? ink.color : isClasses ? "#000" : "#fff";
  const every = Math.ceil(points.length / MOST_DOTS),
    right = allRows(seen) && rightNow(seen),
    fed_ = live.batch < live.count ? new Set(live.fed) : null,
    size = dotSize(points.length);
  if (shown.row !== null) pointChosen = live.fed[shown.row] ?? -1;
  spots.forEach(([x, y], i) => {
    if (i % every && i !== pointChosen) return;
    pen.globalAlpha = !fed_ || fed_.has(i) ? 1 : 0.4;
    pen.beginPath();
    pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.fillStyle =
      !targets || seen.kind === "line"
        ? ink.getPropertyValue("--link")
        : isClasses
          ? CLASSES[targets[i] % CLASSES.length]
          : `rgb(${colours(tone(targets[i])).join(",")})`;
    pen.fill();
    pen.lineWidth = 0.9;
    pen.stroke();
    if (right && !right[i]) {
      pen.lineWidth = 1.1;
      pen.beginPath();
      for (const [a, b] of [
        [1, 1],
        [1, -1],
      ]) {
        pen.moveTo(x - a * (size + 0.6), y - b * (size + 0.6));
        pen.lineTo(x + a * (size + 0.6), y + b * (size + 0.6));
      }
      pen.stroke();
    }
    if (i !== pointChosen) return;
    pen.globalAlpha = 1;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x, y, 7, 0, 2 * Math.PI);
    pen.stroke();
  });
  pen.globalAlpha = 1;
  if (of) tellUnit(pen, `unit ${of.k} of ${shortened(nodes.name[of.place], 28)}: ${rangeOfUnit(of.place, of.k)}`, high, ink);
  Object.assign(canvas, {
    tabIndex: 0,
    title: "Drag a point; click where there is none to add one. Enter chooses the next point, arrow keys move it, Delete deletes it.",
  });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "points");
  const what =
    seen.kind === "line"
      ? `The curve is ${nodes.name[seen.outputs]} over ${nodes.name[seen.x]}; the points are the targets.`
      : isClasses
        ? "The digits say which class the network makes the likeliest, the stronger the colour the surer; a dot has the colour of its own class; a crossed one is wrong."
        : `The colour is ${nodes.name[seen.outputs]} at each point: orange high, blue low; a dot has that of its target${right ? "; a crossed one is wrong" : ""}.`;
  canvas.setAttribute(
    "aria-label",
    `${what} ${grouped(points.length)} points${pointChosen >= 0 && points[pointChosen] ? `; chosen: ${points[pointChosen].map((x) => general(x, 3)).join(", ")}` : ""}`,
  );
  const ofUnit =
    of &&
    `This is unit ${of.k} of ${nodes.name[of.place]}${seen.kind === "line" ? `, over ${nodes.name[seen.x]}, as the thin line.` : " at each point: orange above 0, blue below 0, the stronger the farther from it."}`;
  if (of) return beside(seen, canvas, ofUnit);
  beside(
    seen,
    canvas,
    `${what}${fed_ ? " Pale dots are not in this batch." : ""} Click a dot for its row, drag it; click beside the dots to add one.`,
  );
}

const dotSize = (count) => (count > 150 ? 2.6 : 3.6);

/** Say of the chosen point its row, its numbers and what the network makes of it. */
function pointText(seen) {
  const { y, points, targets } = livePoints(seen),
    point = points[pointChosen];
  if (!point) return "";
  const whole = allRows(seen)?.outputs,
    wide = (whole?.length ?? 0) / live.count,
    at = live.fed.indexOf(pointChosen),
    part = whole?.slice(pointChosen * wide, (pointChosen + 1) * wide) ?? [],
    number = (each) => general(Number(each), 4);
  const said =
    wide > 1
      ? `the network says ${indexOfMost(part)}, ${Math.round(100 * probabilities(part)[indexOfMost(part)])} %`
      : part.map((each) => `the network says ${number(squashed(each))}`);
  const own = seen.kind === "line" ? point.slice(0, 1) : point;
  return [
    live.batch < live.count ? `point ${pointChosen}${at >= 0 ? `, row ${at} of this batch` : ", not in this batch"}` : `row ${pointChosen}`,
    `${nodes.name[seen.x]} = ${own.map(number).join(", ")}`,
    y !== undefined && targets ? `${nodes.name[seen.targets]} = ${number(targets[pointChosen])}` : "",
    String(said),
  ]
    .filter(Boolean)
    .join("; ");
}

/** Write into the picture whose it is: below it, what follows would move. */
function tellUnit(pen, text, high, ink) {
  Object.assign(pen, {
    font: "12px sans-serif",
    textAlign: "left",
    textBaseline: "alphabetic",
    fillStyle: ink.getPropertyValue("--paper"),
  });
  pen.fillRect(0, high - 20, pen.measureText(text).width + 12, 20);
  pen.fillStyle = ink.color;
  pen.fillText(text, 6, high - 6);
}

/** Draw where 0 is along both ways, and between which numbers the picture lies. */
function drawAxes(pen, seen, wide, high, ink) {
  const [left, right, bottom, top] = seen.ends,
    [[x, y]] = spotsOf(seen, [[0, 0]], wide, high),
    name = (place) => shortened(nodes.name[place], 16);
  pen.fillStyle = ink.getPropertyValue("--line");
  pen.fillRect(x, 0, 1, high);
  pen.fillRect(0, y, wide, 1);
  pen.fillStyle = ink.getPropertyValue("--faint");
  pen.font = "11px sans-serif";
  for (const [text, align, across, down] of [
    [`${name(seen.x)} = ${general(left, 3)}`, "left", 3, high - 5],
    [general(right, 3), "right", wide - 3, high - 5],
    [`${name(seen.targets)} = ${general(top, 3)}`, "left", 3, 12],
    [general(bottom, 3), "left", 3, high - 19],
  ]) {
    pen.textAlign = align;
    pen.fillText(text, across, down);
  }
}

/** Return which of all rows have their class, or else of those that are fed; null where there are no classes. */
function rightNow(seen) {
  const y = numberFor(seen.targets);
  if (y === undefined || seen.targets === seen.x) return null;
  const whole = allRows(seen),
    from = whole ? live.pool.get(y) : live.engine.value(y).data;
  return from && rightRows(seen, whole?.outputs ?? live.engine.value(numberFor(seen.outputs)).data, Array.from(from, Number));
}

/** Say how many rows have their class, "" where there are no classes. */
function rightText(seen) {
  const right = rightNow(seen);
  return right ? `${grouped(right.filter(Boolean).length)} of ${grouped(right.length)} right${allRows(seen) ? "" : " in the batch"}` : "";
}

/** Put what is said, and the controls of points, beside the picture. What is used already stays as it is: it may be focused or dragged. */
function beside(seen, canvas, note) {
  const host = $("boundary");
  if (!$("seen-note")) {
    const parts = [make("p", { id: "seen-right" }), make("div", { id: "point-controls" }), make("p", { id: "point-says" })];
    host.replaceChildren(
      ...(canvas ? [canvas] : []),
      make("div", { id: "seen-beside" }, ...parts),
      make("p", { id: "seen-note", className: "faint" }),
    );
    if (document.body.classList.contains("playground")) $("seen-right").after($("train-curve"));
  }
  $("seen-right").textContent = rightText(seen);
  $("seen-note").style.minHeight = unitSeen ? `${$("seen-note").offsetHeight}px` : ""; // what follows stays under the pointer
  if ($("seen-note").textContent !== note) $("seen-note").textContent = note;
  if (!canvas) return;
  const says = String([...new Set(livePoints(seen).targets ?? [])].sort((a, b) => a - b).slice(0, 13));
  if ($("point-controls").dataset.says !== says) $("point-controls").replaceChildren(pointControls(seen));
  $("point-controls").dataset.says = says;
  $("point-delete").disabled = pointChosen < 0;
  $("point-says").textContent = pointText(seen);
  const { targets } = livePoints(seen);
  if ($("point-class") && targets && pointChosen >= 0 && pointChosen !== pointTold) $("point-class").value = String(targets[pointChosen]);
  pointTold = pointChosen;
}

// --- units

const unitColours = (raw, real) => {
  const finite = Array.from(raw, Number).filter(Number.isFinite),
    [low, high] = rangeOf(finite),
    most = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0)) || 1;
  return coloursOf(real ? [-most, most] : [low, high]);
};

/** Return what is drawn of the layers: of each its name, how many units, and how one of them is painted. */
function unitsOf(seen, found) {
  const sample = Math.max(0, Math.min(shown.row ?? 0, found.rows - 1));
  const weight = seen.kind === "samples" ? filters() : [];
  return [
    ...weight,
    ...seen.layers.map((place) => {
      const { shape, data: raw } = found.value(place),
        name = nodes.name[place],
        size = raw.length / found.rows;
      if (seen.kind === "samples") {
        const [count, high, wide] = picturesOf(shape.slice(1)),
          part = raw.subarray(sample * size, (sample + 1) * size),
          colour = unitColours(part, true);
        return {
          name,
          place,
          count,
          high,
          wide,
          paint: (canvas, k) => paintPoints(canvas, high, wide, (i) => colour(Number(part[k * high * wide + i]))),
          cell: (k) => sample * size + k * high * wide,
          numbers: (k) => Array.from(part.subarray(k * high * wide, (k + 1) * high * wide), Number),
        };
      }
      const colour = unitColours(raw, true),
        column = (k) => (i) => Number(raw[i * size + k]);
      const paint =
        seen.kind === "line"
          ? (canvas, k) => paintLine(canvas, upTo(found.rows).map(column(k)))
          : (canvas, k) => paintPoints(canvas, seen.grid, seen.grid, (i) => colour(column(k)(i)), true);
      return { name, place, count: size, high: 1, wide: 1, paint, cell: (k) => k, numbers: (k) => upTo(found.rows).map(column(k)) };
    }),
  ];
}

/** Return the weights that go with the pixels of images: of each unit what it looks for. */
function filters() {
  const shape = sampleShape(),
    pixels = product(shape),
    { nodes: told } = data.live,
    isFilter = (i) => {
      const [first, second, ...rest] = told.shape[i];
      return (
        nodes.kind[data.live.places[i]] === "a parameter" &&
        (shape.length === 3
          ? rest.length === 2 && second === shape[0]
          : IMAGE(pixels) && rest.length === 0 && first === pixels && second > 1)
      );
    };
  const i = upTo(told.op.length).find(isFilter);
  if (i === undefined) return [];
  const {
      shape: [first, second, ...rest],
      data: raw,
    } = live.engine.value(i),
    conv = rest.length === 2,
    side = IMAGE(pixels);
  const [high, wide] = conv ? rest : [side, side],
    size = high * wide,
    colour = unitColours(raw, true);
  const cell = (k) => (conv ? k * second * size : k);
  return [
    {
      name: told.name[i],
      place: data.live.places[i],
      count: conv ? first : second,
      high,
      wide,
      cell,
      numbers: (k) => upTo(size).map((j) => Number(conv ? raw[cell(k) + j] : raw[j * second + k])),
      paint: (canvas, k) => paintPoints(canvas, high, wide, (j) => colour(Number(conv ? raw[cell(k) + j] : raw[j * second + k]))),
    },
  ];
}

function paintLine(canvas, numbers) {
  const [, pen] = canvasOf(canvas, 46, 30),
    [low, high] = rangeOf(numbers.filter(Number.isFinite));
  pen.strokeStyle = getComputedStyle(document.body).color;
  pen.lineWidth = 1.4;
  pen.beginPath();
  numbers.forEach((y, i) => pen.lineTo(1 + (44 * i) / (numbers.length - 1), 28 - (26 * (y - low)) / (high - low || 1)));
  pen.stroke();
}

/** Draw the units of all layers; a click goes to the numbers of one, and while one is pointed at, the picture is its own. */
function drawUnits(seen, found) {
  const layers = unitsOf(seen, found),
    host = $("units"),
    signature = layers.map(({ name, count }) => `${name} ${count}`).join();
  $("units-part").hidden = false;
  if (host.dataset.of !== signature) {
    host.dataset.of = signature;
    host.replaceChildren(
      ...layers.map(({ name, place, count, high, wide }) => {
        const kind = placesOfSeen(seen, count, high, wide),
          many = Math.min(count, MOST_UNITS);
        const units = upTo(many).map((k) => {
          const point = (on) => () => {
            unitSeen = on ? { place, k } : null;
            if (on) unit.title = `${unit.getAttribute("aria-label")}: ${rangeOfUnit(place, k)}; click for its numbers`;
            if (seen.kind !== "samples") drawBoundary();
          };
          const unit = make(
            "button",
            {
              type: "button",
              className: "unit",
              onclick: () => goToUnit(place, k),
              onpointerenter: point(true),
              onpointerleave: point(false),
              onfocus: point(true),
              onblur: point(false),
            },
            make("canvas", { "aria-hidden": "true" }),
          );
          unit.setAttribute("aria-label", count > 1 ? `${name}, unit ${k}` : name);
          unit.title = count > 1 ? `${name}, unit ${k}: click for its numbers` : `${name}: click for its numbers`;
          if (seen.kind === "samples") sizePicture(unit.firstChild, high, wide);
          return unit;
        });
        const title = make(
          "p",
          null,
          make("button", { type: "button", className: "link", onclick: () => go(place) }, name),
          make("span", { className: "faint" }, ` ${kind}${many < count ? `, ${many} of them here` : ""}`),
          make("span", { className: "dead-count" }),
        );
        return make("div", { className: `layer ${seen.kind}` }, title, make("div", { className: "units" }, ...units));
      }),
    );
  }
  const whole = allRows(seen);
  layers.forEach(({ name, count, paint, place }, at) => {
    const alive = place === seen.x ? null : whole?.alive.get(place),
      each = (alive?.length ?? 0) / count;
    const isDead = (k) => Boolean(alive) && !alive.subarray(k * each, (k + 1) * each).includes(1),
      dead = upTo(alive ? count : 0).filter(isDead).length;
    host.children[at].classList.toggle("pending-layer", isPending(place));
    host.children[at].querySelector(".dead-count").textContent = dead ? `, ${grouped(dead)} always 0` : "";
    host.children[at].lastElementChild.querySelectorAll("button").forEach((unit, k) => {
      paint(unit.firstChild, k);
      const gone = isDead(k);
      if (unit.classList.toggle("dead", gone) || unit.title.includes("always 0")) {
        const own = `${count > 1 ? `${name}, unit ${k}` : name}`;
        unit.setAttribute("aria-label", gone ? `${own}, always 0` : own);
        unit.title = `${own}${gone ? ", always 0: for no row it is anything else" : ""}: click for its numbers`;
      }
      unit.toggleAttribute("data-now", place === shown.place && count > 1 && unitAt(seen, layers[at]) === k);
    });
  });
}

const placesOfSeen = (seen, count, high, wide) =>
  seen.kind !== "samples"
    ? `${grouped(count)} ${count === 1 ? "unit" : "units"}`
    : count > 1
      ? `${grouped(count)} of ${high} × ${wide}`
      : high > 1
        ? `${high} × ${wide}`
        : `${grouped(wide)} units`;

/** Return which unit has the element that is looked at. */
function unitAt(seen, { count, cell }) {
  if (seen.kind !== "samples") return shown.cell % count;
  return upTo(Math.min(count, MOST_UNITS)).findLast((k) => cell(k) <= shown.cell) ?? 0;
}

/** Say between what the numbers of a unit's picture lie. */
function rangeOfUnit(place, k) {
  const layer = unitsOf(data.sight, engineOfSeen(data.sight)).find((each) => each.place === place),
    [low, high] = rangeOf((layer?.numbers(k) ?? []).filter(Number.isFinite));
  return low === high ? `${general(low ?? NaN, 3)} everywhere` : `from ${general(low, 3)} to ${general(high, 3)}`;
}

function goToUnit(place, k) {
  const layer = unitsOf(data.sight, engineOfSeen(data.sight)).find((each) => each.place === place);
  if (isPending(place)) shown.time = Math.min(place, last());
  go(place, layer.cell(k));
}

function sizePicture(canvas, high, wide) {
  const each = Math.max(2, Math.min(high > 1 ? 48 / Math.max(high, wide) : 10, 280 / wide));
  canvas.style.width = `${Math.round(each * wide)}px`;
  canvas.style.height = `${Math.round(high > 1 ? each * high : 14)}px`;
}

// --- samples

/** Draw the first samples, what the network makes of each, and which is right. */
function drawSamples(seen, found) {
  const x = numberFor(seen.x),
    shape = sampleShape(),
    side = IMAGE(product(shape)),
    size = rowSize(x),
    isImage = shape.length === 3 || shape.length === 2 || side > 0,
    tokens = /int/.test(data.live.nodes.dtype[x]);
  const output = found.value(seen.outputs),
    wide = output.data.length / found.rows,
    targets = live.pool.get(numberFor(seen.targets)),
    labels = targets && targets.length === live.count && seen.targets !== seen.x ? targets : null;
  const made = !labels && wide === size,
    raw = live.pool.get(x);
  beside(
    seen,
    null,
    `${made ? "Below each sample: what the network makes of it." : `Below each sample: what the network says${labels && wide > 1 ? ", ✓ if that is right, ≠ and its class if not, and how sure it is" : ""}.`} Choose one: its numbers alone are shown everywhere.`,
  );
  let host = $("samples");
  if (host?.childElementCount !== found.rows) {
    host = make(
      "div",
      { id: "samples" },
      ...upTo(found.rows).map((row) =>
        make(
          "button",
          { type: "button", className: "unit", onclick: () => chooseRow(shown.row === row ? null : row) },
          ...(isImage && !tokens ? [make("canvas", { "aria-hidden": "true" })] : [make("code")]),
          ...(made ? [make("canvas", { "aria-hidden": "true" })] : []),
          make("span"),
        ),
      ),
    );
    $("samples")?.remove();
    $("boundary").prepend(host);
  }
  [...host.children].forEach((button, row) => {
    const part = raw.subarray(row * size, (row + 1) * size),
      scores = Array.from(output.data.subarray(row * wide, (row + 1) * wide), Number),
      says = button.lastChild;
    const paint = (canvas, numbers) => {
      const [, high, across] = shape.length > 1 ? picturesOf(shape) : [1, side, side],
        [low, top] = rangeOf(Array.from(numbers, Number)),
        grey = (t) => Math.round(255 * (isDark() ? t : 1 - t));
      paintPoints(canvas, high, across, (i) => upTo(3).map(() => grey((Number(numbers[i]) - low) / (top - low || 1))));
      sizePicture(canvas, high, across);
    };
    if (isImage && !tokens) paint(button.firstChild, part);
    else
      button.firstChild.textContent =
        Array.from(part.subarray(0, 12), (t) => (tokens ? String(t) : general(Number(t), 3))).join(" ") + (size > 12 ? " …" : "");
    if (made) paint(button.children[1], scores.map(squashed));
    const label = labels && Number(labels[row]);
    let text = made ? "" : `${general(scores[0], 3)}`,
      right = true;
    if (wide > 1 && !made) {
      const all = probabilities(scores),
        best = indexOfMost(all);
      right = labels ? best === label : true;
      text = `${best}${labels ? (right ? " ✓" : ` ≠ ${label}`) : ""}, ${Math.round(100 * all[best])} %`;
    } else if (labels) text += ` of ${general(label, 3)}`;
    says.textContent = text;
    button.classList.toggle("wrong", !right);
    button.setAttribute("aria-pressed", String(shown.row === row));
    button.setAttribute("aria-label", `Sample ${row}${text ? `: the network says ${text}` : ""}`);
  });
}
