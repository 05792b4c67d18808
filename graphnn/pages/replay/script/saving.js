// --- what can be saved: the diagram and a value -----------------------------------------------------------------

function listenToSaving() {
  const value = () => valueOf(shown.run, shown.place);
  $("save-svg").addEventListener("click", () => save("picture.svg", "image/svg+xml", [inFull(pictureText)]));
  $("save-png").addEventListener("click", () => inFull(pictureCanvas).toBlob((png) => save("picture.png", "image/png", [png])));
  $("save-npy").addEventListener("click", () => save("value.npy", "application/octet-stream", npyOf(value())));
  $("save-csv").addEventListener("click", () => save("value.csv", "text/csv", [csvOf(value())]));
}

function save(name, type, parts) {
  const address = URL.createObjectURL(new Blob(parts, { type })),
    link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** Return a picture of the diagram with all of its text, however small it is drawn here. */
function inFull(drawn) {
  sizeText(SHARP);
  const made = drawn();
  sizeText(picture.scale);
  return made;
}

const DRAWN = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-size",
  "display",
  "transform",
  "text-decoration",
];

/** Return the diagram as one sees it, as a file of its own. */
function pictureText() {
  const copy = picture.svg.cloneNode(true),
    here = [...picture.svg.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((element, i) => {
    if (!(here[i] instanceof SVGGraphicsElement)) return;
    const style = getComputedStyle(here[i]);
    for (const each of DRAWN) element.style.setProperty(each, style.getPropertyValue(each));
    element.removeAttribute("class");
  });
  copy.style.cssText = `background: ${getComputedStyle($("picture")).backgroundColor}`;
  copy.removeAttribute("aria-hidden");
  return new XMLSerializer().serializeToString(copy);
}

const SHARP = 2,
  MOST_PIXELS = 48e6,
  MOST_ALONG = 16000; // times as large as it is drawn; as much as browsers hold

/** Return the diagram as one sees it, on a canvas. The policy of the page lets no file be read as an image, so its elements are drawn one by one. */
function pictureCanvas() {
  const { svg, width, height } = picture;
  const sharp = Math.min(SHARP, Math.sqrt(MOST_PIXELS / (width * height)), MOST_ALONG / Math.max(width, height));
  const canvas = make("canvas", { width: Math.ceil(width * sharp), height: Math.ceil(height * sharp) }),
    pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle($("picture")).backgroundColor;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const here = svg.getScreenCTM().inverse();
  for (const element of svg.querySelectorAll("rect, ellipse, path, polygon, text")) {
    if (!element.getClientRects().length) continue;
    const { a, b, c, d, e, f } = here.multiply(element.getScreenCTM());
    pen.setTransform(sharp * a, sharp * b, sharp * c, sharp * d, sharp * e, sharp * f);
    drawElement(pen, element, getComputedStyle(element));
  }
  return canvas;
}

function drawElement(pen, element, style) {
  const opacity =
    Number(style.opacity) * Number(element.parentElement.matches(".box") ? getComputedStyle(element.parentElement).opacity : 1);
  const form = element.tagName === "text" ? null : formOf(element),
    { paintOrder, fill, stroke } = style;
  const painted = () => {
    pen.globalAlpha = opacity * Number(style.fillOpacity);
    pen.fillStyle = fill;
    if (form) pen.fill(form);
    else writeText(pen, element, style, "fillText");
  };
  const outlined = () => {
    pen.globalAlpha = opacity;
    [pen.strokeStyle, pen.lineWidth, pen.lineJoin] = [stroke, parseFloat(style.strokeWidth), style.strokeLinejoin];
    pen.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(",").map(parseFloat));
    if (form) pen.stroke(form);
    else writeText(pen, element, style, "strokeText");
  };
  const steps = [fill !== "none" && painted, stroke !== "none" && outlined].filter(Boolean);
  for (const step of paintOrder.startsWith("stroke") ? steps.reverse() : steps) step();
}

/** Return the outline of an element. */
function formOf(element) {
  const number = (name) => Number(element.getAttribute(name)),
    form = new Path2D(element.getAttribute("d") ?? "");
  if (element.tagName === "rect") form.roundRect(number("x"), number("y"), number("width"), number("height"), number("rx"));
  else if (element.tagName === "ellipse") form.ellipse(number("cx"), number("cy"), number("rx"), number("ry"), 0, 0, 2 * Math.PI);
  else if (element.tagName === "polygon") form.addPath(new Path2D(`M${element.getAttribute("points")}Z`));
  return form;
}

function writeText(pen, element, style, how) {
  const [x, y] = [Number(element.getAttribute("x")), Number(element.getAttribute("y")) + Number(element.getAttribute("dy") ?? 0)];
  pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  pen.textAlign = { middle: "center", end: "right" }[style.textAnchor] ?? "left";
  pen[how](element.textContent, x, y);
  if (!style.textDecorationLine.includes("underline")) return;
  const wide = pen.measureText(element.textContent).width;
  pen.fillRect(x - { left: 0, center: wide / 2, right: wide }[pen.textAlign], y + 1.5, wide, 1);
}

const DESCRIPTIONS = {
  float64: "<f8",
  float32: "<f4",
  float16: "<f8",
  int64: "<i8",
  uint64: "<u8",
  int32: "<i4",
  uint32: "<u4",
  int16: "<i2",
  uint16: "<u2",
  int8: "|i1",
  uint8: "|u1",
  bool: "|b1",
};

/** Return the parts of a file of NumPy's; of a value that is not kept whole, what is kept of it. */
function npyOf(value) {
  const sizes = value.axes.map((kept) => kept.length),
    shape = sizes.length === 1 ? `${sizes[0]},` : sizes.join(", ");
  const told = `{'descr': '${DESCRIPTIONS[value.dtype]}', 'fortran_order': False, 'shape': (${shape}), }`;
  const text = `${told}${" ".repeat(63 - ((told.length + 10) % 64))}\n`;
  const wide = { int64: BigInt64Array, uint64: BigUint64Array }[value.dtype],
    raw = wide && value.raw instanceof Float64Array ? wide.from(value.raw, BigInt) : value.raw; // the engine holds them as doubles
  return [Uint8Array.of(0x93, 78, 85, 77, 80, 89, 1, 0, text.length & 255, text.length >> 8), text, raw];
}

/** Return a value as a table: a line for each place along all axes but the last. */
function csvOf(value) {
  const wide = value.shape.length ? value.axes[value.axes.length - 1].length : 1,
    lines = [];
  const text = (x) => (value.dtype === "bool" ? String(x !== 0) : String(x));
  for (let at = 0; at < value.raw.length; at += Math.max(1, wide)) lines.push([...value.raw.subarray(at, at + wide)].map(text).join(","));
  return `${lines.join("\n")}\n`;
}
