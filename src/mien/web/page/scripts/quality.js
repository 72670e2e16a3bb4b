/** When an answer is uncertain: the same prediction sets and flags as the Python library's. */

import { longerSide } from "./boxes.js";

/**
 * @param words The part "quality_flags" of mien.json: each word and how it is said.
 * @param model The block "mien" of config.json.
 * @param labels Of the model.
 * @param probs By label.
 * @param box Of the face, in pixels of the picture.
 * @param crop The raster that the model saw.
 * @returns { plausible, flags }: the labels of the prediction set, or null; quality flags.
 */
export function assess(words, limits, labels, probs, box, crop) {
  if (!limits) return { plausible: null, quality_flags: [] };
  const plausible = labels.filter((_, index) => probs[index] >= limits.thresholds[index]);
  const { light, contrast, sharpness } = faceQuality(crop);
  const found = [
    plausible.length !== 1,
    longerSide(box) < limits.min_side,
    light < limits.min_light,
    contrast < limits.min_contrast,
    sharpness < limits.min_sharpness,
  ];
  return { plausible, quality_flags: Object.keys(words).filter((_, index) => found[index]) };
}

/** Says what speaks against an answer, for people; an empty text where nothing does. */
export function warning(words, { emotion, prediction_set: plausible, quality_flags }) {
  const said = quality_flags.map((word) => {
    if (word !== "ambiguous") return words[word];
    const others = (plausible ?? []).filter((label) => label !== emotion);
    if (others.length === 0) return "no label is clear";
    return `also plausible ${others.length === 1 ? "is" : "are"} ${others.join(", ")}`;
  });
  return said.length ? `Uncertain: ${said.join("; ")}.` : "";
}

/** Measures light, contrast and sharpness of a crop; see mien.uncertainty.face_quality. */
export function faceQuality({ data, width, height, channels }) {
  const gray = new Float64Array(width * height);
  for (let at = 0; at < gray.length; at++) {
    for (let c = 0; c < channels; c++) gray[at] += data[at * channels + c] / channels;
  }
  const laplacian = [];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const around = gray[at - 1] + gray[at + 1] + gray[at - width] + gray[at + width];
      laplacian.push(4 * gray[at] - around);
    }
  }
  const contrast = deviation(gray);
  return { light: mean(gray), contrast, sharpness: deviation(laplacian) / (contrast + 10) };
}

function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function deviation(values) {
  const middle = mean(values);
  let sum = 0;
  for (const value of values) sum += (value - middle) ** 2;
  return Math.sqrt(sum / values.length);
}
