"""``mien compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.cli.flags import (
    Data,
    Format,
    Imports,
    Overwrite,
    Picture,
    Print,
    Quiet,
    ReportFile,
    Runs,
    Split,
)
from mien.cli.tables import check_reports, print_report


def command(
    runs: Runs,
    data: Data,
    split: Split = "valid",
    output: ReportFile = None,
    picture: Picture = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Measure milliseconds per face.")
    ] = True,
    threads: Annotated[int, typer.Option("--threads", min=0, help="0: as many as cores.")] = 0,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    imports: Imports = None,  # noqa: ARG001 - imported when it is read
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Set runs side by side: accuracy with interval, size, speed, and McNemar's test."""
    from mien.cli.progress import progress_bar
    from mien.comparison import compare

    check_reports(output, picture, overwrite=overwrite)
    with progress_bar("compare", None, quiet=quiet) as advance:
        comparison = compare(
            list(runs), data, split=split, timing=timing, threads=threads, progress=advance
        )
    print_report(comparison, output, picture, format)
