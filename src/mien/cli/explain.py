"""``mien explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import failed, print_table, progress_bar
from mien.errors import ConfigError, DetectorError, InputError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from mien.explanation import ReadImage
    from mien.explanation.faithfulness import MapScores
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
    from mien.recognizer import EmotionRecognizer

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
    recognizer = EmotionRecognizer(
        model,
        labels=labels,
        device=device,
        min_score=min_score,
        detector=detector or DEFAULT_DETECTOR,
    )
    draw = _drawing(recognizer, label, method, feature_maps)
    outputs = Outputs(output, items, overwrite=overwrite) if output else None
    scores = _scores(recognizer, label, method) if faithfulness else None
    unread: list[str] = []
    with progress_bar("explain", len(items), quiet=quiet) as advance:
        for index, item in enumerate(items):
            try:
                read = read_image(recognizer, item.path)
                if scores is not None:
                    scores.add(read)
                if outputs is not None:
                    outputs.save(index, draw(read))
            except (InputError, DetectorError) as error:
                unread.append(f"{item.path}: {error}")
            advance(1)
    if scores is not None:
        _print_scores(scores.to_dict(), format)
    if unread:
        raise failed(*unread)


def _drawing(
    recognizer: EmotionRecognizer, label: str | None, method: str | None, layer: str | None
) -> Callable[[ReadImage], NDArray[np.uint8]]:
    """Returns what makes the picture of one photo; wrong names are refused here."""
    from mien.explanation.methods import method_spec
    from mien.explanation.sheets import feature_sheet, label_panels

    if method is not None:
        method_spec(method)
    chosen = None if label == "all" else _known_label(recognizer, label)

    def draw(read: ReadImage) -> NDArray[np.uint8]:
        if not read.result.faces:
            return read.image_rgb
        if layer is not None:
            return feature_sheet(recognizer.folder, read.batch.crops[0], layer)
        if label == "all":
            return label_panels(recognizer, read, method=method)
        return read.overlay(read.maps(recognizer, label=chosen, method=method), label=chosen)

    return draw


def _scores(recognizer: EmotionRecognizer, label: str | None, method: str | None) -> MapScores:
    from mien.explanation.faithfulness import MapScores

    if label == "all":
        raise ConfigError("--faithfulness scores one label: leave --label all out.")
    return MapScores(recognizer, label=_known_label(recognizer, label), method=method)


def _known_label(recognizer: EmotionRecognizer, label: str | None) -> str | None:
    """Returns the schema's own spelling of a label."""
    schema = recognizer.pipeline.schema
    if label is None:
        return None
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


def _network(
    model: str | None,
    output: Path | None,
    *,
    layers: bool,
    filters: bool,
    form: flags.Format,
    over: bool,
) -> None:
    """Answers ``--layers`` and ``--filters``, which need no photo."""
    from mien.explanation.layers import list_layers
    from mien.explanation.sheets import filter_sheet
    from mien.hub import read_model_folder
    from mien.images import save_image

    folder = read_model_folder(model)
    if filters:
        if output is None or output.suffix:
            raise ConfigError("--filters writes filters.png: give -o FOLDER.")
        path = output / "filters.png"
        if path.exists() and not over:
            raise ConfigError("exists already: type --overwrite, or give another -o", subject=path)
        picture = filter_sheet(folder)
        output.mkdir(parents=True, exist_ok=True)
        save_image(path, picture, overwrite=over)
    if layers:
        rows = list_layers(folder)
        if form is flags.Format.json:
            print(json.dumps([row.to_dict() for row in rows]))
            return
        cells = [
            [row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}"]
            for row in rows
        ]
        print_table(("layer", "kind", "output", "parameters"), cells, left=3)
