"""``mien ensemble``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.flags import Format, Print

if TYPE_CHECKING:
    from mien.ensembles import EnsembleResult


def command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN ...", help="Model folders or bundled names.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    data: Annotated[
        str, typer.Option("-d", "--data", help="Dataset to fit and score on, KIND:PATH.")
    ],
    method: Annotated[
        str, typer.Option("--method", help="equal, weighted, greedy or stacking.")
    ] = "equal",
    split: Annotated[str, typer.Option("--split", help="Split to fit and score on.")] = "valid",
    folds: Annotated[int, typer.Option("--folds", help="Folds of the cross-fitting.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the folds.")] = 0,
    tag: Annotated[str, typer.Option("--tag", help="Second half of the model's name.")] = "",
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an ensemble that exists.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Join models into one: a model folder with a single ONNX file.

    Weights and temperature are fitted on the split; the ensemble's scores are cross-fitted.
    """
    from mien.cli.progress import progress_bar
    from mien.ensembles import ensemble

    with progress_bar("ensemble", None, quiet=quiet) as advance:
        result = ensemble(
            list(runs), data, output, method=method, split=split, folds=folds, seed=seed,
            tag=tag, overwrite=overwrite, progress=advance,
        )  # fmt: skip
    if format is Format.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        _print_table(result, split)
    print(f"next: mien predict photo.jpg --model {output}", file=sys.stderr)


def _print_table(result: EnsembleResult, split: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result.folder.config.name}, {result.method}, on {split}")
    for column in ("model", "weight", "accuracy", "95 % interval", "macro-F1", "NLL", "ECE"):
        table.add_column(column, justify="left" if column == "model" else "right")
    rows = [(f"{m.folder} ({m.name})", f"{m.weight:.3f}", m.scores) for m in result.members]
    rows.append(("ensemble, cross-fitted", "", result.scores))
    rows.append(("ensemble, as fitted here", "", result.fitted_scores))
    for name, weight, m in rows:
        low, high = m["accuracy_ci"]
        table.add_row(
            name, weight, f"{m['accuracy']:.2%}", f"{low:.2%} to {high:.2%}",
            f"{m['macro_f1']:.3f}", f"{m['nll']:.3f}", f"{m['ece']:.3f}",
        )  # fmt: skip
    console, parity = Console(), result.parity
    console.print(table)
    console.print(
        f"file against members one by one, {parity['faces']} faces: same answer on "
        f"{parity['same_label']:.2%}, probabilities differ by {parity['mean_difference']:.1e} in "
        f"the mean and {parity['max_difference']:.1e} at most"
    )
