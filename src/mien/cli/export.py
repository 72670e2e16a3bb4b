"""``mien export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import ConfigError, ModelError, needs_extra

if TYPE_CHECKING:
    from mien.exporting.measure import FormatResult
    from mien.exporting.options import ExportOptions
    from mien.hub import ModelFolder

_FORMATS = "onnx, onnx-fp16, int8-dynamic, int8-static, openvino or torch-export; may be repeated."


def command(
    model: Annotated[str, typer.Argument(help="Run directory or model folder.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write; without it, next to the weights."),
    ] = None,
    weights: Annotated[
        str, typer.Option("--weights", help="float32, or float16: half the size, sums in float32.")
    ] = "float32",
    formats: Annotated[list[str] | None, typer.Option("--format", help=_FORMATS)] = None,
    all_formats: Annotated[
        bool, typer.Option("--all-formats", help="Every format whose packages are installed.")
    ] = False,
    embed: Annotated[
        bool,
        typer.Option(
            "--embed-preprocessing",
            help="Each ONNX form a second time: uint8 faces in, probabilities out.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option("-d", "--data", help="Dataset to score the exported files on."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split to score on.")] = "valid",
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Dataset whose train split int8-static is calibrated on; without it, that of -d.",
        ),
    ] = None,
    calibration_method: Annotated[
        str,
        typer.Option("--calibration-method", help="minmax, entropy, percentile, or compare."),
    ] = "minmax",
    calibration_faces: Annotated[
        int, typer.Option("--calibration-faces", min=1, help="Faces to calibrate on.")
    ] = 256,
    reduce_range: Annotated[
        bool, typer.Option("--reduce-range", help="int8 for CPUs without VNNI: 7-bit weights.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0.0, help="Points that the accuracy may fall.")
    ] = 0.3,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Write a trained model as ONNX and in other forms, each checked against the first.

    Run one of them with -m FOLDER/FILE, as in mien predict photo.jpg -m small/model.onnx.
    """
    if weights not in ("float32", "float16"):
        raise ConfigError(f"--weights is float32 or float16; got {weights!r}.")
    if not (formats or all_formats or embed):
        _export_onnx(model, output, half=weights == "float16", data=data, overwrite=overwrite)
        return
    from mien.exporting.options import ExportOptions, available_formats
    from mien.hub import read_model_folder

    names = tuple(dict.fromkeys(formats or ()))
    if all_formats:
        names, missing = available_formats(read_model_folder(model))
        for name, why in missing.items():
            print(f"mien: {name} is left out: {why}", file=sys.stderr)
    options = ExportOptions(
        formats=names,
        embed=embed,
        calibration=calibration_method,
        calibration_faces=calibration_faces,
        reduce_range=reduce_range,
        max_drop=max_drop,
        split=split,
        half_weights=weights == "float16",
    )
    _export_formats(
        model, output, options, data=data, calibrate=calibrate, overwrite=overwrite, quiet=quiet
    )


def _export_formats(
    model: str,
    output: Path | None,
    options: ExportOptions,
    *,
    data: str | None,
    calibrate: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    from mien.cli.progress import progress_bar
    from mien.data import read_manifest
    from mien.exporting.formats import export_formats

    with progress_bar("export", len(options.formats), quiet=quiet) as advance:
        folder, results = export_formats(
            model,
            output,
            options,
            data=read_manifest(data) if data else None,
            calibrate=read_manifest(calibrate) if calibrate else None,
            overwrite=overwrite,
            progress=advance,
        )
    _print_table(folder, results)
    refused = [f"{result.format}: {result.refused}" for result in results if result.refused]
    if refused:
        raise ModelError(f"not written: {'; '.join(refused)}.")


def _print_table(folder: ModelFolder, results: list[FormatResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    scored = results[0].after is not None
    faces = f"{results[0].faces} " + ("faces" if scored else "pictures of noise")
    table = Table(title=f"{folder.config.name}, against model.onnx on {faces}")
    columns = ["format", "MB", "of fp32", "logit diff", "agree"]
    columns += ["accuracy", "95 % interval", "points"] if scored else []
    for column in (*columns, "ms/face b32", "b1", "speed"):
        table.add_column(column, justify="left" if column == "format" else "right")
    first = results[0]
    for result in results:
        cells = [
            result.format + (" (refused)" if result.refused else ""),
            f"{result.bytes / 1e6:.2f}", f"{result.bytes / first.bytes:.2f}",
            f"{result.difference:.1e}", f"{result.agreement:.2%}",
        ]  # fmt: skip
        if result.after is not None and result.interval is not None:
            low, high = result.interval
            cells += [
                f"{result.after:.2%}",
                f"{low:.2%} to {high:.2%}",
                f"{0.0 - round(result.drop, 2):+.2f}",
            ]
        speed = first.ms_32 / result.ms_32
        table.add_row(*cells, f"{result.ms_32:.2f}", f"{result.ms_1:.2f}", f"{speed:.2f}x")
    console = Console()
    if not console.is_terminal:
        console.width = 140
    console.print(table)
    for result in results:
        if result.note:
            console.print(f"{result.format}: {result.note}")
    for name, entry in folder.config.files.items():
        print(f"{folder.path / name}  {entry['bytes'] / 1e6:.2f} MB")


def _export_onnx(
    model: str, output: Path | None, *, half: bool, data: str | None, overwrite: bool
) -> None:
    with needs_extra("mien export", "train"):
        from mien.exporting import export_run
    folder, difference = export_run(model, output, half_weights=half, overwrite=overwrite)
    for name, entry in folder.config.files.items():
        print(f"{folder.path / name}  {entry['bytes'] / 1e6:.2f} MB")
    if data:
        folder = _score(folder, data)
    print(f"parity: largest difference of a logit between torch and ONNX Runtime {difference:.1e}")


def _score(folder: ModelFolder, data: str) -> ModelFolder:
    from mien.data import read_manifest
    from mien.data.registry import parse_spec
    from mien.evaluation import evaluate, record_evaluation
    from mien.recognizer import EmotionRecognizer

    before = folder.config.metrics.get("valid")
    evaluation = evaluate(EmotionRecognizer(folder.path, detector="none"), read_manifest(data))
    after = evaluation.scores()
    for name, scores in (("trained", before), ("exported", after)):
        if scores:
            low, high = scores["accuracy_ci"]
            print(
                f"{name:<9} accuracy {scores['accuracy']:.2%} ({low:.2%} to {high:.2%}), "
                f"ECE {scores['ece']:.4f}, n = {scores['n']}"
            )
    return record_evaluation(folder, evaluation, parse_spec(data)[0])
