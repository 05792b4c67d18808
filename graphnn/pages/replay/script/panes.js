// --- panes: their widths, one of them alone, a map of the diagram, and links ------------------------------------

const LEAST = 180,
  PUSH = 24; // pixels of the narrowest pane; of one press of a key

/** Give a pane a width; the one in the middle has the rest. */
function widen(side, width) {
  const main = document.querySelector("main"),
    other = $(side === "left" ? "right" : "left"),
    most = main.clientWidth - widthOf(other.id) - LEAST - 32;
  const kept = Math.round(Math.max(LEAST, Math.min(most, width)));
  main.style.setProperty(`--${side}`, `${kept}px`);
  $(side).setAttribute("aria-valuenow", kept);
  $(side).setAttribute("aria-valuemax", Math.max(LEAST, most));
  if (!other.hasAttribute("aria-valuenow")) other.setAttribute("aria-valuenow", widthOf(other.id));
  measure();
  drawPanes();
}

const paneOf = { left: "#picture", right: "aside" };
const widthOf = (side) => Math.round(document.querySelector(paneOf[side]).getBoundingClientRect().width);

let redrawing = null;

/** Draw what depends on how wide the panes are, once a frame. */
function drawPanes() {
  redrawing ??= requestAnimationFrame(() => ((redrawing = null), drawAll()));
}

/** Have one pane fill the page; null: all of them. */
function fillWith(id) {
  const main = document.querySelector("main");
  if ((main.dataset.fill ?? null) === id) return;
  if (id === null) delete main.dataset.fill;
  else main.dataset.fill = id;
  for (const button of document.querySelectorAll(".fill")) {
    const here = button.dataset.pane === id;
    button.setAttribute("aria-pressed", String(here));
  }
  measure();
  drawAll();
  if (id === "picture" || id === null) showWhole();
}

function listenToPanes() {
  for (const side of ["left", "right"]) {
    const bar = $(side),
      sign = side === "left" ? 1 : -1;
    bar.setAttribute("aria-valuemin", LEAST);
    bar.setAttribute("aria-valuenow", widthOf(side));
    bar.addEventListener("pointerdown", (event) => {
      const from = [event.clientX, widthOf(side)];
      bar.setPointerCapture(event.pointerId);
      const move = (moved) => widen(side, from[1] + sign * (moved.clientX - from[0]));
      bar.addEventListener("pointermove", move);
      for (const end of ["pointerup", "pointercancel"])
        bar.addEventListener(end, () => bar.removeEventListener("pointermove", move), { once: true });
    });
    bar.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -PUSH, ArrowRight: PUSH }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      widen(side, widthOf(side) + sign * by);
    });
    bar.addEventListener("dblclick", () => (document.querySelector("main").style.removeProperty(`--${side}`), measure(), drawPanes()));
  }
  for (const button of document.querySelectorAll(".fill")) {
    button.addEventListener("click", () => fillWith(button.getAttribute("aria-pressed") === "true" ? null : button.dataset.pane));
  }
  window.addEventListener("hashchange", goToLink);
  listenToMap();
  listenToSaving();
}

// --- the map: where in the diagram one is

const MAP = 110;
const map = { canvas: null, base: null, of: null, waiting: false };

function listenToMap() {
  const canvas = $("map"),
    there = (event) => {
      const seen = canvas.getBoundingClientRect(),
        scale = seen.width / picture.width,
        [w, h] = picture.room.map((size) => size / picture.scale);
      look((event.clientX - seen.left) / scale - w / 2, (event.clientY - seen.top) / scale - h / 2, picture.scale);
    };
  canvas.addEventListener("pointerdown", (event) => (event.stopPropagation(), canvas.setPointerCapture(event.pointerId), there(event)));
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && (event.stopPropagation(), there(event)));
  canvas.addEventListener("click", (event) => event.stopPropagation());
}

/** Draw the map when there is time for it. */
function drawMap() {
  if (map.waiting) return;
  map.waiting = true;
  setTimeout(() => ((map.waiting = false), drawMapNow()), 30);
}

function drawMapNow() {
  const canvas = $("map"),
    { width, height, x, y, scale, room } = picture,
    [w, h] = room.map((size) => size / scale);
  const whole = x <= 1 && y <= 1 && x + w >= width - 1 && y + h >= height - 1;
  canvas.hidden = whole;
  if (whole) return;
  const small = Math.min((1.6 * MAP) / width, MAP / height),
    [, pen] = canvasOf(canvas, Math.max(1, width * small), Math.max(1, height * small));
  const state = `${picture.view} ${isDark()} ${small}`,
    style = getComputedStyle(document.body);
  if (map.of !== state || map.svg !== picture.svg) {
    map.base = make("canvas", { width: canvas.width, height: canvas.height });
    const under = map.base.getContext("2d"),
      ratio = canvas.width / width;
    for (const box of picture.boxes) {
      const [left, top, wide, high] = extentOf(box);
      under.fillStyle = lineOf(box.places);
      under.fillRect(
        (left + picture.moved[0]) * ratio,
        (top + picture.moved[1]) * ratio,
        Math.max(1, wide * ratio),
        Math.max(1, high * ratio),
      );
    }
    [map.of, map.svg] = [state, picture.svg];
  }
  pen.drawImage(map.base, 0, 0, width * small, height * small);
  pen.strokeStyle = style.getPropertyValue("--mark");
  pen.lineWidth = 1.5;
  pen.strokeRect(x * small + 1, y * small + 1, Math.max(4, w * small - 2), Math.max(4, h * small - 2));
}

/** Return the colour by which the map tells a box. */
const lineOf = (places) => PHASE_COLOURS[isDark() ? "dark" : "light"][nodes.phase[places[places.length - 1]]];

// --- links: the address of the page names the node

let telling = null;

/** Return the address, in this page, of what is looked at. */
function linkHere() {
  const parts = [encodeURIComponent(nodes.name[shown.place])];
  if (shown.cell) parts.push(`cell=${shown.cell}`);
  if (data.kind === "film" && shown.run) parts.push(`step=${shown.run}`);
  return `#${parts.join("&")}`;
}

/** Have the address name what is looked at, when it has been looked at for a while. In a frame there is no address. */
function tellLink() {
  $("link").setAttribute("href", linkHere());
  if (window.parent !== window) return;
  clearTimeout(telling);
  telling = setTimeout(() => location.hash !== linkHere() && history.replaceState(null, "", linkHere()), 300);
}

/** Return the place of a name; if it is of another iteration, that is shown. */
function placeNamed(name) {
  const inside = insideNamed(name);
  if (inside && !data.loops[inside.k].side) toRow(inside.k, inside.row);
  return inside ? data.loops[inside.k].places[inside.i] : placeOf.get(name);
}

/** Go where the address says. */
function goToLink() {
  const [name, ...others] = location.hash.slice(1).split("&");
  let place;
  try {
    place = placeNamed(decodeURIComponent(name));
  } catch {
    return; // it is no address that this page has written
  }
  if (place === undefined) return;
  const asked = Object.fromEntries(others.map((part) => part.split("="))),
    cell = Number(asked.cell ?? 0);
  if (asked.step !== undefined) toRun(Number(asked.step) || 0);
  if (isPending(place)) shown.time = Math.min(place, last());
  go(place, Number.isInteger(cell) ? cell : 0);
}
