/**
 * Boxes and what they share: non-maximum suppression, voting and the square that the model expects.
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

/** Whether two boxes overlap by at least a share of what they cover together. */
function agree(a, b, iou) {
  const both = shared(a, b);
  return both >= iou * (area(a) + area(b) - both);
}

/**
 * Keeps the candidates that do not overlap a surer one.
 *
 * @param candidates The most confident first.
 * @param iou Overlap above which the less sure one goes.
 */
export function suppress(candidates, iou) {
  const kept = [];
  for (const { box, ...rest } of candidates) {
    const hidden = kept.some((other) => {
      const both = shared(other.box, box);
      return both > iou * (area(other.box) + area(box) - both);
    });
    if (!hidden) kept.push({ box, ...rest });
  }
  return kept;
}

/**
 * Returns a candidate with the mean box and points, weighted by score, of all that agree with it.
 *
 * @param best A candidate that suppression has kept.
 * @param candidates All of them, also those below the threshold.
 * @param vote { iou, share }: overlap, and score as a share of the best one's, to have a say.
 */
export function takeVote(best, candidates, { iou, share }) {
  const voters = candidates.filter(
    ({ box, score }) => score >= share * best.score && agree(best.box, box, iou),
  );
  const total = voters.reduce((sum, voter) => sum + voter.score, 0);
  const mean = (read) =>
    Math.fround(voters.reduce((sum, voter) => sum + (voter.score / total) * read(voter), 0));
  return {
    box: best.box.map((_, side) => mean((voter) => voter.box[side])),
    score: best.score,
    points: best.points.map((point, mark) =>
      point.map((_, axis) => mean((voter) => voter.points[mark][axis])),
    ),
  };
}

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
