"""Maps painted onto the picture that they explain, and sheets of small pictures with captions."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.errors import InputError
from mien.explanation.layers import feature_maps, first_filters
from mien.preprocess import Preprocessing, crop_faces
from mien.results.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F64, U8, Floats
    from mien.explanation.image import ReadImage
    from mien.hub import ModelFolder
    from mien.recognizer import EmotionRecognizer

__all__ = ["MAX_ROWS", "feature_sheet", "filter_sheet", "grey_tiles", "label_panels", "sheet"]

_PAPER, _INK, _GAP = (255, 255, 255), (40, 40, 40), 8
#: Colours from nothing to the maximum; what is low is also nearly transparent.
_STOPS = ((64, 16, 110), (150, 30, 110), (221, 75, 64), (250, 150, 30), (253, 231, 90))
_STRONGEST = 0.72
#: Strength of the map of a label that is next to impossible: so faint that it is just seen.
_FAINTEST = 0.1
#: Side of the coloured map before it is scaled to the face: more shows nothing more.
_SIDE = 192
#: Faces of one photo that get a row of panels, the largest first; more would be unreadable.
MAX_ROWS = 24


@lru_cache(maxsize=1)
def colour_table() -> U8:
    """Returns the colour and opacity of each heat 0..255: uint8 (256, 4)."""
    heat = np.linspace(0.0, 1.0, 256)
    stops = np.linspace(0.0, 1.0, len(_STOPS))
    table = np.empty((256, 4))
    for channel in range(3):
        table[:, channel] = np.interp(heat, stops, [stop[channel] for stop in _STOPS])
    table[:, 3] = 255 * _STRONGEST * np.clip((heat - 0.08) / 0.92, 0.0, 1.0) ** 0.8
    return table.round().astype(np.uint8)


def paint_maps(
    image_rgb: U8, squares_xyxy: Floats, maps: Floats, strengths: Floats | None = None
) -> U8:
    """Lays each face's map over its square in the picture.

    The heat of a map is relative to its own maximum, so that a map by itself does not say how much
    speaks for its label; it is to fade with the label's probability. What reaches beyond the
    picture is cut off.

    Args:
        image_rgb: uint8 (H, W, 3).
        squares_xyxy: (N, 4), the regions that the maps belong to, in pixels.
        maps: (N, h, w), 0 and above, of any scale.
        strengths: (N,), 0..1: probability of the label of each map; None: all are 1.

    Returns:
        A new uint8 (H, W, 3).

    Raises:
        InputError: If shapes do not fit each other.

    >>> picture = np.zeros((8, 8, 3), np.uint8)
    >>> painted = paint_maps(picture, np.array([[0, 0, 4, 4]]), np.ones((1, 2, 2)))
    >>> bool(painted[:4, :4].any()), bool(painted[4:, 4:].any())
    (True, False)
    """
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise InputError(f"expected a uint8 picture (H, W, 3); got {image_rgb.shape}.")
    squares = np.asarray(squares_xyxy, np.float64).reshape(-1, 4)
    if maps.ndim != 3 or len(maps) != len(squares):
        raise InputError(f"expected a map (h, w) for {len(squares)} faces; got {maps.shape}.")
    picture = Image.fromarray(image_rgb)  # a copy: the array given stays as it is
    shares = np.ones(len(maps)) if strengths is None else np.asarray(strengths, np.float64)
    for square, heat, share in zip(squares, maps, np.maximum(shares, _FAINTEST), strict=True):
        _paint(picture, square, heat, share)
    return np.array(picture)


def _paint(picture: Image.Image, square: F64, heat: Floats, strength: float) -> None:
    x1, y1, x2, y2 = (float(value) for value in square)
    left, top = max(math.floor(x1 + 0.5), 0), max(math.floor(y1 + 0.5), 0)
    right = min(math.floor(x2 + 0.5), picture.width)
    bottom = min(math.floor(y2 + 0.5), picture.height)
    peak = float(heat.max(initial=0.0))
    if right <= left or bottom <= top or not (math.isfinite(peak) and peak > 0):
        return
    side = min(_SIDE, max(math.ceil(x2 - x1), 8))
    smooth = Image.fromarray((heat / peak).astype(np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    levels = (np.clip(np.asarray(smooth), 0.0, 1.0) * 255).round().astype(np.uint8)
    coloured = Image.fromarray(colour_table()[levels])
    scale_x, scale_y = side / (x2 - x1), side / (y2 - y1)
    region = (
        max((left - x1) * scale_x, 0.0), max((top - y1) * scale_y, 0.0),
        min((right - x1) * scale_x, side), min((bottom - y1) * scale_y, side),
    )  # fmt: skip
    layer = coloured.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=region)
    opacity = layer.getchannel("A").point(lambda value: round(value * strength))
    picture.paste(layer.convert("RGB"), (left, top), opacity)


def sheet(
    tiles: Sequence[U8],
    captions: Sequence[str],
    *,
    columns: int,
    side: int = 112,
    title: str = "",
) -> U8:
    """Lays pictures out in rows, each with a caption below.

    Args:
        tiles: Pictures uint8 (h, w, 3) or (h, w); each is scaled to ``side`` x ``side``, small
            ones without smoothing.
        captions: For each a line, or several; a line is cut off where it does not fit.
        columns: Pictures in a row.
        side: Pixels.
        title: A line above all; cut off where it does not fit.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InputError: If there is no picture, or not one caption for each.

    >>> sheet([np.zeros((4, 4), np.uint8)] * 3, ["a", "b", "c"], columns=2, side=20).shape
    (94, 64, 3)
    """
    if not tiles or len(tiles) != len(captions) or columns < 1:
        raise InputError(f"a sheet needs tiles with captions; got {len(tiles)}, {len(captions)}.")
    letters = max(side // 9, 10)
    font = ImageFont.load_default(size=letters)
    line = letters + letters // 2
    lines = [caption.split("\n") for caption in captions]
    rows, columns = -(-len(tiles) // columns), min(columns, len(tiles))
    cell_w, cell_h = side + _GAP, side + line * max(map(len, lines)) + _GAP
    top = _GAP + (line + _GAP if title else 0)
    page = Image.new("RGB", (columns * cell_w + _GAP, rows * cell_h + top), _PAPER)
    pen = ImageDraw.Draw(page)

    def write(text: str, x: int, y: int, width: int) -> None:
        while text and pen.textlength(text, font=font) > width:
            text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
        pen.text((x, y), text, fill=_INK, font=font)

    write(title, _GAP, _GAP, page.width - 2 * _GAP)
    for index, (tile, words) in enumerate(zip(tiles, lines, strict=True)):
        x, y = _GAP + index % columns * cell_w, top + index // columns * cell_h
        how = Image.Resampling.BICUBIC if min(tile.shape[:2]) > 40 else Image.Resampling.NEAREST
        page.paste(Image.fromarray(tile).convert("RGB").resize((side, side), how), (x, y))
        for at, text in enumerate(words):
            write(text, x, y + side + 2 + at * line, side + _GAP // 2)
    return np.array(page)


def grey_tiles(planes: Floats) -> list[U8]:
    """Scales each of N planes (N, h, w) from its minimum to its maximum: N times uint8 (h, w).

    >>> grey_tiles(np.array([[[1.0, 3.0]]]))[0].tolist()
    [[0, 255]]
    """
    tiles = []
    for plane in planes:
        low, spread = float(plane.min()), float(np.ptp(plane))
        tiles.append(((plane - low) / (spread or 1.0) * 255).round().astype(np.uint8))
    return tiles


def label_panels(
    recognizer: EmotionRecognizer, read: ReadImage, *, method: str | None = None, side: int = 128
) -> U8:
    """Draws a row for each face: the face, then what speaks for each label.

    Args:
        recognizer: The model.
        read: A photo with at least one face.
        method: A name of ``mien.explanation.METHODS``; None: the first that fits the network.
        side: Side of a panel in pixels.

    Returns:
        uint8 (H, W, 3). The heat of a panel is relative to its own maximum, and fades with the
        probability of its label, which the caption says.

    Raises:
        InputError: If the photo has no face.
        ConfigError, ModelError, MissingExtraError: See :func:`mien.explanation.explain_crops`.

    >>> from mien import EmotionRecognizer
    >>> from mien.explanation import read_image
    >>> recognizer = EmotionRecognizer(detector="none", labels="hes3")
    >>> read = read_image(recognizer, np.zeros((48, 48, 3), np.uint8))
    >>> label_panels(recognizer, read).shape
    (165, 552, 3)
    """
    faces = read.result.faces[:MAX_ROWS]
    if not faces:
        raise InputError("no face found, nothing to explain", subject=f"{read.result.source}:")
    crops = crop_faces(
        read.image_rgb, read.squares_xyxy[: len(faces)], Preprocessing(size=side, color="rgb")
    )
    maps = [read.maps(recognizer, label=label, method=method) for label in recognizer.labels]
    whole = np.array([[0, 0, side, side]])
    tiles, captions = [], []
    for index, face in enumerate(faces):
        tiles.append(crops[index])
        captions.append(f"face {index + 1}")
        for label, heat in zip(recognizer.labels, maps, strict=True):
            share = np.array([face.probs[label]])
            tiles.append(paint_maps(crops[index], whole, heat[index : index + 1], share))
            captions.append(f"{label} {percent(face.probs[label])}")
    return sheet(tiles, captions, columns=1 + len(recognizer.labels), side=side)


def feature_sheet(folder: ModelFolder, crop: U8, layer: str) -> U8:
    """Draws a face, uint8 (S, S, C), and what a layer makes of it: a grey tile for each channel.

    The title names the layer. Each tile goes from its own minimum to its maximum; a channel that
    is nowhere above 0 says so.

    Raises:
        ConfigError, ModelError, MissingExtraError: See
            :func:`mien.explanation.layers.feature_maps`.
    """
    maps = feature_maps(folder, crop, layer)
    tiles = [crop.squeeze(-1) if crop.shape[-1] == 1 else crop, *grey_tiles(maps)]
    captions = ["the face", *(_channel(number, plane) for number, plane in enumerate(maps))]
    columns = max(round((len(tiles) * 1.5) ** 0.5), 4)
    count, height, width = maps.shape
    title = f"{layer}: {count} maps of {width}x{height}"
    return sheet(tiles, captions, columns=columns, side=72, title=title)


def _channel(number: int, plane: Floats) -> str:
    """Names a map (h, w).

    >>> _channel(3, np.zeros((2, 2))), _channel(4, -np.eye(2) - 1), _channel(5, np.eye(2))
    ('3: all zero', '4: negative', '5')
    """
    if plane.max() > 0:
        return str(number)
    return f"{number}: all zero" if not plane.any() else f"{number}: negative"


def filter_sheet(folder: ModelFolder) -> U8:
    """Draws the filters of the first convolution, the mean of their channels.

    Raises:
        ModelError, MissingExtraError: See :func:`mien.explanation.layers.first_filters`.
    """
    tiles = grey_tiles(first_filters(folder).mean(axis=1))
    return sheet(tiles, [str(number) for number in range(len(tiles))], columns=8, side=72)
