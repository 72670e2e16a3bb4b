"""How well faces keep their numbers: HOTA, IDF1 and switches, next to those of ByteTrack.

Clips are composed: faces of real portraits move on known paths before a blurred ground, so that it
is known who is where in each frame. One, two, four and eight people in turn cross each other, are
hidden for 0.6 s at a time, and are replaced by others at cuts. The detector searches every frame;
mien's tracker and ByteTrack of ``trackers`` (Roboflow) get the same detections, those below the
detector's threshold included, which both use. Scores are those of ``trackeval``, whose authors
define HOTA; it and ``trackers`` are installed into an environment of their own. mien's tracks are
those that ``read_video`` writes, with detection in every frame and, the default, in every third;
ByteTrack gets every frame. Usage::

    python benchmarks/tracking.py --portraits FOLDER_OR_PARQUET

Portraits are photos with one face each, one person per photo, 20 at least; a Parquet file has them
in a column ``image``. Without them the bundled photo, tinted, stands in: all look alike.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers.environments import make_environment, run
from PIL import Image, ImageDraw, ImageFilter

from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.images import decode, list_images
from mien.video import VideoConfig, VideoRecognizer
from mien.video.lookback import Lookback
from mien.video.reading import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

FPS, WIDTH, HEIGHT = 25, 640, 360
KINDS, CROWDS = ("crossing", "hidden", "cuts"), (1, 2, 4, 8)
PACKAGES = ["trackers==2.6.1", "trackeval==1.3.0"]
#: A face counts as visible while others cover no more than this share of its box.
COVERED = 0.6


@dataclass
class Head:
    """A cut-out of a portrait, RGBA, and the face's box in it."""

    picture: Image.Image
    box: np.ndarray

    def at_height(self, height: float) -> Head:
        scale = height / (self.box[3] - self.box[1])
        size = tuple(max(round(side * scale), 1) for side in self.picture.size)
        return Head(self.picture.resize(size), self.box * scale)


def read_heads(recognizer: EmotionRecognizer, source: Path | None, count: int) -> list[Head]:
    heads = []
    for image_rgb in _photos(source):
        faces = recognizer.predict(image_rgb).faces
        if len(faces) != 1 or faces[0].detection_score < 0.9:
            continue
        x1, y1, x2, y2 = faces[0].box_xyxy
        if y2 - y1 < 80:
            continue
        across, down = 0.35 * (x2 - x1), 0.3 * (y2 - y1)
        photo = Image.fromarray(image_rgb)
        corner = (round(x1 - across), round(y1 - 1.3 * down))
        head = photo.crop((*corner, round(x2 + across), round(y2 + down)))
        mask = Image.new("L", head.size, 0)
        ImageDraw.Draw(mask).ellipse((0, 0, head.width - 1, head.height - 1), fill=255)
        head.putalpha(mask.filter(ImageFilter.GaussianBlur(head.width / 40)))
        heads.append(Head(head, np.array([x1, y1, x2, y2]) - np.tile(corner, 2)))
        if len(heads) == count:
            return heads
    raise SystemExit(f"only {len(heads)} of {count} portraits have one large face")


def _photos(source: Path | None) -> Iterator[np.ndarray]:
    if source is None:
        sample = np.asarray(Image.open(SAMPLE).convert("RGB")).astype(float)
        for tint in np.random.default_rng(0).uniform(0.6, 1.2, (100, 3)):
            yield np.clip(sample * tint, 0, 255).astype(np.uint8)
    elif source.is_dir():
        yield from map(decode, list_images(source))
    else:
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(source).iter_batches(batch_size=16, columns=["image"]):
            for row in batch.to_pylist():
                value = row["image"]
                yield decode(value["bytes"] if isinstance(value, dict) else value)


