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
 * @param minLogit Lowest score logit to keep.
 * @param settings { strides, max_cells, max_log_size }.
 * @returns Candidates in pixels of the input, the most confident first; their scores are logits.
 */
export function decodeCells(cells, width, height, minLogit, settings) {
  const total = cells.length / NUMBERS;
  const chosen = [];
  let cell = 0;
  for (const stride of settings.strides) {
    const columns = Math.floor(width / stride);
    const count = columns * Math.floor(height / stride);
    for (let index = 0; index < count; index++, cell++) {
      const score = cells[cell * NUMBERS];
      if (score < minLogit) continue;
      const x = ((index % columns) + 0.5) * stride;
      const y = (Math.floor(index / columns) + 0.5) * stride;
      chosen.push({ x, y, stride, score, cell });
    }
  }
  if (cell !== total) {
    throw new Error(`The detector answered for ${total} cells, not ${cell}.`);
  }
  chosen.sort((a, b) => b.score - a.score);
  const kept = chosen.slice(0, settings.max_cells);
  return kept.map((one) => toCandidate(one, cells, settings.max_log_size));
}

function toCandidate({ x, y, stride, score, cell }, cells, limit) {
  const value = (number) => cells[cell * NUMBERS + number];
  const size = (number) => Math.exp(Math.min(Math.max(value(number), -limit), limit)) * stride;
  const [cx, cy] = [x + value(1) * stride, y + value(2) * stride];
  const [right, down] = [size(3) / 2, size(4) / 2];
  const points = Array.from({ length: POINTS }, (_, mark) => [
    x + value(5 + 2 * mark) * stride,
    y + value(6 + 2 * mark) * stride,
  ]);
  return { box: [cx - right, cy - down, cx + right, cy + down], score, points };
}
