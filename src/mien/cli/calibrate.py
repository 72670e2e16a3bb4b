"""``mien calibrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.flags import Data, Device, Format, Print, Quiet, Split
from mien.cli.tables import print_json, print_table
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.evaluation.calibration import CalibrationResult


def command(
    data: Data,
    model: Annotated[str, typer.Option("-m", "--model", help="Model folder; it is changed.")],
    split: Split = "valid",
    coverage: Annotated[
        float, typer.Option("--coverage", help="Share of faces whose set holds the true label.")
    ] = 0.9,
    device: Device = "auto",
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    quiet: Quiet = False,
) -> None:
    """Set a model's prediction sets on labelled faces, and check what they promise.

    Trained models have them already. The thresholds go into the folder's config.json.
    """
    from mien.cli.progress import progress_bar
    from mien.data import read_manifest
    from mien.evaluation.calibration import calibrate
    from mien.recognizer import EmotionRecognizer

    if not 0 < coverage < 1:
        raise ConfigError(f"must lie between 0 and 1; got {coverage:g}", subject="--coverage")
    recognizer = EmotionRecognizer(model, detector="none", device=device)
    manifest = read_manifest(data, labels=recognizer.config.schema, runs=[recognizer.folder.path])
    with progress_bar("calibrate", None, quiet=quiet) as advance:
        result = calibrate(recognizer, manifest, split=split, coverage=coverage, progress=advance)
    if format is Format.json:
        print_json(
            {name: getattr(result, name).to_dict() for name in ("conformal", "quality", "check")}
        )
    else:
        _print(result)


def _print(result: CalibrationResult) -> None:
    check, fitted = result.check, result.conformal
    others = "" if check.accuracy_others is None else f", {check.accuracy_others:.1%} of the others"
    print(
        f"{fitted.faces:,} faces; on halves that were left out the set holds the true label of "
        f"{check.coverage:.1%} (aim {fitted.coverage:.0%}).\n"
        f"{check.single:.1%} of the sets are a single label, {check.empty:.1%} are empty. "
        f"{check.accuracy_single:.1%} of the single ones are right{others}."
    )
    labels = zip(result.faces_by_label.items(), fitted.thresholds, strict=True)
    rows = [
        [label, f"{faces:,}", f"{threshold:.3f}", _share(check.by_label[label])]
        for (label, faces), threshold in labels
    ]
    rows += [[f"the {name} tenth", "", "", _share(v)] for name, v in check.by_quality.items()]
    print_table(("label", "faces", "min. probability", "coverage"), rows)
    print(f"wrote {result.folder.path / 'config.json'}")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
