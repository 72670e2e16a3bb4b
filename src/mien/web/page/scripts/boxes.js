/**
 * Boxes and what they share: non-maximum suppression, and the square that the model expects.
 *
 * A candidate is { box: [x1, y1, x2, y2], score, points: [[x, y] five times] }, in pixels.
 */

export const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

export const longerSide = ([x1, y1, x2, y2]) => Math.max(x2 - x1, y2 - y1);

function shared(a, b) {
  const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return Math.max(across, 0) * Math.max(down, 0);
}

/**
 * Keeps the candidates that overlap no more confident one.
 *
 * @param candidates The most confident first.
 * @param iou Overlap above which the less confident one goes.
 * @param inside Share of the smaller one in the other above which it goes too.
 */
export function suppress(candidates, iou, inside = 1) {
  const kept = [];
  for (const { box, ...rest } of candidates) {
    const hidden = kept.some((other) => {
      const both = shared(other.box, box);
      const [one, two] = [area(other.box), area(box)];
      return both > iou * (one + two - both) || (inside < 1 && both > inside * Math.min(one, two));
    });
    if (!hidden) kept.push({ box, ...rest });
  }
  return kept;
}

/** Whether the centre of a box lies in a picture. */
export function hasCentreIn([x1, y1, x2, y2], { width, height }) {
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return x > 0 && x < width && y > 0 && y < height;
}

/** Returns the square around a box's centre whose side is a multiple of the box's own. */
export const squareOf = (box, factor) =>
  cropBox(box, { scale: factor, shift_x: 0, shift_y: 0, side: "sqrt" }, 1);

/**
 * Returns the square to cut out for a face; it may reach past the border.
 *
 * @param box From the detector.
 * @param framing { scale, shift_x, shift_y, side } of the detector.
 * @param margin Factor on the side, of the model.
 */
export function cropBox([x1, y1, x2, y2], framing, margin) {
  const [width, height] = [x2 - x1, y2 - y1];
  const own = framing.side === "max" ? Math.max(width, height) : Math.sqrt(width * height);
  const side = framing.scale * own;
  const x = (x1 + x2) / 2 + side * framing.shift_x;
  const y = (y1 + y2) / 2 + side * framing.shift_y;
  const half = (side * margin) / 2;
  return [x - half, y - half, x + half, y + half];
}
