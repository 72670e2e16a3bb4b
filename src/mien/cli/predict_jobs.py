"""``mien predict`` as a job: a folder of Parquet files, resumed if asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mien.cli.progress import progress_bar
from mien.cli.tables import failed
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.jobs import JobConfig


def predict_job(
    words: Sequence[str],
    output: str | None,
    config: JobConfig,
    *,
    form: str,
    resume: bool,
    overwrite: bool,
    quiet: bool = False,
) -> None:
    """Runs a job to its end and prints its summary.

    Raises:
        ConfigError: If there is no output, or the summary is asked for as CSV.
        typer.Exit: With code 1 if not one picture could be read.
    """
    from mien.jobs.run import all_failed, open_job

    if output is None:
        raise ConfigError("a job writes files: add -o results.parquet.")
    if form == "csv":
        raise ConfigError("a job's rows are in its Parquet files: leave --format csv out.")
    with (
        open_job(words, output, config=config, resume=resume, overwrite=overwrite) as job,
        progress_bar("predict", job.pictures, quiet=quiet) as advance,
    ):
        advance(job.done)
        summary = job.run(advance)
    print(json.dumps(summary.to_dict()) if form == "json" else "\n".join(summary.lines()))
    if all_failed(summary):
        raise failed("not one picture could be read; the errors are in the rows")
