/** A card for each face: what the model saw, its first word, and a bar for every label. */

import { warning } from "./quality.js";
import { drawRaster, percent } from "./drawing.js";

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
  const title = `Face ${index + 1}: ${face.emotion} ${percent(face.confidence)}`;
  const found = `Found with a score of ${percent(face.detection_score)}`;
  const words = make("div", {}, make("h3", { textContent: title }));
  words.append(make("p", { className: "quiet", textContent: found }));
  const against = warning(quality_flags, face);
  if (against) words.append(make("p", { textContent: against }));
  const rows = Object.entries(face.probs)
    .sort(([, a], [, b]) => b - a)
    .map(([label, share]) => makeRow(label, share, colors[label]));
  const caption = make("caption", { textContent: `Probabilities of face ${index + 1}` });
  const table = make("table", {}, caption, make("tbody", {}, ...rows));
  return make("article", { className: "face" }, make("header", {}, seen, words), table);
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
  return `${faces.length} face${faces.length > 1 ? "s" : ""}: ${words.join(", ")}.`;
}
