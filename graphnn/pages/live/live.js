"use strict";

/* The page of a training. It draws what the file holds, and loads the file again while the training goes on.
   What comes from data is text or a number, and never markup. */

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 56,
  RIGHT = 10,
  TOP = 16,
  BOTTOM = 22;
const RUN_COLOURS = 6;
const loaded = Date.now();

let runs = [],
  run = null,
  panels = [],
  pointing = null,
  pressed = null;

// What the reader has chosen. The browser keeps it with the entry of its history, so that it outlives a reload.
const view = {
  along: "step",
  smooth: 0.6,
  log: null,
  zoom: null,
  theme: null,
  paused: false,
  scroll: 0,
  of: 0,
  hidden: [],
  pinned: {},
  ...(history.state ?? {}),
};

function keep() {
  view.scroll = window.scrollY;
  history.replaceState(view, "");
}

// --- small things ------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const made = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function number(value) {
  if (value === null || value === undefined) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3)
    return value
      .toExponential(2)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

function duration(seconds) {
  if (seconds < 90) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Number((seconds / 3600).toFixed(1))} h`;
}

const whole = (value) => value.toLocaleString("en");
const isDark = () => document.documentElement.dataset.theme === "dark";

/** The place of steps or times on the axis that is chosen. */
function places(of, steps, times) {
  if (view.along === "time") return times;
  return view.along === "epoch" ? steps.map((step) => epochAt(of, step)) : steps;
}

/** How many epochs were done at a step; of an epoch of unknown length, the steps so far fill it. */
function epochAt(of, step) {
  const ends = of.history.step;
  let whole = 0,
    after = ends.length;
  while (whole < after) {
    const middle = (whole + after) >> 1;
    if (ends[middle] < step) whole = middle + 1;
    else after = middle;
  }
  const begin = whole ? ends[whole - 1] : 0,
    size = whole < ends.length ? ends[whole] - begin : of.per_epoch || Math.max(of.step - begin, 1);
  return whole + (step - begin) / size;
}

/** Steps per second, and the seconds that are left as far as the number of steps is known. */
function pace(of) {
  const { step, time } = of.losses,
    last = step.length - 1;
  if (last < 1 || time[last] <= time[0]) return [];
  const rate = (step[last] - step[0]) / (time[last] - time[0]),
    ends = of.history.step;
  const left = (of.epochs - ends.length) * of.per_epoch - (of.step - (ends.at(-1) ?? 0));
  return [rate, of.per_epoch && left > 0 ? left / rate : null];
}

function label(x) {
  if (view.along === "time") return duration(x);
  return view.along === "epoch" ? `epoch ${number(x)}` : `step ${whole(Math.round(x))}`;
}

function smoothed(values, weight) {
  let mean = 0,
    sum = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = mean * weight + value * (1 - weight);
    sum = sum * weight + (1 - weight);
    return mean / sum;
  });
}

// --- what is drawn -----------------------------------------------------------------------------------------------

const colourOf = (place, count) => {
  if (count <= 1) return "var(--c0)";
  const share = place / (count - 1);
  return `hsl(${Math.round(225 - 195 * share)} ${isDark() ? "70% 68%" : "75% 38%"})`;
};

const shownRuns = () => runs.filter((each) => !view.hidden.includes(each.name));

/** Whether losses are drawn on a log scale: as the reader has chosen, else where they differ by a factor of 100. */
function isLog() {
  if (view.log !== null) return view.log;
  let least = Infinity,
    most = -Infinity;
  for (const { losses, history } of shownRuns())
    for (const ys of [losses.mean, history.figures.val_loss ?? []])
      for (const y of ys) {
        if (y !== null) ((least = Math.min(least, y)), (most = Math.max(most, y)));
      }
  return least > 0 && most > 100 * least;
}

function figurePanels() {
  const shown = shownRuns(),
    log = isLog();
  const several = runs.length > 1,
    found = new Map();
  const panel = (name, title) =>
    found.get(name) ?? found.set(name, { key: name, title, log: log && name === "loss", curves: [] }).get(name);
  panel("loss", "Loss");
  for (const each of shown) {
    const colour = `var(--c${runs.indexOf(each) % RUN_COLOURS})`,
      losses = each.losses;
    const xs = places(each, losses.step, losses.time),
      of = several ? `${each.name}: ` : "";
    const isSmooth = view.smooth > 0 && losses.mean.length > 2;
    const steps = { of: each, name: `${of}training loss`, colour, xs, ys: isSmooth ? smoothed(losses.mean, view.smooth) : losses.mean };
    if (isSmooth) steps.raw = losses.mean;
    if (losses.low.some((low, i) => low !== losses.high[i])) steps.band = [losses.low, losses.high];
    if (losses.step.length) panel("loss").curves.push(steps);
    const ends = places(each, each.history.step, each.history.time);
    for (const [name, ys] of Object.entries(each.history.figures)) {
      if (name === "loss") continue;
      const validation = name.startsWith("val_"),
        base = validation ? name.slice(4) : name;
      panel(base, base).curves.push({
        of: each,
        name: `${of}${validation ? "validation" : "training"} ${base}`,
        xs: ends,
        ys,
        dots: true,
        dashed: validation,
        colour: validation && !several ? "var(--c1)" : colour,
      });
    }
  }
  return [...found.values()];
}

const KINDS = [
  ["gradient", "Gradients", "The norm of each parameter's gradient."],
  ["weight", "Weights", "The norm of each parameter."],
  ["update", "Updates", "How much of itself each parameter changes in a step: often about 0.001."],
];

function nodePanels() {
  const found = [],
    nodes = run.nodes,
    xs = places(run, nodes.step, nodes.time);
  const curves = (kind, value) => {
    const named = Object.entries(nodes[kind]);
    return named.map(([name, values], i) => ({
      of: run,
      name,
      xs,
      ys: values.map(value),
      dots: true,
      colour: colourOf(i, named.length),
      values,
    }));
  };
  for (const [kind, title, note] of KINDS)
    found.push({ key: `nodes ${kind}`, title, note, log: true, curves: curves(kind, (value) => value) });
  found.push({
    key: "nodes activation",
    title: "Activations",
    log: true,
    spread: true,
    curves: curves("activation", (five) => five && five[3]),
    note: "The standard deviation of each layer's values. Point at a name: its median, and where nine tenths of its values are.",
  });
  const rates = shownRuns().flatMap((each) =>
    Object.entries(each.nodes.rate).map(([name, ys]) => ({
      of: each,
      name: runs.length > 1 ? `${each.name}: ${name}` : name,
      ys,
      dots: true,
      xs: places(each, each.nodes.step, each.nodes.time),
      colour: `var(--c${runs.indexOf(each) % RUN_COLOURS})`,
    })),
  );
  found.push({ key: "rate", title: "Learning rate", log: false, curves: rates });
  return found.filter((panel) => panel.curves.length && panel.curves.some((curve) => curve.ys.length));
}

/** Where the axis begins and ends: over all panels the same. */
function extent() {
  if (view.zoom) return view.zoom;
  let least = Infinity,
    most = -Infinity;
  for (const { curves } of panels)
    for (const { xs } of curves) for (const x of xs) if (x !== null) ((least = Math.min(least, x)), (most = Math.max(most, x)));
  if (least > most) return [0, 1];
  return least < most ? [least, most] : [least - 0.5, most + 0.5];
}

function heights(lists, xs, [begin, end], log) {
  let least = Infinity,
    most = -Infinity;
  for (const [at, ys] of lists)
    ys.forEach((y, i) => {
      if (y === null || (log && y <= 0) || at[i] === null || at[i] < begin || at[i] > end) return;
      least = Math.min(least, y);
      most = Math.max(most, y);
    });
  if (least > most) return log ? [0.1, 1] : [0, 1];
  if (log) return least * 1.05 < most ? [least / 1.1, most * 1.1] : [least / 2, most * 2];
  const room = least < most ? (most - least) * 0.05 : Math.abs(least) * 0.1 || 0.5;
  return [least - room, most + room];
}

function ticks(least, most, count) {
  const rough = (most - least) / count,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((times) => times * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(least / step); i * step <= most + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(least, most) {
  const low = Math.ceil(Math.log10(least)),
    high = Math.floor(Math.log10(most));
  if (high - low < 1) return ticks(least, most, 4).filter((tick) => tick > 0);
  const each = Math.ceil((high - low + 1) / 5),
    found = [];
  for (let power = low; power <= high; power += each) found.push(10 ** power);
  return found;
}

/** A panel's curves as they are now: one alone has its band. */
function lines(panel) {
  const alone = panel.curves.find((curve) => curve.name === (panel.over ?? view.pinned[panel.key]));
  if (!panel.spread || !alone) return { alone, curves: panel.curves, log: panel.log };
  const part = (i) => alone.values.map((five) => five && five[i]);
  return { alone, curves: [{ ...alone, ys: part(1), band: [part(0), part(2)] }], log: false };
}

function draw(panel) {
  const svg = panel.svg,
    width = svg.clientWidth || 400,
    height = svg.clientHeight || 210;
  const { alone, curves, log } = lines(panel);
  const [begin, end] = extent();
  const lists = curves.flatMap(({ xs, ys, raw, band }) => [
    [xs, ys],
    ...(raw ? [[xs, raw]] : []),
    ...(band && curves.length < 3 ? band.map((edge) => [xs, edge]) : []),
  ]);
  const [low, high] = heights(lists, null, [begin, end], log);
  const scale = log ? Math.log10 : (y) => y;
  const toX = (x) => LEFT + ((x - begin) / (end - begin)) * (width - LEFT - RIGHT);
  const toY = (y) => height - BOTTOM - ((scale(y) - scale(low)) / (scale(high) - scale(low))) * (height - TOP - BOTTOM);
  const there = (x, y) => x !== null && y !== null && (!log || y > 0);
  Object.assign(panel, { toX, begin, end, width });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const clip = `clip-${panels.indexOf(panel)}`;
  svg.append(
    make(
      "svg:clipPath",
      { id: clip },
      make("svg:rect", { x: LEFT - 3, y: 0, width: Math.max(width - LEFT - RIGHT, 1) + 6, height: height - BOTTOM + 3 }),
    ),
  );
  for (const tick of log ? logTicks(low, high) : ticks(low, high, 4)) {
    const y = toY(tick);
    svg.append(make("svg:line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    svg.append(make("svg:text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, number(tick)));
  }
  const marks = ticks(begin, end, Math.max(2, Math.floor(width / 110))).filter((tick) => view.along !== "step" || Number.isInteger(tick));
  for (const tick of marks) {
    const x = toX(tick),
      text = view.along === "time" ? duration(tick) : whole(tick);
    const anchor = x > width - 30 ? "end" : "middle";
    svg.append(make("svg:line", { class: "grid", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
    svg.append(make("svg:text", { x: Math.min(x, width - RIGHT), y: height - 7, "text-anchor": anchor }, text));
  }
  svg.append(make("svg:line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM }));
  const inside = make("svg:g", { "clip-path": `url(#${clip})` });
  svg.append(inside);
  for (const curve of curves) {
    const faded = alone && alone.name !== curve.name ? " faded" : "";
    const path = (ys, kind) => {
      let pen = "M",
        d = "";
      ys.forEach((y, i) => {
        if (!there(curve.xs[i], y)) return (pen = "M");
        d += `${pen}${toX(curve.xs[i]).toFixed(1)} ${toY(y).toFixed(1)}`;
        pen = "L";
      });
      const made = make("svg:path", { class: `curve ${kind}${faded}`, d });
      made.style.stroke = curve.colour;
      inside.append(made);
    };
    if (curve.band) {
      const [lows, highs] = curve.band,
        around = curve.xs.map((x, i) => i).filter((i) => there(curve.xs[i], lows[i]) && there(curve.xs[i], highs[i]));
      const points = [...around.map((i) => [i, highs]), ...around.reverse().map((i) => [i, lows])];
      const made = make("svg:polygon", {
        class: `band${faded}`,
        points: points.map(([i, ys]) => `${toX(curve.xs[i]).toFixed(1)},${toY(ys[i]).toFixed(1)}`).join(" "),
      });
      made.style.fill = curve.colour;
      inside.append(made);
    }
    // Two points are two points: what was between them, nobody has measured.
    const few = curve.ys.filter((y, i) => there(curve.xs[i], y)).length <= 2;
    if (curve.raw && !few) path(curve.raw, "raw");
    if (!few) path(curve.ys, curve.dashed ? "dashed" : "");
    if (few || (curve.dots && curve.ys.length <= 40))
      curve.ys.forEach((y, i) => {
        if (!there(curve.xs[i], y)) return;
        const dot = make("svg:circle", { cx: toX(curve.xs[i]), cy: toY(y), r: 2.2, class: faded.trim() });
        dot.style.fill = curve.colour;
        inside.append(dot);
      });
  }
  for (const each of new Set(panel.curves.map((curve) => curve.of))) drawMarks(panel, each, inside, svg, height);
  if (pressed && pressed.panel === panel && pressed.to !== undefined) {
    const [from, to] = [pressed.from, pressed.to].sort((a, b) => a - b);
    svg.append(make("svg:rect", { class: "chosen", x: from, y: TOP, width: to - from, height: height - TOP - BOTTOM }));
  }
  if (pointing !== null && pointing >= begin && pointing <= end) {
    const x = toX(pointing);
    svg.append(make("svg:line", { class: "at", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
    svg.append(make("svg:text", { x: Math.min(Math.max(x, LEFT + 40), width - 50), y: 11, "text-anchor": "middle" }, label(pointing)));
  }
  read(panel);
}

/** The first fault of a training, and the best epoch. */
function drawMarks(panel, each, inside, svg, height) {
  const at = (step, time) => (view.along === "time" ? time : view.along === "epoch" ? epochAt(each, step) : step);
  const timeOf = (step) => each.losses.time[each.losses.step.findIndex((other) => other >= step)] ?? 0;
  const line = (x, kind, colour) => {
    const made = make("svg:line", { class: kind, x1: panel.toX(x), x2: panel.toX(x), y1: TOP - 2, y2: height - BOTTOM });
    if (colour) made.style.stroke = colour;
    inside.append(made);
  };
  const named = (x, kind, text) => {
    const right = panel.toX(x) > panel.width / 2;
    if (pointing === null)
      svg.append(
        make("svg:text", { class: kind, x: panel.toX(x) + (right ? -4 : 4), y: 11, "text-anchor": right ? "end" : "start" }, text),
      );
  };
  const first = firstFault(each);
  if (first) {
    const x = at(first.step, first.time ?? timeOf(first.step));
    if (x >= panel.begin && x <= panel.end) {
      line(x, "fault-line");
      named(x, "fault", `⚠ ${first.code}`);
    }
  }
  const best = each.best && each.history.step[each.best - 1];
  if (best && !panel.key.startsWith("nodes") && panel.key !== "rate") {
    const x = at(best, each.history.time[each.best - 1]),
      several = runs.length > 1;
    if (x < panel.begin || x > panel.end) return;
    line(x, "best-line", several && `var(--c${runs.indexOf(each) % RUN_COLOURS})`);
    if (!several && !first) named(x, "best", `best: epoch ${whole(each.best)}`);
  }
}

function firstFault(each) {
  const bad = each.bad === null ? [] : [{ step: each.bad, code: "loss not finite" }];
  return [...each.faults, ...bad].sort((a, b) => a.step - b.step)[0];
}

/** The values at the pointer, or the last ones, beside the names. */
function read(panel) {
  for (const [i, curve] of panel.curves.entries()) {
    let at = curve.ys.length - 1;
    if (pointing !== null) {
      at = -1;
      curve.xs.forEach((x, j) => {
        if (x !== null && (at < 0 || Math.abs(x - pointing) < Math.abs(curve.xs[at] - pointing))) at = j;
      });
    }
    let text = at < 0 ? "" : number(curve.ys[at]);
    if (panel.spread && at >= 0 && curve.values[at]) {
      const [low, , high, , zeros] = curve.values[at];
      text += ` (${number(low)} to ${number(high)}${zeros >= 0.005 ? `, ${Math.round(100 * zeros)} % are 0` : ""})`;
    }
    panel.outputs[i].textContent = text;
  }
}

// --- panels ------------------------------------------------------------------------------------------------------

function build() {
  $("log").checked = isLog();
  panels = [...figurePanels(), ...nodePanels()];
  $("panels").replaceChildren(
    ...panels.map((panel) => {
      panel.svg = make("svg:svg", {
        role: "img",
        tabindex: 0,
        "aria-label": `${panel.title}: ${panel.curves
          .map((curve) => `${curve.name} ${number(curve.ys.at(-1))}`)
          .slice(0, 8)
          .join(", ")}`,
      });
      panel.outputs = panel.curves.map(() => make("output"));
      const names = panel.curves.map((curve, i) => {
        const line = make("svg:line", {
          x1: 0,
          x2: 20,
          y1: 4,
          y2: 4,
          "stroke-width": 3,
          ...(curve.dashed ? { "stroke-dasharray": "6 3" } : {}),
        });
        line.style.stroke = curve.colour;
        const swatch = make("svg:svg", { viewBox: "0 0 20 8", "aria-hidden": "true" }, line);
        const button = make(
          "button",
          { type: "button", "aria-pressed": String(view.pinned[panel.key] === curve.name) },
          swatch,
          curve.name,
          panel.outputs[i],
        );
        const over = (name) => () => {
          panel.over = name;
          draw(panel);
        };
        button.addEventListener("pointerenter", over(curve.name));
        button.addEventListener("pointerleave", over(undefined));
        button.addEventListener("click", () => {
          view.pinned[panel.key] = view.pinned[panel.key] === curve.name ? undefined : curve.name;
          for (const each of names)
            each.firstChild.setAttribute("aria-pressed", String(each === button.parentNode && view.pinned[panel.key] !== undefined));
          draw(panel);
          keep();
        });
        return make("li", {}, button);
      });
      const note = panel.note ? [make("p", {}, panel.note)] : [];
      listen(panel);
      return make(
        "section",
        { class: "panel", "data-key": panel.key },
        make("h2", {}, panel.title),
        ...note,
        panel.svg,
        make("ul", { class: "names" }, ...names),
      );
    }),
  );
  drawAll();
}

function drawAll() {
  $("whole").hidden = !view.zoom;
  panels.forEach(draw);
}

let waiting = false;
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    drawAll();
  });
}

