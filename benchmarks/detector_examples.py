"""Draws what the bundled detector finds and misses when one photo is made harder step by step.

The photo is the one in the package, so that anybody may show the result. Usage:
``python benchmarks/detector_examples.py docs/images/detector_examples.png --detector mien``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mien.atomic import replacing
from mien.detectors import Detector, get_detector
from mien.images import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).parents[1] / "src/mien/assets/sample/astronaut.jpg"
#: Side of a tile and height of its caption, in pixels.
TILE, CAPTION = 200, 18
#: Middle and size (square root of width times height) of the face in the photo, in pixels.
MIDDLE, FACE = (224, 118), 96


def variant_of(photo: Image.Image, *, face: float = 64, turn: float = 0.0) -> Image.Image:
    """Returns a tile with the face in its middle, ``face`` pixels large, turned by degrees."""
    scale = face / FACE
    wide = photo.resize(
        (round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS
    )
    x, y = MIDDLE[0] * scale, MIDDLE[1] * scale
    # The photo is repeated beyond its border, so that small faces stand in something busy.
    around = np.pad(np.asarray(wide), ((TILE, TILE), (TILE, TILE), (0, 0)), mode="symmetric")
    left, top = round(x + TILE - TILE), round(y + TILE - TILE)
    window = Image.fromarray(around[top : top + 2 * TILE, left : left + 2 * TILE])
    turned = window.rotate(turn, Image.Resampling.BICUBIC)
    edge = TILE // 2
    return turned.crop((edge, edge, edge + TILE, edge + TILE))


def gain(tile: Image.Image, factor: float) -> Image.Image:
    """Multiplies all values."""
    return tile.point([min(round(value * factor), 255) for value in range(256)] * 3)


def noisy(tile: Image.Image, strength: float) -> Image.Image:
    """Adds Gaussian noise of so many levels."""
    noise = np.random.default_rng(0).normal(0, strength, (TILE, TILE, 3))
    return Image.fromarray(np.clip(np.asarray(tile) + noise, 0, 255).astype(np.uint8))


def covered(tile: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """Covers a part of the face; corners in shares of the face's size from its middle."""
    pen = ImageDraw.Draw(tile)
    pen.rectangle(tuple(TILE / 2 + 64 * value for value in box), fill=(60, 60, 70))
    return tile


def tiles(photo: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Yields caption and picture, row by row."""
    for face in (10, 14, 20, 28, 48, 120):
        yield f"face of {face} px", variant_of(photo, face=face)
    for turn in (15, 30, 45, 60, 90, 180):
        yield f"turned {turn} degrees", variant_of(photo, turn=turn)
    for factor in (0.5, 0.25, 0.1, 2.0, 4.0):
        yield f"light times {factor:g}", gain(variant_of(photo), factor)
    yield "gray", variant_of(photo).convert("L").convert("RGB")
    for radius in (2, 4, 6):
        yield f"blur, radius {radius}", variant_of(photo).filter(ImageFilter.GaussianBlur(radius))
    for strength in (20, 50, 90):
        yield f"noise of {strength} levels", noisy(variant_of(photo), strength)
    yield "eyes covered", covered(variant_of(photo), (-0.6, -0.3, 0.6, 0.0))
    yield "mouth covered", covered(variant_of(photo), (-0.6, 0.15, 0.6, 0.7))
    yield "left half covered", covered(variant_of(photo), (-0.7, -0.8, 0.0, 0.8))
    for share in (0.25, 0.5, 0.75):
        half = round(TILE / 2 - 32 + 64 * share)
        cut = Image.new("RGB", (TILE, TILE))
        cut.paste(variant_of(photo).crop((half, 0, TILE, TILE)), (0, 0))
        yield f"cut by {share:.0%}", cut


def draw(detector: Detector, photo: Image.Image, columns: int = 6) -> Image.Image:
    """Returns the sheet: green where a face was found, a red caption where none was."""
    items = list(tiles(photo))
    rows = -(-len(items) // columns)
    sheet = Image.new("RGB", (columns * (TILE + 4), rows * (TILE + CAPTION + 4)), "white")
    for index, (caption, tile) in enumerate(items):
        found = detector.detect(np.asarray(tile), min_face=8)
        pen = ImageDraw.Draw(tile)
        points = found.landmarks if found.landmarks is not None else np.zeros((len(found), 0, 2))
        for box, face_points in zip(found.boxes_xyxy, points, strict=True):
            pen.rectangle(tuple(float(value) for value in box), outline=(40, 230, 90), width=2)
            for x, y in face_points:
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(0, 200, 255), outline=(0, 0, 0))
        x = index % columns * (TILE + 4)
        y = index // columns * (TILE + CAPTION + 4)
        sheet.paste(tile, (x, y))
        words = f"{caption}: " + (f"{found.scores.max():.2f}" if len(found) else "not found")
        ink = (0, 0, 0) if len(found) else (190, 0, 0)
        ImageDraw.Draw(sheet).text((x + 3, y + TILE + 2), words, fill=ink, font_size=13)
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--detector", default="mien")
    arguments = parser.parse_args()
    sheet = draw(get_detector(arguments.detector, threads=1), Image.fromarray(decode(SAMPLE)))
    with replacing(arguments.output) as temporary:
        sheet.quantize(128).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    main()
