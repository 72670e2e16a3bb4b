"""The run directory: made, taken over, or refused; its ``metrics.csv`` and the curves of that."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from mien.atomic import write_text
from mien.errors import ConfigError
from mien.reporting.theme import LIGHT, Theme, add_legend, label_axes, new_panels, save_figure
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure


ARGS = "args.yaml"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.csv"
#: What may differ when a run is resumed.
_FREE = frozenset(
    {"threads", "device", "devices", "num_nodes", "tag", "license", "logger", "imports"}
)


def fixed_values(config: TrainConfig) -> dict[str, Any]:
    """Returns the values of a recipe that must stay equal when something is gone on with."""
    return {key: value for key, value in config.to_dict().items() if key not in _FREE}


def tell_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns which values are not what they were; empty where all are.

    >>> tell_changes({"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0})
    'lr (0.1 then, 0.2 now)'
    """
    return ", ".join(
        f"{key} ({then.get(key)} then, {now.get(key)} now)"
        for key in {**then, **now}
        if then.get(key) != now.get(key)
    )


def is_used(output: Path) -> bool:
    """Says whether a path is anything but an empty folder, or one of a run that never began."""
    if not output.is_dir():
        return output.exists()
    return any(path.name != ARGS for path in output.iterdir())


def prepare_directory(
    output: Path, config: TrainConfig, *, resume: bool, overwrite: bool
) -> Path | None:
    """Makes the run directory, or checks the one to resume and returns its checkpoint."""
    args, last = output / ARGS, output / CHECKPOINTS / "last.ckpt"
    if resume and args.is_file():
        changes = tell_changes(fixed_values(TrainConfig.load(args)), fixed_values(config))
        if changes:
            reason = f"was started with other values: {changes}"
            hint = "Resume with the same ones, or give another --output."
            raise ConfigError(reason, subject=output, hint=hint)
        return last if last.is_file() else None
    if is_used(output):
        if not overwrite:
            hint = (
                "Type --resume to go on with it, --overwrite to start it anew, or give "
                "another --output."
            )
            raise ConfigError("exists already", subject=output, hint=hint)
        if not args.is_file():
            reason = f"is no run directory (no {ARGS}): it is not overwritten"
            raise ConfigError(reason, subject=output)
        for name in ("last.ckpt", "best.ckpt"):
            (output / CHECKPOINTS / name).unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    write_text(args, config.to_yaml())
    return None


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def read_history(metrics: Path) -> list[dict[str, float]]:
    """Reads a ``metrics.csv``: a row per epoch, NaN where a value was not measured."""
    with metrics.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: float(row[name] or "nan") for name in row} for row in rows]


def draw_curves(metrics: Path, output: Path, monitor: str = "accuracy") -> None:
    """Draws the curves of a ``metrics.csv`` into a PNG, see :func:`plot_curves`."""
    save_figure(plot_curves(read_history(metrics), monitor=monitor), output)


def best_epoch(history: Sequence[Mapping[str, float]], monitor: str) -> int:
    """Returns the position of the first epoch that is the best by a monitor."""
    sign = -1 if monitor == "loss" else 1
    return max(range(len(history)), key=lambda at: sign * history[at][f"valid_{monitor}"])


def plot_curves(
    history: Sequence[Mapping[str, float]], theme: Theme = LIGHT, *, monitor: str = "accuracy"
) -> Figure:
    """Plots loss and accuracy by epoch side by side; the best epoch by the monitor is marked."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs, train_loss, valid_loss, accuracy = (
        [row[name] for row in history]
        for name in ("epoch", "train_loss", "valid_loss", "valid_accuracy")
    )
    figure, (left, right) = new_panels(theme, 2, 10.4, 3.6)
    dots = "o" if len(epochs) < 3 else ""  # a line through one point shows nothing
    for name, color, values in (
        ("training", theme.second, train_loss), ("validation", theme.accent, valid_loss),
    ):  # fmt: skip
        left.plot(epochs, values, color=color, label=name, linewidth=1.8, marker=dots)
    add_legend(left, theme)
    right.plot(epochs, accuracy, color=theme.accent, linewidth=1.8, marker=dots)
    best = best_epoch(history, monitor)
    right.plot(
        epochs[best], accuracy[best], "o",
        markerfacecolor="none", markeredgecolor=theme.second, markersize=9,
    )  # fmt: skip
    right.text(
        0.98, 0.05, f"best: {accuracy[best]:.1%} in epoch {epochs[best]:.0f}",
        transform=right.transAxes, ha="right", fontsize=9, color=theme.ink,
    )  # fmt: skip
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for axes, what in ((left, "loss"), (right, "validation accuracy")):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.12)
        label_axes(axes, theme, "epoch", what)
    return figure
