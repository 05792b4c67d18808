// --- the timeline -----------------------------------------------------------------------------------------------

const LANE = 13,
  MARGIN = 8;
const PHASE_COLOURS = { light: ["#3C4043", "#8E3B6E", "#00664B"], dark: ["#C4C9D1", "#E3A6CB", "#7FD1B4"] };

function drawTimeline() {
  const n = nodes.name.length;
  const wide = rooms.ticks,
    high = 3 * LANE + 12,
    [, pen] = canvasOf($("ticks"), wide, high);
  const dark = isDark(),
    colours = PHASE_COLOURS[dark ? "dark" : "light"];
  const at = (place) => MARGIN + ((wide - 2 * MARGIN) * place) / Math.max(1, n - 1);
  const thick = Math.max(1, Math.min(5, (wide - 2 * MARGIN) / n - 1));
  const drawn = [-1, -1, -1]; // of each lane, what was drawn last: of very many ticks, one a pixel
  for (let place = 0; place < n; place++) {
    const mark = 4 * Math.round(at(place)) + 2 * Number(isPending(place)) + Number(Boolean(unchanged?.has(place)));
    if (drawn[nodes.phase[place]] === mark) continue;
    drawn[nodes.phase[place]] = mark;
    const lane = 10 + nodes.phase[place] * LANE,
      done = !isPending(place);
    pen.fillStyle = unchanged?.has(place) ? (dark ? "#5A606A" : "#B4BAC4") : colours[nodes.phase[place]];
    pen.globalAlpha = done ? 1 : 0.45;
    pen.fillRect(at(place) - thick / 2, done ? lane : lane + 7, thick, done ? LANE - 3 : 3);
  }
  pen.globalAlpha = 1;
  pen.fillStyle = dark ? "#FF8A80" : "#B3261E";
  for (const { place } of runs[shown.run].findings) markTick(pen, at(place), high, thick, "!");
  if (data.pair?.first >= 0) {
    pen.fillStyle = dark ? "#FFB26B" : "#B34700";
    markTick(pen, at(data.pair.first), high, thick, "◆");
  }
  pen.fillStyle = dark ? "#FFB26B" : "#D55E00";
  pen.fillRect(at(shown.time) - 1, 0, 2, high);
  if (shown.place !== shown.time) {
    // What is looked at, if the run stands elsewhere: a triangle above its tick.
    const x = at(shown.place);
    pen.beginPath();
    for (const [across, down] of [
      [-5, 0],
      [5, 0],
      [0, 9],
    ])
      pen.lineTo(x + across, down);
    pen.fill();
  }
  $("position").value = shown.time;
  $("position").setAttribute("aria-valuetext", `${nodes.name[shown.time]}, ${shown.time + 1} of ${n}`);
}

function markTick(pen, x, high, thick, sign) {
  pen.fillRect(x - Math.max(1, thick / 2), 10, Math.max(2, thick), high - 10);
  pen.font = "bold 11px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "top";
  pen.fillText(sign, x, 0);
}

/** Return which node a place on the timeline is. */
function nodeUnder(event) {
  const seen = $("ticks").getBoundingClientRect(),
    n = nodes.name.length;
  const at = Math.round(((event.clientX - seen.left - MARGIN) / (seen.width - 2 * MARGIN)) * (n - 1));
  return Math.max(0, Math.min(n - 1, at));
}

// --- the steps of a film ----------------------------------------------------------------------------------------

/** Draw the loss over the steps, with the one that is seen. */
function drawCurve() {
  const film = data.kind === "film" && runs.length > 1 && !live.on;
  $("film").hidden = !film;
  if (!film) return;
  $("step").value = shown.run;
  const [name, place] = data.outputs.find(([, at]) => valueOf(0, at)?.size === 1) ?? ["", -1];
  const said = place < 0 || !valueOf(shown.run, place) ? "" : `, ${name} = ${valueOf(shown.run, place).text(0)}`;
  $("step-name").textContent = `recorded step ${shown.run + 1} of ${runs.length}: ${runs[shown.run].label}${said}`;
  $("step").setAttribute("aria-valuetext", $("step-name").textContent);
  $("curve").hidden = place < 0 || !drawLine($("curve"), place, 0, 190, 34, name);
}

/** Draw the number that is looked at over the steps. */
function drawSeries(place, cell) {
  const canvas = $("series");
  if (!canvas) return;
  const value = valueOf(shown.run, place),
    index = value ? unravel(cell, value.shape).join(", ") : "";
  const name = called(nodes.name[place], index);
  if (loopOf.has(place) && data.kind !== "film")
    canvas.hidden = !drawNumbers(canvas, ...overIterations(place, cell), 210, 52, name, "iterations");
  else canvas.hidden = !drawLine(canvas, place, cell, 210, 52, name, true);
}

/** Draw an element over the steps; return whether there is a line to draw. */
function drawLine(canvas, place, cell, wide, high, name, labelled = false) {
  return drawNumbers(
    canvas,
    runs.map((_, run) => valueOf(run, place)?.number(cell) ?? NaN),
    shown.run,
    wide,
    high,
    name,
    labelled ? "steps" : "",
  );
}

const FEW_POINTS = 24; // of so many, each has a dot

/** Draw numbers over what is named in a word; the word is written there unless it is empty. Two are two dots: what was between them, nobody knows. */
function drawNumbers(canvas, numbers, at, wide, high, name, along) {
  const labelled = along !== "",
    finite = numbers.filter(Number.isFinite);
  if (finite.length < 2) return false;
  const [low, high_] = rangeOf(finite),
    [, pen] = canvasOf(canvas, wide, high),
    floor = high - 5,
    roof = labelled ? 17 : 5;
  const spot = (x, i) => [5 + ((wide - 10) * i) / (numbers.length - 1), floor - ((floor - roof) * (x - low)) / (high_ - low || 1)];
  canvas.setAttribute(
    "aria-label",
    `${name} over the ${along || "steps"}, from ${general(numbers[0], 4)} to ${general(numbers[numbers.length - 1], 4)}, between ${general(low, 4)} and ${general(high_, 4)}`,
  );
  const ink = getComputedStyle(document.body);
  pen.strokeStyle = ink.color;
  pen.lineWidth = 1.5;
  pen.beginPath();
  const dot = (x, i, size) => {
    pen.beginPath();
    pen.arc(...spot(x, i), size, 0, 2 * Math.PI);
    pen.fill();
  };
  if (finite.length > 2) {
    numbers.forEach((x, i) => Number.isFinite(x) && pen.lineTo(...spot(x, i)));
    pen.stroke();
  }
  pen.fillStyle = ink.color;
  if (finite.length <= FEW_POINTS) numbers.forEach((x, i) => Number.isFinite(x) && dot(x, i, 2.2));
  pen.fillStyle = ink.getPropertyValue("--mark");
  if (Number.isFinite(numbers[at])) dot(numbers[at], at, 4);
  if (labelled) {
    pen.fillStyle = ink.color;
    pen.font = "11px sans-serif";
    pen.fillText(`over the ${along}: ${general(low, 3)} to ${general(high_, 3)}`, 5, 11, wide - 10);
  }
  return true;
}

function toRun(run) {
  const changed = Math.max(0, Math.min(runs.length - 1, run));
  if (data.kind !== "film" || changed === shown.run || live.on) return;
  shown.run = changed;
  shown.time = Math.min(shown.time, last());
  keepRows();
  drawAll();
}
