// --- the diagram ------------------------------------------------------------------------------------------------

const MOST_AT_FIRST = 400; // boxes of a picture that is seen at first, if there is one with fewer

const picture = {
  view: -1,
  svg: null,
  boxes: [],
  boxOf: new Map(),
  edges: new Map(),
  states: [],
  room: [1, 1],
  ring: null,
  lit: new Map(),
  overlaid: "",
  zoomed: 0, // how large the reader made it
};

/** Return which pictures there are: from all operations to few boxes. The others are layers with one of them open. */
const levels = () => upTo(data.views.length).filter((i) => data.views[i].opens === undefined);

const FORWARD = { layers: "forward layers", "innermost layers": "innermost forward layers", operations: "forward operations" };
const named = (label) => data.views.findIndex((view) => view.label === label);

/** Return of which level a picture of layers is, that of all layers or of the innermost; undefined of others. */
const depthOf = (view) => view.level ?? Object.keys(FORWARD).find((level) => [level, FORWARD[level]].includes(view.label));

/** Return which picture has this layer open among folded ones, -1 if none has. */
const openedView = (path, level = depthOf(data.views[picture.view])) =>
  data.views.findIndex((view) => view.opens === path && view.level === level);

/** Return the picture in which a layer is folded: that of the layer around it, else that of all layers. */
function foldedView(path = data.views[picture.view].opens) {
  const here = data.views[picture.view],
    { level, phase } = data.views[openedView(path)] ?? { level: "layers", phase: phaseOf(here) };
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
    const above = openedView(path.slice(0, end), level);
    if (above >= 0) return above;
  }
  return levelOf({ level, phase });
}

const phaseOf = ({ phase, label }) => phase ?? (Object.values(FORWARD).includes(label) ? "forward" : "");

/** Return which of the levels a picture with an open layer is of. */
const levelOf = ({ level, phase }) => (phase === "forward" && named(FORWARD[level]) >= 0 ? named(FORWARD[level]) : named(level));

const placesIn = (view) => (view.places ??= new Set(view.boxes?.flat() ?? []));
const boxTitle = (i) => data.views[picture.view].titles[i];

function startDiagram() {
  const found = levels(),
    small = found.filter((i) => data.views[i].boxes.length <= MOST_AT_FIRST);
  const few =
    ["forward layers", "layers", "forward operations"]
      .map(named)
      .find((i) => small.includes(i) && placesIn(data.views[i]).has(shown.place)) ??
    small[0] ??
    found[found.length - 1];
  const options = found.map((i) => make("option", { value: String(i) }, `${data.views[i].label} (${grouped(data.views[i].boxes.length)})`));
  data.views.push({ label: "around here", around: true });
  $("view").replaceChildren(...options, make("option", { value: String(data.views.length - 1) }, "around here"));
  showView(few ?? data.views.length - 1);
}

function showView(number) {
  const found = data.views[number],
    view = found.around ? { ...found, ...around(shown.place) } : found,
    host = $("diagram");
  data.views[number] = view;
  picture.view = number;
  $("view").value = String(view.opens === undefined ? number : levelOf(view));
  const svg = view.drawn ?? document.importNode(new DOMParser().parseFromString(view.svg, "image/svg+xml").documentElement, true);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  svg.style.setProperty("--wide", `${width}px`);
  Object.assign(picture, { svg, width, height, boxOf: new Map(), edges: new Map(), states: [], lit: new Map(), overlaid: "" });
  const byName = new Map();
  for (const group of svg.querySelectorAll("g[data-name]")) {
    const name = group.dataset.name,
      arrow = name.indexOf("->");
    if (name.startsWith("cluster_")) {
      group.classList.add("frame");
      group.dataset.path = view.frames[Number(name.slice(8))] ?? "";
    }
    if (arrow < 0) byName.set(name, group);
    if (arrow < 0 && name.startsWith("r")) group.classList.add("reference");
    else putInto(picture.edges, name.slice(arrow + 2), [name.slice(0, arrow), group]);
  }
  picture.boxes = view.boxes.map((all, i) => ({
    all,
    places: all,
    calls: view.calls?.[i] ?? [all.length],
    name: `n${i}`,
    group: byName.get(`n${i}`),
  }));
  picture.boxes.forEach((box) => box.group.classList.add("box"));
  placeAll();
  const inside = picture.boxes[0]?.group.parentNode;
  picture.moved = /translate\(([-\d.]+)[ ,]([-\d.]+)\)/
    .exec(inside?.getAttribute("transform") ?? "")
    ?.slice(1)
    .map(Number) ?? [0, 0];
  picture.ring = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  picture.ring.setAttribute("class", "ring hidden");
  picture.ring.setAttribute("rx", 8);
  inside?.append(picture.ring);
  darken(svg);
  host.replaceChildren(svg, $("map"));
  measureTitles();
  look(0, 0, 1);
}

