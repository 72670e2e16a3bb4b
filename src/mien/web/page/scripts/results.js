/** Probabilities, and the answer in the form that the Python library, command and service give. */

const SCHEMA_VERSION = 2;

/** Turns logits into probabilities; temperature is the model's own. */
export function softmax(logits, temperature) {
  const scaled = Array.from(logits, (value) => value / temperature);
  const most = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - most));
  return toShares(powers);
}

/**
 * Turns logits into calibrated probabilities, for the shares of labels that the model answers for.
 *
 * @param model The block "mien" of config.json; its part prior may be missing.
 */
export function calibrated(logits, { temperature, prior }) {
  const probs = softmax(logits, temperature);
  if (!prior?.own) return probs;
  const { shares, strength = 1, smoothing = 0, own } = prior;
  const even = smoothing / shares.length;
  const held = toShares(shares.map((share) => ((1 - smoothing) * share + even) ** strength));
  return toShares(probs.map((value, index) => value * (own[index] / held[index])));
}

/** Returns by label the shares that the model answers for where it was given some. */
export function ownPrior({ schema, prior }) {
  return prior?.own ? byLabel(schema.labels, prior.own) : undefined;
}

function toShares(values) {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}

function byLabel(labels, values) {
  return Object.fromEntries(labels.map((label, index) => [label, values[index]]));
}

/** Joins a detected face, the probabilities of its labels, and what speaks against them. */
export function toFace({ box, score, points }, labels, probs, { prediction_set, quality_flags }) {
  const confidence = Math.max(...probs);
  return {
    box_xyxy: box,
    detection_score: score,
    landmarks: points,
    emotion: labels[probs.indexOf(confidence)],
    confidence,
    probs: byLabel(labels, probs),
    prediction_set,
    quality_flags,
    uncertain: prediction_set?.length !== 1 || quality_flags.length > 0,
    track_id: null,
  };
}

/** Puts the answer together; prior, see ownPrior, stands in its JSON where there is one. */
export function toResult(source, { width, height }, faces, { model, detector, timings, prior }) {
  return {
    schema_version: SCHEMA_VERSION,
    source,
    width,
    height,
    faces,
    model,
    detector,
    timings_ms: timings,
    warnings: [],
    prior,
  };
}
