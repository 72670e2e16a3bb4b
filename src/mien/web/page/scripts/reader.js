/** From a raster to the answer: detection, crops, the model, probabilities. */

import { cropBox } from "./boxes.js";
import { cropFace, normalize } from "./crops.js";
import { assess } from "./quality.js";
import { makeDetector } from "./detector.js";
import { calibrated, ownPrior, toFace, toResult } from "./results.js";

/** Takes what openEngine returns. */
export function makeReader({ settings, detector, model, runModel, ...engine }) {
  const { runDetector, runRefiner, runLandmarks } = engine;
  const runs = { propose: runDetector, refine: runRefiner, mark: runLandmarks };
  const find = makeDetector(runs, detector, settings.detector);
  const { labels } = model.schema;

  /**
   * Reads one picture.
   *
   * @param raster Three channels, upright.
   * @param source What to call it in the answer.
   * @returns { result, crops }: the answer, and for each face the raster that the model saw.
   */
  return async function read(raster, source) {
    const timings = {};
    const lap = startClock(timings);
    const found = await find(raster);
    lap("detect");
    const crops = found.map(({ box }) =>
      cropFace(raster, cropBox(box, detector.framing, model.crop_margin), model.preprocessing),
    );
    lap("crop");
    const probs = await classify(crops, model, runModel);
    lap("inference");
    const faces = found.map((face, index) => {
      const seen = [labels, probs[index], face.box, crops[index]];
      const found = assess(settings.quality_flags, model, ...seen);
      return toFace(face, labels, probs[index], found);
    });
    const { model: name } = settings;
    const told = { model: name, detector: settings.detector.name, timings, prior: ownPrior(model) };
    return { result: toResult(source, raster, faces, told), crops };
  };
}

async function classify(crops, model, runModel) {
  if (crops.length === 0) return [];
  const { channels, width } = crops[0];
  const shape = [crops.length, channels, width, width];
  const logits = await runModel(normalize(crops, model.preprocessing), shape);
  const count = model.schema.labels.length;
  return crops.map((_, index) =>
    calibrated(logits.subarray(index * count, (index + 1) * count), model),
  );
}

function startClock(timings) {
  let last = performance.now();
  return (name) => {
    const now = performance.now();
    timings[name] = Math.round((now - last) * 1000) / 1000;
    last = now;
  };
}
