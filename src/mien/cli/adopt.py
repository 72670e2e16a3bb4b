"""``mien adopt``."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.adoption import Adoption, AdoptSettings


def command(
    file: Annotated[Path, typer.Argument(help="ONNX file of a classifier trained elsewhere.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Class names in the order of the outputs, or a file."),
    ] = None,
    size: Annotated[int | None, typer.Option("--size", help="Side of the input.")] = None,
    color: Annotated[str | None, typer.Option("--color", help="gray, rgb or bgr.")] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Subtracted after --scale; one, or one a channel.")
    ] = None,
    std: Annotated[str | None, typer.Option("--std", help="Divided by after --mean.")] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", help="Pixels 0..255 are multiplied by it: 1/255, 1.")
    ] = None,
    layout: Annotated[str, typer.Option("--layout", help="auto, nchw or nhwc.")] = "auto",
    activation: Annotated[
        str, typer.Option("--activation", help="auto, logits or softmax.")
    ] = "auto",
    interpolation: Annotated[
        str, typer.Option("--interpolation", help="bilinear, bicubic or lanczos.")
    ] = "bilinear",
    output_name: Annotated[
        str | None, typer.Option("--output-name", help="Which output holds the scores.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the model; else the file's.")
    ] = None,
    license: Annotated[  # noqa: A002 - the flag's name
        str, typer.Option("--license", help="Licence of the weights, for the card.")
    ] = "unknown",
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Labelled faces to try it on.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split of them.")] = "valid",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model folder that exists.")
    ] = False,
) -> None:
    """Make a model folder of a classifier trained elsewhere (Keras, scikit-learn, PyTorch).

    What its graph tells is read; what it does not must be said. A pixel p goes in as
    (p * scale - mean) / std.
    """
    from mien.adoption import AdoptSettings, adopt
    from mien.adoption.settings import read_labels
    from mien.data import read_manifest

    settings = AdoptSettings(
        labels=None if labels is None else read_labels(labels),
        size=size,
        color=color,
        mean=None if mean is None else _numbers("--mean", mean),
        std=None if std is None else _numbers("--std", std),
        scale=None if scale is None else _numbers("--scale", scale)[0],
        layout=layout,
        activation=activation,
        interpolation=interpolation,
        output=output_name,
    )
    if sys.stdin.isatty() and sys.stderr.isatty():
        settings = _ask(file, settings)
    adoption = adopt(
        file,
        output,
        settings,
        name=name,
        license=license,
        check=read_manifest(data) if data else None,
        split=split,
        overwrite=overwrite,
    )
    _print(adoption)


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    """Reads ``0.5`` or ``1/255`` or a comma-separated list of such numbers."""
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"{text!r} is no number or list of numbers: {error}", subject=flag
        ) from error


def _ask(file: Path, settings: AdoptSettings) -> AdoptSettings:
    """Asks a person at a terminal for what is missing."""
    from mien.adoption.reading import read_facts
    from mien.adoption.settings import missing_settings, read_labels

    facts = read_facts(file, output=settings.output)[1]
    for flag, what in missing_settings(facts, settings).items():
        answer = typer.prompt(f"{flag}: {what}", err=True)
        if flag == "--labels":
            settings = replace(settings, labels=read_labels(answer))
        elif flag == "--size":
            settings = replace(settings, size=int(_numbers(flag, answer)[0]))
        elif flag == "--scale":
            settings = replace(settings, scale=_numbers(flag, answer)[0])
        elif flag == "--color":
            settings = replace(settings, color=answer)
        else:
            settings = replace(settings, layout=answer)
    return settings


def _print(adoption: Adoption) -> None:
    config, p = adoption.folder.config, adoption.folder.config.preprocessing
    size = config.files["model.onnx"]["bytes"] / 1e6
    print(f"{adoption.folder.path}: {config.name}, {size:.2f} MB, {p.size}x{p.size} {p.color}")
    gave = "probabilities" if adoption.probabilities else "logits"
    print(f"labels: {', '.join(config.schema.labels)}; the graph gives {gave}")
    if adoption.evaluation is not None:
        scores = adoption.evaluation.scores()
        low, high = scores["accuracy_ci"]
        print(
            f"tried on {scores['n']} labelled faces: accuracy {scores['accuracy']:.2%} "
            f"(95 % interval {low:.2%} to {high:.2%})"
        )
    if adoption.warning:
        print(f"mien: {adoption.warning}", file=sys.stderr)
    print(f"next: mien predict photo.jpg --model {adoption.folder.path}", file=sys.stderr)
