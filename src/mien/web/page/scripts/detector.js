/** Finds faces with mien's own detector: the same stages as in the Python library. */

import { area, hasCentreIn, longerSide, squareOf, suppress } from "./boxes.js";
import { decodeCells } from "./cells.js";
import { cropFace } from "./crops.js";
import { resizeWithGap } from "./resample.js";
import { planScales, tiles } from "./scales.js";

/** Numbers that the second stage gives of a crop: a score, and the corners and points. */
const NUMBERS = 15;
/** Where a mirrored face has its landmarks: right and left change places. */
const MIRRORED = [1, 0, 2, 4, 3];

/**
 * @param runs { propose, refine, mark }: the networks, from numbers and their shape to float32; the
 *     first one takes uint8, the others float32.
 * @param config detector.json.
 * @param settings The part "detector" of mien.json.
 */
export function makeDetector(runs, config, settings) {
  /** Returns the faces of a raster of three channels, the largest first. */
  return async function find(raster) {
    const proposals = await propose(raster, { run: runs.propose, config, settings });
    const least = settings.slack * settings.min_face;
    const large = proposals.filter(({ box }) => longerSide(box) >= least);
    const faces = (await refine(raster, large, { run: runs.refine, config, settings })).filter(
      ({ box, score }) => score >= config.min_score && hasCentreIn(box, raster),
    );
    faces.sort((a, b) => b.score - a.score);
    const found = suppress(faces, config.iou, config.inside)
      .filter(({ box }) => longerSide(box) >= settings.min_face)
      .sort((a, b) => area(b.box) - area(a.box) || b.score - a.score);
    return mark(raster, found, { run: runs.mark, config, settings });
  };
}

/** The first stage: what may be faces, the most confident first; its scores are logits. */
async function propose(raster, { run, config, settings }) {
  const candidates = [];
  for (const [level, scale] of planScales(raster.width, raster.height, config.scales).entries()) {
    const gap = settings.reducing_gaps[Math.min(level, 1)];
    candidates.push(...(await searchScale(raster, scale, { run, config, settings, gap })));
  }
  const inside = candidates.filter(({ box }) => hasCentreIn(box, raster));
  inside.sort((a, b) => b.score - a.score);
  return suppress(inside.slice(0, settings.max_candidates), config.iou);
}

async function searchScale(raster, scale, { run, config, settings, gap }) {
  const { width, height, least, most } = scale;
  const scaled = resizeWithGap(raster, width, height, "bilinear", gap);
  const found = [];
  for (const [top, bottom] of tiles(height, config.scales)) {
    for (const [left, right] of tiles(width, config.scales)) {
      const [input, across, down] = toInput(scaled, [left, top, right, bottom], settings.multiple);
      const cells = await run(input, [1, down, across, 3]);
      const owned = ownedBy([left, top, right, bottom], scale, config.scales);
      found.push(
        ...decodeCells(cells, across, down, config.propose, settings)
          .filter(({ box }) => longerSide(box) >= least && longerSide(box) < most && owned(box))
          .map((one) => move(one, (value, axis) => value + (axis ? top : left))),
      );
    }
  }
  const factors = [raster.width / width, raster.height / height];
  return found.map((one) => move(one, (value, axis) => value * factors[axis]));
}

/** Returns which boxes a tile reports: those whose centre is not another tile's. */
function ownedBy([left, top, right, bottom], { width, height }, { overlap }) {
  const margin = 0.4 * overlap;
  const low = [left ? margin : -Infinity, top ? margin : -Infinity];
  const high = [
    right < width ? right - left - margin : Infinity,
    bottom < height ? bottom - top - margin : Infinity,
  ];
  return ([x1, y1, x2, y2]) =>
    [(x1 + x2) / 2, (y1 + y2) / 2].every((at, axis) => at >= low[axis] && at <= high[axis]);
}

