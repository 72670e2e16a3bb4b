"""The look of diagrams and pages, on light and on dark paper."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mien.atomic import replacing
from mien.errors import needs_extra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """Colours of a page and its diagrams."""

    name: str
    paper: str
    ink: str
    faint: str
    line: str
    accent: str
    second: str
    heat: tuple[str, str]


LIGHT = Theme(
    "light", "#ffffff", "#1f2328", "#656d76", "#d8dee4", "#2f5fb3", "#c2571a",
    ("#f5f8fd", "#1d4a94"),
)  # fmt: skip
DARK = Theme(
    "dark", "#161b22", "#e6edf3", "#9198a1", "#30363d", "#79a8f5", "#f0a065",
    ("#1b222c", "#8ab4ff"),
)  # fmt: skip

#: Colours that are told apart on light and on dark paper, the first eight by the colour-blind too;
#: classes take them in their order. Found by maximising the smallest distance in CIELAB of two of
#: them under normal vision and the deficiencies of Machado et al. (2009), with a contrast of 2.6
#: on both papers: a test measures it.
CLASS_COLORS = (
    "#af9d5f", "#e78503", "#ce64ff", "#6b36fe", "#ba3303", "#05adb8", "#7653a6", "#99515f",
    "#d9659b", "#7a8f2b",
)  # fmt: skip

#: Those that runs, models and other series take: the first ones are the farthest apart.
_SERIES = tuple(CLASS_COLORS[at] for at in (3, 1, 5, 7, 0, 2, 4, 6, 8, 9))
_MARKERS = "os^DvPX"


def series_style(index: int) -> tuple[str, str]:
    """Returns colour and marker of a series by its number; they repeat after 10 and 7.

    >>> series_style(0), series_style(10)
    (('#6b36fe', 'o'), ('#6b36fe', 'D'))
    """
    return _SERIES[index % len(_SERIES)], _MARKERS[index % len(_MARKERS)]


def new_figure(theme: Theme, width: float = 6.0, height: float = 4.4) -> tuple[Figure, Axes]:
    """Returns an empty figure with one pair of axes (extra ``eval``)."""
    figure, (axes,) = new_panels(theme, 1, width, height)
    return figure, axes


def new_panels(
    theme: Theme, count: int, width: float, height: float, *, ratios: Sequence[float] = ()
) -> tuple[Figure, tuple[Axes, ...]]:
    """Returns an empty figure with pairs of axes side by side (extra ``eval``).

    In a notebook it shows itself as the last value of a cell.
    With ``ratios`` of their heights they stand below each other instead.
    """
    with needs_extra("a diagram", "eval"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=theme.paper)
    # A notebook has no picture of a figure that pyplot did not make.
    figure._repr_png_ = partial(to_png, figure, dpi=96)  # type: ignore[attr-defined]
    grid = figure.add_gridspec(
        count if ratios else 1, 1 if ratios else count, height_ratios=ratios or None
    )
    panels = tuple(figure.add_subplot(grid[at], facecolor=theme.paper) for at in range(count))
    for axes in panels:
        axes.tick_params(colors=theme.faint, labelcolor=theme.ink, labelsize=9, length=0, pad=5)
        for name, spine in axes.spines.items():
            spine.set_visible(name in {"left", "bottom"})
            spine.set_color(theme.line)
        axes.grid(visible=True, color=theme.line, linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, panels


def to_png(figure: Figure, dpi: int = 144) -> bytes:
    """Returns a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(figure))


def label_axes(axes: Axes, theme: Theme, x: str, y: str) -> None:
    """Names the axes."""
    axes.set_xlabel(x, color=theme.ink, fontsize=9.5)
    axes.set_ylabel(y, color=theme.ink, fontsize=9.5)


def add_legend(axes: Axes, theme: Theme, **options: Any) -> None:
    """Adds a legend without a frame, where there is something to name."""
    if not axes.get_legend_handles_labels()[1]:
        return
    axes.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, handlelength=1.4, **options)