/** Note in which box each node is. What a branch gives is in both of its sides: it is put where it was computed. */
function placeAll() {
  const isHere = (place, all) => {
    const from = givers.get(place) ?? [],
      taken = from.find(({ place: giver }) => !isLeftOut(giver));
    return (
      !from.some(({ k }) => data.loops[k].side) ||
      (taken ? all.includes(taken.place) : !from.some(({ place: giver }) => all.includes(giver)))
    );
  };
  picture.boxes.forEach((box, i) => {
    box.places = box.all.filter((place) => isHere(place, box.all));
    box.places.forEach((place) => picture.boxOf.set(place, i));
  });
}

/** Show the whole diagram, if it can be read then. */
function showWhole() {
  measure();
  const scale = Math.min(1.6, (picture.room[0] - 8) / picture.width, (picture.room[1] - 8) / picture.height);
  if (scale < (data.playground ? 0.5 : SMALLEST)) return settle();
  look((picture.width - picture.room[0] / scale) / 2, (picture.height - picture.room[1] / scale) / 2, scale);
  drawStates();
}

/** Show the diagram as large as can be read, with where one is and what it reads in the middle. */
function settle(keepsZoom = false) {
  measure();
  const { room, width, height } = picture,
    fit = (w, h) => Math.min(room[0] / w, room[1] / h);
  const near = nearby(),
    whole = Math.max(0.9, Math.min(1.4, fit(width, height)));
  if (!keepsZoom) picture.zoomed = 0;
  const scale = picture.zoomed
    ? picture.zoomed
    : near
      ? Math.max(SMALLEST, Math.min(whole, fit(near[2] + 2 * BORDER, near[3] + 2 * BORDER)))
      : whole;
  look((width - room[0] / scale) / 2, 0, scale);
  drawStates(true);
}

const SMALLEST = 0.88,
  BORDER = 12; // of the scale at which a box can be read; about what is to be in sight

/** Return the number of the current box. While the film goes back, that is the one whose gradient is computed. */
const boxNow = () => picture.boxOf.get(filming() && gradientOf.has(shown.place) ? gradientOf.get(shown.place) : shown.place);

/** Return the extent of the current box and of those it reads, in the diagram; null if it has no box. */
function nearby() {
  const now = picture.boxes[boxNow()];
  if (!now) return null;
  const read = now.places.flatMap((place) => nodes.inputs[place]).map((input) => picture.boxes[picture.boxOf.get(input)]);
  const extents = [...new Set([now, ...read])].filter(Boolean).map(extentOf);
  const [x, right] = rangeOf(extents.flatMap(([left, , wide]) => [left, left + wide]));
  const [y, bottom] = rangeOf(extents.flatMap(([, top, , high]) => [top, top + high]));
  return [x + picture.moved[0], y + picture.moved[1], right - x, bottom - y];
}

/** Return from where on one sees what lies between `low` and `high`, with as much else as there is and no empty border. */
function startOf(low, high, current, room, size) {
  if (size <= room) return (size - room) / 2;
  const middle = high - low + 2 * BORDER <= room ? (low + high) / 2 : current;
  return Math.max(-BORDER, Math.min(size - room + BORDER, middle - room / 2));
}

/** Show another picture of the graph, and where one is in it. */
function changeView(number, keepsZoom = false) {
  if (number === picture.view || !data.views[number]) return;
  showView(number);
  settle(keepsZoom);
  drawOverlay();
  drawEquation();
}

