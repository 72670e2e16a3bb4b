/** Pictures in: a file, or a frame of the camera, becomes a raster and something to show. */

/** What a visitor can mend; its message is shown as it stands. */
export class PictureError extends Error {}

/**
 * Reads an image file: upright, no colour profile applied, transparent parts over mid grey.
 *
 * @param file A Blob.
 * @param name For messages.
 * @param settings mien.json.
 * @returns { raster, bitmap }
 */
export async function readFile(file, name, { limits, background }) {
  if (file.size === 0) throw new PictureError(`${name} is empty: there is no picture in it.`);
  if (file.size > limits.max_bytes) {
    const most = Math.floor(limits.max_bytes / 1e6);
    throw new PictureError(`${name} is over ${most} MB. Save it smaller and try again.`);
  }
  const bitmap = await decode(file, name);
  const { width, height } = bitmap;
  if (width * height > limits.max_pixels || Math.max(width, height) > limits.max_side) {
    throw new PictureError(`${name} has ${width} × ${height} pixels, too many. Make it smaller.`);
  }
  try {
    return { raster: toRaster(bitmap, width, height, background), bitmap };
  } catch (error) {
    if (error instanceof PictureError) throw error;
    throw new PictureError(`${name} is too large for this browser. Make it smaller.`);
  }
}

async function decode(file, name) {
  try {
    // Browsers turn it upright unless told otherwise.
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    if (await isHeic(file)) {
      throw new PictureError(
        `${name} is a HEIC photo, which this browser cannot read; Safari can. Save it as JPEG, or ` +
          "let the phone take JPEG: Settings, Camera, Formats, Most Compatible.",
      );
    }
    throw new PictureError(
      `${name} is no picture that this browser can read. Try a JPEG, PNG or WebP file.`,
    );
  }
}

/** Tells whether a file begins as the photos of an iPhone do. */
async function isHeic(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(4, 12).arrayBuffer());
  return /^ftyp(hei[cxms]|hev[cx]|mif1|msf1)$/.test(head);
}

/**
 * Returns the pixels of anything that a canvas can draw.
 *
 * @param background Grey level behind transparent parts.
 */
export function toRaster(image, width, height, background) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  checkPixels(pen, background);
  pen.fillStyle = `rgb(${background} ${background} ${background})`;
  pen.fillRect(0, 0, width, height);
  pen.drawImage(image, 0, 0, width, height);
  const rgba = pen.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    data[to++] = rgba[from];
    data[to++] = rgba[from + 1];
    data[to++] = rgba[from + 2];
  }
  return { width, height, channels: 3, data };
}

/** Some browsers give pages noise instead of pixels, against fingerprinting. */
function checkPixels(pen, level) {
  pen.fillStyle = `rgb(${level} ${level} ${level})`;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  if (Math.max(...[red, green, blue].map((value) => Math.abs(value - level))) > 4) {
    throw new PictureError(
      "This browser hides pixels from pages, against fingerprinting. Allow this page to read " +
        "its canvas, and try again.",
    );
  }
}
