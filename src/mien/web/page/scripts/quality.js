/** When an answer is uncertain: the same prediction sets and flags as the Python library's. */

import { longerSide } from "./boxes.js";

/**
 * @param words The part "quality_flags" of mien.json: each flag and its words for people.
 * @param model The block "mien" of config.json; its parts conformal and quality may be missing.
 * @param labels Of the model.
 * @param probs By label.
 * @param box Of the face, in pixels of the picture.
 * @param crop The raster that the model saw.
 * @returns { prediction_set, quality_flags }; prediction_set is null without conformal thresholds.
 */
export function assess(words, { conformal, quality }, labels, probs, box, crop) {
  let prediction_set = null;
  let ambiguous = false;
  if (conformal) {
    prediction_set = labels.filter((_, index) => probs[index] >= conformal.thresholds[index]);
    const emotion = labels[probs.indexOf(Math.max(...probs))];
    ambiguous = prediction_set.length !== 1 || prediction_set[0] !== emotion;
  }
  const found = [ambiguous, false, false, false, false];
  if (quality) {
    const { light, contrast, sharpness } = faceQuality(crop);
    found[1] = longerSide(box) < quality.min_side;
    found[2] = light < quality.min_light;
    found[3] = contrast < quality.min_contrast;
    found[4] = sharpness < quality.min_sharpness;
  }
  return { prediction_set, quality_flags: Object.keys(words).filter((_, index) => found[index]) };
}

/** Returns why an answer is uncertain, for people; an empty text where it is not. */
export function warning(words, { emotion, prediction_set, quality_flags }) {
  const reasons = quality_flags.map((flag) => {
    if (flag !== "ambiguous") return words[flag];
    const others = (prediction_set ?? []).filter((label) => label !== emotion);
    if (others.length === 0) return "no clear label";
    return `${others.join(", ")} ${others.length === 1 ? "is" : "are"} also plausible`;
  });
  return reasons.length ? `Uncertain: ${reasons.join("; ")}.` : "";
}

/** Measures light, contrast and sharpness of a crop; see mien.quality.face_quality. */
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
