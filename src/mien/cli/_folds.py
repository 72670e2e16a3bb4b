"""What ``mien train --folds`` does: cross-validation, and its table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.training.config import TrainConfig
    from mien.training.cross_validation import CrossValidation

#: Scores in the table, after the accuracy.
_SHOWN = ("macro_f1", "ece", "nll")


def train_folds(
    recipe: TrainConfig, output: Path, *, folds: int, resume: bool, overwrite: bool, quiet: bool
) -> None:
    """Trains a network a fold and prints how the folds did, alone and together.

    Raises:
        ConfigError: If a cross-validation is to be overwritten.
    """
    from mien.cli.progress import progress_bar
    from mien.training.cross_validation import cross_validate

    if overwrite:
        raise ConfigError("--folds overwrites nothing: give another --output, or type --resume.")
    result = cross_validate(
        recipe, output, folds=folds, resume=resume, progress=not quiet,
        bars=lambda what, total: progress_bar(what, total, quiet=quiet),
    )  # fmt: skip
    _print_table(result)
    print(f"wrote {output / 'cross_validation.json'} and predictions.csv", file=sys.stderr)


def _print_table(result: CrossValidation) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(result.folds)} folds, {len(result.pooled.keys)} faces")
    for column in ("", "faces", "accuracy", "95 % interval", "macro-F1", "ECE", "NLL"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for index, evaluation in enumerate(result.folds):
        table.add_row(f"fold {index + 1}", *_cells(evaluation.scores()))
    spread = result.spread()
    table.add_section()
    for at, name in enumerate(("mean", "deviation")):
        cells = [_number(key, spread[key][at]) for key in ("accuracy", *_SHOWN)]
        table.add_row(name, "", cells[0], "", *cells[1:])
    table.add_section()
    scores = result.scores()
    table.add_row("all faces", *_cells(scores))
    console = Console()
    console.print(table)
    low, high = scores["macro_f1_ci"]
    console.print(f"macro-F1 of all, 95 % interval: {low:.3f} to {high:.3f}")


def _cells(scores: dict[str, Any]) -> Sequence[str]:
    low, high = scores["accuracy_ci"]
    numbers = [_number(key, scores[key]) for key in _SHOWN]
    accuracy = _number("accuracy", scores["accuracy"])
    return [str(scores["n"]), accuracy, f"{low:.2%} to {high:.2%}", *numbers]


def _number(key: str, value: float) -> str:
    return f"{value:.2%}" if key.endswith("accuracy") else f"{value:.3f}"
