"""Flags that several verbs share, with the same letters and the same meaning."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a result is printed."""

    table = "table"
    json = "json"


class RowsFormat(StrEnum):
    """How a result with rows is printed."""

    table = "table"
    json = "json"
    csv = "csv"


def _import(names: list[str] | None) -> list[str] | None:
    from mien.plugins import import_plugins

    import_plugins(names or ())
    return names


Model = Annotated[str | None, typer.Option("-m", "--model", help="Model folder or bundled name.")]
Models = Annotated[
    list[str] | None,
    typer.Option("-m", "--model", help="Model folder or bundled name; may be repeated."),
]
Data = Annotated[
    str, typer.Option("-d", "--data", help="Dataset, KIND:PATH, for example folder:faces.")
]
OptionalData = Annotated[
    str | None, typer.Option("-d", "--data", help="Dataset of labelled faces, KIND:PATH.")
]
Split = Annotated[str, typer.Option("--split", help="train, valid or test.")]
Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Photos, folders, globs, clips, 'sample' for the bundled photo, or - for a list of "
        "paths on stdin.",
        show_default=False,
    ),
]
SourceFlag = Annotated[
    list[str] | None, typer.Option("-s", "--source", help="Same as a plain argument.")
]
Detector = Annotated[
    str | None,
    typer.Option(
        "--detector", help="Face detector: NAME or NAME:FILE; none: pictures are faces already."
    ),
]
MinScore = Annotated[
    float | None, typer.Option("--min-score", help="Lowest score of a face, 0 to 1.")
]
Labels = Annotated[
    str | None, typer.Option("--labels", help="Label schema: hes3, fer7 or ferplus8.")
]
Backend = Annotated[str, typer.Option("--backend", help="onnx or torch.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:1.")]
BatchSize = Annotated[int, typer.Option("-b", "--batch-size", help="Faces per network run.", min=1)]
Workers = Annotated[int, typer.Option("-j", "--workers", help="Threads that decode.", min=1)]
Output = Annotated[Path, typer.Option("-o", "--output", help="File or folder to write.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of what is drawn.")]
Print = Annotated[Format, typer.Option("--format", help="What is printed.")]
PrintRows = Annotated[
    RowsFormat, typer.Option("--format", help="What is printed; csv: one row per face.")
]
ReportFile = Annotated[
    Path | None, typer.Option("-o", "--output", help="NAME.html, NAME.json or NAME.md.")
]
Runs = Annotated[
    list[str], typer.Argument(metavar="RUN RUN ...", help="Model folders or bundled names.")
]
License = Annotated[str, typer.Option("--license", help="Licence, for the card.")]
Picture = Annotated[Path | None, typer.Option("--picture", help="NAME.png to draw.")]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="Module or .py file with networks, detectors or readers of your own; repeat it.",
        callback=_import,
        is_eager=True,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")]
