// The service from JavaScript (Node 18 or newer, no packages). Start it first: mien serve
// Usage: node examples/service/predict.mjs [PHOTO]
import { readFile } from "node:fs/promises";

const url = process.env.MIEN_URL ?? "http://127.0.0.1:8000";
const photo = process.argv[2] ?? "src/mien/assets/sample/astronaut.jpg";
const headers = process.env.MIEN_KEY ? { authorization: `Bearer ${process.env.MIEN_KEY}` } : {};

const form = new FormData();
form.append("images", new Blob([await readFile(photo)]), "photo.jpg");

let answer;
for (let attempt = 0; attempt < 5; attempt += 1) {
  answer = await fetch(`${url}/v1/predict`, { method: "POST", body: form, headers });
  if (answer.status !== 503 && answer.status !== 429) break;
  const seconds = Number(answer.headers.get("retry-after") ?? 1);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
const content = await answer.json();
if (!answer.ok) throw new Error(`${answer.status}: ${content.detail}`);
for (const face of content.results[0].faces) {
  console.log(face.emotion, face.confidence.toFixed(2), face.box_xyxy.map(Math.round).join(" "));
}
