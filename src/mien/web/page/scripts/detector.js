/** Finds faces with mien's own detector: the same looks at a picture as the Python library. */

import { area, longerSide, suppress, takeVote } from "./boxes.js";
import { decodeCells } from "./cells.js";
import { resizeWithGap } from "./resample.js";

/** Where a picture shrinks by over twice this, blocks of its pixels are averaged first. */
const REDUCING_GAP = 2;

/**
 * @param run Runs the network: float32 (1, 3, H, W) and its shape to the numbers of the cells.
 * @param config detector.json.
 * @param settings The part "detector" of mien.json.
 */
export function makeDetector(run, config, settings) {
  /** Returns the faces of a raster of three channels, the largest first. */
  return async function find(raster) {
    const candidates = [];
    for (const look of looks(raster.width, raster.height, config)) {
      candidates.push(...(await takeLook(raster, look, { run, config, settings })));
    }
    const sure = candidates.filter(({ score }) => score >= config.min_score);
    sure.sort((a, b) => b.score - a.score);
    return suppress(sure.slice(0, settings.max_candidates), config.iou)
      .filter(({ box }) => hasCentreIn(box, raster))
      .map((best) => takeVote(best, candidates, settings.vote))
      .filter(({ box }) => longerSide(box) >= settings.min_face)
      .sort((a, b) => area(b.box) - area(a.box) || b.score - a.score);
  };
}

/**
 * Says at which factors on the picture to look, and for faces of which longer side there.
 *
 * Large pictures are looked at once whole and once small, for faces that fill them; small ones
 * once more enlarged.
 */
function looks(width, height, config) {
  const longest = Math.max(width, height);
  const small = longest < 0.5 * config.max_side && config.zoom > 1;
  const scale = small ? 1 : Math.min(config.max_side / longest, 1);
  const found = [{ scale, least: small ? config.large_face : 0, most: Infinity }];
  if (small) {
    const zoom = Math.min(config.zoom, (0.7 * config.max_side) / longest);
    found.push({ scale: zoom, least: 0, most: 4 * config.large_face });
  }
  if (config.coarse && Math.min(config.max_side / longest, 1) * longest > 0.5 * config.max_side) {
    found.push({ scale: scale * config.coarse, least: config.large_face, most: Infinity });
  }
  return found;
}

async function takeLook(raster, { scale, least, most }, { run, config, settings }) {
  const width = Math.max(1, roundEven(raster.width * scale));
  const height = Math.max(1, roundEven(raster.height * scale));
  const scaled = resizeWithGap(raster, width, height, "bilinear", REDUCING_GAP);
  const padded = [width, height].map(
    (side) => Math.ceil(side / settings.multiple) * settings.multiple,
  );
  const cells = await run(toInput(scaled, ...padded), [1, 3, padded[1], padded[0]]);
  // Cells below the threshold report no face, but have a say in where one lies.
  return decodeCells(cells, ...padded, config.min_score / 2, settings)
    .filter(({ box }) => longerSide(box) >= least && longerSide(box) < most)
    .map((candidate) => enlarge(candidate, raster.width / width, raster.height / height));
}

/** Lays a raster (h, w, 3) into the corner of an input (3, height, width), black elsewhere. */
function toInput(raster, width, height) {
  const input = new Float32Array(3 * width * height);
  for (let y = 0; y < raster.height; y++) {
    for (let x = 0; x < raster.width; x++) {
      const from = (y * raster.width + x) * 3;
      for (let c = 0; c < 3; c++) input[(c * height + y) * width + x] = raster.data[from + c];
    }
  }
  return input;
}

function enlarge({ box, score, points }, across, down) {
  return {
    box: box.map((value, side) => value * (side % 2 ? down : across)),
    score,
    points: points.map(([x, y]) => [x * across, y * down]),
  };
}

function hasCentreIn([x1, y1, x2, y2], { width, height }) {
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return x >= 0 && x <= width && y >= 0 && y <= height;
}

/** Rounds as Python does: halves go to the even number. */
function roundEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
