// Runs functions of the page's scripts under Node: {"scripts": FOLDER, "calls": [[NAME, ...ARGS]]}
// on stdin, a list of what they return on stdout. Typed arrays travel as lists.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { scripts, calls } = JSON.parse(readFileSync(0, "utf8"));
const load = (name) => import(pathToFileURL(`${scripts}/${name}.js`));
const [boxes, cells, crops, quality, resample, results] = await Promise.all(
  ["boxes", "cells", "crops", "quality", "resample", "results"].map(load),
);

const raster = ({ data, ...size }) => ({ ...size, data: Uint8Array.from(data) });

const known = {
  resize: (one, ...rest) => resample.resize(raster(one), ...rest),
  resizeWithGap: (one, ...rest) => resample.resizeWithGap(raster(one), ...rest),
  cropFace: (one, ...rest) => crops.cropFace(raster(one), ...rest),
  normalize: (several, preprocessing) => crops.normalize(several.map(raster), preprocessing),
  decodeCells: (values, ...rest) => cells.decodeCells(Float32Array.from(values), ...rest),
  suppress: boxes.suppress,
  takeVote: boxes.takeVote,
  cropBox: boxes.cropBox,
  softmax: results.softmax,
  toFace: results.toFace,
  assess: (...given) => quality.assess(...given.slice(0, -1), raster(given.at(-1))),
  faceQuality: (one) => quality.faceQuality(raster(one)),
  warning: quality.warning,
};

const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const answers = calls.map(([name, ...given]) => known[name](...given));
process.stdout.write(JSON.stringify(answers, plain));
