"""Clips made for the tests: people who walk, sound, crooked times, phones held sideways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mien.cli.sources import SAMPLE
from mien.detectors import Detections, Detector, Framing
from support.faces import draw_face

TICKS = 90_000


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float = 25.0,
    times_s: Sequence[float] | None = None,
    sound: str | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
) -> Path:
    """Writes a clip; ``times_s`` gives each frame its time, ``sound`` is the codec of a tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=round(fps), options={"crf": "18"})
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        voice = container.add_stream(sound, rate=16000) if sound else None
        end = 0.0
        for index, image_rgb in enumerate(frames):
            if index == 0:
                stream.height, stream.width = image_rgb.shape[:2]
            end = index / fps if times_s is None else times_s[index]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_rgb), format="rgb24")
            frame.pts, frame.time_base = round(end * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            assert isinstance(voice, av.AudioStream)
            tone = np.sin(np.arange(round((end + 1 / fps) * 16000)) / 6).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                block = av.AudioFrame.from_ndarray(
                    tone[None, start : start + 1024] / 4, format="fltp", layout="mono"
                )
                block.sample_rate, block.pts = 16000, start
                container.mux(voice.encode(block))
            container.mux(voice.encode(None))
    return path


def turn_sideways(path: Path) -> None:
    """Says in an MP4 file's header that it is to be shown a quarter turned clockwise."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    matrix = at + (52 if data[at] else 40)  # version 1 has three longer times
    one = 0x10000
    values = (0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(bytes(data))


def sample_face(size: int, *, tint: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    """Returns the face of the bundled photo with some surroundings, uint8 (size, size, 3)."""
    with Image.open(SAMPLE) as photo:
        face = photo.convert("RGB").crop((150, 30, 310, 190)).resize((size, size))
    tinted: np.ndarray = np.clip(np.asarray(face) * np.array(tint), 0, 255).astype(np.uint8)
    return tinted


def drawn_face(label: str, size: int, seed: int = 0) -> np.ndarray:
    """Returns a drawn face, uint8 (size, size, 3)."""
    return np.asarray(draw_face(label, seed, size).convert("RGB"))


def crossing(count: int, *, size: tuple[int, int] = (320, 180)) -> Iterable[np.ndarray]:
    """Yields frames in which two drawn faces walk past each other; the dark one is in front."""
    width, height = size
    red = (drawn_face("happiness", 48, 1) * np.array((1.0, 0.35, 0.35))).astype(np.uint8)
    blue = (drawn_face("sadness", 48, 2) * np.array((0.3, 0.4, 1.0))).astype(np.uint8)
    for index in range(count):
        frame = np.full((height, width, 3), 20, np.uint8)
        step = round(index / max(count - 1, 1) * (width - 68))
        frame[60:108, 10 + step : 58 + step] = red
        frame[66:114, width - 58 - step : width - 10 - step] = blue
        yield frame


class ColorFaces(Detector):
    """A detector with known answers: what is red or blue enough is a face."""

    name = "colours"
    framing = Framing()

    def detect(
        self, image_rgb: np.ndarray, *, min_face: float = 20.0, max_faces: int | None = None
    ) -> Detections:
        pixels = image_rgb.astype(int)
        boxes = []
        for mine, other in ((0, 2), (2, 0)):
            rows, columns = np.nonzero(pixels[..., mine] - pixels[..., other] > 30)
            if len(rows) < 300:
                continue
            x1, y1 = np.percentile(columns, 2), np.percentile(rows, 2)
            x2, y2 = np.percentile(columns, 98), np.percentile(rows, 98)
            if x2 - x1 > 14 and y2 - y1 > 14:
                boxes.append([x1, y1, x2, y2])
        found = Detections(np.reshape(boxes, (-1, 4)), np.full(len(boxes), 0.9))
        return found.keep(min_face=min_face, max_faces=max_faces)
