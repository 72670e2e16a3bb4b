/** Probabilities, and the answer in the form that the Python library, command and service give. */

const SCHEMA_VERSION = 2;

/** Turns logits into probabilities; temperature is the model's own. */
export function softmax(logits, temperature) {
  const scaled = Array.from(logits, (value) => value / temperature);
  const most = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - most));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
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
    probs: Object.fromEntries(labels.map((label, index) => [label, probs[index]])),
    prediction_set,
    quality_flags,
    uncertain: prediction_set?.length !== 1 || quality_flags.length > 0,
    track_id: null,
  };
}

export function toResult(source, { width, height }, faces, { model, detector, timings }) {
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
  };
}
