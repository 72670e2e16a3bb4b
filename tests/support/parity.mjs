// Runs functions of the page's scripts under Node: {"scripts": FOLDER, "calls": [[NAME, ...ARGS]]}
// on stdin, a list of what they return on stdout. Typed arrays travel as lists.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { scripts, calls } = JSON.parse(readFileSync(0, "utf8"));
const load = (name) => import(pathToFileURL(`${scripts}/${name}.js`));
const names = ["boxes", "cells", "crops", "detector", "drawing", "quality", "resample", "results", "scales"];
const [boxes, cells, crops, detector, drawing, quality, resample, results, scales] = await Promise.all(
  names.map(load),
);

const raster = ({ data, ...size }) => ({ ...size, data: Uint8Array.from(data) });

const known = {
  resize: (one, ...rest) => resample.resize(raster(one), ...rest),
  resizeWithGap: (one, ...rest) => resample.resizeWithGap(raster(one), ...rest),
  cropFace: (one, ...rest) => crops.cropFace(raster(one), ...rest),
  normalize: (several, preprocessing) => crops.normalize(several.map(raster), preprocessing),
  decodeCells: (values, ...rest) => cells.decodeCells(Float32Array.from(values), ...rest),
  suppress: boxes.suppress,
  planScales: scales.planScales,
  tiles: scales.tiles,
  find,
  cropBox: boxes.cropBox,
  percent: drawing.percent,
  softmax: results.softmax,
  calibrated: results.calibrated,
  ownPrior: results.ownPrior,
  toFace: results.toFace,
  toResult: results.toResult,
  assess: (...given) => quality.assess(...given.slice(0, -1), raster(given.at(-1))),
  faceQuality: (one) => quality.faceQuality(raster(one)),
  warning: quality.warning,
};

/** The detector with stand-ins for its networks: the same numbers, whatever they see. */
function find(one, config, settings, numbers, answer, marks) {
  const propose = (input, [, height, width, channels]) => {
    if (!(input instanceof Uint8Array) || input.length !== height * width * channels) {
      throw new Error(`The first network got ${input.length} numbers for ${width}x${height}.`);
    }
    const count = settings.strides
      .map((stride) => Math.floor(height / stride) * Math.floor(width / stride))
      .reduce((sum, value) => sum + value, 0);
    const values = new Float32Array(15 * count).fill(-9);
    numbers.forEach((cell, n) =>
      cell.forEach((value, number) => (values[15 * (5 + 20 * n) + number] = value)),
    );
    return values;
  };
  const refine = (input, [count]) => Float32Array.from(Array(count).fill(answer).flat());
  // Fixed numbers, moved by the mean brightness of the crop's left half.
  const mark = (input, [count, , size]) => {
    const values = [];
    for (let n = 0; n < count; n++) {
      let sum = 0;
      for (let i = 0; i < 3 * size * size; i++) {
        if (i % size < size / 2) sum += input[n * 3 * size * size + i];
      }
      const left = sum / (1.5 * size * size) / 1000;
      values.push(...marks.map((value) => value + left));
    }
    return Float32Array.from(values);
  };
  return detector.makeDetector({ propose, refine, mark }, config, settings)(raster(one));
}

const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const answers = await Promise.all(calls.map(([name, ...given]) => known[name](...given)));
process.stdout.write(JSON.stringify(answers, plain));
