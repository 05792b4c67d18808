// --- paper --------------------------------------------------------------------------------------------------------

const MOST_PRINTED = 6; // numbers of a value; of more, there are statistics

/** Return a table of all nodes in the order of the run, with what each is and what its value was: there is nothing to press on paper. */
function printed() {
  const those = seenRuns(),
    where = data.kind === "run" ? "" : `: ${those.map((run) => runs[run].label).join(", ")}`;
  const heads = ["", "node", "operation", "shape", ...(those.length > 1 ? those.map((run) => runs[run].label) : ["value"])];
  const rows = upTo(nodes.name.length).map((place) => {
    const cells = [String(place + 1), nodes.name[place], madeOf(place), `${shapeText(nodes.shape[place])} ${nodes.dtype[place]}`];
    const texts = [...cells, ...those.map((run) => summaryOf(run, place))];
    return make("tr", place === shown.place ? { className: "here" } : null, ...texts.map((text) => make("td", null, text)));
  });
  const head = make("thead", null, make("tr", null, ...heads.map((text) => make("th", null, text))));
  return [
    make("h2", null, `All ${grouped(rows.length)} nodes in the order of the run${where}`),
    make("table", null, head, make("tbody", null, ...rows)),
  ];
}

const madeOf = (place) =>
  nodes.kind[place] || `${nodes.op[place]}(${nodes.inputs[place].map((input) => nodes.name[input] ?? "…").join(", ")})`;

function summaryOf(run, place) {
  const value = valueOf(run, place);
  if (!value) return "not run";
  if (!value.size) return "empty";
  const { told, size, shape } = value;
  if (size === 1 && !value.partial) return value.text(0);
  if (size <= MOST_PRINTED && shape.length === 1 && !value.partial)
    return `[${upTo(size)
      .map((cell) => value.text(cell))
      .join(", ")}]`;
  const [low, high, mean, std] = told.stats.map((x) => (x === null ? null : general(x, 4))),
    [zeros, nans, above, below] = told.counts;
  const parts = low === null ? [] : [low === high ? `all ${low}` : `${low} to ${high}, mean ${mean}, std ${std}`];
  for (const [count, what] of [
    [zeros, "zeros"],
    [nans, "NaN"],
    [above + below, "infinite"],
  ])
    if (count && !(what === "zeros" && count === size)) parts.push(`${grouped(count)} ${what}`);
  return parts.join("; ");
}
