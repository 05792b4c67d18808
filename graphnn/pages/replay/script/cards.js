// --- cards on paper: the operations that a reader asks for, two to a sheet ---------------------------------------

const MOST_CARDS = 200,
  CARDS_ON_A_SHEET = 2;
const TABLES_ACROSS = 6,
  TALLEST = 0.55,
  MOST_MARKED = 200,
  MOST_SAID = 320; // TALLEST: of the height of a card, what a table may have; MOST_SAID: letters of a text, of more it is said how many are left out
/** @type {[number, number][]} Until a card fits: how many numbers of a value are written out at most, and how large it is drawn. */
const FITS = [
  [300, 1.5],
  [300, 1.3],
  [300, 1.15],
  [300, 1],
  [300, 0.85],
  [120, 1],
  [120, 0.8],
  [48, 0.8],
  [48, 0.65],
  [16, 0.65],
  [4, 0.5],
  [1, 0.4],
];
const asking = { places: null, begun: false, tour: false };
let drawings = []; // what is drawn into the figures of a card when it is known how large they are

/** Return which operations are meant, in the order of evaluation: "all", those of a "tour", "here", or those that the search finds. */
function askedFor(which, text) {
  if (which === "here") return [shown.place];
  if (which === "tour") return [...new Set(data.tour.map(([place]) => place))].sort((a, b) => a - b);
  const ran = operations.filter((place) => place <= last() && !isLeftOut(place)),
    wanted = asWanted(text);
  return which === "all" ? ran : ran.filter((place) => wanted.length > 0 && isWanted(place, wanted));
}

