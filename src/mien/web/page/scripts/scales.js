/** At which sizes a photo is searched; scales.py does the same. */

/** Returns { width, height, least, most } of each size, the finest first. */
export function planScales(width, height, rules) {
  const longest = Math.max(width, height);
  let factor = Math.min(1, Math.sqrt(rules.max_pixels / (width * height)));
  if (longest < rules.small_side) factor = Math.min(rules.max_zoom, rules.small_side / longest);
  const scales = [];
  for (let least = 0; ; least = rules.min_face, factor *= rules.step) {
    const across = Math.max(1, roundEven(width * factor));
    const down = Math.max(1, roundEven(height * factor));
    const coarser = Math.max(across, down) > rules.coarse_side;
    // A face larger than the overlap may be cut by every tile.
    const most = Math.max(across, down) > rules.tile ? rules.overlap : rules.max_face;
    scales.push({ width: across, height: down, least, most: coarser ? most : Infinity });
    if (!coarser) return scales;
  }
}

/** Returns [begin, end] of the tiles along one side, all of nearly one length. */
export function tiles(length, { tile, overlap }) {
  if (length <= tile) return [[0, length]];
  const count = Math.ceil((length - overlap) / (tile - overlap));
  const step = (length - overlap) / count;
  return Array.from({ length: count }, (_, number) => [
    roundEven(number * step),
    roundEven((number + 1) * step + overlap),
  ]);
}

/** Rounds as Python does: halves go to the even number. */
export function roundEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}