/** Fold further, and from the coarsest picture unfold all. */
function fold() {
  const found = levels(),
    at = data.views[picture.view]?.opens === undefined ? found.indexOf(picture.view) : found.indexOf(levelOf(data.views[picture.view])) - 1;
  changeView(found[(at + 1) % found.length]);
}

/** Return the picture in which the folded layer that is seen is open, -1 for none. */
function innerView() {
  const box = picture.boxOf.get(shown.place);
  return box === undefined ? -1 : openedView(boxTitle(box));
}

/** Open the folded layer that is seen, or close the one that is open. */
function openLayer() {
  const inner = innerView();
  if (inner >= 0) changeView(inner);
  else if (data.views[picture.view].opens !== undefined) changeView(foldedView());
}

let placeOf = new Map();

function putInto(map, key, item) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(item);
}

// --- a picture of what is near, of a graph of any size

const NEAR = { wide: 176, high: 40, apart: 14, below: 40, most: 9 };
const FILLS = { fed: "#D6E8F5", "a parameter": "#FBE3C0", "a constant": "#F4F5F7", "": ["#FFFFFF", "#F6E4EE", "#D5EFE3"] };
const LINES = { fed: "#0072B2", "a parameter": "#9C5B00", "a constant": "#5F6368", "": ["#3C4043", "#8E3B6E", "#00664B"] };
let readersOf = null;

/** Return a node with what it reads and what reads it, two steps each way, as a picture like the others. */
function around(place) {
  readersOf ??= nodes.inputs.reduce(
    (found, inputs, reader) => (inputs.forEach((input) => putInto(found, input, reader)), found),
    new Map(),
  );
  const seen = new Set([place]),
    rows = [[place]];
  const next = (row, those) => [...new Set(row.flatMap(those))].filter((other) => !seen.has(other)).slice(0, NEAR.most);
  /** @type {[(at: number) => number[], "unshift" | "push"][]} */
  const ways = [
    [(at) => nodes.inputs[at], "unshift"],
    [(at) => readersOf.get(at) ?? [], "push"],
  ];
  for (const [those, put] of ways) {
    let row = [place];
    for (let far = 0; far < 2 && row.length; far++) {
      row = next(row, those).sort((a, b) => a - b);
      row.forEach((other) => seen.add(other));
      if (row.length) rows[put](row);
    }
  }
  const places = rows.flat(),
    { wide, high, apart, below } = NEAR;
  const width = Math.max(...rows.map((row) => row.length)) * (wide + apart) + apart,
    height = rows.length * (high + below) + below;
  const spots = new Map(
    rows.flatMap((row, r) =>
      row.map((at, i) => [at, [(width - row.length * (wide + apart) + apart) / 2 + i * (wide + apart), below / 2 + r * (high + below)]]),
    ),
  );
  const drawn = drawSvg("svg", { viewBox: `0 0 ${width} ${height}`, "font-family": "Helvetica,Arial,sans-serif" });
  const inside = drawn.appendChild(drawSvg("g", { transform: "translate(0 0)" }));
  const numberOf = new Map(places.map((at, i) => [at, i]));
  for (const head of places)
    for (const tail of new Set(nodes.inputs[head])) if (spots.has(tail)) inside.append(edgeBetween(tail, head, spots, numberOf));
  for (const at of places) inside.append(boxAround(at, spots.get(at), numberOf.get(at)));
  return { drawn, boxes: places.map((at) => [at]), titles: places.map((at) => nodes.name[at]), frames: [], centre: place };
}

function drawSvg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const lookOf = (table, place) => (nodes.kind[place] && table[nodes.kind[place]]) || table[""][nodes.phase[place]];