function zoomTo(zoom) {
  view.zoom = zoom;
  keep();
  soon();
}

function zoomBy(factor, middle) {
  const [begin, end] = extent(),
    at = middle ?? (begin + end) / 2;
  if (end - begin > 1e-6 || factor > 1) zoomTo([at - (at - begin) * factor, at + (end - at) * factor]);
}

function listen(panel) {
  const svg = panel.svg;
  const place = (event) => Math.min(Math.max(event.clientX - svg.getBoundingClientRect().left, LEFT), panel.width - RIGHT);
  const toValue = (x) => panel.begin + ((x - LEFT) / (panel.width - LEFT - RIGHT)) * (panel.end - panel.begin);
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pressed = { panel, from: place(event) };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    pointing = toValue(place(event));
    if (pressed && pressed.panel === panel) pressed.to = place(event);
    soon();
  });
  svg.addEventListener("pointerup", () => {
    const of = pressed;
    pressed = null;
    if (of && of.to !== undefined && Math.abs(of.to - of.from) > 8) zoomTo([toValue(of.from), toValue(of.to)].sort((a, b) => a - b));
    else soon();
  });
  svg.addEventListener("pointercancel", () => {
    pressed = null;
    soon();
  });
  svg.addEventListener("pointerleave", () => {
    pointing = null;
    soon();
  });
  svg.addEventListener("dblclick", () => zoomTo(null));
  svg.addEventListener("blur", () => {
    pointing = null;
    soon();
  });
  svg.addEventListener("keydown", (event) => {
    const [begin, end] = extent(),
      step = (end - begin) / 50;
    const action = {
      ArrowLeft: () => {
        pointing = Math.max(begin, (pointing ?? end) - step);
      },
      ArrowRight: () => {
        pointing = Math.min(end, (pointing ?? begin) + step);
      },
      "+": () => zoomBy(0.5, pointing ?? undefined),
      "-": () => zoomBy(2, pointing ?? undefined),
      Escape: () => {
        pointing = null;
        zoomTo(null);
      },
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    action();
    soon();
  });
}

