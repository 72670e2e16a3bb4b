"""``mien explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.flags import (
    Detector,
    Device,
    Format,
    Imports,
    Labels,
    MinScore,
    Model,
    Overwrite,
    Print,
    Quiet,
    SourceFlag,
    Sources,
)
from mien.cli.tables import failed, print_table
from mien.errors import ConfigError, InputError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from mien.cli.sources import Item, Outputs
    from mien.explanation import ReadImage
    from mien.recognizer import EmotionRecognizer


def command(
    sources: Sources = None,
    source: SourceFlag = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder (or one file) for the pictures.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="cam, occlusion; with the train extra gradcam, gradcam++, hirescam, eigencam, "
            "scorecam, rollout; default: cam, or what fits the network.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Label to explain; all: a panel each; default: the top one."),
    ] = None,
    model: Model = None,
    detector: Detector = None,
    min_score: MinScore = None,
    labels: Labels = None,
    device: Device = "auto",
    layers: Annotated[
        bool, typer.Option("--layers", help="List the network's layers and their shapes.")
    ] = False,
    filters: Annotated[
        bool, typer.Option("--filters", help="Draw the filters of the first convolution.")
    ] = False,
    feature_maps: Annotated[
        str | None,
        typer.Option("--feature-maps", help="Draw what this layer makes of the largest face."),
    ] = None,
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Score the maps by deletion and insertion.")
    ] = False,
    imports: Imports = None,  # noqa: ARG001 - imported when it is read
    format: Print = Format.table,  # noqa: A002 - the flag is --format
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Show which parts of each face speak for an emotion, painted onto the photo.

    The cam method needs no torch. Without a face a photo is copied as it is. One bad picture among
    many is named, gives exit code 1, and the rest is answered.
    """
    from mien.cli.progress import progress_bar
    from mien.cli.sources import Outputs, collect
    from mien.explanation import read_image
    from mien.explanation.scoring import MapScores
    from mien.recognizer import EmotionRecognizer

    _check_method(method)
    given = [*(sources or []), *(source or [])]
    if layers or filters:
        _network(model, output, layers=layers, filters=filters, form=format, over=overwrite)
        if not given:
            return
    items = collect(given)
    if not items:
        raise InputError(
            "no pictures: name at least one, for example mien explain photo.jpg -o out"
        )
    if output is None and not faithfulness:
        raise ConfigError(
            "nowhere to write to: give -o FOLDER, or add --faithfulness for scores alone."
        )
    options: Any = {"detector": detector} if detector else {}
    recognizer = EmotionRecognizer(
        model, labels=labels, device=device, min_score=min_score, **options
    )
    draw = _drawing(recognizer, label, method, feature_maps)
    outputs = Outputs(output, items, overwrite=overwrite) if output else None
    unread: list[str] = []
    scores = None
    if faithfulness:
        if label == "all":
            raise ConfigError("--faithfulness scores one label: leave --label all out.")
        scores = MapScores(recognizer, label=_known_label(recognizer, label), method=method)
    with progress_bar("explain", len(items), quiet=quiet) as advance:
        for item in items:
            try:
                read = read_image(recognizer, item.path)
                if scores is not None:
                    scores.add(read)
                _write(outputs, item, draw, read)
            except InputError as error:
                unread.append(f"{item.path}: {error}")
            advance(1)
    if scores is not None:
        _print_scores(scores.to_dict(), format)
    if unread:
        raise failed("\nerror: ".join(unread))


def _check_method(name: str | None) -> None:
    """Refuses an unknown method before any picture is read."""
    from mien.explanation.methods import method_spec

    if name is not None:
        method_spec(name)


def _write(
    outputs: Outputs | None,
    item: Item,
    draw: Callable[[ReadImage], NDArray[np.uint8]],
    read: ReadImage,
) -> None:
    if outputs is not None:
        outputs.save(item, draw(read) if read.result.faces else read.image_rgb)


def _drawing(
    recognizer: EmotionRecognizer, label: str | None, method: str | None, layer: str | None
) -> Callable[[ReadImage], NDArray[np.uint8]]:
    """Returns what makes the picture of one photo with faces; wrong names are refused here."""
    if layer is not None:
        from mien.explanation.sheets import feature_sheet

        folder, name = recognizer.folder, layer
        return lambda read: feature_sheet(folder, read.batch.crops[0], name)
    if label == "all":
        from mien.explanation.sheets import label_panels

        return lambda read: label_panels(recognizer, read, method=method)
    chosen = _known_label(recognizer, label)
    return lambda read: read.overlay(
        read.maps(recognizer, label=chosen, method=method), label=chosen
    )


def _known_label(recognizer: EmotionRecognizer, label: str | None) -> str | None:
    """Returns the schema's own spelling of a label."""
    if label is None:
        return None
    if label not in recognizer.pipeline.schema:
        raise ConfigError(
            f"no label {label!r} in {recognizer.pipeline.schema.name!r}."
            + suggest(label, ["all", *recognizer.labels])
        )
    return recognizer.labels[recognizer.pipeline.schema.index(label)]


def _print_scores(report: dict[str, Any], form: Format) -> None:
    if form is Format.json:
        print(json.dumps(report))
        return
    if report["maps"] is None:
        print("no face found: nothing to score.")
        return
    named = ((report["method"], report["maps"]), ("chance", report["chance"]))
    numbers = ("deletion", "insertion", "score")
    rows = [[name, row["faces"], *(f"{row[key]:.3f}" for key in numbers)] for name, row in named]
    print_table(("maps", "faces", *numbers), rows)


def _network(
    model: str | None,
    output: Path | None,
    *,
    layers: bool,
    filters: bool,
    form: Format,
    over: bool,
) -> None:
    """Answers ``--layers`` and ``--filters``, which need no photo."""
    from mien.hub import read_model_folder

    folder = read_model_folder(model)
    if filters:
        from mien.explanation.sheets import filter_sheet
        from mien.images import save_image

        if output is None or output.suffix:
            raise ConfigError("--filters writes filters.png: give -o FOLDER.")
        path = output / "filters.png"
        if path.exists() and not over:
            raise ConfigError("exists already: type --overwrite, or give another -o", subject=path)
        picture = filter_sheet(folder)
        output.mkdir(parents=True, exist_ok=True)
        save_image(path, picture, overwrite=over)
    if layers:
        from mien.explanation.layers import list_layers

        rows = list_layers(folder)
        if form is Format.json:
            print(json.dumps([row.to_dict() for row in rows]))
            return
        cells = [
            [row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}"]
            for row in rows
        ]
        print_table(("layer", "kind", "output", "parameters"), cells, left=3)
