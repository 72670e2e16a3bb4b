"""``mien benchmark``: every field of the settings is a flag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.benchmarking.config import BenchmarkConfig
from mien.cli import flags
from mien.cli.printing import check_reports, print_report, progress_bar


@flags.with_flags
def command(
    settings: BenchmarkConfig,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos, folders or globs; the bundled photo by default.", show_default=False
        ),
    ] = None,
    output: flags.ReportFile = None,
    picture: flags.Picture = None,
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Measure latency, throughput, start and memory on this machine, stage by stage."""
    from mien.benchmarking.run import run_benchmark, steps
    from mien.cli.sources import collect

    check_reports(output, picture, overwrite=overwrite)
    files: list[str | Path] = [item.path for item in collect(photos or ["sample"])]
    with progress_bar("benchmark", steps(settings), quiet=quiet) as advance:
        report = run_benchmark(files, settings, progress=advance)
    print_report(report, output, picture, format)
