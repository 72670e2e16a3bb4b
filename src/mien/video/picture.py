"""The picture of a timeline: a band of stacked areas for each face, with its portrait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import replacing
from mien.errors import MissingExtraError
from mien.labels import FERPLUS8
from mien.results.drawing import PALETTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mien.video.summary import TrackSummary
    from mien.video.timeline import TimelineRow

#: Bands at most: the faces that were seen longest.
MAX_BANDS = 8
_BINS = 600
_INK, _FAINT, _PAPER = "#1f2328", "#656d76", "#f6f8fa"


def check_picture() -> None:
    """Checks that the picture can be drawn, before the work begins.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("the picture of a timeline", "eval", "matplotlib") from error


def bin_timeline(
    rows: Iterable[TimelineRow],
    tracks: Sequence[int],
    *,
    classes: int,
    duration_s: float,
    frame_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Averages a timeline over equal stretches of time, in constant memory.

    Args:
        rows: The timeline.
        tracks: Numbers of the faces to keep.
        classes: Number of labels L.
        duration_s: Length of the clip.
        frame_s: Seconds from one frame that is read to the next: no stretch is shorter.

    Returns:
        Edges of the B stretches, float64 (B + 1,), and float64 (tracks, B, L), NaN where a face
        was not seen.
    """
    length = max(duration_s, frame_s)
    B = int(np.clip(length / (1.5 * frame_s), 1, _BINS))
    place = {number: index for index, number in enumerate(tracks)}
    sums, counts = np.zeros((len(place), B, classes)), np.zeros((len(place), B, 1))
    for row in rows:
        if row.track_id in place:
            at = place[row.track_id], min(max(int(row.time_s / length * B), 0), B - 1)
            sums[at] += row.probs
            counts[at] += 1
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return np.linspace(0, length, B + 1), means


def label_colors(labels: Sequence[str]) -> list[tuple[float, float, float]]:
    """Returns each label's colour, 0..1, the same as on annotated pictures."""
    known = all(label in FERPLUS8 for label in labels)
    chosen = (
        PALETTE[FERPLUS8.index(label) if known else index % len(PALETTE)]
        for index, label in enumerate(labels)
    )
    return [(r / 255, g / 255, b / 255) for r, g, b in chosen]


def draw_timeline(
    path: Path,
    tracks: Sequence[TrackSummary],
    edges_s: NDArray[np.float64],
    shares: NDArray[np.float64],
    *,
    labels: Sequence[str],
    portraits: Mapping[int, Path],
    title: str,
) -> None:
    """Draws the picture and writes it as PNG, whole or not at all.

    Args:
        path: The file.
        tracks: The faces to show, one band each; with none, an empty picture says so.
        edges_s: (B + 1,) in seconds; see :func:`bin_timeline`.
        shares: (tracks, B, L), NaN where a face was not seen.
        labels: The labels, in the order of the shares.
        portraits: Picture file of a face by its number.
        title: What stands above.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    check_picture()
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    bands = max(len(tracks), 1)
    head, foot, band = 0.55, 0.95, 1.15
    height = head + foot + band * bands
    figure = Figure(figsize=(10, height), facecolor="white")
    figure.text(0.02, 1 - 0.32 / height, title, color=_INK, fontsize=11, weight="bold")
    grid = figure.add_gridspec(
        bands, 2, width_ratios=(1, 9), wspace=0.03, hspace=0.22, left=0.02, right=0.98,
        top=1 - head / height, bottom=foot / height,
    )  # fmt: skip
    for index, track in enumerate(tracks):
        _draw_portrait(figure.add_subplot(grid[index, 0]), track, portraits.get(track.track_id))
        axes = figure.add_subplot(grid[index, 1])
        _draw_band(axes, edges_s, shares[index], labels, last=index == bands - 1)
    if not tracks:
        axes = figure.add_subplot(grid[0, 1])
        empty = np.full((len(edges_s) - 1, len(labels)), np.nan)
        _draw_band(axes, edges_s, empty, labels, last=True)
        axes.text(0.5, 0.5, "no face found", transform=axes.transAxes, ha="center", color=_FAINT)
    patches = [
        Patch(color=color, label=label)
        for label, color in zip(labels, label_colors(labels), strict=True)
    ]
    figure.legend(
        handles=patches, loc="lower center", ncols=min(len(labels), 8), frameon=False,
        fontsize=8.5, labelcolor=_INK, handlelength=1.0,
    )  # fmt: skip
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _draw_portrait(axes: Axes, track: TrackSummary, portrait: Path | None) -> None:
    from PIL import Image

    axes.axis("off")
    if portrait is not None and portrait.is_file():
        with Image.open(portrait) as picture:
            axes.imshow(np.asarray(picture.convert("RGB")))
    words = f"#{track.track_id}  {track.seen_s:.1f} s"
    axes.set_title(words, fontsize=8.5, color=_INK, pad=2)


def _draw_band(
    axes: Axes,
    edges_s: NDArray[np.float64],
    shares: NDArray[np.float64],
    labels: Sequence[str],
    *,
    last: bool,
) -> None:
    axes.set_facecolor(_PAPER)
    low = np.zeros(len(shares))
    for values, color in zip(shares.T, label_colors(labels), strict=True):
        high = low + np.nan_to_num(values)
        if len(shares):
            axes.fill_between(
                edges_s, np.append(low, low[-1]), np.append(high, high[-1]), step="post",
                color=color, linewidth=0,
            )  # fmt: skip
        low = high
    axes.set_xlim(0, edges_s[-1])
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "1"])
    axes.tick_params(colors=_FAINT, labelsize=8, length=2, labelbottom=last)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if last:
        axes.set_xlabel("seconds", color=_FAINT, fontsize=8.5)
