// --- heatmaps ---------------------------------------------------------------------------------------------------

// From what is most below 0 to what is most above, with 0 in the middle: on light paper, and on dark.
const COLOURS = [
  "08306B 2171B5 6BAED6 BDD7E7 F7F7F7 FDD0A2 FD8D3C D94801 7F2704",
  "9ECAE1 6BAED6 3F88C0 2B5275 2C2F34 5C3A1E A3561B E6802B FDBE85",
].map((codes) => codes.split(" ").map(rgb));
// Integers are mostly classes or indices, whose size means nothing: each has a colour of its own, as on the map.
const isClass = (dtype) => dtype.startsWith("int");
const colourOfClass = (x) =>
  x === undefined ? ALIKE[isDark() ? 1 : 0] : rgb(CLASSES[((Number(x) % CLASSES.length) + CLASSES.length) % CLASSES.length].slice(1));
const STRANGE = [179, 38, 30];
const ALIKE = ["E8EAEE", "3A3F47"].map(rgb); // where all numbers are one
const ROUNDING = { float16: 2 ** -10, float32: 2 ** -23, float64: 2 ** -52 }; // in parts of a number
const MOST_LETTERS = 12,
  ROW_HEIGHT = 20,
  HEADER = 15,
  LETTER = 6.7,
  FINE = 3,
  LARGE = 1.8,
  WHOLE = 340; // FINE: pixels of a cell that is drawn with its neighbours at once

function rgb(code) {
  return [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16));
}

function mixed(palette, fraction) {
  const at = fraction * (palette.length - 1),
    low = Math.min(Math.floor(at), palette.length - 2);
  return palette[low].map((channel, i) => Math.round(channel + (palette[low + 1][i] - channel) * (at - low)));
}

const isDark = () => document.documentElement.dataset.theme === "dark";

/** Return the function that gives a number its colour: orange above 0, blue below, the stronger the larger. */
function coloursOf([low, high], rounding = ROUNDING.float64) {
  if (low === null) return () => STRANGE;
  const signed = low < 0 && high > 0,
    most = Math.max(-low, high);
  const [from, to] = signed ? [-most, most] : [low, high];
  const scale = Math.max(Math.abs(from), Math.abs(to)) || 1;
  const span = to / scale - from / scale,
    alike = ALIKE[isDark() ? 1 : 0],
    palette = COLOURS[isDark() ? 1 : 0];
  return (x) => {
    if (x === undefined) return alike; // it is hidden, or not kept
    if (!Number.isFinite(x)) return STRANGE;
    if (!(span > 4 * rounding)) return alike; // numbers that differ by rounding alone are one
    const at = Math.min(1, Math.max(0, (x / scale - from / scale) / span));
    return mixed(palette, signed ? at : at / 2 + (high > 0 ? 0.5 : 0));
  };
}

