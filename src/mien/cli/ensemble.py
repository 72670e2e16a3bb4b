"""``mien ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import print_result, print_table, progress_bar, remark, score_cells

if TYPE_CHECKING:
    from mien.ensembles import EnsembleResult


@flags.with_label_map
@flags.with_on_error
def command(
    runs: flags.Runs,
    output: Annotated[Path, output_flag("Model folder to write.", folder=True)],
    data: flags.Datasets,
    method: Annotated[
        str, flag("equal, weighted, greedy, stacking, or weights by hand: 2,1,1.")
    ] = "equal",
    split: flags.Split = "valid",
    folds: Annotated[int, flag("Folds of the cross-fitting.")] = 5,
    seed: flags.Seed = 0,
    tag: Annotated[str, flag("Second half of the model's name.")] = "",
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Join models into one: a model folder with a single ONNX file.

    Weights and temperature are fitted on the split; the ensemble's scores are cross-fitted.
    """
    from mien.ensembles import ensemble

    with progress_bar("ensemble", None, quiet=quiet) as advance:
        result = ensemble(
            list(runs), data, output, method=method, split=split, folds=folds, seed=seed,
            tag=tag, overwrite=overwrite, progress=advance,
        )  # fmt: skip
    print_result(result.to_dict(), format, lambda: _print(result, split))
    remark(f"next: mien predict photo.jpg --model {output}")


def _print(result: EnsembleResult, split: str) -> None:
    parts = [(f"{m.folder} ({m.name})", f"{m.weight:.3f}", m.scores) for m in result.members]
    parts.append(("ensemble, cross-fitted", "", result.scores))
    parts.append(("ensemble, as fitted here", "", result.fitted_scores))
    print_table(
        ("model", "weight", "accuracy", "95 % interval", "macro-F1", "NLL", "ECE"),
        ([name, weight, *score_cells(m, "macro_f1", "nll", "ece")] for name, weight, m in parts),
        title=f"{result.folder.config.name}, {result.method}, on {split}",
    )
    parity = result.parity
    print(
        f"file against members one by one, {parity['faces']} faces: same answer on "
        f"{parity['same_label']:.2%}, probabilities differ by {parity['mean_difference']:.1e} in "
        f"the mean and {parity['max_difference']:.1e} at most"
    )
