// --- what is known of the run, laid over the diagram ------------------------------------------------------------

/** Each gives a node's number and text; `together` says what a box of several nodes has. */
const OVERLAYS = {
  values: {
    mark: markOfValue,
    scale: "signed",
    together: "last",
    says: ([at]) => (at ? ["means of the values; the farthest from 0: ", at] : []),
  },
  gradients: {
    mark: markOfGradient,
    scale: "size",
    together: "largest",
    says: ([at]) => (at ? ["norms of the gradients; the largest: ", at] : ["no gradient has run"]),
  },
  time: {
    mark: markOfTime,
    ofLoops: timesOfLoops,
    scale: "size",
    together: "sum",
    told: inSeconds,
    says: ([at, total, share]) => (at ? [`${total} in all; the most, ${share}: `, at] : []),
  },
  memory: {
    mark: markOfMemory,
    scale: "size",
    together: "sum",
    told: inBytes,
    says: ([at, total, share]) => (at ? [`${total} of values; the most, ${share}: `, at] : []),
  },
  health: {
    mark: markOfHealth,
    together: "largest",
    says: () => [`findings ${live.on ? "when it was recorded" : "in this run"}: ${runs[shown.run].findings.length}`],
  },
  difference: {
    mark: markOfDifference,
    scale: "size",
    together: "largest",
    says: ([at]) => (at ? ["how far the runs are apart; the farthest: ", at] : ["the runs are equal"]),
  },
};

const number4 = (x) => general(x, 4);

function markOfValue(run, place) {
  const value = valueOf(run, place);
  if (!value?.size) return null;
  const [, nans, above, below] = value.told.counts,
    strange = nans ? `${grouped(nans)} NaN` : above + below ? `${grouped(above + below)} inf` : "";
  const [least, most, mean] = value.told.stats;
  if (isClass(nodes.dtype[place]) && value.size > 1) return { number: null, text: `${least} to ${most}`, plain: true };
  return {
    number: strange ? null : mean,
    text: strange || (value.size === 1 ? value.text(0) : `mean ${general(mean, 3)}`),
    short: strange || general(mean, 3),
  };
}

function markOfGradient(run, place) {
  const itself = nodes.phase[place] === 1 && (gradientOf.has(place) || !gradientOf.size);
  const there = itself ? place : nodes.gradient[place],
    value = there < 0 ? null : valueOf(run, there);
  // That of the loss itself is 1, and says nothing.
  if (!value?.size || !value.dtype.startsWith("float") || nodes.kind[there]) return null;
  const [, , mean, std] = value.told.stats,
    [, nans, above, below] = value.told.counts;
  if (nans || above || below || mean === null) return { number: null, text: nans ? "NaN" : "inf" };
  const norm = Math.hypot(mean, std) * Math.sqrt(value.size);
  return { number: norm, text: general(norm, 3), short: general(norm, 1) };
}

function markOfTime(run, place) {
  const time = runs[run].times[place];
  // What is in a loop, and the arrays that it gives, are a part of its time.
  const inLoop = loopOf.has(place) || givers.has(place);
  return nodes.kind[place] || inLoop || !valueOf(run, place) ? null : { number: time, text: inSeconds(time) };
}

/** Return the times of the loops that are in a box as a whole. */
function timesOfLoops(run, places) {
  const whole = data.loops.length ? new Set(places) : null;
  const times = data.loops.map((loop, k) => (loop.places.every((place) => whole.has(place)) ? runs[run].loops[k].time : 0));
  return times.filter((time) => time > 0).map((time) => ({ number: time, text: inSeconds(time) }));
}

const BYTES = { 64: 8, 32: 4, 16: 2, 8: 1 };

function markOfMemory(run, place) {
  const value = valueOf(run, place);
  if (!value) return null;
  const bytes = value.size * (BYTES[/\d+$/.exec(nodes.dtype[place])?.[0]] ?? 1);
  return { number: bytes, text: inBytes(bytes) };
}

function inBytes(size) {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  if (size < 1024) return `${size} B`;
  const power = Math.min(units.length, Math.floor(Math.log2(size) / 10));
  return `${general(size / 1024 ** power, 3)} ${units[power - 1]}`;
}

function markOfHealth(run, place) {
  const found = runs[run].findings.find((finding) => finding.place === place);
  return found ? { number: null, text: found.severity, bad: true } : null;
}

function markOfDifference(_, place) {
  const found = data.pair.differences.find(([at]) => at === place);
  if (!found) return valueOf(1, place) ? { number: 0, text: "equal" } : null;
  return { number: found[1], text: found[1] === null ? "differs" : number4(found[1]) };
}

/** Return what a box has of an overlay. */
function merged(row, places) {
  const marks = places
    .filter((place) => nodes.kind[place] !== "a constant")
    .map((place) => row.mark(shown.run, place))
    .filter(Boolean);
  if (row.ofLoops) marks.push(...row.ofLoops(shown.run, places));
  if (marks.length < 2 || row.together === "last") return marks[marks.length - 1] ?? null;
  if (row.together === "largest") return marks.reduce((a, b) => (weight(b) > weight(a) ? b : a));
  const total = marks.reduce((sum, mark) => sum + mark.number, 0);
  return { number: total, text: row.told(total) };
}

const weight = (mark) => (mark.number === null ? Infinity : Math.abs(mark.number));

/**
 * Return the colour of each number of an overlay, and what its scale goes from and to.
 *
 * @returns {[colour: (x: number) => number[] | null, ends: string[] | "", how?: string]}
 */