// --- what is said ------------------------------------------------------------------------------------------------

function say() {
  document.documentElement.dataset.state = run.state;
  $("title").textContent = run.graph && run.graph !== run.name ? `${run.name} — ${run.graph}` : run.name;
  $("state").textContent = run.state;
  const last = run.history.figures.loss?.at(-1),
    parts = [`epoch ${whole(run.done)} of ${whole(run.epochs)}`, `step ${whole(run.step)}`];
  if (last !== undefined) parts.push(`loss ${number(last)}`);
  if (run.best) parts.push(`best epoch ${whole(run.best)}`);
  const [rate, left] = pace(run);
  if (rate) parts.push(rate < 1 ? `${number(1 / rate)} s/step` : `${number(Number(rate.toPrecision(3)))} steps/s`);
  if (left && run.state === "training") parts.push(`${duration(left)} left`);
  if (run.state === "stopped") parts.push("by Ctrl-C; all steps before are kept");
  $("position").textContent = parts.join(" · ");
  $("progress").value = run.state === "finished" ? 1 : Math.min((run.per_epoch ? epochAt(run, run.step) : run.done) / run.epochs, 1);
  const says = [run.says, run.note].filter(Boolean);
  $("says").hidden = !says.length;
  $("says").textContent = says.join("\n");
  const found = runs.flatMap((each) => {
    const of = runs.length > 1 ? `${each.name}, ` : "",
      bad = each.bad === null ? [] : [make("li", {}, make("b", {}, "loss not finite"), ` ${of}first at step ${whole(each.bad)}`)];
    return [
      ...bad,
      ...each.faults.map((fault) => {
        const when =
          fault.after < fault.step ? `between steps ${whole(fault.after)} and ${whole(fault.step)}` : `at step ${whole(fault.step)}`;
        const where = fault.origin ? `${fault.place} (${fault.origin})` : fault.place;
        return make(
          "li",
          { class: fault.severity },
          make("b", {}, `${fault.severity}: ${fault.code}`),
          ` ${of}${when}, ${where}: ${fault.cause}${fault.remedy ? ` → ${fault.remedy}` : ""}`,
        );
      }),
    ];
  });
  if (!found.length && run.nodes.step.length)
    found.push(
      make(
        "li",
        {},
        `The health check looked ${["once", "twice"][run.nodes.step.length - 1] ?? `${whole(run.nodes.step.length)} times`} and found nothing wrong.`,
      ),
    );
  $("faults").hidden = !found.length;
  $("faults").replaceChildren(...found);
}

