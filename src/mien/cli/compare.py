"""``mien compare``."""

from __future__ import annotations

from typing import Annotated

from mien.cli import flags
from mien.cli.flags import flag
from mien.cli.printing import check_reports, print_report, progress_bar


@flags.with_label_map
@flags.with_on_error
def command(
    runs: flags.Runs,
    data: flags.Datasets,
    split: flags.Split = "valid",
    output: flags.ReportFile = None,
    picture: flags.Picture = None,
    timing: Annotated[bool, flag("Measure milliseconds per face.", "--timing/--no-timing")] = True,
    threads: Annotated[int, flag("0: as many as cores.", min=0)] = 0,
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    imports: flags.Imports = None,  # noqa: ARG001 - imported when it is read
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Set runs side by side: accuracy with interval, size, speed, and McNemar's test."""
    from mien.comparison import compare

    check_reports(output, picture, overwrite=overwrite)
    with progress_bar("compare", None, quiet=quiet) as advance:
        comparison = compare(
            list(runs), data, split=split, timing=timing, threads=threads, progress=advance
        )
    print_report(comparison, output, picture, format)
