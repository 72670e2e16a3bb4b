"""Draws docs/images/clip.webp, the moving picture of the README, with mien itself.

Usage: ``python scripts/moving_picture.py``, with the video extra. A camera pans over the photo in
the package (an astronaut, photographed by NASA), twice in one frame, near and far; the light
changes on the way.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageEnhance

from mien.cli import main as run_mien

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "src/mien/assets/sample/astronaut.jpg"
TARGET = ROOT / "docs/images/clip.webp"
WIDTH, HEIGHT, FPS, FRAMES = 560, 315, 12, 48


def frame(whole: Image.Image, at: float) -> Image.Image:
    """Composes one frame, at 0..1 of the clip."""
    turn = 2 * math.pi * at
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    for side, phase in ((0, 0.0), (1, math.pi)):
        zoom = 1.15 + 0.35 * math.sin(turn + phase)
        view_w, view_h = (WIDTH / 2) / zoom, HEIGHT / zoom
        x = 225 + 18 * math.cos(turn + phase) - view_w / 2
        y = 125 + 10 * math.sin(2 * turn + phase) - view_h * 0.42
        x, y = max(0.0, x), max(0.0, y)
        part = whole.transform(
            (WIDTH // 2, HEIGHT), Image.Transform.EXTENT, (x, y, x + view_w, y + view_h),
            Image.Resampling.BICUBIC,
        )  # fmt: skip
        if side:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        light = 1 + 0.25 * math.sin(turn + phase)
        canvas.paste(ImageEnhance.Brightness(part).enhance(light), (side * WIDTH // 2, 0))
    return canvas


def write_clip(path: Path) -> None:
    """Writes the frames as a clip."""
    whole = Image.open(SAMPLE).convert("RGB")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT // 2 * 2, "yuv420p"
        for number in range(FRAMES):
            pixels = np.asarray(frame(whole, number / FRAMES))[: HEIGHT // 2 * 2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def main() -> None:
    """Makes the clip, has it read, and keeps the annotated copy as WebP."""
    with tempfile.TemporaryDirectory() as folder:
        clip, copy = Path(folder, "clip.mp4"), Path(folder, "copy.mp4")
        write_clip(clip)
        try:
            run_mien(["predict", str(clip), "-o", str(copy), "--detect-every", "1", "-q"])
        except SystemExit as ended:
            if ended.code:
                raise
        with av.open(str(copy)) as container:
            frames = [one.to_image() for one in container.decode(video=0)]
    frames[0].save(
        TARGET, save_all=True, append_images=frames[1:], duration=round(1000 / FPS), loop=0,
        quality=55, method=6,
    )  # fmt: skip
    print(f"{TARGET}: {len(frames)} frames, {TARGET.stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
