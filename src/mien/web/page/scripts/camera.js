/** The camera: frame after frame, each read by itself. */

import { PictureError } from "./pictures.js";

const CONSTRAINTS = { video: { width: { ideal: 640 }, facingMode: "user" }, audio: false };

const REASONS = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings of this page.",
  NotFoundError: "There is no camera here.",
  NotReadableError: "The camera is in use by another program.",
};

/**
 * Opens the camera and gives its frames to a function, one at a time, until it is stopped.
 *
 * @param take Async; gets a video element with a frame to draw. The next frame waits for it.
 * @param onEnd Called once, with the error that ended it, if any.
 * @returns A function that stops the camera.
 */
export async function openCamera(take, onEnd) {
  const stream = await ask();
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  video.srcObject = stream;
  let running = true;
  const stop = (error = null) => {
    if (!running) return;
    running = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    onEnd(error);
  };
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    stop(new PictureError("The camera was unplugged or taken away."));
  });
  const step = async () => {
    try {
      if (running && video.videoWidth > 0) await take(video);
      if (running) requestAnimationFrame(step);
    } catch (error) {
      stop(error);
    }
  };
  await video.play();
  step();
  return () => stop();
}

async function ask() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new PictureError("Browsers lend the camera to pages over https only; this one is not.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
  } catch (error) {
    throw new PictureError(REASONS[error.name] ?? `The camera did not open (${error.name}).`);
  }
}
