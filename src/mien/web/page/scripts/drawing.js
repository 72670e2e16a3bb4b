/** Draws a picture with the boxes and labels of its faces onto a canvas. */

const LETTERS = 15;
const PAD = 4;
/** Distance of a label to other boxes, as a share of its height, so that its owner is clear. */
const OWNER_GAP = 0.4;
/** Small pictures are enlarged at most this much; large ones leave room for what is below. */
const MAX_ZOOM = 2;
const MAX_HEIGHT = 0.75;

/**
 * @param canvas Its size is set to what is shown, so that lines and letters stay sharp.
 * @param image What a canvas can draw.
 * @param result The answer; its boxes are in pixels of the image.
 * @param options colors: by label { paint, ink }; mirror: as in a looking glass.
 */
export function draw(canvas, image, result, { colors, mirror = false }) {
  const fit = Math.min(
    canvas.parentElement.clientWidth / result.width,
    (window.innerHeight * MAX_HEIGHT) / result.height,
    MAX_ZOOM,
  );
  const dots = window.devicePixelRatio || 1;
  const [width, height] = [result.width * fit, result.height * fit];
  canvas.width = Math.max(1, Math.round(width * dots));
  canvas.height = Math.max(1, Math.round(height * dots));
  canvas.style.width = `${width}px`;
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  drawImage(pen, image, width, height, mirror);
  const boxes = result.faces.map(({ box_xyxy: box }) => toShown(box, fit, width, mirror));
  result.faces.forEach((face, index) => drawBox(pen, boxes[index], colors[face.emotion]));
  const taken = [...boxes];
  result.faces.forEach((face, index) => {
    const others = taken.filter((box) => box !== boxes[index]);
    const room = drawLabel(pen, face, index, {
      box: boxes[index],
      others,
      size: [width, height],
      color: colors[face.emotion],
    });
    if (room) taken.push(room);
  });
}

const grow = ([x1, y1, x2, y2], by) => [x1 - by, y1 - by, x2 + by, y2 + by];

function drawImage(pen, image, width, height, mirror) {
  pen.save();
  if (mirror) {
    pen.translate(width, 0);
    pen.scale(-1, 1);
  }
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, width, height);
  pen.restore();
}

function toShown(box, fit, width, mirror) {
  const [x1, y1, x2, y2] = box.map((value) => value * fit);
  return mirror ? [width - x2, y1, width - x1, y2] : [x1, y1, x2, y2];
}

function drawBox(pen, [x1, y1, x2, y2], { paint, ink }) {
  // A thin edge of the opposite lightness keeps the line visible on any background.
  for (const [color, line] of [[ink, 5], [paint, 3]]) {
    pen.strokeStyle = color;
    pen.lineWidth = line;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

/** Draws a label where there is room, else the number alone, above the box; returns its room. */
function drawLabel(pen, face, index, { box, others, size, color }) {
  pen.font = `600 ${LETTERS}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  const name = `${index + 1} ${face.emotion}${face.uncertain ? "?" : ""}`;
  for (const text of [`${name} ${percent(face.confidence)}`, name, `${index + 1}`]) {
    const extent = [pen.measureText(text).width + 2 * PAD, LETTERS + 2 * PAD];
    const free = findRoom(box, extent, others, size);
    if (!free && text !== `${index + 1}`) continue;
    // Every box has its number, so that its card can be found.
    const [x, y] = [Math.max(box[0], 0), Math.max(box[1] - extent[1], 0)];
    const room = free ?? [x, y, x + extent[0], y + extent[1]];
    pen.fillStyle = color.paint;
    pen.fillRect(room[0], room[1], ...extent);
    pen.fillStyle = color.ink;
    pen.fillText(text, room[0] + PAD, room[1] + extent[1] / 2);
    return room;
  }
  return null;
}

/** Above the box, else below, else inside at the top; never on another label or face. */
function findRoom(box, [width, height], others, size) {
  const x = Math.max(Math.min(box[0], size[0] - width), 0);
  const inside = height < (box[3] - box[1]) / 3 ? [Math.max(box[1], 0)] : [];
  for (const y of [box[1] - height, box[3], ...inside]) {
    const room = [x, y, x + width, y + height];
    if (y < 0 || room[2] > size[0] || room[3] > size[1]) continue;
    const gap = y === inside[0] && room[2] <= box[2] ? 0 : OWNER_GAP * height;
    if (!others.some((other) => meet(other, grow(room, gap)))) return room;
  }
  return null;
}

const meet = (a, b) => a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];

/** Returns a probability as people read it; wording.py does the same. */
export function percent(share) {
  if (share >= 0.995) return "over 99%";
  return share > 0 && share < 0.01 ? "under 1%" : `${Math.round(share * 100)}%`;
}

/** Draws a raster onto a canvas of its size: what the model saw of a face. */
export function drawRaster(canvas, { width, height, channels, data }) {
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      pixels.data[4 * i + c] = data[i * channels + (channels === 3 ? c : 0)];
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