function sayWhen() {
  const age = Math.max(0, Date.now() / 1000 - run.written),
    at = new Date(run.written * 1000).toLocaleTimeString("en-GB");
  let text = `written ${at}, ${duration(Math.round(age))} ago`;
  if (run.state !== "training")
    text = `written ${new Date(run.written * 1000).toLocaleString("en-GB")}, after ${duration(run.written - run.started)}`;
  else if (age > Math.max(60, 20 * run.every)) text += ": a step takes long, or the process has ended";
  $("written").textContent = text;
}

// --- again -------------------------------------------------------------------------------------------------------

const goesOn = () => runs.some((each) => each.state === "training" && Date.now() / 1000 - each.written < 86400);

/** Load the page again when a newer one should be there: seldom where none has come for long. */
function again() {
  sayWhen();
  if (view.paused || pressed || document.hidden || !goesOn()) return;
  const age = Math.min(...runs.filter((each) => each.state === "training").map((each) => Date.now() / 1000 - each.written));
  if (Date.now() - loaded >= Math.min(Math.max(2, age / 5), 30) * 1000) {
    keep();
    location.reload();
  }
}

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function usePaused() {
  $("pause").hidden = !goesOn();
  $("pause").textContent = view.paused ? "Go on" : "Pause";
  $("pause").title = view.paused ? "Load the page again as it is written" : "Keep the page as it is";
}

