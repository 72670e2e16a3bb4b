"""``mien explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import failed, print_notes, print_table, progress_bar
from mien.errors import ConfigError, DetectorError, InputError, suggest

if TYPE_CHECKING:
    from mien.arrays import U8
    from mien.explanation import ReadImage
    from mien.hub import ModelFolder
    from mien.recognizer import EmotionRecognizer


def command(
    sources: flags.Sources = None,
    source: flags.SourceFlag = None,
    output: Annotated[Path | None, output_flag("Folder (or one file) for the pictures.")] = None,
    method: Annotated[
        str | None,
        flag(
            "cam, occlusion; with the train extra gradcam, gradcam++, hirescam, eigencam, "
            "scorecam, rollout; default: cam, or what fits the network."
        ),
    ] = None,
    label: Annotated[
        str | None, flag("Label to explain; all: a panel each; default: the top one.")
    ] = None,
    model: flags.Model = None,
    detector: flags.Detector = None,
    min_score: flags.MinScore = None,
    labels: flags.Labels = None,
    device: flags.Device = "auto",
    layers: Annotated[
        bool, flag("List the network's layers and their shapes.", "--layers")
    ] = False,
    filters: Annotated[
        bool, flag("Draw the filters of the first convolution.", "--filters")
    ] = False,
    feature_maps: Annotated[
        str | None, flag("Draw what this layer makes of the largest face.")
    ] = None,
    faithfulness: Annotated[
        bool, flag("Score the maps by deletion and insertion.", "--faithfulness")
    ] = False,
    imports: flags.Imports = None,  # noqa: ARG001 - imported when it is read
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Show which parts of each face speak for an emotion, painted onto the photo.

    The cam method needs no torch. Without a face a photo is copied as it is. One bad picture among
    many is named, gives exit code 1, and the rest is answered.
    """
    from mien.cli.sources import Outputs, collect
    from mien.detectors import DEFAULT_DETECTOR
    from mien.explanation import read_image
    from mien.explanation.faithfulness import MapScores
    from mien.hub import read_model_folder
    from mien.recognizer import EmotionRecognizer

    given = [*(sources or []), *(source or [])]
    if filters:
        _draw_filters(read_model_folder(model), output, overwrite=overwrite)
    if layers:
        _print_layers(read_model_folder(model), format)
    if (layers or filters) and not given:
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
    used = detector or DEFAULT_DETECTOR
    recognizer = EmotionRecognizer(
        model, labels=labels, device=device, min_score=min_score, detector=used
    )
    known = _checked(recognizer, label, method, single=faithfulness)
    outputs = Outputs(output, items, overwrite=overwrite) if output else None
    scores = MapScores(recognizer, label=known, method=method) if faithfulness else None
    unread: list[str] = []
    notes: list[str] = []
    with progress_bar("explain", len(items), quiet=quiet) as advance:
        for index, item in enumerate(items):
            try:
                read = read_image(recognizer, item.path)
                notes += (f"{item.name}: {warning}" for warning in read.result.warnings)
                if scores is not None:
                    scores.add(read)
                if outputs is not None:
                    outputs.save(index, _picture(recognizer, read, known, method, feature_maps))
            except (InputError, DetectorError) as error:
                unread.append(f"{item.path}: {error}")
            advance(1)
    if scores is not None:
        _print_scores(scores.to_dict(), format)
    print_notes(notes)
    if unread:
        raise failed(*unread)


def _picture(
    recognizer: EmotionRecognizer,
    read: ReadImage,
    label: str | None,
    method: str | None,
    layer: str | None,
) -> U8:
    from mien.explanation.sheets import feature_sheet, label_panels

    if not read.result.faces:
        return read.image_rgb
    if layer is not None:
        return feature_sheet(recognizer.folder, read.batch.crops[0], layer)
    if label == "all":
        return label_panels(recognizer, read, method=method)
    return read.overlay(read.maps(recognizer, label=label, method=method), label=label)


def _checked(
    recognizer: EmotionRecognizer, label: str | None, method: str | None, *, single: bool
) -> str | None:
    """Returns the schema's own spelling of a label, or "all" where it need not be one."""
    from mien.explanation.methods import method_spec

    if method is not None:
        method_spec(method)
    schema = recognizer.pipeline.schema
    if label == "all" and single:
        raise ConfigError("--faithfulness scores one label: leave --label all out.")
    if label is None or label == "all":
        return label
    if label not in schema:
        raise ConfigError(
            f"no label {label!r} in {schema.name!r}." + suggest(label, ["all", *schema.labels])
        )
    return schema.labels[schema.index(label)]


def _print_scores(report: dict[str, Any], form: flags.Format) -> None:
    if form is flags.Format.json:
        print(json.dumps(report))
        return
    if report["maps"] is None:
        print("no face found: nothing to score.")
        return
    named = ((report["method"], report["maps"]), ("chance", report["chance"]))
    numbers = ("deletion", "insertion", "score")
    rows = [[name, row["faces"], *(f"{row[key]:.3f}" for key in numbers)] for name, row in named]
    print_table(("maps", "faces", *numbers), rows)


def _draw_filters(folder: ModelFolder, output: Path | None, *, overwrite: bool) -> None:
    from mien.explanation.sheets import filter_sheet
    from mien.images import save_image

    if output is None or output.suffix:
        raise ConfigError("--filters writes filters.png: give -o FOLDER.")
    path = output / "filters.png"
    if path.exists() and not overwrite:
        raise ConfigError("exists already: type --overwrite, or give another -o", subject=path)
    picture = filter_sheet(folder)
    output.mkdir(parents=True, exist_ok=True)
    save_image(path, picture, overwrite=overwrite)


def _print_layers(folder: ModelFolder, form: flags.Format) -> None:
    from mien.explanation.layers import list_layers

    rows = list_layers(folder)
    if form is flags.Format.json:
        print(json.dumps([row.to_dict() for row in rows]))
        return
    cells = [
        [row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}"] for row in rows
    ]
    print_table(("layer", "kind", "output", "parameters"), cells, left=3)