/** @type {(place: number, spot: number[], number: number) => SVGElement} */
function boxAround(place, [x, y], number) {
  const group = drawSvg("g", { "data-name": `n${number}` }),
    line = lookOf(LINES, place),
    { wide, high } = NEAR;
  const dash = nodes.phase[place] === 1 ? { "stroke-dasharray": "5,2.5" } : {},
    middle = { x: x + wide / 2, "text-anchor": "middle" };
  group.append(
    drawSvg("title", {}, nodes.name[place]),
    drawSvg("rect", { x, y, width: wide, height: high, rx: 8, fill: lookOf(FILLS, place), stroke: line, ...dash }),
    drawSvg(
      "text",
      { ...middle, y: y + 16, "font-size": 12, "font-weight": "bold", fill: "#202124" },
      shortened(nodes.kind[place] === "" ? nodes.op[place] : nodes.name[place], 22),
    ),
    drawSvg(
      "text",
      { ...middle, y: y + 31, "font-size": 11, fill: "#5F6368" },
      shortened(nodes.kind[place] === "" ? nodes.name[place] : nodes.kind[place], 28),
    ),
  );
  return group;
}

function edgeBetween(tail, head, spots, numberOf) {
  const group = drawSvg("g", { "data-name": `n${numberOf.get(tail)}->n${numberOf.get(head)}` }),
    { wide, high } = NEAR;
  const [[x, top], [to, bottom]] = [spots.get(tail), spots.get(head)],
    from = x + wide / 2,
    end = to + wide / 2,
    y = top + high;
  const path = `M${from} ${y}C${from} ${(y + bottom) / 2} ${end} ${(y + bottom) / 2} ${end} ${bottom}`;
  group.append(
    drawSvg("title", {}, `${nodes.name[tail]} `),
    drawSvg("path", { d: path, fill: "none", stroke: LINES[""][nodes.phase[head]] }),
  );
  return group;
}

const shortened = (text, most) => (text.length > most ? `…${text.slice(text.length - most + 1)}` : text);

const darkened = new Set();

