"""``mien export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.errors import ConfigError, MissingExtraError


def command(
    model: Annotated[str, typer.Argument(help="Run directory or model folder.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write; without it, beside the weights."),
    ] = None,
    weights: Annotated[
        str, typer.Option("--weights", help="float32, or float16: half the size, sums in float32.")
    ] = "float32",
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
    print(f"parity: largest difference of a logit between torch and ONNX Runtime {difference:.1e}")
