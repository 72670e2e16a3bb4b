"""A comparison as a page, a Markdown file, JSON, and a picture (eval extra)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mien.atomic import replacing, write_text
from mien.comparison.runs import HEADER
from mien.errors import ConfigError
from mien.reporting.html import diagram, page, paragraph, table
from mien.reporting.theme import CLASS_COLORS, DARK, LIGHT, label_axes, new_figure, to_png

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from mien.comparison.runs import RunComparison
    from mien.reporting.theme import Theme

FORMS = (".html", ".json", ".md")
#: Marks of the runs; the next shape where the colours begin again.
_SHAPES = ("o", "s", "^", "D")


def check_target(path: Path, forms: tuple[str, ...], *, overwrite: bool) -> None:
    """Makes sure that a file can be written, before anything is computed.

    Raises:
        ConfigError: If its ending is not one of ``forms``, or it is there already.
    """
    if path.suffix.lower() not in forms:
        raise ConfigError(
            f"ends in none of {' '.join(forms)}: give it such an ending", subject=path
        )
    if path.exists() and not overwrite:
        raise ConfigError("exists: type --overwrite, or give another name", subject=path)


def plot_cost(comparison: RunComparison, theme: Theme) -> Figure:
    """Draws accuracy with its 95 % interval against cost: milliseconds, or megabytes.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure, axes = new_figure(theme, 7.6, 4.6)
    from matplotlib.ticker import LogLocator

    timed = all(row.latency_ms is not None for row in comparison.rows)
    for index, row in enumerate(comparison.rows):
        cost = row.latency_ms[0] if row.latency_ms else row.costs.bytes / 1e6
        low, high = (100 * value for value in row.scores["accuracy_ci"])
        color = CLASS_COLORS[(index + 3) % len(CLASS_COLORS)]
        shape = _SHAPES[index // len(CLASS_COLORS) % len(_SHAPES)]
        axes.vlines(cost, low, high, color=color, linewidth=1.2)
        axes.plot(
            cost, 100 * row.scores["accuracy"], shape, color=color, markersize=6, label=row.run
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.15)
    label_axes(
        axes, theme, "milliseconds per face (log)" if timed else "megabytes (log)", "accuracy, %"
    )
    axes.legend(
        frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )  # fmt: skip
    return figure


def write_picture(comparison: RunComparison, path: Path) -> None:
    """Writes the picture of accuracy against cost as a PNG file."""
    with replacing(path) as temporary:
        temporary.write_bytes(to_png(plot_cost(comparison, LIGHT)))


def write_comparison(comparison: RunComparison, path: Path) -> None:
    """Writes a comparison in the form that the file's ending names.

    Raises:
        ConfigError: If the ending is not ``.html``, ``.json`` or ``.md``.
    """
    form = path.suffix.lower()
    check_target(path, FORMS, overwrite=True)
    if form == ".md":
        write_text(path, comparison.markdown())
    elif form == ".json":
        write_text(path, json.dumps(comparison.to_dict(), indent=2) + "\n")
    else:
        light, dark = (to_png(plot_cost(comparison, theme)) for theme in (LIGHT, DARK))
        body = "\n".join([
            table(HEADER, [row.cells() for row in comparison.rows]),
            paragraph(comparison.note, note=True),
            diagram("Accuracy against cost", light, dark),
        ])  # fmt: skip
        title = f"{len(comparison.rows)} runs side by side"
        write_text(path, page(title, f"{comparison.data}, {comparison.split}", body))
