/** Loads the settings, the networks and ONNX Runtime, all from the folder of the page. */

const page = (path) => new URL(`../${path}`, import.meta.url);

async function load(path) {
  const response = await fetch(page(path));
  if (!response.ok) throw new Error(`${path} did not load (${response.status}).`);
  return response;
}

const loadJson = async (path) => (await load(path)).json();

/** Loads a file and checks that it is the one meant, where the browser can. */
async function loadBytes(path, sha256) {
  const bytes = new Uint8Array(await (await load(path)).arrayBuffer());
  // Over plain http browsers give no digests, except from this machine itself.
  if (globalThis.crypto?.subtle && sha256) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) throw new Error(`${path} was damaged on its way.`);
  }
  return bytes;
}

/**
 * Loads all that the page needs, once.
 *
 * @returns settings (mien.json), detector (detector.json), model (the block "mien" of config.json),
 *     example (Blob), and runDetector, runRefiner, runLandmarks and runModel: a Float32Array (runDetector: a
 *     Uint8Array) and its shape to a Float32Array.
 */
export async function openEngine() {
  const settings = await loadJson("mien.json");
  const { detector: searcher, model, runtime, example } = settings.files;
  const bytes = ({ path, sha256 }) => loadBytes(path, sha256);
  const [detectorConfig, config, sample, binary, ...rest] = await Promise.all([
    loadJson(searcher.config),
    loadJson(model.config),
    load(example).then((response) => response.blob()),
    bytes(runtime.binary),
    bytes(searcher.network),
    bytes(searcher.refiner),
    bytes(searcher.landmarks),
    bytes(model.network),
    import(page(runtime.module.path)),
  ]);
  const [detector, refiner, marker, reader, ort] = rest;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = binary;
  // More threads need workers, which the page's own rules would not bind, and headers that plain
  // hosts do not send.
  ort.env.wasm.numThreads = 1;
  const open = (network) => ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
  return {
    settings,
    detector: detectorConfig,
    model: config.mien,
    example: sample,
    runDetector: runner(ort, await open(detector)),
    runRefiner: runner(ort, await open(refiner)),
    runLandmarks: runner(ort, await open(marker)),
    runModel: runner(ort, await open(reader), "logits"),
  };
}

/** Returns a function that runs a network and gives one of its outputs, the first by default. */
function runner(ort, session, output = session.outputNames[0]) {
  return async (input, shape) => {
    const type = input instanceof Uint8Array ? "uint8" : "float32";
    const feeds = { [session.inputNames[0]]: new ort.Tensor(type, input, shape) };
    const results = await session.run(feeds, [output]);
    const values = results[output].data.slice();
    for (const tensor of Object.values(results)) tensor.dispose();
    return values;
  };
}
