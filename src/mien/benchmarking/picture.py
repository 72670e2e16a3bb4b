"""Where a photo's time goes, drawn; and the report as a page (eval extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.atomic import replacing
from mien.benchmarking.machine import machine_line
from mien.benchmarking.measuring import STAGES
from mien.reporting.html import diagram, page, paragraph, table
from mien.reporting.theme import CLASS_COLORS, LIGHT, label_axes, new_figure, to_png

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mien.benchmarking.report import BenchmarkReport
    from mien.reporting.theme import Theme


def check_drawing() -> None:
    """Makes sure that pictures can be drawn, before anything is measured.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    new_figure(LIGHT)


def plot_stages(report: BenchmarkReport, theme: Theme) -> Figure:
    """Draws the stages of a photo, a group of bars a model, with their quartiles.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    count = len(report.models)
    figure, axes = new_figure(theme, 7.6, 1.4 + 0.34 * count * len(STAGES))
    for row, stage in enumerate(STAGES):
        for index, figures in enumerate(report.models):
            spread = figures.photo_ms[stage]
            y = row + (index - (count - 1) / 2) * 0.8 / count
            color = CLASS_COLORS[(index + 3) % len(CLASS_COLORS)]
            name = figures.model if row == 0 else None
            axes.barh(y, spread.median, height=0.7 / count, color=color, label=name)
            axes.hlines(y, spread.low, spread.high, color=theme.ink, linewidth=1.2)
            axes.annotate(
                f"{spread.median:.2f}", (max(spread.median, spread.high), y), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=8.5, color=theme.ink,
            )  # fmt: skip
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    label_axes(axes, theme, "milliseconds a photo: median, quartiles as a line", "")
    axes.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="lower right")
    return figure


def write_picture(report: BenchmarkReport, path: Path) -> None:
    """Writes the picture of the stages as a PNG file.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(plot_stages(report, LIGHT)))


def html_page(report: BenchmarkReport) -> str:
    """Returns the report as one self-contained page.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    from mien.reporting.theme import DARK

    light, dark = (to_png(plot_stages(report, theme)) for theme in (LIGHT, DARK))
    pieces = []
    for title, header, rows in report.tables():
        pieces += [paragraph(title.replace("`", "")), table(header, rows)]
    pieces += [
        diagram("Where a photo's time goes", light, dark),
        paragraph(report.note, note=True),
        paragraph(machine_line(report.machine), note=True),
    ]
    return page("mien benchmark", ", ".join(one.model for one in report.models), "\n".join(pieces))
