/** From a picture and a square in it to the model's input. */

import { resize } from "./resample.js";

/**
 * Cuts a face out and scales it; border pixels are repeated where the box reaches beyond.
 *
 * @param raster Three channels.
 * @param box x1, y1, x2, y2 in pixels.
 * @param preprocessing Of the model's config.json.
 * @returns A raster of the model's size and channels.
 */
export function cropFace(raster, [x1, y1, x2, y2], { size, color, interpolation }) {
  // One pixel more than needed on each side, so that interpolation sees its neighbours.
  const left = Math.max(Math.floor(x1) - 1, 0);
  const top = Math.max(Math.floor(y1) - 1, 0);
  const right = Math.min(Math.ceil(x2) + 1, raster.width);
  const bottom = Math.min(Math.ceil(y2) + 1, raster.height);
  const first = [Math.min(left, Math.floor(x1)), Math.min(top, Math.floor(y1))];
  const last = [Math.max(right, Math.ceil(x2)), Math.max(bottom, Math.ceil(y2))];
  const region = cutOut(raster, first, last);
  const box = [x1 - first[0], y1 - first[1], x2 - first[0], y2 - first[1]];
  return resize(color === "gray" ? toGray(region) : region, size, size, interpolation, box);
}

/** Returns the pixels from first to last (x, y), with those of the border beyond it. */
function cutOut(raster, first, last) {
  const { channels } = raster;
  const [width, height] = [last[0] - first[0], last[1] - first[1]];
  const data = new Uint8Array(width * height * channels);
  let to = 0;
  for (let y = first[1]; y < last[1]; y++) {
    const row = Math.min(Math.max(y, 0), raster.height - 1) * raster.width;
    for (let x = first[0]; x < last[0]; x++) {
      const from = (row + Math.min(Math.max(x, 0), raster.width - 1)) * channels;
      for (let c = 0; c < channels; c++) data[to++] = raster.data[from + c];
    }
  }
  return { width, height, channels, data };
}

/** ITU-R 601 luma in the whole numbers that Pillow takes: 0.299, 0.587, 0.114 of 65536. */
export function toGray({ width, height, data }) {
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++) {
    gray[i] = (19595 * data[3 * i] + 38470 * data[3 * i + 1] + 7471 * data[3 * i + 2] + 32768) >> 16;
  }
  return { width, height, channels: 1, data: gray };
}

/**
 * Turns crops into a batch.
 *
 * @param crops N rasters of the model's size.
 * @param preprocessing Of the model's config.json.
 * @returns Float32Array (N, C, S, S).
 */
export function normalize(crops, preprocessing) {
  const { size } = preprocessing;
  const channels = preprocessing.color === "gray" ? 1 : 3;
  const plane = size * size;
  const batch = new Float32Array(crops.length * channels * plane);
  crops.forEach(({ data }, n) => {
    const [shift, scale] = shiftAndScale(data, channels, preprocessing);
    for (let c = 0; c < channels; c++) {
      const to = (n * channels + c) * plane;
      for (let i = 0; i < plane; i++) {
        batch[to + i] = (data[i * channels + c] - shift[c]) * scale[c];
      }
    }
  });
  return batch;
}

function shiftAndScale(data, channels, { normalization, epsilon, mean, std }) {
  if (normalization === "fixed") {
    return [mean.map((value) => value * 255), std.map((value) => 1 / (255 * value))];
  }
  const middle = data.reduce((sum, value) => sum + value, 0) / data.length;
  const spread = data.reduce((sum, value) => sum + (value - middle) ** 2, 0) / data.length;
  const all = (value) => new Array(channels).fill(value);
  return [all(middle), all(1 / (Math.sqrt(spread) + epsilon))];
}
