"""``mien finder train``: from labelled scenes to averaged weights."""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mien.atomic import write_text
from mien.errors import ConfigError
from mien.train.config import read_yaml
from mien.train.finder.batches import batches
from mien.train.finder.config import FinderConfig, make_finder_config
from mien.train.finder.pool import Pool, load_pool
from mien.train.finder.training import Training
from mien.train.finder.weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.train.finder.verifier_config import VerifierConfig

ARGS, LAST, WEIGHTS, METRICS = "args.yaml", "last.ckpt", "finder.safetensors", "metrics.csv"
#: Values that may differ when a run is resumed: they change no result.
_FREE = frozenset(
    {"start", "threads", "workers", "log_every", "scenes", "ferplus", "labels", "corrections"}
)


def prepare(
    output: Path,
    config: FinderConfig | VerifierConfig,
    *,
    make: Callable[..., FinderConfig | VerifierConfig] = make_finder_config,
    free: frozenset[str] = _FREE,
    resume: bool,
    overwrite: bool,
) -> bool:
    """Makes the run directory, or checks the one to resume.

    Args:
        output: The run directory.
        config: The recipe.
        make: Builds such a recipe from its values.
        free: Values that may differ when a run is resumed.
        resume: Go on, where there is a run.
        overwrite: Start anew, where there is one.

    Returns:
        Whether there is a checkpoint to go on from.

    Raises:
        ConfigError: If the directory is in use, or was started with other values.
    """
    import yaml

    args = output / ARGS
    if resume and args.is_file():
        started = make(read_yaml(args), source=str(args)).to_dict()
        differing = [
            f"{key} ({started[key]} then, {value} now)"
            for key, value in config.to_dict().items()
            if started[key] != value and key not in free
        ]
        if differing:
            raise ConfigError(f"{output} was started with other values: {', '.join(differing)}.")
        return (output / LAST).is_file()
    if args.exists() and not overwrite:
        raise ConfigError(f"{output} holds a run: type --resume, --overwrite or another --output.")
    output.mkdir(parents=True, exist_ok=True)
    (output / LAST).unlink(missing_ok=True)
    write_text(args, yaml.safe_dump(config.to_dict(), sort_keys=False))
    return False


def write_metrics(path: Path, rows: list[dict[str, float]]) -> None:
    """Writes metrics.csv whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def train_finder(
    config: FinderConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    pool: Pool | None = None,
) -> Path:
    """Trains the detector's network.

    Args:
        config: The recipe.
        output: The run directory.
        resume: Go on from the last checkpoint of a run that was stopped.
        overwrite: Start anew in a run directory that exists.
        progress: Print a line at each checkpoint to stderr.
        pool: What to compose views of, instead of what the recipe names.

    Returns:
        The file with the averaged weights.

    Raises:
        ConfigError: If the recipe or the directory is unfit.
        DataError: If the data is, or the loss stops being a number.
    """
    if pool is None and not (config.scenes and config.labels):
        raise ConfigError("give --scenes and --labels (see 'mien finder label').")
    goes_on = prepare(output, config, resume=resume, overwrite=overwrite)
    if pool is None:
        pool = read_pool(config, held=False)
    training = Training(config)
    if goes_on:
        training.load(output / LAST)
    _loop(training, pool, output, progress=progress)
    save_weights(training.average.module, output / WEIGHTS)
    return output / WEIGHTS


def read_pool(config: FinderConfig, *, held: bool) -> Pool:
    """Reads the pictures that a recipe names: the held-out tenth, or the rest.

    Raises:
        DataError: If something is missing.
    """
    return load_pool(
        Path(config.scenes),
        Path(config.ferplus) if config.ferplus else None,
        Path(config.labels),
        corrections=Path(config.corrections) if config.corrections else None,
        held=held,
        limit=config.limit,
        unseen=config.unseen,
    )


def _loop(training: Training, pool: Pool, output: Path, *, progress: bool) -> None:
    config = training.config
    training.network.train()
    sums: dict[str, float] = {}
    start, since = time.perf_counter(), training.step
    for pictures, faces in batches(pool, config, training.step):
        for name, value in training.learn(pictures, faces).items():
            sums[name] = sums.get(name, 0.0) + value
        if training.step % config.log_every and training.step < config.steps:
            continue
        count, seconds = training.step - since, time.perf_counter() - start
        row = {"step": float(training.step)} | {name: v / count for name, v in sums.items()}
        row |= {"lr": float(training.schedule.get_last_lr()[0]), "seconds": round(seconds, 2)}
        training.rows.append(row)
        training.save(output / LAST)
        write_metrics(output / METRICS, training.rows)
        if progress:
            shown = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
            print(f"{shown}  of {config.steps} steps", file=sys.stderr, flush=True)  # noqa: T201
        sums, start, since = {}, time.perf_counter(), training.step
