"""Results for the eye: drawn onto their picture, on the screen, in a notebook, as a diagram."""

from __future__ import annotations

import base64
import html
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.errors import InputError
from mien.images import encode
from mien.images.pixels import check_rgb
from mien.labels import FERPLUS8

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from mien.arrays import F64, U8
    from mien.results.records import FaceEmotion, ImageResult

    Color = tuple[int, int, int]
    Box = tuple[float, float, float, float]

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)

#: Longest side of a picture inside a notebook, in pixels.
_MAX_SIDE = 720
#: Faces whose probabilities a diagram has room for.
_MAX_BARS = 6
#: One colour per label in the order of ``ferplus8``: the palette of Okabe and Ito (2008), which
#: colour-blind readers tell apart, with grey in place of its black.
PALETTE: tuple[Color, ...] = (
    (187, 187, 187), (240, 228, 66), (230, 159, 0), (0, 114, 178),
    (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233),
)  # fmt: skip


def draw_faces(image_rgb: U8, result: ImageResult, *, label: str | None = None) -> U8:
    """Draws boxes and labels onto a copy of a picture (H, W, 3), upright, as the detector saw it.

    Lines and letters grow with the picture and shrink with small faces. A label stands above its
    box, else below, else inside at the top: inside the picture, never on another label or another
    face. Where that leaves no room, the label loses its percentage, then goes; the largest faces
    choose first. None as ``label`` is each face's own emotion.
    """
    shape = (result.height, result.width, 3)
    check_rgb(image_rgb, "the result belongs to", shape=shape)
    picture = Image.fromarray(image_rgb)
    pen = ImageDraw.Draw(picture)
    faces = [(face, _clip(face.box_xyxy, picture.size)) for face in result.faces]
    seen = [(face, box) for face, box in faces if box]
    seen.sort(
        key=lambda pair: (pair[1][0] - pair[1][2]) * (pair[1][3] - pair[1][1])
    )  # largest first
    for face, box in reversed(seen):
        _draw_box(pen, box, color_of(face, label), min(picture.size))
    # Row i is the box of face i; labels that were placed follow.
    taken = np.array([box for _, box in seen]).reshape(-1, 4)
    for index, (face, box) in enumerate(seen):
        others = np.delete(taken, index, axis=0)
        room = _draw_label(pen, face, box, others, picture.size, label)
        if room:
            taken = np.vstack([taken, room])
    return np.array(picture)


def color_of(face: FaceEmotion, emotion: str | None = None) -> Color:
    """Returns the colour of a face's emotion, or of another of its labels."""
    return label_colors(face.probs)[emotion or face.emotion]


def label_colors(labels: Iterable[str]) -> dict[str, Color]:
    """Returns the colour of each label.

    Emotions keep theirs under every spelling that ``ferplus8`` knows; where there is a label that
    it does not know, the labels take the palette's colours in their order.
    """
    names = list(labels)
    known = all(name in FERPLUS8 for name in names)
    places = [FERPLUS8.index(name) if known else place for place, name in enumerate(names)]
    return {name: PALETTE[at % len(PALETTE)] for name, at in zip(names, places, strict=True)}