/** Lays a part of a raster into the corner of an input (down, across, 3), black elsewhere. */
function toInput(raster, [left, top, right, bottom], multiple) {
  const across = Math.ceil((right - left) / multiple) * multiple;
  const down = Math.ceil((bottom - top) / multiple) * multiple;
  const input = new Uint8Array(3 * across * down);
  for (let y = top; y < bottom; y++) {
    const row = y * raster.width;
    input.set(raster.data.subarray(3 * (row + left), 3 * (row + right)), 3 * (y - top) * across);
  }
  return [input, across, down];
}

/** The second stage: what is in crops around proposals, with probabilities as scores. */
async function refine(raster, proposals, { run, config, settings }) {
  const squares = proposals.map(({ box }) => squareOf(box, config.context));
  const crops = { size: config.crop_size, numbers: NUMBERS, batch: settings.batch };
  const answers = await answersOf(raster, squares, { run, ...crops });
  return proposals.map((proposal, n) => place(proposal, answers[n], squares[n], config, settings));
}

/** The third network: places the landmarks of faces, as the mean of each and its mirror image. */
async function mark(raster, faces, { run, config, settings }) {
  const squares = faces.map(({ box }) => squareOf(box, config.mark_context));
  const crops = { run, size: config.mark_size, numbers: 10, batch: settings.batch };
  const seen = await answersOf(raster, squares, crops);
  const turned = await answersOf(raster, squares, { ...crops, mirrored: true });
  return faces.map((face, n) => {
    const [x1, y1, x2, y2] = squares[n];
    const middle = [(x1 + x2) / 2, (y1 + y2) / 2];
    const points = MIRRORED.map((other, spot) =>
      middle.map((at, axis) => {
        const opposite = turned[n][2 * other + axis] * (axis ? 1 : -1);
        const own = at + ((seen[n][2 * spot + axis] + opposite) / 2) * (x2 - x1);
        return Math.fround(config.marked * own + (1 - config.marked) * face.points[spot][axis]);
      }),
    );
    return { ...face, points };
  });
}

/** Runs a network over the squares of a raster; returns the numbers of each. */
async function answersOf(raster, squares, { run, size, numbers, batch, mirrored = false }) {
  const answers = [];
  const plane = size * size;
  const settings = { size, color: "rgb", interpolation: "bilinear" };
  for (let start = 0; start < squares.length; start += batch) {
    const part = squares.slice(start, start + batch);
    const input = new Float32Array(part.length * 3 * plane);
    part.forEach((square, n) => {
      const { data } = cropFace(raster, square, settings);
      for (let i = 0; i < plane; i++) {
        const at = mirrored ? i - (i % size) + size - 1 - (i % size) : i;
        for (let c = 0; c < 3; c++) input[(n * 3 + c) * plane + at] = data[3 * i + c];
      }
    });
    const values = await run(input, [part.length, 3, size, size]);
    part.forEach((_, n) => answers.push(values.subarray(n * numbers, (n + 1) * numbers)));
  }
  return answers;
}

/** Joins the second stage's numbers with the proposal. */
function place({ box, score, points }, values, [x1, y1, x2, y2], config, settings) {
  const side = x2 - x1;
  const middle = [(x1 + x2) / 2, (y1 + y2) / 2];
  const spots = Array.from({ length: 7 }, (_, spot) =>
    middle.map((at, axis) => at + values[1 + 2 * spot + axis] * side),
  );
  const own = [...spots[0], ...spots[1]];
  const share = [0, 1].map((axis) => (own[2 + axis] - own[axis]) / (box[2 + axis] - box[axis]));
  const sound = Math.min(...share) >= settings.min_share;
  const weight = sound ? config.refined : 0;
  const mean = (second, first) => Math.fround(weight * second + (1 - weight) * first);
  const { detector, refiner, offset } = config.calibration;
  const total = detector * score + refiner * (sound ? values[0] : settings.unsound) + offset;
  return {
    box: own.map((value, index) => mean(value, box[index])),
    score: Math.fround(1 / (1 + Math.exp(-total))),
    points: points.map((point, mark) =>
      point.map((value, axis) => mean(spots[2 + mark][axis], value)),
    ),
  };
}

function move({ box, score, points }, to) {
  const at = (value, index) => Math.fround(to(value, index % 2));
  return { box: box.map(at), score, points: points.map((point) => point.map(at)) };
}
