"""``mien compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.flags import Format, Print


def command(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN ...", help="Model folders or bundled names.")
    ],
    data: Annotated[str, typer.Option("-d", "--data", help="Dataset, KIND:PATH.")],
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "valid",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="NAME.html, NAME.json or NAME.md.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="NAME.png: accuracy against cost.")
    ] = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Measure milliseconds per face.")
    ] = True,
    threads: Annotated[int, typer.Option("--threads", min=0, help="0: as many as cores.")] = 0,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Set runs side by side: accuracy with interval, size, speed, and McNemar's test."""
    from mien.cli.progress import progress_bar
    from mien.comparison import compare
    from mien.reporting import FORMS, check_output, save_figure, write_report

    for target, endings in ((output, FORMS), (picture, (".png",))):
        if target:
            check_output(target, endings, overwrite=overwrite)
    with progress_bar("compare", None, quiet=quiet) as advance:
        comparison = compare(
            list(runs), data, split=split, timing=timing, threads=threads, progress=advance
        )
    if output:
        write_report(comparison, output)
        print(f"mien: wrote {output}", file=sys.stderr)
    if picture:
        save_figure(comparison.plot(), picture)
        print(f"mien: wrote {picture}", file=sys.stderr)
    if format is Format.json:
        print(json.dumps(comparison.to_dict(), indent=2))
    else:
        print(comparison.markdown(), end="")