def css_color(color: Color) -> str:
    """Returns a colour as CSS writes it, as in ``#f0e442``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def contrasting(color: Color) -> Color:
    """Returns black or white, whichever reads better on a colour (WCAG 2 contrast ratio)."""
    shares = np.array(color) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return _BLACK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else _WHITE


def _clip(box: Box, size: tuple[int, int]) -> Box | None:
    """Returns the part of a box inside the picture, or None where there is none."""
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = min(box[2], size[0] - 1.0), min(box[3], size[1] - 1.0)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _draw_box(pen: ImageDraw.ImageDraw, box: Box, color: Color, picture_side: int) -> None:
    x1, y1, x2, y2 = box
    line = max(1, round(min(picture_side / 200, (x2 - x1) / 12)))
    edge = max(1, line // 3)
    # A thin edge of the opposite lightness keeps the line visible on any background.
    outer = (x1 - edge, y1 - edge, x2 + edge, y2 + edge)
    if line > 1:
        pen.rectangle(outer, outline=contrasting(color), width=line + 2 * edge)
    pen.rectangle(box, outline=color, width=line)


@lru_cache(maxsize=64)
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=letters)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    face: FaceEmotion,
    box: Box,
    taken: F64,
    size: tuple[int, int],
    label: str | None,
) -> Box | None:
    """Draws a face's label where there is room; returns the room it took."""
    side = min(size)
    letters = round(min(max((box[2] - box[0]) / 6, side / 110, 9), max(side / 25, 9)))
    font, pad = _font(letters), max(1, letters // 5)
    _, top, _, bottom = pen.textbbox((0, 0), "Ag", font=font)
    emotion = label or face.emotion
    name = emotion if face.track_id is None else f"#{face.track_id} {emotion}"
    for text in (f"{name} {face.probs[emotion]:.0%}", name):
        extent = (pen.textlength(text, font=font) + 2 * pad, bottom - top + 2 * pad)
        room = _room(box, extent, taken, size)
        if room:
            color = color_of(face, label)
            pen.rectangle(room, fill=color)
            corner = (room[0] + pad, room[1] + pad - top)
            pen.text(corner, text, fill=contrasting(color), font=font)
            return room
    return None


def _room(box: Box, extent: tuple[float, float], taken: F64, size: tuple[int, int]) -> Box | None:
    """Returns the first free place for a label of a width and height, or None."""
    width, height = extent
    x = max(min(box[0], size[0] - 1 - width), 0.0)
    places = [box[1] - height, box[3]]
    if height < (box[3] - box[1]) / 3:
        places.append(box[1])
    for y in places:
        if x + width > size[0] - 1 or y < 0 or y + height > size[1] - 1:
            continue
        hit = (
            (taken[:, 0] < x + width) & (taken[:, 2] > x)
            & (taken[:, 1] < y + height) & (taken[:, 3] > y)
        )  # fmt: skip
        if not hit.any():
            return (x, y, x + width, y + height)
    return None


def show_image(image_rgb: U8, title: str) -> None:
    """Shows a picture: in a notebook below the cell, else in the system's viewer."""
    picture = Image.fromarray(image_rgb)
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(picture)  # type: ignore[no-untyped-call]
    else:
        picture.show(title=title)


def to_html(result: ImageResult) -> str:
    """Returns what a notebook shows: the drawn picture, if it can be had, above a table."""
    picture = ""
    try:
        drawn = Image.fromarray(result.draw())
    except InputError:
        pass  # the picture is gone, its answer is not
    else:
        drawn.thumbnail((_MAX_SIDE, _MAX_SIDE))
        data = base64.b64encode(encode(np.asarray(drawn), suffix=".jpg")).decode()
        picture = f'<img alt="faces" src="data:image/jpeg;base64,{data}"><br>'
    rows = "".join(
        f"<tr><td>{number}</td><td>{html.escape(face.emotion)}</td><td>{face.confidence:.1%}</td>"
        f"<td>{html.escape(face.warning)}</td></tr>"
        for number, face in enumerate(result.faces, 1)
    )
    head = "<tr><th>face</th><th>emotion</th><th>confidence</th><th></th></tr>"
    table = f"<table>{head}{rows}</table>" if rows else "no face found"
    notes = "".join(f"<br>{html.escape(note)}" for note in result.warnings)
    return f"<div>{html.escape(result.source)}<br>{picture}{table}{notes}</div>"


def plot_result(result: ImageResult, image_rgb: U8) -> Figure:
    """Draws the annotated picture, with bars of the probabilities of its largest faces."""
    from mien.reporting.theme import LIGHT, new_figure

    faces = result.faces[:_MAX_BARS]
    figure, axes = new_figure(LIGHT, 6 + 3 * bool(faces), 4.4)
    axes.set_axis_off()
    axes.imshow(image_rgb)
    if not faces:
        return figure
    grid = figure.add_gridspec(len(faces), 2, width_ratios=(2, 1))
    axes.set_subplotspec(grid[:, 0])
    for index, face in enumerate(faces):
        bars = figure.add_subplot(grid[index, 1])
        color = [value / 255 for value in color_of(face)]
        other = [value / 255 for value in PALETTE[0]]
        colors = [color if label == face.emotion else other for label in face.probs]
        bars.barh(list(face.probs), list(face.probs.values()), color=colors)
        bars.set_xlim(0, 1)
        bars.invert_yaxis()
        bars.tick_params(labelsize=7)
        for spine in ("top", "right"):
            bars.spines[spine].set_visible(False)
    return figure
