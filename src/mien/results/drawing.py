"""Results for the eye: their colours, on the screen, in a notebook, as a diagram."""

from __future__ import annotations

import base64
import html
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import InputError
from mien.images import encode
from mien.labels import FERPLUS8
from mien.results.wording import percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.figure import Figure

    from mien.arrays import U8
    from mien.results.records import FaceEmotion, ImageResult

    Color = tuple[int, int, int]

_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)

#: Longest side of a picture inside a notebook, and in a diagram, in pixels.
_MAX_SIDE, PLOT_SIDE = 720, 600
#: Faces whose probabilities a diagram has room for.
_MAX_BARS = 6
#: One colour per label in the order of ``ferplus8``: the palette of Okabe and Ito (2008), which
#: colour-blind readers tell apart, with grey in place of its black.
PALETTE: tuple[Color, ...] = (
    (187, 187, 187), (240, 228, 66), (230, 159, 0), (0, 114, 178),
    (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233),
)  # fmt: skip


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


def in_notebook() -> bool:
    """Says whether the code runs in a cell of a notebook."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def show_image(image_rgb: U8, title: str) -> None:
    """Shows a picture: in a notebook below the cell, else in the system's viewer."""
    picture = Image.fromarray(image_rgb)
    if in_notebook():
        from IPython.display import display

        display(picture)  # type: ignore[no-untyped-call]
    else:
        picture.show(title=title)


def to_html(result: ImageResult) -> str:
    """Returns what a notebook shows: the drawn picture, if it can be had, above a table."""
    picture = ""
    try:
        drawn = Image.fromarray(result.draw(seen_side=_MAX_SIDE))
    except InputError:
        pass  # the picture is gone, its answer is not
    else:
        drawn.thumbnail((_MAX_SIDE, _MAX_SIDE))
        data = base64.b64encode(encode(np.asarray(drawn), suffix=".jpg")).decode()
        picture = f'<img alt="faces" src="data:image/jpeg;base64,{data}"><br>'
    rows = "".join(
        f"<tr><td>{number}</td><td>{html.escape(face.emotion)}</td>"
        f"<td>{percent(face.confidence, 1)}</td><td>{html.escape(face.warning)}</td></tr>"
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
