"""Results for the eye: on the screen, in a notebook, as a diagram."""

from __future__ import annotations

import base64
import html
import sys
from typing import TYPE_CHECKING, Any

from PIL import Image

from mien.errors import InputError
from mien.images import encode
from mien.results.drawing import PALETTE, color_of

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.results.records import ImageResult

#: Longest side of a picture inside a notebook, in pixels.
_MAX_SIDE = 720
#: Faces whose probabilities a diagram has room for.
_MAX_BARS = 6


def show_image(image_rgb: NDArray[np.uint8], title: str) -> None:
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
        import numpy as np

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


def plot_result(result: ImageResult, image_rgb: NDArray[np.uint8]) -> Figure:
    """Draws the annotated picture with bars of the probabilities of its largest faces at its side.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
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