/** Return a name cut to what stands beside a row or above a column. */
const short = (/** @type {string} */ name) => (name.length > MOST_LETTERS ? `${name.slice(0, MOST_LETTERS - 1)}…` : name);
const inkOn = (/** @type {number[]} */ [r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff");
const strangeSign = (x) => (Number.isNaN(x) ? "?" : x > 0 ? "+" : "−");

/** Return which rows and columns show a value, or a slice of it; `upright`: one column, with a number for each row of the batch. */
function gridOf(place, value, slice = []) {
  const batch = batchAxis(place);
  const axes = value.axes.map((kept, axis) => {
    if (axis < slice.length) return [slice[axis]];
    return axis === batch && shown.row !== null && value.shape[axis] > 1 ? kept.filter((i) => i === shown.row) : kept;
  });
  const upright = axes.length === 1 && batch === 0,
    columns = axes.length && !upright ? axes[axes.length - 1] : [0];
  const rows = axes.slice(0, upright ? 1 : -1).reduce((found, kept) => found.flatMap((row) => kept.map((i) => [...row, i])), [[]]);
  const last = value.shape.length - 1,
    named = (i, axis) => nameAt(place, axis, value.shape[axis], i),
    head = (i, axis) => short(named(i, axis) ?? String(i)),
    across = axes.length > 0 && !upright;
  return {
    upright,
    rows,
    columns,
    labels: rows.map((row) => row.map(head).slice(slice.length).join(",")),
    heads: columns.map((i) => (across ? head(i, last) : "")),
    named: across && columns.some((i) => named(i, last) !== null),
  };
}

/** Return the place of the element that a row and a column of a grid show. */
const cellIn = ({ upright, rows, columns }, shape, r, c) => ravel(shape.length && !upright ? [...rows[r], columns[c]] : rows[r], shape);

/** A value as cells in a box that scrolls; only what is seen of it is drawn. */
class Heatmap {
  constructor(place, value, { label, range, room, height, pick, alike = [value], slice = [], whole = false }) {
    this.place = place;
    this.value = value;
    this.range = range;
    this.pick = pick;
    this.room = room;
    this.slice = slice;
    this.whole = whole;
    this.lit = new Set();
    this.cursor = null;
    this.left = 0;
    this.top = 0;
    this.size = null;
    this.derived = false;
    this.layOut(height, alike);
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.spacer = make("div", { className: "spacer" }, this.canvas);
    const told = `${label}, ${shapeText(value.shape)}, ${rangeText(value)}. Arrow keys choose an element, enter goes there.`;
    this.box = make("div", { className: "heat", tabIndex: 0, role: "application", "aria-roledescription": "heatmap" }, this.spacer);
    this.box.setAttribute("aria-label", told);
    this.outer = Math.min(this.width, room) + (this.tall ? 17 : 2);
    this.box.style.width = `${this.outer}px`;
    const high = this.whole ? this.height : Math.min(this.height, height);
    this.seen = [
      Math.max(1, Math.floor((high - this.header) / this.cellHeight)),
      Math.max(1, Math.floor((this.outer - 19 - this.gutter) / this.cellWidth)),
    ];
    this.box.style.height = `${high + (this.width > room ? 17 : 2)}px`;
    this.spacer.style.width = `${this.width}px`;
    this.spacer.style.height = `${this.height}px`;
    this.listen();
  }

  /** Decide how large the cells are: with numbers where those of all values that are to look alike fit. */
  layOut(most, alike) {
    const { value } = this,
      { upright, rows, columns: across, labels, heads, named } = gridOf(this.place, value, this.slice);
    this.upright = upright;
    this.rows = rows;
    this.columns = across;
    this.keys = rows.map((row) => row.join(","));
    this.labels = labels;
    this.heads = heads;
    this.named = named;
    this.longest = heads.reduce((most, text) => Math.max(most, text.length), 0);
    this.gutter = this.rows[0]?.length ? 8 + LETTER * Math.max(...this.labels.map((text) => text.length)) : 0;
    this.header = value.shape.length && !upright ? HEADER : 0;
    const cells = this.rows.slice(0, 24).flatMap((_, r) => across.slice(0, 24).map((_, c) => this.cellAt(r, c)));
    const sample = alike.filter(({ size }) => size === value.size).flatMap((each) => cells.map((cell) => each.text(cell)));
    this.large = value.size === 1 ? LARGE : 1;
    const widest =
      this.large *
      Math.max(26, 8 + LETTER * [...sample, ...(this.named ? this.heads : [])].reduce((n, text) => Math.max(n, text.length), 2));
    this.numbers = !this.whole && this.gutter + widest * across.length <= this.room;
    const fitting = Math.floor((this.room - this.gutter) / across.length);
    this.cellWidth = this.numbers ? widest : Math.max(4, Math.min(18, fitting));
    const tight = Math.floor((most - this.header) / this.rows.length);
    this.cellHeight = this.numbers ? this.large * ROW_HEIGHT : Math.max(5, Math.min(16, tight));
    if (this.whole)
      this.cellWidth = this.cellHeight = Math.min(
        18,
        (this.room - this.gutter) / across.length,
        (Math.max(most, WHOLE) - this.header) / this.rows.length,
      );
    this.width = this.gutter + this.cellWidth * across.length;
    this.height = this.header + this.cellHeight * this.rows.length;
    this.tall = !this.whole && this.height > most;
  }

  /** Say how many rows and columns one sees at once, if not all. */
  inSight() {
    const [rows, columns] = this.seen,
      parts = [];
    if (this.tall) parts.push(`${grouped(rows)} of ${grouped(this.rows.length)} rows in sight`);
    if (this.width > this.room + 0.5)
      parts.push(`${grouped(columns)} of ${grouped(this.columns.length)} columns${parts.length ? "" : " in sight"}`);
    return parts.join(", ");
  }

  /** Return the place of the element that a row and a column show. */
  cellAt(r, c) {
    return cellIn(this, this.value.shape, r, c);
  }

  /** Return the row and the column that show an element. */
  find(cell) {
    const index = unravel(cell, this.value.shape);
    const c = this.upright || !index.length ? 0 : this.columns.indexOf(index[index.length - 1]);
    const key = (this.upright ? index : index.slice(0, -1)).join(",");
    return [this.keys.indexOf(key), c];
  }

  listen() {
    const { box } = this;
    box.addEventListener("scroll", () => {
      const { scrollLeft, scrollTop } = box;
      if (Math.hypot(scrollLeft - this.left, scrollTop - this.top) < 0.6) return;
      Object.assign(this, { left: scrollLeft, top: scrollTop });
      this.draw();
    });
    box.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.point(this.under(event)));
    box.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.point(null));
    box.addEventListener("click", (event) => {
      const cell = this.under(event),
        seen = shown.hover?.place === this.place && shown.hover?.cell === cell;
      if (cell === null) return;
      if (event.pointerType === "touch" && !seen) this.point(cell);
      else this.pick(cell);
    });
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("focus", () => this.move(0, 0));
    box.addEventListener("blur", () => this.point(null));
  }

  under(event) {
    const seen = this.box.getBoundingClientRect();
    const x = event.clientX - seen.left - 1 + this.box.scrollLeft - this.gutter;
    const y = event.clientY - seen.top - 1 + this.box.scrollTop - this.header;
    const r = Math.floor(y / this.cellHeight),
      c = Math.floor(x / this.cellWidth);
    if (x < 0 || y < 0 || r >= this.rows.length || c >= this.columns.length) return null;
    return this.cellAt(r, c);
  }

  point(cell) {
    if (cell === this.cursor) return;
    this.cursor = cell;
    hover(cell === null ? null : { place: this.place, cell });
  }

  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (moves[event.key]) this.move(...moves[event.key]);
    else if (event.key === "Enter" && this.cursor !== null) this.pick(this.cursor);
    else if (/^[-.0-9]$/.test(event.key) && this.cursor !== null && canCompute()) {
      this.pick(this.cursor);
      typeNumber(event.key);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  move(down, across) {
    if (!this.rows.length || !this.columns.length) return;
    const from = this.cursor ?? [...this.lit][0] ?? (this.place === shown.place ? shown.cell : this.cellAt(0, 0));
    const [r, c] = this.find(from).map((at) => Math.max(0, at));
    const row = Math.max(0, Math.min(this.rows.length - 1, r + down));
    const column = Math.max(0, Math.min(this.columns.length - 1, c + across));
    this.reveal(row, column);
    this.point(this.cellAt(row, column));
  }

  /** Return how much of it is seen: asked of the browser once, for it lays the page out anew to answer. */
  seenNow() {
    this.size ??= [this.box.clientWidth, this.box.clientHeight];
    return this.size;
  }

  reveal(r, c) {
    const [wide, high] = this.seenNow();
    this.top = this.scrolled("scrollTop", this.top, r * this.cellHeight, this.cellHeight, high - this.header, this.height - high);
    this.left = this.scrolled("scrollLeft", this.left, c * this.cellWidth, this.cellWidth, wide - this.gutter, this.width - wide);
  }

  /** Scroll along one way as far as it takes to see a cell; return where it stands then. */
  scrolled(way, from, at, size, room, most) {
    const to = Math.max(0, Math.min(most, at < from ? at : at + size > from + room ? at + size - room : from));
    if (to !== from) this.box[way] = to;
    return to;
  }

  /** Light up elements when it is drawn next; the first of them is brought into sight. */
  light(cells, reveal = true) {
    this.lit = new Set(cells);
    const first = cells[0];
    if (reveal && first !== undefined && this.cursor === null) {
      const [r, c] = this.find(first);
      if (r >= 0 && c >= 0) this.reveal(r, c);
    }
  }

  draw([paper, ink] = paperAndInk()) {
    const { box, gutter, header, left, top } = this,
      [wide, high] = this.seenNow();
    if (!wide || !high) return;
    const [, pen] = canvasOf(this.canvas, wide, high);
    pen.fillStyle = paper;
    pen.fillRect(0, 0, wide, high);
    pen.font = `${11 * this.large}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
    pen.textBaseline = "middle";
    const firstRow = Math.floor(top / this.cellHeight),
      firstColumn = Math.floor(left / this.cellWidth);
    const lastRow = Math.min(this.rows.length, firstRow + Math.ceil(high / this.cellHeight) + 1);
    const lastColumn = Math.min(this.columns.length, firstColumn + Math.ceil(wide / this.cellWidth) + 1);
    const { dtype } = this.value,
      colour = isClass(dtype) ? colourOfClass : coloursOf(this.range, ROUNDING[dtype]);
    const marked = [],
      all = this.lit.size > 1 && this.lit.size === this.value.size;
    box.classList.toggle("all", all);
    pen.save();
    pen.beginPath();
    pen.rect(gutter, header, wide, high);
    pen.clip();
    const fine = this.cellWidth < FINE;
    if (fine) this.drawFine(pen, colour);
    for (let r = firstRow; !fine && r < lastRow; r++) {
      for (let c = firstColumn; c < lastColumn; c++) {
        const spot = [gutter + c * this.cellWidth - left, header + r * this.cellHeight - top];
        const cell = this.cellAt(r, c);
        this.drawCell(pen, spot, cell, colour);
        if (this.lit.has(cell) && !all) marked.push([spot, false]);
        if (this.place === shown.place && cell === shown.cell) marked.push([spot, true]);
      }
    }
    for (const cell of fine ? [...(all ? [] : this.lit), ...(this.place === shown.place ? [shown.cell] : [])].slice(0, 200) : []) {
      const [r, c] = this.find(cell);
      if (r >= 0 && c >= 0) marked.push([[gutter + c * this.cellWidth - 2, header + r * this.cellHeight - 2], !this.lit.has(cell)]);
    }
    for (const [spot, chosen] of marked) this.drawMark(pen, spot, chosen);
    pen.restore();
    this.drawLabels(pen, ink, firstRow, lastRow, firstColumn, lastColumn);
  }

  /** Draw all cells as the points of a picture, where each is too small to be drawn alone. */
  drawFine(pen, colour) {
    const wide = this.columns.length,
      high = this.rows.length,
      points = make("canvas", { width: wide, height: high }),
      under = points.getContext("2d");
    const image = under.createImageData(wide, high);
    for (let r = 0, at = 0; r < high; r++)
      for (let c = 0; c < wide; c++, at += 4) image.data.set([...colour(this.value.number(this.cellAt(r, c))), 255], at);
    under.putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = this.cellWidth < 1;
    pen.drawImage(points, this.gutter - this.left, this.header - this.top, wide * this.cellWidth, high * this.cellHeight);
  }

  /** @type {(pen: CanvasRenderingContext2D, spot: number[], cell: number, colour: (x: number) => number[]) => void} */
  drawCell(pen, [x, y], cell, colour) {
    const number = this.value.number(cell),
      back = colour(number);
    const gap = this.cellWidth > 7 && this.cellHeight > 7 ? 1 : 0;
    pen.fillStyle = `rgb(${back.join(",")})`;
    pen.fillRect(x, y, this.cellWidth - gap, this.cellHeight - gap);
    pen.fillStyle = inkOn(back);
    pen.textAlign = "center";
    /** @type {[number, number]} */
    const middle = [x + this.cellWidth / 2, y + this.cellHeight / 2 + 0.5];
    if (this.numbers) pen.fillText(this.value.text(cell), ...middle);
    else if (number !== undefined && !Number.isFinite(number) && this.cellHeight > 8) pen.fillText(strangeSign(number), ...middle);
  }

  drawMark(pen, [x, y], chosen) {
    const [w, h] = [this.cellWidth, this.cellHeight].map((size) => Math.max(4, size - 1));
    pen.lineWidth = 3.5;
    pen.strokeStyle = "#fff";
    pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
    pen.lineWidth = 2;
    pen.strokeStyle = chosen ? "#000" : "#D55E00";
    pen.strokeRect(x + 1, y + 1, w - 2, h - 2);
  }

  drawLabels(pen, ink, firstRow, lastRow, firstColumn, lastColumn) {
    pen.fillStyle = ink;
    pen.font = "11px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
    pen.textAlign = "right";
    const every = Math.ceil(12 / this.cellHeight),
      apart = Math.ceil((8 + LETTER * this.longest) / this.cellWidth);
    for (let r = firstRow; this.gutter && r < lastRow; r++) {
      const y = this.header + (r + 0.5) * this.cellHeight - this.top;
      if (r % every === 0 && y > this.header) pen.fillText(this.labels[r], this.gutter - 4, y);
    }
    pen.textAlign = "center";
    for (let c = firstColumn; this.header && c < lastColumn; c++) {
      const x = this.gutter + (c + 0.5) * this.cellWidth - this.left;
      if (c % apart === 0 && x > this.gutter) pen.fillText(this.heads[c], x, this.header / 2);
    }
  }
}

function rangeText(value) {
  const [low, high] = value.range;
  if (low === null) return value.size ? "no finite number" : "no element";
  const text = (x) => numeral(x, "float64");
  return low === high ? `all ${text(low)}` : `from ${text(low)} to ${text(high)}`;
}

let heatmaps = [];

function drawHeatmaps(which = heatmaps) {
  const colours = paperAndInk();
  for (const heat of which) heat.draw(colours);
}

function paperAndInk() {
  const style = getComputedStyle(document.documentElement);
  return ["--paper", "--faint"].map((name) => style.getPropertyValue(name));
}

// --- values of three and more axes: tables side by side, for the places along the axes before the last two

const MOST_TABLES = 12;

/** Return how an axis is called, and by what the place along it is remembered: alike for all values that have the axis. */
const axisTold = (place, axis) => axisName(place, axis) || `axis ${axis}`;
const axisKey = (place, axis, n) => axisName(place, axis) || `${axis} of ${n}`;

/** Return the place chosen along each axis but the last two; null: all of them, side by side. */
function chosenPlaces(place, value) {
  const before = Math.max(0, value.shape.length - 2),
    batch = batchAxis(place);
  return upTo(before).map((axis) => {
    const n = value.shape[axis],
      kept = value.axes[axis],
      chosen = shown.slices.get(axisKey(place, axis, n));
    if (axis === batch && shown.row !== null && n > 1) return shown.row;
    if (chosen === undefined) return axis === before - 1 ? null : (kept[0] ?? 0);
    return chosen;
  });
}

/** Return the slices that are seen of a value: one of two axes, or several; and how many there are. */
function slicesOf(place, value) {
  const chosen = chosenPlaces(place, value);
  const kept = chosen.map((at, axis) => (at === null ? value.axes[axis] : value.axes[axis].includes(at) ? [at] : []));
  const count = product(kept.map((each) => each.length)),
    found = [];
  for (let number = 0; number < Math.min(count, MOST_TABLES); number++)
    found.push(
      unravel(
        number,
        kept.map((each) => each.length),
      ).map((i, axis) => kept[axis][i]),
    );
  return [found, count, chosen];
}

/** Have the slice of an element in sight. */
function sliceTo(place, cell) {
  const value = valueOf(shown.run, place);
  if (!value || value.shape.length < 3) return;
  const index = unravel(cell, value.shape),
    [found] = slicesOf(place, value);
  if (found.some((slice) => slice.every((at, axis) => at === index[axis]))) return;
  chosenPlaces(place, value).forEach((at, axis) => shown.slices.set(axisKey(place, axis, value.shape[axis]), index[axis]));
}

/** Return a control for each axis along which one place is seen, or all. */
function axisPickers(place, value, count, chosen) {
  const pickers = chosen.map((at, axis) => {
    const n = value.shape[axis],
      told = axisTold(place, axis),
      key = axisKey(place, axis, n);
    const input = make("input", {
      type: "number",
      min: 0,
      max: n - 1,
      placeholder: "all",
      value: at ?? "",
      inputMode: "numeric",
      title: `${told}: 0 to ${n - 1}; empty: side by side`,
    });
    input.addEventListener("change", () => {
      const wanted = input.value === "" ? null : Math.max(0, Math.min(n - 1, Math.floor(Number(input.value))));
      if (axis === batchAxis(place) && shown.row !== null) return chooseRow(wanted);
      shown.slices.set(key, wanted);
      drawAll();
    });
    return make("label", null, `${told} `, input, make("span", { className: "faint" }, ` of ${n}`));
  });
  const part = count > MOST_TABLES ? make("span", { className: "more" }, `${MOST_TABLES} of ${grouped(count)} side by side`) : null;
  return make("div", { className: "axes" }, ...pickers, part);
}

/** Return a value of three and more axes as tables. */
function tables(place, value, options, caption) {
  const [slices, count, chosen] = slicesOf(place, value),
    across = Math.min(slices.length || 1, Math.max(1, Math.floor(options.room / 100)), 4),
    down = Math.ceil(slices.length / across);
  const room = Math.floor((options.room - 10 * (across - 1)) / across),
    height = Math.max(70, (options.height - 34) / Math.min(down, 3) - 18);
  const open = chosen.flatMap((at, axis) => (at === null ? [axis] : []));
  const parts = slices.map((slice) => {
    const said = open
      .map((axis) => `${axisTold(place, axis)} = ${nameAt(place, axis, value.shape[axis], slice[axis]) ?? slice[axis]}`)
      .join(", ");
    const heat = new Heatmap(place, value, {
      ...options,
      label: [options.label, said].filter(Boolean).join(", "),
      room: Math.max(90, room - 18),
      height,
      slice,
    });
    heatmaps.push(heat);
    return make("div", null, said ? make("p", { className: "more" }, said) : null, heat.box);
  });
  const none = parts.length ? null : make("p", { className: "faint" }, "This place is not kept of it.");
  return make(
    "figure",
    { className: "wide" },
    caption,
    axisPickers(place, value, count, chosen),
    make("div", { className: "tables" }, ...parts, none),
  );
}

/**
 * Return a value as a figure, with what there is to say of it.
 *
 * @typedef {{title: string, note?: string, room: number, height: number, value?: Value, pick?: (cell: number) => void, range?: number[], alike?: Value[]}} FigureOptions
 * @type {(run: number, place: number, options: FigureOptions) => HTMLElement}
 */
function figure(run, place, { title, note, room, height, value = valueOf(run, place), pick, range, alike }) {
  const caption = make("figcaption", null, title),
    say = (text) => caption.append(make("span", { className: "faint" }, text));
  if (note) say(` ${note}`);
  const made = (inside) => make("figure", null, caption, inside);
  const faint = (text) => made(make("p", { className: "faint" }, text));
  if (!value) return faint("It has not run.");
  say(`${note ? " · " : ""}${namedShape(place, value.shape)} ${nodes.dtype[place]}`);
  if (value.partial)
    caption.append(make("span", { className: "preview" }, ` preview: ${grouped(value.raw.length)} of ${grouped(value.size)}`));
  if (!value.size) return faint("no element");
  const label = [nodes.name[place], note].filter(Boolean).join(", ");
  const options = { label, range: range ?? rangeInAll(place), room, height, pick, alike };
  if (value.shape.length > 2) return tables(place, value, options, caption);
  const whole = shown.whole.has(place),
    heat = new Heatmap(place, value, { ...options, whole });
  if (!heat.rows.length) return faint(`Row ${shown.row} is not kept of it.`);
  heat.derived = value instanceof Difference;
  heatmaps.push(heat);
  const part = heat.inSight();
  const turn = () => (shown.whole[whole ? "delete" : "add"](place), drawAll());
  const table = onScreen === null && value.shape.length === 2 && (part || whole);
  const button = table
    ? make("button", { type: "button", className: "link", onclick: turn }, whole ? "with numbers" : "see all of it")
    : null;
  const more = part || button ? make("p", { className: "more" }, part, part && button ? " · " : "", button) : null;
  return make("figure", null, caption, heat.box, more);
}
