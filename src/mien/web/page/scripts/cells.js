/**
 * From the numbers of the detector's cells to candidates.
 *
 * A cell of stride s and centre c holds a score logit, (dx, dy) and (lw, lh) for a box with centre
 * c + s (dx, dy) and size s exp(lw, lh), and five points c + s (px, py): fifteen numbers.
 */

const NUMBERS = 15;
const POINTS = 5;

/**
 * @param cells Float32Array (A, 15), the cells of the smallest stride by rows, then the next.
 * @param width Of the network's input, in pixels.
 * @param height Of the network's input.
 * @param minScore Lowest score to keep, 0..1.
 * @param settings { strides, max_cells, max_log_size }.
 * @returns Candidates in pixels of the input, the most confident first.
 */
export function decodeCells(cells, width, height, minScore, settings) {
  const least = Math.log(minScore / (1 - minScore));
  const chosen = [];
  let cell = 0;
  for (const stride of settings.strides) {
    const columns = Math.floor(width / stride);
    const count = columns * Math.floor(height / stride);
    for (let place = 0; place < count; place++, cell++) {
      if (cells[cell * NUMBERS] < least) continue;
      const x = ((place % columns) + 0.5) * stride;
      const y = (Math.floor(place / columns) + 0.5) * stride;
      chosen.push({ x, y, stride, values: cells.subarray(cell * NUMBERS, (cell + 1) * NUMBERS) });
    }
  }
  if (cell * NUMBERS !== cells.length) {
    throw new Error(`The detector answered for ${cells.length / NUMBERS} cells, not ${cell}.`);
  }
  chosen.sort((a, b) => b.values[0] - a.values[0]);
  return chosen.slice(0, settings.max_cells).map((one) => toCandidate(one, settings.max_log_size));
}

function toCandidate({ x, y, stride, values }, limit) {
  const size = (value) => Math.exp(Math.min(Math.max(value, -limit), limit)) * stride;
  const [cx, cy] = [x + values[1] * stride, y + values[2] * stride];
  const [right, down] = [size(values[3]) / 2, size(values[4]) / 2];
  const points = Array.from({ length: POINTS }, (_, mark) => [
    x + values[5 + 2 * mark] * stride,
    y + values[6 + 2 * mark] * stride,
  ]);
  const score = Math.fround(1 / (1 + Math.exp(-values[0])));
  return { box: [cx - right, cy - down, cx + right, cy + down], score, points };
}
