/** The page itself: buttons, drops and pastes lead to the reader, answers to the screen. */

import { openCamera } from "./camera.js";
import { describe, showCards } from "./cards.js";
import { draw } from "./drawing.js";
import { openEngine } from "./engine.js";
import { PictureError, readFile, toRaster } from "./pictures.js";
import { makeReader } from "./reader.js";
import { seal } from "./sealing.js";

const at = (id) => document.getElementById(id);
const controls = [at("file"), at("camera"), at("example")];
/** Screen readers are told of a camera's answer when it changes, and at most this often. */
const SAY_AFTER_MS = 2000;

let engine;
let read;
let shown = null;
let stopCamera = null;
let said = { text: "", time: 0 };

const enter = (state) => {
  document.documentElement.dataset.state = state;
};

/** Shows what is going on; it is spoken at once, or as seldom as a camera's answers allow. */
function say(text, { spoken = text } = {}) {
  at("status").textContent = text;
  const now = performance.now();
  if (spoken === said.text || (spoken !== text && now - said.time < SAY_AFTER_MS)) return;
  said = { text: spoken, time: now };
  at("spoken").textContent = spoken;
}

function fail(error) {
  const known = error instanceof PictureError;
  at("error").textContent = known ? error.message : `This did not work: ${error.message}`;
  at("error").hidden = false;
  if (!known) console.error(error);
}

function show(image, answer, mirror) {
  shown?.image.close?.();
  shown = { image, answer, mirror };
  at("answer").hidden = false;
  showCards(at("faces"), answer, engine.settings);
  at("json").textContent = JSON.stringify(answer.result, null, 2);
  redraw();
}

function redraw() {
  if (!shown) return;
  const { image, answer, mirror } = shown;
  draw(at("picture"), image, answer.result, { colors: engine.settings.colors, mirror });
  at("picture").setAttribute("aria-label", `The picture. ${describe(answer.result)}`);
}

async function readPicture(file, name) {
  if (document.documentElement.dataset.state !== "ready") return;
  enter("busy");
  at("error").hidden = true;
  at("copied").textContent = "";
  say("Reading…");
  try {
    const { raster, bitmap } = await readFile(file, name, engine.settings);
    // The browser paints the line above before the networks take the thread.
    await new Promise((done) => setTimeout(done));
    const answer = await read(raster, name);
    show(bitmap, answer, false);
    say(describe(answer.result));
    at("found").focus({ preventScroll: true });
    at("answer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say("");
    fail(error);
  }
  enter("ready");
}

async function readFrame(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const frame = await createImageBitmap(video);
  const raster = toRaster(frame, width, height, engine.settings.background);
  const answer = await read(raster, "camera");
  if (!stopCamera) return;
  show(frame, answer, true);
  const text = describe(answer.result);
  // What is seen is what the cards say; what is spoken leaves out the figures that change.
  say(text, { spoken: text.replace(/ ((over|under) )?\d+%/g, "") });
}

async function toggleCamera() {
  if (stopCamera) {
    stopCamera();
    return;
  }
  enter("busy");
  at("error").hidden = true;
  say("Opening the camera…");
  try {
    // Set before the first frame comes: it is shown only while the camera is meant to run.
    let stop = () => {};
    stopCamera = () => stop();
    stop = await openCamera(readFrame, endCamera);
    at("camera").textContent = "Stop the camera";
    at("camera").setAttribute("aria-pressed", "true");
    enter("camera");
  } catch (error) {
    endCamera(error);
  }
}

function endCamera(error) {
  stopCamera = null;
  at("camera").textContent = "Use the camera";
  at("camera").setAttribute("aria-pressed", "false");
  say(error ? "" : "The camera is off.");
  if (error) fail(error);
  enter("ready");
}

/** A picture that comes while the camera runs takes its place. */
function take(file, name) {
  stopCamera?.();
  readPicture(file, name);
}

function listen() {
  at("file").addEventListener("change", () => {
    const [file] = at("file").files;
    if (file) take(file, file.name);
    at("file").value = "";
  });
  at("example").addEventListener("click", () => take(engine.example, "example"));
  at("camera").addEventListener("click", toggleCamera);
  at("copy").addEventListener("click", copyJson);
  window.addEventListener("resize", redraw);
  window.addEventListener("paste", (event) => takeFirst(event.clipboardData));
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  window.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    takeFirst(event.dataTransfer);
  });
}

function takeFirst(transfer) {
  const [file] = transfer?.files ?? [];
  if (file) take(file, file.name);
}

async function copyJson() {
  try {
    await navigator.clipboard.writeText(at("json").textContent);
    at("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(at("json"));
    at("copied").textContent = "Selected: press Ctrl+C or ⌘C.";
  }
}

/** Says what was measured, from the model's own config. */
function explainModel({ settings, model }) {
  const { valid } = model.metrics;
  const rate = (value) => `${(value * 100).toFixed(1)}%`;
  if (valid?.accuracy) {
    const [low, high] = valid.accuracy_ci;
    at("measured").textContent =
      `On ${valid.n.toLocaleString("en")} held-out faces the first word was that of most raters ` +
      `in ${rate(valid.accuracy)} (95% interval ${rate(low)} to ${rate(high)}).`;
  }
  at("made").textContent =
    `Model ${settings.model}, detector ${settings.detector.name}, made with mien ${settings.mien}; ` +
    `run by ONNX Runtime Web ${settings.runtime}, under the MIT licence.`;
}

async function start() {
  try {
    engine = await openEngine();
  } catch (error) {
    say("");
    fail(new PictureError(`The page could not be loaded whole: ${error.message} Load it again.`));
    enter("failed");
    return;
  }
  read = makeReader(engine);
  explainModel(engine);
  at("sealed").textContent = (await seal())
    ? "Checked just now: this browser refuses this page any connection."
    : "This browser did not take that rule: trust the page as far as you trust its host.";
  listen();
  controls.forEach((control) => (control.disabled = false));
  say("Ready.");
  enter("ready");
}

start();
