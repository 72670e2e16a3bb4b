"""``mien benchmark``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.flags import Format, Print
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.benchmarking.config import BenchmarkConfig


def command(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Photos, folders or globs; the bundled photo by default.", show_default=False
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("-m", "--model", help="Model folder or bundled name; may be repeated."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", help="Face detector: NAME or NAME:FILE.")
    ] = None,
    batch_sizes: Annotated[
        str, typer.Option("--batch-sizes", help="Faces a network run, with commas.")
    ] = "1,8,32",
    threads: Annotated[
        str | None,
        typer.Option("--threads", help="Threads a network run, with commas. Default: 1 and all."),
    ] = None,
    repeats: Annotated[
        int, typer.Option("--repeats", help="Photos answered for the latency.", min=1)
    ] = 100,
    rounds: Annotated[
        int, typer.Option("--rounds", help="Turns of each throughput and ratio.", min=1)
    ] = 15,
    starts: Annotated[
        int, typer.Option("--starts", help="Fresh processes per model; 0: none.", min=0)
    ] = 5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="NAME.md, NAME.json or NAME.html.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="NAME.png: where a photo's time goes.")
    ] = None,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Measure latency, throughput, start and memory on this machine, stage by stage."""
    from mien.benchmarking.run import run_benchmark, steps
    from mien.cli.progress import progress_bar
    from mien.cli.sources import collect
    from mien.reporting import FORMS, check_output, save_figure, write_report

    for target, endings in ((output, FORMS), (picture, (".png",))):
        if target:
            check_output(target, endings, overwrite=overwrite)
    config = _config(
        models=tuple(model or ()), detector=detector, batch_sizes=_numbers(batch_sizes),
        threads=None if threads is None else _numbers(threads), repeats=repeats, rounds=rounds,
        starts=starts,
    )  # fmt: skip
    files = [item.path for item in collect(photos or ["sample"])]
    with progress_bar("benchmark", steps(config), quiet=quiet) as advance:
        report = run_benchmark(files, config, progress=advance)
    if format is Format.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print(report.markdown(), end="")
    if output:
        write_report(report, output)
        print(f"mien: wrote {output}", file=sys.stderr)
    if picture:
        save_figure(report.plot(), picture)
        print(f"mien: wrote {picture}", file=sys.stderr)


def _config(**values: Any) -> BenchmarkConfig:
    """Returns the settings; what is None keeps its default."""
    from mien.benchmarking.config import BenchmarkConfig

    return BenchmarkConfig(**{name: value for name, value in values.items() if value is not None})


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(
            "are no whole numbers with commas, such as 1,8,32", subject=f"{text!r}"
        ) from None