def compose(
    heads: list[Head], kind: str, count: int, frames: int, seed: int
) -> Iterator[tuple[np.ndarray, list[tuple[int, np.ndarray]]]]:
    """Yields frames with the number and box (4,) of each visible face."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(len(heads))
    scene, cut_every = -1, frames // 3 if kind == "cuts" else frames + 1
    for index in range(frames):
        if index // cut_every != scene:
            scene = index // cut_every
            ground = Image.fromarray(rng.integers(40, 200, (6, 10, 3), dtype=np.uint8))
            ground = ground.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            shown = [int(people[(scene * count + n) % len(people)]) for n in range(count)]
            heights = rng.uniform(56, 90, count)
            speeds, phases = rng.uniform(0.5, 1.1, count), rng.uniform(0, 2 * np.pi, count)
            rows = rng.uniform(90, 270, count)
            sized = [heads[who].at_height(tall) for who, tall in zip(shown, heights, strict=True)]
        frame, placed = ground.copy(), []
        for n, head in enumerate(sized):
            time_s = index / FPS
            # All sway over most of the width, each at its own pace: everybody crosses everybody.
            x = WIDTH / 2 + 0.38 * WIDTH * np.sin(speeds[n] * time_s + phases[n])
            y = rows[n] + 14 * np.sin(1.7 * time_s + phases[n])
            is_hidden = kind == "hidden" and (time_s + phases[n]) % 2.0 < 0.6
            if is_hidden:
                continue
            centre = (head.box[:2] + head.box[2:]) / 2
            corner = np.round(np.array([x, y]) - centre).astype(int)
            frame.paste(head.picture, tuple(corner.tolist()), head.picture)
            placed.append((scene * count + n, head.box + np.tile(corner, 2)))
        yield np.asarray(frame), [item for at, item in enumerate(placed) if _is_seen(at, placed)]


def _is_seen(at: int, placed: list[tuple[int, np.ndarray]]) -> bool:
    """Tells whether the faces that were pasted later leave enough of one."""
    x1, y1, x2, y2 = placed[at][1]
    grid = np.stack(np.meshgrid(np.linspace(x1, x2, 12), np.linspace(y1, y2, 12)), axis=-1)
    covered = np.zeros((12, 12), bool)
    for _, box in placed[at + 1 :]:
        covered |= ((grid >= box[:2]) & (grid <= box[2:])).all(axis=-1)
    inside = (grid >= 0).all(axis=-1) & (grid < (WIDTH, HEIGHT)).all(axis=-1)
    return bool((covered | ~inside).mean() <= COVERED)


def track(recognizer: EmotionRecognizer, frames: list[np.ndarray], every: int) -> list[list[float]]:
    """Returns mien's rows as ``read_video`` has them: frame, number, and the box's corners."""
    video = VideoRecognizer(recognizer, VideoConfig(detect_every=every), fps=FPS)
    lookback, found = Lookback(video, video.delay), []
    for index, image_rgb in enumerate(frames):
        found += lookback.push(Frame(index, index, index / FPS, True, image_rgb))  # noqa: FBT003
    found += lookback.flush()
    return [
        [done.frame.index, item.face.track_id or 0, *item.face.box_xyxy]
        for done in found
        for item in done.tracked_faces
    ]


def detect(recognizer: EmotionRecognizer, frames: list[np.ndarray]) -> list[list[float]]:
    """Returns the detections that mien's tracker gets: frame, score, and the box's corners."""
    video = VideoRecognizer(recognizer, VideoConfig())
    rows = []
    for index, image_rgb in enumerate(frames):
        found = video.recognizer.pipeline.prepare(image_rgb).detections
        pairs = zip(found.scores, found.boxes_xyxy, strict=True)
        rows += [[index, float(score), *map(float, box)] for score, box in pairs]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--environment", type=Path, default=Path(".venv-tracking"))
    parser.add_argument("--sheet", type=Path, help="PNG of a frame of each clip")
    given = parser.parse_args()
    recognizer = EmotionRecognizer()
    heads = read_heads(recognizer, given.portraits, 2 * max(CROWDS) + 4)
    threshold = recognizer.pipeline.detector.min_score
    clips, shots = [], []
    for seed, (kind, count) in enumerate((kind, count) for kind in KINDS for count in CROWDS):
        composed = list(compose(heads, kind, count, round(given.seconds * FPS), seed))
        frames = [image_rgb for image_rgb, _ in composed]
        shots.append(Image.fromarray(frames[len(frames) // 2]))
        truth = [[at, who, *map(float, box)] for at, (_, seen) in enumerate(composed)
                 for who, box in seen]  # fmt: skip
        clips.append({
            "kind": kind, "people": count, "frames": len(frames), "truth": truth,
            "detections": detect(recognizer, frames),
            "tracks": {
                "mien, every frame": track(recognizer, frames, 1),
                "mien, detection in every third": track(recognizer, frames, 3),
            },
        })  # fmt: skip
        print(f"{kind}, {count} people: {len(frames)} frames composed and read", flush=True)
    if given.sheet:
        sheet = Image.new("RGB", (WIDTH * len(CROWDS), HEIGHT * len(KINDS)))
        for at, shot in enumerate(shots):
            sheet.paste(shot, (at % len(CROWDS) * WIDTH, at // len(CROWDS) * HEIGHT))
        sheet.save(given.sheet)
    python = make_environment(given.environment, PACKAGES)
    with tempfile.TemporaryDirectory(prefix="mien-tracking-") as folder:
        path = Path(folder) / "clips.json"
        path.write_text(json.dumps({"threshold": threshold, "fps": FPS, "clips": clips}))
        program = Path(__file__).with_name("tracking_scores.py")
        print(run([str(python), str(program), str(path)]))


if __name__ == "__main__":
    main()