/** Give each colour of the diagram its counterpart on a dark ground. */
function darken(svg) {
  const sheet = document.styleSheets[0];
  for (const element of svg.querySelectorAll("[fill], [stroke]")) {
    for (const what of ["fill", "stroke"]) {
      const colour = element.getAttribute(what),
        key = `${what} ${colour}`;
      if (darkened.has(key) || !/^#[0-9a-fA-F]{6}$/.test(colour ?? "")) continue;
      darkened.add(key);
      sheet.insertRule(`[data-theme="dark"] #diagram [${what}="${colour}"] { ${what}: ${onDark(colour)}; }`, sheet.cssRules.length);
    }
  }
}

function onDark(colour) {
  const [r, g, b] = rgb(colour.slice(1)).map((channel) => channel / 255);
  const high = Math.max(r, g, b),
    low = Math.min(r, g, b),
    light = (high + low) / 2,
    chroma = high - low;
  const saturation = chroma ? chroma / (1 - Math.abs(2 * light - 1)) : 0;
  const hue = !chroma ? 0 : high === r ? ((g - b) / chroma + 6) % 6 : high === g ? (b - r) / chroma + 2 : (r - g) / chroma + 4;
  return `hsl(${Math.round(hue * 60)} ${Math.round(saturation * 55)}% ${Math.round(12 + (1 - light) * 76)}%)`;
}

function fitView() {
  measure();
  picture.zoomed = 0;
  const scale = Math.min(picture.room[0] / picture.width, picture.room[1] / picture.height);
  look((picture.width - picture.room[0] / scale) / 2, (picture.height - picture.room[1] / scale) / 2, scale);
}

const measure = () => (picture.room = [$("diagram").clientWidth || 1, $("diagram").clientHeight || 1]);

/** Show the diagram from a point on, so many times as large. It is moved as a whole: laying it out anew is slow. */
function look(x, y, scale) {
  if (scale !== picture.scale || picture.sized !== picture.svg) sizeText(scale);
  Object.assign(picture, { x, y, scale });
  picture.svg.style.transform = `scale(${scale}) translate(${-x}px, ${-y}px)`;
  drawMap();
}

const READABLE = 11,
  NOTE = 11,
  TITLE = 11,
  SMALL = 8,
  POSITION = 7; // pixels of text on the screen; in the diagram, of what an overlay says, of a title, what is below it, and which operand it is

const LEAST_NOTE = 0.8 * READABLE; // what an overlay says is enlarged so far that it can be read; drawn smaller, colours alone tell it

/** Keep the text of the diagram readable: the smaller it is drawn, the larger are its titles, alone at last. */
function sizeText(scale) {
  const { svg } = picture,
    needed = READABLE / scale;
  picture.sized = svg;
  svg.classList.toggle("titles", SMALL * scale < READABLE);
  svg.classList.toggle("unnumbered", POSITION * scale < READABLE);
  svg.classList.toggle("untold", NOTE * scale < LEAST_NOTE);
  svg.style.setProperty("--note", `${Math.max(NOTE, needed).toFixed(2)}px`);
  svg.style.setProperty("--title", `${Math.max(TITLE, Math.min(needed, 1.7 * TITLE)).toFixed(2)}px`);
  svg.style.setProperty("--frame", `${Math.max(9.5, Math.min(needed, 16)).toFixed(2)}px`);
}

/** Say of each box how large its title can be. */
function measureTitles() {
  if (picture.boxes.length > MOST_AT_FIRST) return;
  for (const { group } of picture.boxes) {
    const form = group.querySelector("rect, ellipse, path, polygon"),
      title = group.querySelector("text");
    if (!form || !title) continue;
    const room = form.tagName === "ellipse" ? 1.7 * form.getAttribute("rx") : form.getAttribute("width") - 3 || form.getBBox().width - 3;
    title.style.setProperty("--fits", `${Math.max(TITLE, room / (0.6 * title.textContent.length || 1)).toFixed(2)}px`);
  }
}

/** Zoom about a point of the window; the middle, unless it is given. */
function zoom(factor, event) {
  measure();
  const seen = $("diagram").getBoundingClientRect(),
    { x, y, scale, room } = picture;
  const [left, top] = event ? [event.clientX - seen.left, event.clientY - seen.top] : room.map((size) => size / 2);
  const changed = Math.max(0.02, Math.min(12, scale * factor));
  picture.zoomed = changed;
  look(x + left / scale - left / changed, y + top / scale - top / changed, changed);
}

function listenToDiagram() {
  const host = $("diagram"),
    fingers = new Map();
  let from = null,
    moved = false,
    apart = 0;
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };
  host.addEventListener("wheel", (event) => (event.preventDefault(), zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event)), { passive: false });
  host.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    from = [event.clientX, event.clientY, picture.x, picture.y];
    moved = false;
    if (fingers.size === 2) apart = spread();
  });
  host.addEventListener("pointermove", (event) => {
    if (!from || !fingers.has(event.pointerId) || !(event.buttons & 1)) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) {
      const now = spread();
      zoom(now / apart, event);
      [apart, moved] = [now, true];
      return;
    }
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    look(from[2] - dx / picture.scale, from[3] - dy / picture.scale, picture.scale);
  });
  for (const ended of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"])) {
    host.addEventListener(ended, (event) => {
      fingers.delete(event.pointerId);
      const [left] = fingers.values();
      from = left ? [left.clientX, left.clientY, picture.x, picture.y] : null;
    });
  }
  host.addEventListener("click", (event) => {
    if (moved) return;
    const frame = event.target.closest?.("text") && event.target.closest("g.frame");
    if (frame) return changeView(foldedView(frame.dataset.path));
    const group = event.target.closest?.("g.box"),
      number = group ? picture.boxes.findIndex((each) => each.group === group) : -1;
    if (number < 0) return;
    const opened = openedView(boxTitle(number));
    go(ofBox(picture.boxes[number]));
    changeView(opened);
  });
  host.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!event.shiftKey || !by) return void (event.key === "+" ? zoom(1.25) : event.key === "-" && zoom(0.8));
    look(picture.x + (60 * by[0]) / picture.scale, picture.y + (60 * by[1]) / picture.scale, picture.scale);
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Return what is the same in the first two runs, if they lie side by side: what was not recomputed, else what does not differ. */
let unchanged = null;

function prepareUnchanged() {
  if (!data.pair) return;
  const { recomputed, differences } = data.pair,
    changed = new Set([...(recomputed ?? []), ...differences.map(([place]) => place)]);
  unchanged = new Set(upTo(nodes.name.length).filter((place) => !changed.has(place)));
  $("same-key").hidden = false;
  $("same-key").textContent = recomputed ? "not recomputed" : runs.length > 2 ? "the same in a and b" : "the same in both";
}

