"""``mien tune``: every field of the settings is a flag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import print_result, print_table, remark
from mien.cli.train import stoppable
from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.tuning.config import TuneConfig, read_space, show_value

if TYPE_CHECKING:
    from mien.training.tuning.result import TrialRow, TuneResult

_SHOWN = 10


@flags.with_label_map
@flags.with_on_error
@flags.with_flags
def command(
    settings: TuneConfig,
    space: Annotated[Path | None, flag("Keys and their ranges (YAML).")] = None,
    find_lr: Annotated[
        bool, flag("Search the learning rate alone, by one short training.", "--find-lr")
    ] = False,
    config: Annotated[
        Path | None, flag("Recipe (YAML) that trials share.", "-c", "--config")
    ] = None,
    data: flags.OptionalDatasets = None,
    output: Annotated[Path, output_flag("Folder of the study and its trials.", folder=True)] = Path(
        "runs/tune"
    ),
    resume: Annotated[bool, flag("Go on with the study in the folder.", "--resume")] = False,
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    quiet: flags.Quiet = False,
) -> None:
    """Search for the best recipe: many trainings over a space of keys.

    Start it again with the same --storage on any machine for one more worker.
    """
    recipe = TrainConfig.load(config, data=data or None)
    if find_lr:
        if resume:
            raise ConfigError(
                "--find-lr begins anew and has no study to go on with: leave --resume out."
            )
        _find_lr(recipe, output, format)
        return
    if space is None:
        raise ConfigError("no keys to search: give --space FILE, or --find-lr for the rate alone.")
    searched = read_space(space)
    with stoppable("tune", output, "torch", "optuna"):
        from mien.training.tuning.run import tune

        result = tune(
            recipe, searched, output=output, settings=settings, resume=resume,
            done=None if quiet else _tell,
        )  # fmt: skip
    print_result(result.to_dict(), format, lambda: _print(result))
    remark(f"next: mien train -c {output / 'best.yaml'} -o runs/best")


def _find_lr(recipe: TrainConfig, output: Path, format: flags.Format) -> None:  # noqa: A002 - as the flag
    with stoppable("tune", None, "torch", "matplotlib"):
        from mien.training.tuning.find_lr import find_lr as search

        found = search(recipe, output)
    print_result(
        found.to_dict(), format,
        lambda: print(f"lr {found.best:.2g} (the loss fell fastest at {found.steepest:.2g})"),
    )  # fmt: skip
    remark(f"wrote {output / 'lr.png'} and lr.csv")
    remark(f"next: mien train --lr {found.best:.2g} ...")


def _tell(row: TrialRow) -> None:
    value = "" if row.value is None else f" {row.value:.4f}"
    drawn = ", ".join(f"{key} {show_value(found)}" for key, found in row.values.items())
    why = f": {row.error}" if row.error else ""
    remark(f"trial {row.number} {row.state}{value} ({drawn}){why}")


def _print(result: TuneResult) -> None:
    states = [row.state for row in result.rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    keys = list(result.best.values)
    rows = [
        [row.number, f"{row.value:.4f}", *(show_value(row.values[key]) for key in keys),
         f"{row.seconds:.0f}"]
        for row in result.ranked()[:_SHOWN]
    ]  # fmt: skip
    print_table(
        ("trial", result.metric, *keys, "seconds"), rows, left=0,
        title=f"study {result.study}: {counts}",
    )  # fmt: skip
    shares = ", ".join(f"{key} {share:.0%}" for key, share in result.importances.items())
    if shares:
        print(f"what mattered: {shares}")
    print(f"best recipe: {result.output / 'best.yaml'}")
