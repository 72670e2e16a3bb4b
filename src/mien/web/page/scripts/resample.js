/**
 * Resampling as Pillow does it on 8-bit pixels, to the last bit: the networks were measured on
 * pictures that Pillow had scaled, and a canvas scales otherwise.
 *
 * A raster is { width, height, channels, data }: data is a Uint8Array (height, width, channels).
 */

/** Pillow keeps its weights as whole numbers of this fraction. */
const ONE = 2 ** 22;

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** By name: how far a filter reaches, in pixels of the target, and its weight at a distance. */
const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { reach: 2, weight: cubic },
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/**
 * Scales a part of a raster.
 *
 * @param raster The source.
 * @param width Of the result, in pixels.
 * @param height Of the result.
 * @param filter "bilinear", "bicubic" or "lanczos"; all average when they shrink.
 * @param box x1, y1, x2, y2 in pixels of the source, fractions allowed; the whole by default.
 */
export function resize(raster, width, height, filter, box = whole(raster)) {
  const [x1, y1, x2, y2] = box.map(Math.fround);
  let result = raster;
  if (width !== raster.width || x1 !== 0 || x2 !== raster.width) {
    result = alongRows(result, weigh(raster.width, x1, x2, width, FILTERS[filter]));
  }
  if (height !== raster.height || y1 !== 0 || y2 !== raster.height) {
    result = alongColumns(result, weigh(raster.height, y1, y2, height, FILTERS[filter]));
  }
  return result;
}

/** As resize of the whole, but averages blocks first where it shrinks to below 1 / (2 gap). */
export function resizeWithGap(raster, width, height, filter, gap) {
  const across = Math.floor(raster.width / width / gap) || 1;
  const down = Math.floor(raster.height / height / gap) || 1;
  if (across === 1 && down === 1) return resize(raster, width, height, filter);
  const box = [0, 0, raster.width / across, raster.height / down];
  return resize(reduce(raster, across, down), width, height, filter, box);
}

/** Averages blocks of across x down pixels; the last of a row or column may be smaller. */
export function reduce(raster, across, down) {
  const { channels, data } = raster;
  const width = Math.ceil(raster.width / across);
  const height = Math.ceil(raster.height / down);
  const result = new Uint8Array(width * height * channels);
  const sums = new Float64Array(width * channels);
  for (let y = 0; y < height; y++) {
    const bottom = Math.min((y + 1) * down, raster.height);
    sums.fill(0);
    for (let row = y * down; row < bottom; row++) {
      let from = row * raster.width * channels;
      for (let x = 0; x < raster.width; x++) {
        const to = Math.floor(x / across) * channels;
        for (let c = 0; c < channels; c++) sums[to + c] += data[from++];
      }
    }
    for (let x = 0; x < width; x++) {
      const columns = Math.min((x + 1) * across, raster.width) - x * across;
      const count = columns * (bottom - y * down);
      const share = Math.floor(2 ** 24 / count);
      for (let c = 0; c < channels; c++) {
        const sum = sums[x * channels + c] + Math.floor(count / 2);
        result[(y * width + x) * channels + c] = Math.floor((sum * share) / 2 ** 24);
      }
    }
  }
  return { width, height, channels, data: result };
}

const whole = (raster) => [0, 0, raster.width, raster.height];

/** For each target pixel: the first source pixel that counts, and the weights from there on. */
function weigh(length, low, high, target, { reach, weight }) {
  const scale = Math.fround(high - low) / target;
  const wide = Math.max(scale, 1);
  return Array.from({ length: target }, (_, index) => {
    const centre = low + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach * wide + 0.5), 0);
    const last = Math.min(Math.trunc(centre + reach * wide + 0.5), length);
    const weights = [];
    let total = 0;
    for (let at = first; at < last; at++) {
      weights.push(weight((at - centre + 0.5) / wide));
      total += weights[weights.length - 1];
    }
    const shares = weights.map((value) => (total === 0 ? value : value / total) * ONE);
    return { first, weights: shares.map((share) => Math.trunc(share + Math.sign(share) / 2)) };
  });
}

const toByte = (sum) => Math.min(Math.max(Math.floor((sum + ONE / 2) / ONE), 0), 255);

function alongRows({ width, height, channels, data }, columns) {
  const result = new Uint8Array(columns.length * height * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of columns) {
      const from = (y * width + first) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += data[from + k * channels + c] * weights[k];
        result[to++] = toByte(sum);
      }
    }
  }
  return { width: columns.length, height, channels, data: result };
}

function alongColumns({ width, channels, data }, rows) {
  const length = width * channels;
  const result = new Uint8Array(rows.length * length);
  const sums = new Float64Array(length);
  rows.forEach(({ first, weights }, y) => {
    sums.fill(0);
    weights.forEach((share, k) => {
      const from = (first + k) * length;
      for (let x = 0; x < length; x++) sums[x] += data[from + x] * share;
    });
    for (let x = 0; x < length; x++) result[y * length + x] = toByte(sums[x]);
  });
  return { width, height: rows.length, channels, data: result };
}