function scaleOf(row, numbers) {
  const finite = numbers.filter((x) => x !== null && Number.isFinite(x)),
    most = Math.max(0, ...finite.map(Math.abs));
  if (!row.scale || !most) return [() => null, ""];
  const told = row.told ?? number4;
  if (row.scale === "signed") {
    const colour = coloursOf([-most, most]);
    return [(x) => (x === null ? STRANGE : colour(x)), [-most, most].map(told)];
  }
  const positive = finite.filter((x) => x > 0),
    least = Math.max(Math.min(...positive), most * ROUNDING.float64);
  if (most > 1000 * least) {
    const colour = coloursOf([0, Math.log(most / least)]);
    return [(x) => (x === null ? STRANGE : x > 0 ? colour(Math.log(x / least)) : null), [least, most].map(told), "logarithmic"];
  }
  const colour = coloursOf([0, most]);
  return [(x) => (x === null ? STRANGE : colour(x)), [0, most].map(told)];
}

/** Lay the chosen overlay over the diagram, or take it off. */
function drawOverlay() {
  const row = OVERLAYS[shown.overlay],
    state = [picture.view, row ? shown.run : "", shown.overlay, isDark(), row ? data.loops.map((loop) => loop.row) : ""].join();
  if (picture.overlaid === state) return;
  picture.overlaid = state;
  const marks = picture.boxes.map((box) => (row ? merged(row, box.places) : null));
  const [colour, ends, how] = row
    ? scaleOf(
        row,
        marks.flatMap((mark) => (mark ? [mark.number] : [])),
      )
    : [() => null];
  picture.boxes.forEach((box, i) => dress(box, marks[i], marks[i] && row.scale && !marks[i].plain ? colour(marks[i].number) : null));
  drawLegend(row, marks, ends, how);
  tellBad();
}

/** Write a text into a box and fill it, or have it as it was. */
function dress(box, mark, colour) {
  if (!mark && !box.dressed) return;
  const { form, title, below, formula } = partsOf(box);
  box.dressed = Boolean(mark);
  form?.style.removeProperty("fill");
  for (const text of [title, below]) for (const each of ["fill", ...OUTLINE]) text?.style.removeProperty(each);
  box.group.classList.toggle("dressed", box.dressed);
  const text = mark && mark.text.length > roomIn(form) ? (mark.short ?? mark.text) : mark?.text;
  if (below) below.textContent = mark ? text : box.below;
  if (formula) formula.textContent = mark ? "" : box.formula;
  if (!below && title) title.setAttribute("dy", mark ? -4 : 0);
  box.note?.remove();
  box.note = null;
  if (!mark) return;
  const note = below ?? (box.note = title?.cloneNode());
  if (!below && note) {
    note.textContent = text;
    note.setAttribute("dy", 5);
    note.setAttribute("font-size", SMALL);
    note.setAttribute("font-weight", "normal");
    title.after(note);
  }
  if (!colour || !form) return;
  form.style.setProperty("fill", `rgb(${colour.join(",")})`, "important");
  for (const text of [title, note]) text?.style.setProperty("fill", inkOn(colour));
  if (text.length <= roomIn(form)) return;
  // What is wider than the box has its colour around it: else white ink would not be seen beside the box.
  const outline = ["stroke", `rgb(${colour.join(",")})`, "2px"];
  OUTLINE.forEach((each, i) => note?.style.setProperty(each, outline[i]));
}

const OUTLINE = ["paint-order", "stroke", "stroke-width"];

/** Return how many letters go into a box, as large as those of an overlay are. */
const roomIn = (form) => (Number(form?.getAttribute("width")) || 1.7 * Number(form?.getAttribute("rx")) || Infinity) / (0.6 * NOTE);

function partsOf(box) {
  if (!box.parts) {
    const [title, below, formula] = box.group.querySelectorAll("text");
    box.parts = { form: box.group.querySelector("rect, ellipse, path, polygon"), title, below, formula };
    box.below = below?.textContent;
    box.formula = formula?.textContent;
  }
  return box.parts;
}

function drawLegend(row, marks, ends, how) {
  const host = $("overlay-legend");
  host.hidden = !row;
  if (!row) return;
  const numbers = marks.map((mark) => mark?.number ?? NaN),
    total = row.together === "sum" ? (merged(row, upTo(nodes.name.length))?.number ?? 0) : 0;
  let most = -1;
  numbers.forEach((x, i) => Math.abs(x) > (most < 0 ? 0 : Math.abs(numbers[most])) && (most = i));
  const there = () => go(ofBox(picture.boxes[most]));
  const at =
    most < 0 ? null : make("button", { type: "button", className: "link", onclick: there }, `${boxTitle(most)}: ${marks[most].text}`);
  const told = row.told ?? number4,
    share = total ? `${Math.round((100 * numbers[most]) / total)} %` : "";
  const parts = row.says([at, told(total), share]);
  if (Array.isArray(ends)) {
    const bar = make("span", { className: "scale", "aria-hidden": "true" }),
      palette = COLOURS[isDark() ? 1 : 0].slice(row.scale === "signed" ? 0 : 4);
    bar.style.background = `linear-gradient(to right, ${palette.map((each) => `rgb(${each.join(",")})`).join(", ")})`;
    parts.push(make("span", { className: "ends" }, ends[0], bar, ends[1], how ? `, ${how}` : ""));
  }
  host.replaceChildren(make("b", null, shown.overlay), " ", ...parts);
}