/** Say of each box whether it has run, and have the current one in sight; `middle`: in the middle. */
function drawStates(middle = false) {
  const { around: near, centre } = data.views[picture.view];
  if (near && centre !== shown.place) {
    showView(picture.view);
    return settle(true);
  }
  if (!near && boxNow() === undefined) {
    const other = levels().filter((i) => placesIn(data.views[i]).has(shown.place));
    const layers = [depthOf(data.views[picture.view]), "layers"].map(named).find((i) => other.includes(i)) ?? other[other.length - 1];
    if (layers !== undefined) return changeView(layers, true);
  }
  const now = picture.boxes[boxNow()];
  if (now) extentOf(now);
  const { stopped, findings } = runs[shown.run],
    faults = new Set(findings.map(({ place }) => place));
  picture.boxes.forEach((box, i) => {
    const own = box.places.filter((place) => !isLent(place)),
      due = own.filter((place) => !isLeftOut(place));
    const ran = due.filter((place) => !isPending(place)).length,
      here = box === now;
    let state =
      own.length && !due.length
        ? "wait"
        : ran === due.length
          ? "done"
          : ran && box.places.some((place) => !nodes.kind[place] && place <= shown.time)
            ? "part"
            : "wait";
    if (stopped >= 0 && box.places.includes(stopped)) state = "broke";
    if (box.places.some((place) => faults.has(place))) state += " bad";
    if (unchanged && box.places.every((place) => unchanged.has(place))) state += " same";
    if (filming() && box.places.some((place) => nodes.gradient[place] >= 0 && nodes.gradient[place] <= shown.time)) state += " graded";
    if (here) state += " now";
    if (picture.states[i] === state) return;
    picture.states[i] = state;
    picture.lit.delete(box.group);
    box.group.setAttribute("class", `box ${state}${box.dressed ? " dressed" : ""}`);
  });
  tellBad();
  const inner = innerView();
  $("open").hidden = inner < 0 && data.views[picture.view].opens === undefined;
  $("open").textContent = inner < 0 ? "Close layer" : "Open layer";
  picture.ring.classList.toggle("hidden", !now);
  if (!now) return;
  const pad = 4,
    [x, y, w, h] = extentOf(now);
  const about = { x: x - pad, y: y - pad, width: w + 2 * pad, height: h + 2 * pad };
  for (const [key, value] of Object.entries(about)) picture.ring.setAttribute(key, value);
  reveal(x + w / 2 + picture.moved[0], y + h / 2 + picture.moved[1], middle);
}

/** Return the node of a box that is looked at first: what was found in it, else what it gives; of several calls, the last that has run. */
function ofBox({ places, calls }) {
  const found = runs[shown.run].findings.find(({ place }) => places.includes(place));
  if (found) return found.place;
  const results = calls.map((size, i) => places[calls.slice(0, i + 1).reduce((end, each) => end + each) - 1]);
  return results.findLast((place) => !isPending(place)) ?? results[0];
}

/** Return what is drawn as one box with a node: in each call the node at its place. */
function drawnAsOne(place) {
  const { places, calls } = picture.boxes[picture.boxOf.get(place)] ?? { calls: [] };
  if (calls.length < 2) return [];
  let end = 0;
  const parts = calls.map((size) => places.slice(end, (end += size)).filter((at) => nodes.kind[at] !== "a parameter"));
  const at = Math.max(...parts.map((part) => part.indexOf(place)));
  return at < 0
    ? []
    : parts.filter((part) => part.length).map((part) => (nodes.op[part[at]] === nodes.op[place] ? part[at] : part[part.length - 1]));
}

/** Say what an outline means, while there is one. */
function tellBad() {
  $("graded-key").hidden = !filming();
  $("part-key").hidden = !picture.states.some((state) => state.startsWith("part"));
  const broke = runs[shown.run].stopped >= 0,
    found = picture.boxes.some((box) => box.group.classList.contains("bad"));
  $("bad-key").hidden = !broke && !found;
  $("bad-key").textContent = [broke ? "stopped here" : "", found ? "finding" : ""].filter(Boolean).join(", ");
}

