/** A card for each face: what the model saw, its first word, and a bar for every label. */

import { warning } from "./quality.js";
import { drawRaster, percent } from "./drawing.js";

/** Probability below which a row is folded away. */
const FOLD_BELOW = 0.05;
/** Faces that a sentence names one by one. */
const MAX_LISTED = 5;
let unfolded = false;

/** Returns an element with attributes or properties, and children. */
function make(name, given = {}, ...children) {
  const element = Object.assign(document.createElement(name), given);
  element.append(...children);
  return element;
}

/**
 * @param place Element that takes the cards.
 * @param answer { result, crops } of the reader.
 * @param settings mien.json: colors by label { paint, ink }, and quality_flags in words.
 */
export function showCards(place, { result, crops }, settings) {
  const cards = result.faces.map((face, index) => makeCard(face, crops[index], index, settings));
  const none = make("p", { textContent: "No face was found. Faces below 20 pixels are left out." });
  place.replaceChildren(...(cards.length ? cards : [none]));
}

function makeCard(face, crop, index, { colors, quality_flags }) {
  const seen = make("canvas", { role: "img", ariaLabel: "The face as the model sees it" });
  drawRaster(seen, crop);
  const number = make("span", { className: "number", textContent: index + 1 });
  number.style.setProperty("--paint", colors[face.emotion].paint);
  number.style.setProperty("--on-paint", colors[face.emotion].ink);
  const unseen = make("span", { className: "unseen", textContent: "Face " });
  const title = ` ${face.emotion}${face.uncertain ? "?" : ""} ${percent(face.confidence)}`;
  const found = `Found with a score of ${percent(face.detection_score)}`;
  const words = make("div", {}, make("h3", {}, unseen, number, title));
  words.append(make("p", { className: "quiet", textContent: found }));
  const against = warning(quality_flags, face);
  if (against) words.append(make("p", { textContent: against }));
  const header = make("header", {}, seen, words);
  return make("article", { className: "face" }, header, ...makeTables(face.probs, index, colors));
}

/** Returns a table of what is likely, and one of the rest that is folded away. */
function makeTables(probs, index, colors) {
  const entries = Object.entries(probs).sort(([, a], [, b]) => b - a);
  // The second guess is always shown.
  const likely = Math.max(entries.filter(([, share]) => share >= FOLD_BELOW).length, 2);
  const table = (part, words) => {
    const rows = part.map(([label, share]) => makeRow(label, share, colors[label]));
    const caption = make("caption", { textContent: `Probabilities of face ${index + 1}${words}` });
    return make("table", {}, caption, make("tbody", {}, ...rows));
  };
  const rest = entries.slice(likely);
  const tables = [table(entries.slice(0, likely), "")];
  if (rest.length === 0) return tables;
  const most = `${rest[0][1] < 0.01 ? "each" : "at most"} ${percent(rest[0][1])}`;
  const summary = make("summary", { textContent: `${rest.length} more, ${most}` });
  const details = make("details", { open: unfolded }, summary, table(rest, ", the unlikely ones"));
  // Cards are made anew for each frame of a camera: what was unfolded stays so.
  summary.addEventListener("click", () => (unfolded = !details.open));
  return [...tables, details];
}

function makeRow(label, share, { paint }) {
  const bar = make("div");
  bar.style.setProperty("--share", share);
  bar.style.setProperty("--color", paint);
  const trough = make("div", { className: "bar" }, bar);
  trough.setAttribute("aria-hidden", "true");
  return make(
    "tr",
    {},
    make("th", { scope: "row", textContent: label }),
    make("td", {}, trough),
    make("td", { textContent: percent(share) }),
  );
}

/** Returns the answer as a sentence, for the status line and for screen readers. */
export function describe({ faces }) {
  if (faces.length === 0) return "No face was found.";
  const words = faces.map((face) => `${face.emotion} ${percent(face.confidence)}`);
  if (faces.length > MAX_LISTED) {
    const counts = new Map();
    for (const { emotion } of faces) counts.set(emotion, (counts.get(emotion) ?? 0) + 1);
    const ranked = [...counts].sort(([, a], [, b]) => b - a);
    words.splice(0, Infinity, ...ranked.map(([emotion, count]) => `${count} ${emotion}`));
  }
  return `${faces.length} face${faces.length > 1 ? "s" : ""}: ${words.join(", ")}.`;
}
