"""``mien train``: every field of the recipe is a flag."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import failed, interval, print_table, progress_bar, remark, score_cells
from mien.errors import ConfigError, import_extra
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.hub import ModelFolder
    from mien.training.cross_validation import CrossValidation

#: Scores in the table of folds, after the accuracy.
_SHOWN = ("macro_f1", "ece", "nll")


class Help(flags.GroupedHelp):
    """The help of ``mien train``: what is typed most, then all by subject."""

    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        title: tuple(names.split())
        for title, names in {
            "Most used": "data output preset model weights epochs batch_size lr config resume",
            "Data": "labels label_map on_error color size first_size first_share limit workers "
            "shuffle_buffer",
            "Network": "model_args dropout",
            "Transfer": "freeze freeze_epochs unfreeze layer_decay freeze_bn teachers "
            "distill_weight distill_temperature distill_views",
            "Loss": "loss focal_gamma label_smoothing class_weight class_weight_beta sampler "
            "logit_adjustment logit_adjustment_by",
            "Optimiser": "optimizer momentum weight_decay schedule warmup_epochs decay_factor "
            "decay_every ema_decay",
            "Augmentation": "flip rotate scale_min scale_max shift light blur low_resolution "
            "low_resolution_min noise erase augmentation randaugment randaugment_strength mixup "
            "mixup_alpha cutmix cutmix_alpha mixup_off",
            "Run": "monitor patience folds seed overwrite quiet callbacks logger precision device "
            "threads devices num_nodes tag license imports help",
        }.items()
    }


@flags.with_label_map
@flags.with_on_error
@flags.with_flags
def command(
    recipe: TrainConfig,
    output: Annotated[
        Path, output_flag("Run directory; becomes a model folder.", folder=True)
    ] = Path("runs/train"),
    resume: Annotated[bool, flag("Go on from the last finished epoch.", "--resume")] = False,
    overwrite: flags.Overwrite = False,
    folds: Annotated[int, flag("Cross-validate with so many folds; 0: one run.", min=0)] = 0,
    quiet: flags.Quiet = False,
) -> None:
    """Train a model on labelled faces; the run is a model folder.

    Stop it whenever you like and go on with --resume.
    """
    if folds and overwrite:
        raise ConfigError("--folds overwrites nothing: give another --output, or type --resume.")
    with stoppable("train", output, "torch", "onnx"):
        from mien.training.cross_validation import cross_validate
        from mien.training.distributed.launch import tells_result
        from mien.training.distributed.processes import FailedElsewhereError
        from mien.training.run import train

        options: Any = {"resume": resume, "progress": not quiet}
        bar = partial(progress_bar, quiet=quiet)
        if folds:
            _print_folds(cross_validate(recipe, output, folds=folds, bars=bar, **options))
            remark(f"wrote {output / 'cross_validation.json'} and predictions.csv")
            return
        try:
            folder = train(recipe, output, overwrite=overwrite, bar=bar, **options)
        except FailedElsewhereError:
            raise typer.Exit(1) from None
    if tells_result(recipe):
        _report(folder)


@contextmanager
def stoppable(verb: str, output: Path | None, *modules: str) -> Iterator[None]:
    """Runs a training, once its libraries are there; one that is stopped says how to go on.

    Without an ``output`` there is nothing to go on with.
    """
    # Threads that wait for work sleep: on few cores spinning costs more than it saves.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for module in modules:
        import_extra(module, f"mien {verb}", "train")
    try:
        yield
    except KeyboardInterrupt:
        go_on = f"go on with: mien {verb} ... -o {output} --resume"
        remark(f"stopped; {go_on if output else 'nothing was written'}")
        raise


def _print_folds(result: CrossValidation) -> None:
    spread, scores = result.spread(), result.scores()
    parts = [fold.scores() for fold in result.folds]
    rows: list[list[str] | None] = [
        [f"fold {number}", str(part["n"]), *score_cells(part, *_SHOWN)]
        for number, part in enumerate(parts, 1)
    ]
    rows.append(None)
    for at, name in enumerate(("mean", "deviation")):
        numbers = [f"{spread[key][at]:.3f}" for key in _SHOWN]
        rows.append([name, "", f"{spread['accuracy'][at]:.2%}", "", *numbers])
    rows += [None, ["all faces", str(scores["n"]), *score_cells(scores, *_SHOWN)]]
    print_table(
        ("", "faces", "accuracy", "95 % interval", "macro-F1", "ECE", "NLL"),
        rows,
        title=f"{len(parts)} folds, {len(result.pooled.keys)} faces",
    )
    low, high = scores["macro_f1_ci"]
    print(f"macro-F1 of all, 95 % interval: {low:.3f} to {high:.3f}")


def _report(folder: ModelFolder) -> None:
    valid = folder.config.metrics["valid"]
    print(
        f"{folder.path}: accuracy {valid['accuracy']:.2%} (95 % interval "
        f"{interval(valid['accuracy_ci'])}, n = {valid['n']}), macro-F1 {valid['macro_f1']:.3f}, "
        f"ECE {valid['ece']:.3f}"
    )
    from mien.reporting.text import counted
    from mien.training.result import TrainResult

    result = TrainResult.read(folder.path)
    print(result.summary())
    if result.unreadable:
        count = counted(result.unreadable, "picture", "pictures")
        raise failed(f"{count} could not be read and took no part")