const inSheets = (count) => Math.ceil(count / CARDS_ON_A_SHEET);
const counting = (count, what) => `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
const choiceNow = () => document.querySelector("#print-what input:checked").value;
const placesNow = () => askedFor(choiceNow(), $("print-named").value);

function tellAsked() {
  const { length } = placesNow(),
    nothing =
      choiceNow() === "named" && !$("print-named").value.trim()
        ? "Type a part of a name, or an operation."
        : "No operation that has run is called that.";
  const most = `${counting(length, "operation")}: of so many the first ${MOST_CARDS} are printed, on ${inSheets(MOST_CARDS)} sheets.`;
  $("print-says").textContent = !length
    ? nothing
    : length > MOST_CARDS
      ? most
      : `${counting(length, "operation")} on ${counting(inSheets(length), "sheet")}.`;
  $("print-now").disabled = !length;
}

function openPrinting() {
  stop();
  $("print-tour").hidden = !data.tour?.length;
  $("print-here").textContent = nodes.name[shown.place];
  tellAsked();
  $("print-what").showModal();
}

function printAsked() {
  asking.places = placesNow();
  if (!asking.places.length) return;
  asking.tour = choiceNow() === "tour";
  asking.begun = false;
  $("print-what").close();
  window.print();
  // A frame may forbid it; then nothing comes of it, and nobody says so.
  setTimeout(() => {
    if (asking.begun) return;
    asking.places = null;
    $("print-what").showModal();
    $("print-says").textContent = "The browser does not print from here. Open the page in a window of its own.";
  }, 1000);
}

function listenToPrinting() {
  const dialog = $("print-what");
  $("print").addEventListener("click", openPrinting);
  $("print-now").addEventListener("click", printAsked);
  $("print-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("input", (event) => {
    if (event.target === $("print-named")) dialog.querySelector("[value=named]").checked = true;
    tellAsked();
  });
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the keys of the page rest
    if (event.key === "Enter" && event.target instanceof HTMLInputElement) printAsked();
  });
  window.addEventListener("afterprint", () => (asking.places = null));
}

/** Fill the paper with what was asked for. */
function drawCards() {
  const asked = asking.places,
    places = asked.slice(0, MOST_CARDS),
    sheets = inSheets(places.length),
    left = asked.length - places.length;
  $("printed").replaceChildren(
    ...upTo(sheets).map((sheet) => {
      const cards = places.slice(sheet * CARDS_ON_A_SHEET, (sheet + 1) * CARDS_ON_A_SHEET).map((place) => {
        const card = make("article", { className: "card" });
        card.dataset.place = place;
        return card;
      });
      const more =
        left && sheet === sheets - 1
          ? ` · ${counting(left, "operation")} more, for which there is no room, ${left === 1 ? "is" : "are"} left out`
          : "";
      return make(
        "div",
        { className: "sheet" },
        ...cards,
        make("p", { className: "foot" }, `${said(data.graph)}${whichRun()} · sheet ${grouped(sheet + 1)} of ${grouped(sheets)}${more}`),
      );
    }),
  );
  for (const card of $("printed").querySelectorAll(".card")) fillCard(card, Number(card.dataset.place));
}

const whichRun = () =>
  data.kind === "run" || isLive(shown.run)
    ? ""
    : `, ${seenRuns()
        .map((run) => runs[run].label)
        .join(", ")}`;

/** Return a text as it is written on a card: of a very long one it is said how much is left out. */
const said = (text, most = MOST_SAID) =>
  text.length > most ? `${text.slice(0, most)}… (${grouped(text.length - most)} more letters)` : text;

/** Fill a card: with fewer numbers written out and smaller until it fits, at last smaller as a whole. */
function fillCard(card, place) {
  const room = [card.clientWidth, card.clientHeight],
    cell = place === shown.place ? shown.cell : usualCell(place);
  const told = seenRuns().map((run) => explained(run, place, cell));
  /** @type {(at: number) => number} Fill it, and return how much smaller as a whole it must be, 1 if it fits. */
  const fill = (at) => {
    const [most, size] = FITS[at];
    card.style.setProperty("--card", String(Math.max(0.75, Math.min(1.1, size))));
    drawings = [];
    const inside = make(
      "div",
      { className: "inside" },
      ...cardParts(place, cell, told, { room: room[0] - 24, tall: TALLEST * room[1], most, size }),
    );
    card.replaceChildren(inside);
    return Math.min(1, room[1] / inside.offsetHeight, room[0] / inside.scrollWidth);
  };
  let [low, high] = [0, FITS.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (fill(middle) === 1) high = middle;
    else low = middle + 1;
  }
  const scale = fill(low);
  if (scale === 1) card.classList.add("fits");
  else card.firstElementChild.style.transform = `scale(${scale})`;
  for (const draw of drawings) draw();
}

/** Return what is on a card. What can be pressed on the screen is text here. */
function cardParts(place, cell, told, options) {
  const [, ...words] = wordsOf(place),
    stations = asking.tour ? data.tour.filter(([at]) => at === place) : [];
  const findings = runs[shown.run].findings.filter((finding) => finding.place === place);
  const parts = [
    make("h2", null, make("span", { className: "faint" }, `${grouped(place + 1)} `), said(nodes.name[place], 120)),
    make("p", { className: "about" }, make("b", null, said(madeOf(place))), said(` · ${words.join(" · ")}`)),
    ...findings.map(({ severity, code, says }) => make("p", { className: "finding" }, said(`${severity}, ${code}: ${says}`))),
    ...stations.map(([, text]) => make("p", { className: "station" }, said(text, 4 * MOST_SAID))),
    make(
      "div",
      { className: "equations" },
      ...told.flatMap((each, i) => (each || !told.some(Boolean) ? equationLines(each, seenRuns()[i], place) : [])),
    ),
    ...cardValues(place, cell, told, options),
    cardGradient(place, cell, options),
    cardSource(place),
  ].filter(Boolean);
  for (const part of parts) {
    for (const button of part.querySelectorAll("button")) button.replaceWith(button.textContent);
    if (told.length > 1) for (const reads of part.querySelectorAll(".reads")) reads.remove();
    for (const text of part.querySelectorAll(".equation, li")) text.replaceChildren(said(text.textContent, 2 * MOST_SAID));
  }
  return parts;
}

/** Return the operands and the result; of runs side by side those of each, unless they are alike. */
function cardValues(place, cell, told, options) {
  const inputs = nodes.kind[place] ? [] : [...new Set(nodes.inputs[place])],
    few = inputs.slice(0, MOST_OPERANDS),
    all = [...few, place];
  const [range, bar] = oneScale(all),
    alike = seenRuns().every((run) => all.every((at) => seenValue(run, at)?.told === seenValue(seenRuns()[0], at)?.told));
  bar?.querySelector("label").remove();
  const lines = seenRuns()
    .slice(0, alike ? 1 : undefined)
    .map((run, i) => {
      const reads = told[i]?.direct ?? told[i]?.reads ?? [];
      const one = (at, note, marked, given = options) =>
        paperFigure(run, at, { ...given, title: shortName(at, place), note, marked, range: range && isReal(at) ? range : rangeInAll(at) });
      const operands = few.map((input) => {
        const positions = nodes.inputs[place].flatMap((other, at) => (other === input ? [at] : []));
        return one(
          input,
          nodes.inputs[place].length > 1 ? `operand ${positions.join(" and ")}` : "operand",
          reads.find((read) => read.place === input)?.places ?? [],
        );
      });
      const left = inputs.length - few.length,
        more = left ? make("p", { className: "faint" }, `${counting(left, "more operand")} ${left === 1 ? "is" : "are"} left out`) : null;
      // The arrow stands before the result, on whatever line that is.
      const op = said(nodes.op[place], 24),
        arrow = inputs.length ? make("p", { className: "arrow" }, make("b", null, op), " →") : null;
      const result = one(place, inputs.length ? "result" : "", [cell], {
        ...options,
        room: options.room - (arrow ? 44 + 9 * op.length : 0),
      });
      const whose = data.kind === "pair" ? make("p", { className: "whose" }, alike ? "in all runs" : runs[run].label) : null;
      if (whose && !valueOf(run, place)) return make("div", { className: "values" }, whose, "It has not run.");
      return make("div", { className: "values" }, whose, ...operands, more, make("div", { className: "result" }, arrow, result));
    });
  return [...lines, range && bar]; // without one range, each picture says its own
}

function cardGradient(place, cell, options) {
  const [there, relation] = twinOf(place);
  if (there < 0) return null;
  const told = relationTold(place, there, relation).replace(/:?$/, ": "),
    name = said(nodes.name[there], 120);
  // The value of a gradient has a card of its own.
  if (relation !== "gradient") return make("p", { className: "faint" }, `${told}${name}, ${grouped(there + 1)}`);
  const value = valueOf(shown.run, there),
    same = value !== null && String(value.shape) === String(valueOf(shown.run, place)?.shape);
  const drawn = paperFigure(shown.run, there, {
    ...options,
    size: 0.75 * options.size,
    title: "gradient",
    note: "",
    marked: same ? [cell] : [],
    range: rangeInAll(there),
  });
  const element =
    same && value.size > 1 && value.at(cell) !== undefined ? make("p", { className: "equation" }, elementText(there, cell, value)) : null;
  return make("div", { className: "gradient" }, make("div", null, make("p", null, told, name), element), drawn);
}

function cardSource(place) {
  const [, lines] = data.files[nodes.file[place]] ?? [],
    line = lines?.[nodes.line[place]]?.trim() ?? "";
  return make(
    "p",
    { className: "source" },
    make("span", { className: "faint" }, nodes.where[place] ? said(nodes.where[place]) : "No line of yours made it."),
    " ",
    make("span", { className: "equation" }, said(line)),
  );
}

/** Return a value as a figure on paper: with its numbers, or as a picture with what there is to say of them. */
function paperFigure(run, place, { title, note, range, marked, room, tall, most, size }) {
  const value = valueOf(run, place),
    caption = make("figcaption", null, make("b", null, said(title, 60)), make("span", { className: "faint" }, note ? ` ${note}` : ""));
  const made = (...inside) => make("figure", null, caption, ...inside),
    faint = (text) => make("p", { className: "faint" }, text);
  if (!value) return made(faint("It has not run."));
  caption.append(make("span", { className: "faint" }, ` · ${namedShape(place, value.shape).replaceAll(" ", "\u00a0")}`));
  if (!value.size) return made(faint("no element"));
  const [slices, count, chosen] = value.shape.length > 2 ? slicesOf(place, value) : [[[]], 1, []];
  const grids = slices.map((slice) => gridOf(place, value, slice)).filter(({ rows, columns }) => rows.length && columns.length);
  if (!grids.length) return made(faint("This place is not kept of it."));
  const colour = isClass(value.dtype) ? colourOfClass : coloursOf(range, ROUNDING[value.dtype]),
    marks = new Set(marked.length < value.size || value.size === 1 ? marked.slice(0, MOST_MARKED) : []);
  const cells = grids.reduce((sum, { rows, columns }) => sum + rows.length * columns.length, 0),
    across = Math.min(grids.length, TABLES_ACROSS);
  const drawn = (grid) => {
    const table = cells <= most ? paperTable(value, grid, { colour, marks, size, room, tall }) : null;
    return (
      table ??
      paperPicture(value, grid, {
        colour,
        marks,
        wide: Math.min((room - 8 * across) / across, (across > 1 ? 110 : 250) * size),
        high: (across > 1 ? 90 : 150) * size,
      })
    );
  };
  const open = chosen.flatMap((at, axis) => (at === null ? [axis] : []));
  const tables_ = grids.map((grid, i) =>
    make(
      "div",
      null,
      open.length ? make("p", { className: "more" }, open.map((axis) => `${axisTold(place, axis)} = ${slices[i][axis]}`).join(", ")) : null,
      drawn(grid),
    ),
  );
  const closed = chosen.flatMap((at, axis) => (at === null ? [] : [`${axisTold(place, axis)} ${at} of ${grouped(value.shape[axis])}`]));
  const parts = [
    ...closed,
    count > grids.length ? `${grids.length} of ${grouped(count)} side by side` : "",
    value.partial ? `preview: ${grouped(value.raw.length)} of ${grouped(value.size)}` : "",
  ].filter(Boolean);
  const written_ = tables_.every((table) => table.querySelector(".written")),
    about = written_ || value.hidden ? "" : summaryOf(run, place);
  return made(
    tables_.length > 1 ? make("div", { className: "tables" }, ...tables_) : tables_[0],
    [...parts, about].some(Boolean) ? make("p", { className: "more" }, [...parts, about].filter(Boolean).join("; ")) : null,
  );
}

/** Return a table of numbers, null if it would be too large. On paper it stays sharp: it is drawn as letters, not as dots. */
function paperTable(value, grid, { colour, marks, size, room, tall }) {
  const { rows, columns, labels, heads, upright } = grid,
    text = (r, c) => value.text(cellIn(grid, value.shape, r, c)) || " ";
  const large = value.size === 1 ? 1.3 : 1,
    font = large * Math.max(6.5, Math.min(12, 10 * size)),
    letter = 0.61 * font,
    high = 1.55 * font;
  const longest = rows.reduce((most, _, r) => columns.reduce((n, _, c) => Math.max(n, text(r, c).length, heads[c].length), most), 2),
    wide = letter * longest + 7;
  const gutter = labels[0] === "" ? 0 : letter * Math.max(...labels.map((label) => label.length)) + 5,
    header = value.shape.length && !upright ? 1.3 * font : 0;
  if (gutter + wide * columns.length + 2 > room || header + high * rows.length > tall) return null;
  const [svg, write] = paperDrawing(gutter + wide * columns.length, header + high * rows.length, font);
  svg.setAttribute("class", "written");
  drawings.push(() => {
    columns.forEach((_, c) => header && write(heads[c], gutter + (c + 0.5) * wide, header / 2, "#555", "middle"));
    rows.forEach((_, r) => {
      if (gutter) write(labels[r], gutter - 4, header + (r + 0.5) * high, "#555", "end");
      columns.forEach((_, c) => {
        const number = value.number(cellIn(grid, value.shape, r, c)),
          back = number === undefined ? [255, 255, 255] : colour(number);
        svg.append(
          drawSvg("rect", {
            x: gutter + c * wide,
            y: header + r * high,
            width: wide,
            height: high,
            fill: `rgb(${back.join(",")})`,
            stroke: "#999",
            "stroke-width": 0.5,
          }),
        );
        write(text(r, c), gutter + (c + 0.5) * wide, header + (r + 0.5) * high, inkOn(back), "middle");
      });
    });
    mark(svg, value, grid, marks, [gutter, header, wide, high]);
  });
  return make("div", null, svg);
}

/** Return an empty drawing, and what writes a text into it: about a point, up and down. */
function paperDrawing(wide, high, font = 10) {
  const svg = drawSvg("svg", {
    viewBox: `-1 -1 ${wide + 2} ${high + 2}`,
    width: wide + 2,
    height: high + 2,
    "font-size": font,
    "aria-hidden": "true",
  });
  const write = (text, x, y, fill, anchor) =>
    svg.append(drawSvg("text", { x, y: y + 0.35 * font, fill, "text-anchor": anchor }, String(text)));
  return [svg, write];
}

/** Draw a line about the elements that are meant. */
function mark(svg, value, grid, marks, [left, top, wide, high]) {
  if (!marks.size) return;
  grid.rows.forEach((_, r) =>
    grid.columns.forEach((_, c) => {
      if (!marks.has(cellIn(grid, value.shape, r, c))) return;
      const [w, h] = [Math.max(3, wide), Math.max(3, high)];
      svg.append(
        drawSvg("rect", {
          x: left + (c + 0.5) * wide - w / 2,
          y: top + (r + 0.5) * high - h / 2,
          width: w,
          height: h,
          fill: "none",
          stroke: "#000",
          "stroke-width": Math.min(1.8, w / 3),
        }),
      );
    }),
  );
}

const SQUARE = 4,
  CELL = 14,
  LEAST_CELL = 12,
  DOTS = 6; // times as long as wide; pixels of a cell, at most and, along the shorter side, at least; dots of a cell on paper

/** Return the cells of a value by their colours alone. */
function paperPicture(value, grid, { colour, marks, wide, high }) {
  const [down, across] = [grid.rows.length, grid.columns.length];
  let [w, h] = [Math.min(CELL, wide / across), Math.min(CELL, high / down)];
  if (down <= SQUARE * across && across <= SQUARE * down) w = h = Math.min(w, h);
  else [w, h] = [Math.min(w, Math.max(h, LEAST_CELL)), Math.min(h, Math.max(w, LEAST_CELL))];
  // Viewers of files for printing blur a picture of few dots.
  const each = down * across < 5000 ? DOTS : 1,
    canvas = make("canvas"),
    [svg] = paperDrawing(across * w, down * h);
  Object.assign(canvas.style, { width: `${across * w}px`, height: `${down * h}px` });
  drawings.push(() => {
    Object.assign(canvas, { width: across * each, height: down * each });
    const pen = canvas.getContext("2d");
    for (let r = 0; r < down; r++) {
      for (let c = 0; c < across; c++) {
        pen.fillStyle = `rgb(${colour(value.number(cellIn(grid, value.shape, r, c))).join(",")})`;
        pen.fillRect(c * each, r * each, each, each);
      }
    }
    mark(svg, value, grid, marks, [0, 0, w, h]);
  });
  return make("div", { className: "seen" }, canvas, svg);
}
