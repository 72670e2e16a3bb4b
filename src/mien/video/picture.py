"""The picture of a timeline: for each face stacked areas, its main expression, and a portrait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import replacing
from mien.reporting.theme import LIGHT
from mien.results.drawing import label_colors
from mien.video.timeline import TimelineRow, read_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from mien.arrays import F64
    from mien.reporting.theme import Theme
    from mien.video.summary import TrackSummary, VideoSummary

#: Bands at most: the faces that were seen longest.
_MAX_BANDS = 8
_BINS = 600
#: Height of the strip of main expressions, as a share of the band above it.
_STRIP = 0.14


def draw_picture(
    path: Path,
    timeline: Path,
    summary: VideoSummary,
    *,
    frame_s: float,
    portrait: Callable[[int], Path],
    theme: Theme = LIGHT,
) -> None:
    """Draws the faces of a clip that were seen longest, from its timeline's file."""
    longest = sorted(summary.tracks, key=lambda track: -track.seen_s)[:_MAX_BANDS]
    shown = sorted(longest, key=lambda track: track.track_id)
    numbers = [track.track_id for track in shown]
    edges_s, shares = bin_timeline(
        read_timeline(timeline), numbers, classes=len(summary.labels),
        duration_s=summary.duration_s, frame_s=frame_s,
    )  # fmt: skip
    title, faces = summary.source, len(summary.tracks)
    if faces > len(shown):
        title += f" (the {_MAX_BANDS} longest seen of {faces} faces)"
    draw_timeline(
        path, shown, edges_s, shares, labels=summary.labels, title=title,
        portraits={number: portrait(number) for number in numbers}, theme=theme,
    )  # fmt: skip


def bin_timeline(
    rows: Iterable[TimelineRow],
    tracks: Sequence[int],
    *,
    classes: int,
    duration_s: float,
    frame_s: float,
) -> tuple[F64, F64]:
    """Averages a timeline over B equal stretches of time, none shorter than ``frame_s``.

    Returned are their edges (B + 1,) and (tracks, B, classes), NaN where a face was not seen.
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


def draw_timeline(
    path: Path,
    tracks: Sequence[TrackSummary],
    edges_s: F64,
    shares: F64,
    *,
    labels: Sequence[str],
    portraits: Mapping[int, Path],
    title: str,
    theme: Theme = LIGHT,
) -> None:
    """Draws a band for each face, below it a strip of its main expression, and writes it as PNG.

    ``edges_s`` and ``shares`` are those of :func:`bin_timeline`, ``portraits`` picture files by
    the number of the face.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    bands = max(len(tracks), 1)
    head, foot, band = 0.55, 0.95, 1.15
    height = head + foot + band * bands
    figure = Figure(figsize=(10, height), facecolor=theme.paper)
    figure.text(0.02, 1 - 0.32 / height, title, color=theme.ink, fontsize=11, weight="bold")
    grid = figure.add_gridspec(
        bands, 2, width_ratios=(1, 9), wspace=0.09, hspace=0.22, left=0.02, right=0.98,
        top=1 - head / height, bottom=foot / height,
    )  # fmt: skip
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in label_colors(labels).values()]
    for index, track in enumerate(tracks):
        _draw_portrait(
            figure.add_subplot(grid[index, 0]), track, portraits.get(track.track_id), theme
        )
        axes = figure.add_subplot(grid[index, 1])
        _draw_band(axes, edges_s, shares[index], colors, theme, last=index == bands - 1)
    if not tracks:
        axes = figure.add_subplot(grid[0, 1])
        _draw_band(axes, edges_s, np.full((len(edges_s) - 1, len(labels)), np.nan), colors, theme)
        words, where = "no face found", axes.transAxes
        axes.text(0.5, 0.5, words, transform=where, ha="center", color=theme.faint)
    patches = [Patch(color=c, label=label) for label, c in zip(labels, colors, strict=True)]
    figure.legend(
        handles=patches, loc="lower center", ncols=min(len(labels), 8), frameon=False,
        fontsize=8.5, labelcolor=theme.ink, handlelength=1.0,
    )  # fmt: skip
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _draw_portrait(axes: Axes, track: TrackSummary, portrait: Path | None, theme: Theme) -> None:
    from PIL import Image

    axes.axis("off")
    if portrait is not None and portrait.is_file():
        with Image.open(portrait) as picture:
            axes.imshow(np.asarray(picture.convert("RGB")))
    words = f"#{track.track_id}  {track.seen_s:.1f} s"
    axes.set_title(words, fontsize=8.5, color=theme.ink, pad=2)


def _draw_band(
    axes: Axes,
    edges_s: F64,
    shares: F64,
    colors: Sequence[str],
    theme: Theme,
    *,
    last: bool = True,
) -> None:
    axes.set_facecolor(theme.heat[0])
    # A value per edge: the last one holds to the end.
    heights = np.nan_to_num(shares[[*range(len(shares)), -1]]).T
    axes.stackplot(edges_s, heights, step="post", colors=colors, linewidth=0)
    axes.set_xlim(0, edges_s[-1])
    main = np.where(np.isnan(shares).any(axis=1), -1, np.argmax(np.nan_to_num(shares), axis=1))
    for label, color in enumerate(colors):
        times = np.stack([edges_s[:-1], np.diff(edges_s)], axis=1)[main == label]
        axes.broken_barh(times.tolist(), (-_STRIP, 0.75 * _STRIP), color=color, linewidth=0)
    axes.set_ylim(-_STRIP, 1)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.tick_params(colors=theme.faint, labelsize=8, length=2, labelbottom=last)
    axes.spines[:].set_visible(False)
    if last:
        axes.set_xlabel("seconds", color=theme.faint, fontsize=8.5)
