"""``mien export``: every field of the settings is a flag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import interval, print_table, progress_bar, remark
from mien.errors import ModelError, needs_extra
from mien.exporting.config import ExportConfig

if TYPE_CHECKING:
    from mien.exporting.measure import FormatResult
    from mien.hub import ModelFolder


@flags.with_label_map
@flags.with_on_error
@flags.with_flags
def command(
    settings: ExportConfig,
    model: Annotated[str, typer.Argument(help="Run directory or model folder.")],
    output: Annotated[
        Path | None,
        output_flag("Folder to write; without it, next to the weights.", folder=True),
    ] = None,
    data: flags.OptionalDatasets = None,
    calibrate: Annotated[
        list[str] | None,
        flag("Dataset whose train split int8-static is calibrated on; without it, that of -d."),
    ] = None,
    imports: flags.Imports = None,  # noqa: ARG001 - imported when it is read
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write a trained model as ONNX and in other forms, each checked against the first.

    Run one of them with -m FOLDER/FILE, as in mien predict photo.jpg -m small/model.onnx.
    """
    from mien.data import read_manifest
    from mien.exporting.config import available_formats
    from mien.exporting.formats import export_formats
    from mien.hub import read_model_folder

    if not (settings.formats or settings.embed):
        _export_onnx(model, output, settings, data=data, overwrite=overwrite)
        return
    if "all" in settings.formats:
        for name, why in available_formats(read_model_folder(model))[1].items():
            remark(f"{name} is left out: {why}")
    with progress_bar("export", len(settings.formats), quiet=quiet) as advance:
        folder, results = export_formats(
            model,
            output,
            settings,
            data=read_manifest(data, runs=[model]) if data else None,
            calibrate=read_manifest(calibrate, runs=[model]) if calibrate else None,
            overwrite=overwrite,
            progress=advance,
        )
    _print(folder, results)
    refused = [f"{result.format}: {result.refused}" for result in results if result.refused]
    if refused:
        raise ModelError(f"not written: {'; '.join(refused)}.")


def _print(folder: ModelFolder, results: list[FormatResult]) -> None:
    first, scored = results[0], results[0].after is not None
    faces = f"{first.faces} {'faces' if scored else 'pictures of noise'}"
    more = ("accuracy", "95 % interval", "points") if scored else ()
    rows = []
    for result in results:
        cells = [
            result.format + (" (refused)" if result.refused else ""),
            f"{result.bytes / 1e6:.2f}", f"{result.bytes / first.bytes:.2f}",
            f"{result.difference:.1e}", f"{result.agreement:.2%}",
        ]  # fmt: skip
        if result.after is not None and result.interval is not None:
            points = f"{0.0 - round(result.drop, 2):+.2f}"
            cells += [f"{result.after:.2%}", interval(result.interval), points]
        speed = first.ms_32 / result.ms_32
        rows.append([*cells, f"{result.ms_32:.2f}", f"{result.ms_1:.2f}", f"{speed:.2f}x"])
    print_table(
        ("format", "MB", "of fp32", "logit diff", "agree", *more, "ms/face b32", "b1", "speed"),
        rows,
        title=f"{folder.config.name}, against model.onnx on {faces}",
        width=140,
    )
    for result in results:
        if result.note:
            print(f"{result.format}: {result.note}")
    _print_files(folder)


def _print_files(folder: ModelFolder) -> None:
    for name, entry in folder.config.files.items():
        print(f"{folder.path / name}  {entry['bytes'] / 1e6:.2f} MB")


def _export_onnx(
    model: str,
    output: Path | None,
    settings: ExportConfig,
    *,
    data: list[str] | None,
    overwrite: bool,
) -> None:
    with needs_extra("mien export", "train"):
        from mien.exporting import export_run
    folder, difference = export_run(
        model, output, half_weights=settings.half_weights, overwrite=overwrite
    )
    _print_files(folder)
    if data:
        _score(folder, data)
    print(f"parity: largest difference of a logit between torch and ONNX Runtime {difference:.1e}")


def _score(folder: ModelFolder, data: list[str]) -> None:
    from mien.data import read_manifest
    from mien.data.sources import data_name
    from mien.evaluation import evaluate, record_evaluation
    from mien.recognizer import EmotionRecognizer

    before = folder.config.metrics.get("valid")
    recognizer = EmotionRecognizer(folder.path, detector="none")
    evaluation = evaluate(recognizer, read_manifest(data, runs=[folder.path]))
    after = evaluation.scores()
    for name, scores in (("trained", before), ("exported", after)):
        if scores:
            print(
                f"{name:<9} accuracy {scores['accuracy']:.2%} ({interval(scores['accuracy_ci'])}), "
                f"ECE {scores['ece']:.4f}, n = {scores['n']}"
            )
    record_evaluation(folder, evaluation, data_name(data))
