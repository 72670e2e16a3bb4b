"""``mien tune``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import MissingExtraError
from mien.training.config import load_recipe
from mien.training.tuning.settings import TuneSettings
from mien.training.tuning.space import read_space

if TYPE_CHECKING:
    from mien.training.tuning.result import TrialRow, TuneResult

_SHOWN = 10


def command(
    space: Annotated[Path, typer.Option("--space", help="Keys and their ranges (YAML).")],
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML) that trials share.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Dataset, KIND:PATH; wins over the recipe.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the study and its trials.")
    ] = Path("runs/tune"),
    trials: Annotated[
        int, typer.Option("--trials", help="Finished trials in all, earlier ones counted in.")
    ] = TuneSettings.trials,
    metric: Annotated[
        str, typer.Option("--metric", help="accuracy, macro_f1 or valid_loss.")
    ] = TuneSettings.metric,
    sampler: Annotated[
        str, typer.Option("--sampler", help="tpe, random or grid.")
    ] = TuneSettings.sampler,
    pruner: Annotated[
        str, typer.Option("--pruner", help="none, median or hyperband.")
    ] = TuneSettings.pruner,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds after which none is begun; 0: no limit.")
    ] = TuneSettings.timeout,
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            envvar="MIEN_TUNE_STORAGE",
            show_envvar=True,
            help="URL of a database that workers share; empty: study.db in the folder.",
        ),
    ] = TuneSettings.storage,
    study: Annotated[
        str, typer.Option("--study", help="Name of the study; empty: that of the folder.")
    ] = TuneSettings.study,
    heartbeat: Annotated[
        int, typer.Option("--heartbeat", help="Seconds between a worker's signs of life.")
    ] = TuneSettings.heartbeat,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the search.")] = TuneSettings.seed,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study in the folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No line a trial.")] = False,
) -> None:
    """Search for the best recipe: many trainings over a space of keys.

    Start it again with the same --storage on any machine for one more worker.
    """
    recipe = load_recipe(config, data=data)
    settings = TuneSettings(
        trials=trials,
        metric=metric,
        sampler=sampler,
        pruner=pruner,
        timeout=timeout,
        storage=storage,
        study=study,
        heartbeat=heartbeat,
        seed=seed,
    )
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
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        _print_table(result)
    print(f"next: mien train -c {output / 'best.yaml'} -o runs/best", file=sys.stderr)


def _tell(row: TrialRow) -> None:
    value = "" if row.value is None else f" {row.value:.4f}"
    drawn = ", ".join(f"{key} {_short(found)}" for key, found in row.values.items())
    why = f": {row.error}" if row.error else ""
    print(f"trial {row.number} {row.state}{value} ({drawn}){why}", file=sys.stderr, flush=True)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_table(result: TuneResult) -> None:
    from rich.console import Console
    from rich.table import Table

    ranked = result.ranked()
    states = [row.state for row in result.rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    table = Table(title=f"study {result.study}: {counts}")
    keys = list(result.best.values)
    for column in ("trial", result.metric, *keys, "seconds"):
        table.add_column(column, justify="right")
    for row in ranked[:_SHOWN]:
        table.add_row(
            str(row.number), f"{row.value:.4f}", *(_short(row.values[key]) for key in keys),
            f"{row.seconds:.0f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    shares = ", ".join(f"{key} {share:.0%}" for key, share in result.importances.items())
    if shares:
        console.print(f"what mattered: {shares}")
    console.print(f"best recipe: {result.output / 'best.yaml'}", soft_wrap=True)
