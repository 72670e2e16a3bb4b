"""``mien calibrate``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.flags import Format, Print

if TYPE_CHECKING:
    from mien.evaluation.calibration import CalibrationResult


def command(
    data: Annotated[
        str, typer.Option("-d", "--data", help="Dataset, KIND:PATH, for example folder:faces.")
    ],
    model: Annotated[str, typer.Option("-m", "--model", help="Model folder; it is changed.")],
    split: Annotated[str, typer.Option("--split", help="Faces it was not trained on.")] = "valid",
    coverage: Annotated[
        float, typer.Option("--coverage", help="Share of faces whose set holds the true label.")
    ] = 0.9,
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Set a model's prediction sets on labelled faces, and check what they promise.

    Trained models have them already. The thresholds go into the folder's config.json.
    """
    from mien.cli.progress import progress_bar
    from mien.data import read_manifest
    from mien.errors import ConfigError
    from mien.evaluation.calibration import calibrate
    from mien.recognizer import EmotionRecognizer

    if not 0 < coverage < 1:
        raise ConfigError(f"--coverage lies between 0 and 1; got {coverage:g}.")
    recognizer = EmotionRecognizer(model, detector="none")
    manifest = read_manifest(data, labels=recognizer.config.schema)
    with progress_bar("calibrate", None, quiet=quiet) as advance:
        result = calibrate(recognizer, manifest, split=split, coverage=coverage, progress=advance)
    if format is Format.json:
        value = {
            "conformal": result.conformal.to_dict(),
            "quality": result.quality.to_dict(),
            "check": result.check.to_dict(),
        }
        print(json.dumps(value, indent=2))
        return
    _print(result)


def _print(result: CalibrationResult) -> None:
    from rich.console import Console
    from rich.table import Table

    check, fitted = result.check, result.conformal
    others = "" if check.accuracy_others is None else f", {check.accuracy_others:.1%} of the others"
    print(
        f"{fitted.faces:,} faces; on halves that were left out the set holds the true label of "
        f"{check.coverage:.1%} (aim {fitted.coverage:.0%}).\n"
        f"{check.single:.1%} of the sets are a single label, {check.empty:.1%} are empty. "
        f"{check.accuracy_single:.1%} of the single ones are right{others}."
    )
    table = Table()
    for title in ("label", "faces", "min. probability", "coverage"):
        table.add_column(title, justify="left" if title == "label" else "right")
    for (label, faces), threshold in zip(
        result.faces_by_label.items(), fitted.thresholds, strict=True
    ):
        table.add_row(label, f"{faces:,}", f"{threshold:.3f}", _share(check.by_label[label]))
    for name, found in check.by_quality.items():
        table.add_row(f"the {name} tenth", "", "", _share(found))
    Console().print(table)
    print(f"wrote {result.folder.path / 'config.json'}")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