/** Return where a box is; asked of the browser once, for it is slow to answer where much has changed. */
function extentOf(box) {
  if (!box.extent) {
    const { x, y, width, height } = box.group.getBBox();
    box.extent = [x, y, width, height];
  }
  return box.extent;
}

/** Move the diagram where the current box would be out of sight; or have it in the middle. */
function reveal(cx, cy, middle) {
  const [w, h] = picture.room.map((size) => size / picture.scale),
    { x, y } = picture;
  if (middle) {
    const [left, top, wide, high] = nearby();
    return look(startOf(left, left + wide, cx, w, picture.width), startOf(top, top + high, cy, h, picture.height), picture.scale);
  }
  const across = cx > x + w * 0.12 && cx < x + w * 0.88,
    down = cy > y + h * 0.12 && cy < y + h * 0.88;
  if (!across || !down) look(across ? x : cx - w / 2, down ? y : cy - h / 2, picture.scale);
}

/** Light up the way by which an element was made. */
function lightWay(place, cell, reads) {
  const lit = new Map(),
    mark = (element, kind) => lit.get(element) === "lit" || lit.set(element, kind);
  const direct = new Set(reads.map((read) => read.place)),
    found = ancestry(shown.run, place, cell),
    done = new Set();
  const here = picture.boxOf.get(shown.place);
  for (const at of found.keys()) {
    const number = picture.boxOf.get(at);
    if (number === undefined) continue;
    const box = picture.boxes[number],
      kind = at === place ? "lit" : "way";
    if (at !== place && number !== here) mark(box.group, direct.has(at) ? "lit" : "way");
    for (const input of nodes.inputs[at]) {
      const tail = picture.boxOf.get(input),
        way = 2 * (tail * picture.boxes.length + number) + Number(at === place);
      if (tail === number || !found.has(input) || done.has(way)) continue;
      done.add(way);
      for (const edge of edgesInto(box).get(tail) ?? []) mark(edge, kind);
    }
  }
  // What stays lit is left as it is: of a large graph that is most of it.
  for (const [element, kind] of picture.lit) if (lit.get(element) !== kind) element.classList.remove(kind);
  for (const [element, kind] of lit) if (picture.lit.get(element) !== kind) element.classList.add(kind);
  picture.lit = lit;
}

/** Return the edges that lead into a box, by the number of the one where they begin. */
function edgesInto(box) {
  if (box.edges) return box.edges;
  box.edges = new Map();
  for (const [tail, edge] of picture.edges.get(box.name) ?? []) {
    // What begins at a reference says in its tooltip, line by line, which values it stands for: each line begins with a name.
    const tails =
      tail[0] === "n"
        ? [Number(tail.slice(1))]
        : edge.firstChild.textContent
            .split("\n")
            .map(namedIn)
            .map((place) => picture.boxOf.get(place));
    for (const from of new Set(tails)) putInto(box.edges, from, edge);
  }
  return box.edges;
}

/** Return the node whose name a text begins with. */
function namedIn(text) {
  for (let end = text.lastIndexOf(" "); end > 0; end = text.lastIndexOf(" ", end - 1)) {
    const place = placeOf.get(text.slice(0, end));
    if (place !== undefined) return place;
  }
}

/** Return the words that a reader looks for. */
const asWanted = (text) => text.trim().toLowerCase().split(/\s+/).filter(Boolean);
const hasWord = (place, word) => nodes.name[place].toLowerCase().includes(word) || nodes.op[place].toLowerCase() === word;
const isWanted = (place, words) => words.every((word) => hasWord(place, word));

function search(text) {
  const words = asWanted(text),
    host = $("matches"),
    all = words.length ? upTo(nodes.name.length).filter((place) => isWanted(place, words)) : [],
    found = all.slice(0, 12);
  host.hidden = !words.length;
  host.replaceChildren(
    ...found.map((place) => {
      const there = () => (letGo(), go(place));
      return make("li", null, make("button", { type: "button", className: "link", onclick: there }, nodes.name[place]));
    }),
  );
  if (all.length > found.length)
    host.append(make("li", { className: "faint" }, `${grouped(all.length - found.length)} more: type another word of the name`));
  if (words.length && !found.length) host.append(make("li", { className: "faint" }, "No node is called that."));
  return found;
}
