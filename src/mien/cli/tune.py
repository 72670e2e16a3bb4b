"""``mien tune``: every field of the settings is a flag."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.flags import Format, OptionalData, Print, Quiet
from mien.cli.tables import print_json, print_table
from mien.config import with_flags
from mien.errors import MissingExtraError
from mien.training.config import TrainConfig
from mien.training.tuning.config import TuneConfig
from mien.training.tuning.space import read_space

if TYPE_CHECKING:
    from mien.training.tuning.result import TrialRow, TuneResult

_SHOWN = 10


@with_flags
def command(
    settings: TuneConfig,
    space: Annotated[Path, typer.Option("--space", help="Keys and their ranges (YAML).")],
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML) that trials share.")
    ] = None,
    data: OptionalData = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the study and its trials.")
    ] = Path("runs/tune"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study in the folder.")
    ] = False,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    quiet: Quiet = False,
) -> None:
    """Search for the best recipe: many trainings over a space of keys.

    Start it again with the same --storage on any machine for one more worker.
    """
    recipe = TrainConfig.load(config, data=data)
    searched = read_space(space)
    # Threads that wait for work sleep: on few cores spinning costs more than it saves.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import lightning  # noqa: F401
        import optuna  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mien tune", "train", error.name) from error
    from mien.training.tuning.run import tune

    try:
        result = tune(
            recipe, searched, output=output, settings=settings, resume=resume,
            done=None if quiet else _tell,
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"stopped; go on with: mien tune ... -o {output} --resume", file=sys.stderr)
        raise
    if format is Format.json:
        print_json(result.to_dict())
    else:
        _print(result)
    print(f"next: mien train -c {output / 'best.yaml'} -o runs/best", file=sys.stderr)


def _tell(row: TrialRow) -> None:
    value = "" if row.value is None else f" {row.value:.4f}"
    drawn = ", ".join(f"{key} {_short(found)}" for key, found in row.values.items())
    why = f": {row.error}" if row.error else ""
    print(f"trial {row.number} {row.state}{value} ({drawn}){why}", file=sys.stderr, flush=True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(result: TuneResult) -> None:
    states = [row.state for row in result.rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    keys = list(result.best.values)
    rows = [
        [row.number, f"{row.value:.4f}", *(_short(row.values[key]) for key in keys),
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
