"""The run directory: made, taken over, or refused; its ``metrics.csv`` and the curves of that."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.atomic import write_text
from mien.errors import ConfigError
from mien.reporting.theme import (
    LIGHT,
    Theme,
    add_legend,
    label_axes,
    new_panels,
    save_figure,
    series_style,
)
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
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


def check_directory(output: Path, config: TrainConfig, *, resume: bool, overwrite: bool) -> bool:
    """Refuses a run directory that is taken; tells whether a run in it is to be resumed."""
    args = output / ARGS
    if resume and args.is_file():
        then = TrainConfig.load(args)
        now = replace(config, batch_size=config.batch_size or then.batch_size)
        changes = tell_changes(fixed_values(then), fixed_values(now))
        if changes:
            reason = f"was started with other values: {changes}"
            hint = "Resume with the same ones, or give another --output."
            raise ConfigError(reason, subject=output, hint=hint)
        return True
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
    return False


def prepare_directory(
    output: Path, config: TrainConfig, *, resume: bool, overwrite: bool
) -> Path | None:
    """Makes the run directory, or checks the one to resume and returns its checkpoint."""
    last, best = (output / CHECKPOINTS / f"{name}.ckpt" for name in ("last", "best"))
    if check_directory(output, config, resume=resume, overwrite=overwrite):
        return last if last.is_file() else None
    last.unlink(missing_ok=True)
    best.unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / ARGS, config.to_yaml())
    return None


def settle_batch_size(output: Path, config: TrainConfig, choose: Callable[[], int]) -> TrainConfig:
    """Returns the recipe with a batch size, chosen unless ``args.yaml`` has one, where it stays."""
    if config.batch_size:
        return config
    known = TrainConfig.load(output / ARGS).batch_size
    settled = replace(config, batch_size=known or choose())
    write_text(output / ARGS, settled.to_yaml())
    return settled


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


def draw_curves(metrics: Path, output: Path, monitor: str = "accuracy", title: str = "") -> None:
    """Draws the curves of a ``metrics.csv`` into a PNG, see :func:`plot_curves`."""
    figure = plot_curves(read_history(metrics), monitor=monitor, title=title)
    save_figure(figure, output)


def best_epoch(history: Sequence[Mapping[str, float]], monitor: str) -> int:
    """Returns the position of the first epoch that is the best by a monitor; 0 if none has it."""
    sign = -1 if monitor == "loss" else 1
    scores = [sign * row.get(f"valid_{monitor}", math.nan) for row in history]
    return max(range(len(history)), key=scores.__getitem__)


def plot_curves(
    history: Sequence[Mapping[str, float]],
    theme: Theme = LIGHT,
    *,
    monitor: str = "accuracy",
    title: str = "",
) -> Figure:
    """Plots loss, accuracy and learning rate by epoch, the best epoch by the monitor marked.

    Training and validation are comparable: both of faces without augmentation, by the weights that
    are kept. The loss that was learned from, with augmentation, is drawn faintly.
    """
    figure, panels = new_panels(theme, 3, 6.0, 6.6, ratios=(1.0, 1.0, 0.5))
    epochs = [row["epoch"] for row in history]
    # A line through one point shows nothing.
    style: dict[str, Any] = {"linewidth": 1.8, "marker": "o" if len(epochs) < 3 else ""}

    def draw(axes: Axes, name: str, label: str, **options: Any) -> None:
        if any(name in row for row in history):
            values = [row.get(name, math.nan) for row in history]
            axes.plot(epochs, values, label=label, **{**style, **options})

    loss, accuracy, rate = panels
    draw(
        loss, "train_loss", "training, augmented",
        color=theme.faint, linewidth=1.1, linestyle=(0, (3, 2)),
    )  # fmt: skip
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        draw(axes, f"train_clean_{name}", "training", color=theme.second)
        draw(axes, f"valid_{name}", "validation", color=theme.accent)
    draw(rate, "lr", "", color=theme.ink)
    best = history[best_epoch(history, monitor)]
    for axes, name in ((loss, "valid_loss"), (accuracy, "valid_accuracy")):
        axes.axvline(best["epoch"], color=theme.faint, linewidth=0.9)
        axes.plot(best["epoch"], best[name], "o", color=theme.accent, markersize=7)
        add_legend(axes, theme)
    told = f"best epoch {best['epoch']:.0f}: accuracy {best['valid_accuracy']:.1%}"
    panels[0].set_title(
        f"{title}\n{told}" if title else told, loc="left", fontsize=10, color=theme.ink
    )
    _finish_curves(panels, theme)
    return figure


def _finish_curves(panels: tuple[Axes, ...], theme: Theme) -> None:
    """Names the panels of loss, accuracy and learning rate."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for axes, what in zip(panels, ("loss", "accuracy", "learning rate"), strict=False):
        if axes is not panels[0]:
            axes.sharex(panels[0])
        axes.margins(y=0.12)
        label_axes(axes, theme, "epoch" if axes is panels[-1] else "", what)
        axes.tick_params(labelbottom=axes is panels[-1])
    low, high = panels[1].get_ylim()
    panels[1].set_ylim(low, min(high, 1.005))
    panels[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plot_runs(
    histories: Mapping[str, Sequence[Mapping[str, float]]], theme: Theme = LIGHT
) -> Figure:
    """Lays the curves of runs over each other: validation as a line, training in dashes.

    Each panel marks a run's best epoch by its own score.
    """
    figure, panels = new_panels(theme, 2, 6.0, 6.0, ratios=(1.0, 1.0))
    for at, (name, history) in enumerate(histories.items()):
        epochs = [row["epoch"] for row in history]
        color, marker = series_style(at)
        for axes, score in zip(panels, ("loss", "accuracy"), strict=True):
            valid, clean = (
                [row.get(f"{part}_{score}", math.nan) for row in history]
                for part in ("valid", "train_clean")
            )
            axes.plot(
                epochs, valid, color=color, linewidth=1.8, label=name,
                marker=marker, markevery=None if len(epochs) < 3 else [best_epoch(history, score)],
            )  # fmt: skip
            axes.plot(epochs, clean, color=color, linewidth=1.0, linestyle=(0, (3, 2)))
    add_legend(panels[0], theme)
    panels[0].set_title(
        "validation, best epoch marked; training faces in dashes",
        loc="left", fontsize=10, color=theme.ink,
    )  # fmt: skip
    _finish_curves(panels, theme)
    return figure
