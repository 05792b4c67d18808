// --- a guided tour, and an exercise -----------------------------------------------------------------------------

const tour = { at: 0, open: false },
  answered = new Map(); // of hidden places: which elements are right or were shown

const isHidden = (place, cell) => Boolean(data.hide?.includes(place)) && !answered.get(place)?.has(cell);

/** A value whose numbers the reader is to find: those that were found are there. */
class HiddenValue extends Value {
  constructor(value, seen) {
    super(
      { ...value.told, stats: [null, null, null, null], counts: [0, 0, 0, 0], peak: -1, row: undefined, bins: [] },
      value.raw,
      value.dtype,
    );
    this.range = value.range;
    this.hidden = true;
    this.seen = seen;
    this.whole = value;
  }

  slot(place) {
    return this.seen.has(place) ? this.whole.slot(place) : -1;
  }
}

function prepareTour() {
  const stations = data.tour ?? [];
  $("tour").hidden = !stations.length;
  tour.open = stations.length > 0;
  if (!stations.length) return;
  $("tour-next").addEventListener("click", () => toStation(tour.at + 1));
  $("tour-back").addEventListener("click", () => toStation(tour.at - 1));
  $("tour-end").addEventListener("click", () => ((tour.open = false), drawTour(), drawAll()));
}

function toStation(at) {
  tour.at = Math.max(0, Math.min(data.tour.length - 1, at));
  const [place] = data.tour[tour.at];
  if (isPending(place)) shown.time = Math.max(shown.time, Math.min(place, last()));
  go(place);
  drawTour();
}

function drawTour() {
  $("tour").hidden = !tour.open;
  if (!tour.open) return;
  const [place, text] = data.tour[tour.at];
  $("tour-place").textContent = `${tour.at + 1} of ${data.tour.length}`;
  $("tour-says").replaceChildren(
    make("button", { type: "button", className: "link", onclick: () => toStation(tour.at) }, nodes.name[place]),
    ` ${text}`,
  );
  $("tour-back").disabled = tour.at === 0;
  $("tour-next").disabled = tour.at === data.tour.length - 1;
}

function prepareExercise() {
  for (const place of data.hide ?? []) answered.set(place, new Set());
  if (!answered.size) return;
  $("answer-check").addEventListener("click", checkAnswer);
  $("answer").addEventListener("keydown", (event) => event.key === "Enter" && checkAnswer());
  $("answer-show").addEventListener("click", () => showAnswer("Here it is, and above is what it was computed from."));
}

const totalHidden = () => [...answered.keys()].reduce((sum, place) => sum + (seenValue(shown.run, place)?.size ?? 0), 0);
const totalFound = () => [...answered.values()].reduce((sum, seen) => sum + seen.size, 0);
let rightAnswers = 0;

function showAnswer(says) {
  answered.get(shown.place)?.add(shown.cell);
  drawAll();
  $("answer-says").textContent = says;
}

/** Say whether what was typed is the number: to the digits that were typed, or to one in a hundred. */
function checkAnswer() {
  const { place, cell } = shown,
    value = seenValue(shown.run, place),
    right = value?.number(cell);
  if (!isHidden(place, cell) || right === undefined) return;
  const typed = $("answer").value.trim();
  let x;
  try {
    x = numberFrom(typed, "float64");
  } catch (error) {
    $("answer-says").textContent = `${error.message}.`;
    return;
  }
  const digits = /\.(\d*)/.exec(typed)?.[1].length ?? 0,
    near = Math.max(0.01 * Math.abs(right), typed.includes("e") || !digits ? 0 : 0.5 * 10 ** -digits);
  const isRight = Object.is(x, right) || x === right || Math.abs(x - right) <= near;
  if (isRight) rightAnswers++;
  if (isRight) showAnswer("Right.");
  else
    $("answer-says").textContent = Math.sign(x) === -Math.sign(right) && right ? "Not this number: look at its sign." : "Not this number.";
  if (isRight) $("answer").value = "";
}

function drawExercise() {
  const { place, cell } = shown,
    hidden = isHidden(place, cell);
  $("exercise").hidden = !answered.has(place);
  if (!answered.has(place)) return;
  const value = seenValue(shown.run, place),
    index = value ? unravel(cell, value.shape).join(", ") : "";
  $("answer-name").textContent = called(shortName(place), index);
  for (const id of ["answer", "answer-check", "answer-show"]) $(id).disabled = !hidden;
  if (document.activeElement !== $("answer")) $("answer-says").textContent = "";
  $("answer-count").textContent =
    `${grouped(rightAnswers)} right, ${grouped(totalFound() - rightAnswers)} shown, of ${grouped(totalHidden())}`;
}
