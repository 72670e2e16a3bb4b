"""``mien export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from mien.hub import ModelFolder


def command(
    model: Annotated[str, typer.Argument(help="Run directory or model folder.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write; without it, beside the weights."),
    ] = None,
    weights: Annotated[
        str, typer.Option("--weights", help="float32, or float16: half the size, sums in float32.")
    ] = "float32",
    data: Annotated[
        str | None,
        typer.Option(
            "-d",
            "--data",
            help="Dataset whose valid split the exported file is scored on; the scores go into "
            "config and card.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write a trained model as ONNX, checked against torch."""
    if weights not in ("float32", "float16"):
        raise ConfigError(f"--weights is float32 or float16; got {weights!r}.")
    try:
        from mien.export import export_run
    except ImportError as error:
        raise MissingExtraError("mien export", "train", error.name) from error
    folder, difference = export_run(
        model, output, half_weights=weights == "float16", overwrite=overwrite
    )
    for name, entry in folder.config.files.items():
        print(f"{folder.path / name}  {entry['bytes'] / 1e6:.2f} MB")
    if data:
        folder = _score(folder, data)
    print(f"parity: largest difference of a logit between torch and ONNX Runtime {difference:.1e}")


def _score(folder: ModelFolder, data: str) -> ModelFolder:
    from mien.data import read_manifest
    from mien.data.registry import parse_spec
    from mien.evaluate import evaluate, record_evaluation
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