function begin() {
  runs = JSON.parse($("data").textContent).runs;
  run = runs[0];
  const names = new Map(); // two of one name are told apart
  for (const each of runs) {
    const count = (names.get(each.name) ?? 0) + 1;
    names.set(each.name, count);
    if (count > 1) each.name = `${each.name} (${count})`;
  }
  useTheme(view.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  $("along").value = view.along;
  $("smooth").value = view.smooth;
  const changed = (id, event, action) =>
    $(id).addEventListener(event, () => {
      action($(id));
      keep();
    });
  changed("along", "change", (from) => {
    view.along = from.value;
    view.zoom = null;
    build();
  });
  changed("smooth", "input", (from) => {
    view.smooth = Number(from.value);
    build();
  });
  changed("log", "change", (from) => {
    view.log = from.checked;
    build();
  });
  changed("whole", "click", () => {
    view.zoom = null;
    drawAll();
  });
  changed("pause", "click", () => {
    view.paused = !view.paused;
    usePaused();
  });
  changed("theme", "click", () => {
    view.theme = isDark() ? "light" : "dark";
    useTheme(view.theme);
    build();
  });
  if (runs.length > 1) {
    $("runs").hidden = $("whose").hidden = false;
    $("runs").append(
      ...runs.map((each, i) => {
        const box = make("input", { type: "checkbox" }),
          name = make("span", {}, each.name);
        box.checked = !view.hidden.includes(each.name);
        box.style.accentColor = `var(--c${i % RUN_COLOURS})`;
        box.addEventListener("change", () => {
          view.hidden = view.hidden.filter((other) => other !== each.name).concat(box.checked ? [] : [each.name]);
          build();
          keep();
        });
        return make("label", {}, box, name);
      }),
    );
    $("of").append(...runs.map((each, i) => make("option", { value: i }, each.name)));
    const of = runs[view.of] ? view.of : 0;
    $("of").value = of;
    run = runs[of];
    changed("of", "change", (from) => {
      view.of = Number(from.value);
      run = runs[view.of];
      say();
      sayWhen();
      build();
    });
  }
  say();
  sayWhen();
  usePaused();
  build();
  history.scrollRestoration = "manual";
  window.scrollTo(0, view.scroll);
  addEventListener("scroll", keep, { passive: true });
  addEventListener("pagehide", keep);
  addEventListener("resize", soon);
  let before;
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    useTheme("light");
    drawAll();
  });
  addEventListener("afterprint", () => {
    useTheme(before);
    drawAll();
  });
  setInterval(again, 500);
  document.documentElement.dataset.ready = "";
}

try {
  begin();
} catch (error) {
  $("failed").hidden = false;
  $("failed").textContent = `This page could not be drawn: ${error.message}`;
  throw error;
}
