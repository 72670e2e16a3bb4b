"""``mien models``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mien.cli.flags import Format, Imports, Print
from mien.cli.tables import interval, print_json, print_table
from mien.errors import needs_extra
from mien.plugins import load_entry_points

_DETECTORS = {
    "mien": "the package's own networks; mien:fast for video, mien:full for every pixel",
    "haar": "OpenCV's frontal face cascade (extra haar)",
    "none": "no search: each picture is one face already",
    "yunet": "OpenCV Zoo's YuNet, fetched once; yunet:FILE takes a local copy",
}


def command(
    architectures: Annotated[
        bool, typer.Option("--architectures", help="List the networks to train (needs train).")
    ] = False,
    imports: Imports = None,  # noqa: ARG001 - imported when it is read
    format: Print = Format.table,  # noqa: A002 - the flag is --format
) -> None:
    """List models, architectures, detectors and label schemas."""
    load_entry_points()
    listing = _architectures() if architectures else _models()
    if format is Format.json:
        print_json(listing)
        return
    for title, rows in listing.items():
        print_table(
            list(rows[0]), (list(row.values()) for row in rows), title=title, left=len(rows[0])
        )


def _percent(scores: dict[str, Any]) -> str:
    if not scores:
        return "not measured"
    return f"{scores['accuracy']:.1%} ({interval(scores['accuracy_ci'], 1)})"


def _models() -> dict[str, list[dict[str, Any]]]:
    from mien.detectors import DEFAULT_DETECTOR, detector_names
    from mien.hub import DEFAULT_MODEL, ONNX, bundled_models, read_model_folder
    from mien.labels import SCHEMAS

    models = []
    for name in bundled_models():
        config = read_model_folder(name).config
        valid = config.metrics.get("valid", {})
        models.append(
            {
                "model": name + (" (default)" if name == DEFAULT_MODEL else ""),
                "labels": len(config.schema),
                "input": f"{config.preprocessing.size} px {config.preprocessing.color}",
                "MB": round(config.files[ONNX]["bytes"] / 1e6, 1),
                "valid accuracy": _percent(valid),
                "data": config.data,
            }
        )
    return {
        "bundled models": models,
        "detectors": [
            {
                "detector": name + (" (default)" if name == DEFAULT_DETECTOR else ""),
                "what": _DETECTORS.get(name, "registered by another package"),
            }
            for name in detector_names()
        ],
        "label schemas": [
            {"schema": schema.name, "labels": " ".join(schema.labels)}
            for schema in SCHEMAS.values()
        ],
    }


def _architectures() -> dict[str, list[dict[str, Any]]]:
    with needs_extra("listing architectures", "train"):
        from mien.models import create_model, list_backbones, list_models, model_spec
        from mien.models.counting import count_macs, count_parameters
    rows = []
    for name in list_models():
        p = model_spec(name).preprocessing
        network = create_model(name, num_classes=8)
        rows.append(
            {
                "architecture": name,
                "input": f"{p.size} px {p.color}",
                "parameters": f"{count_parameters(network) / 1e6:.2f}M",
                "MACs": f"{count_macs(network, (p.channels, p.size, p.size)) / 1e6:.0f}M",
                "what": model_spec(name).summary,
            }
        )
    backbones = [{"backbone": name} for name in list_backbones()]
    return {"architectures": rows, "backbones of other packages": backbones}
