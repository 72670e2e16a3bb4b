"""``mien models``."""

from __future__ import annotations

from typing import Annotated, Any

from mien.cli import flags
from mien.cli.flags import flag
from mien.cli.printing import interval, print_result, print_table
from mien.config import load_entry_points
from mien.errors import needs_extra

_DETECTORS = {
    "mien": "the package's own networks; mien:fast for video, mien:full for every pixel",
    "haar": "OpenCV's frontal face cascade (extra haar)",
    "none": "no search: each picture is one face already",
    "yunet": "OpenCV Zoo's YuNet, fetched once; yunet:FILE takes a local copy",
}

Listing = dict[str, list[dict[str, Any]]]


def command(
    architectures: Annotated[
        bool, flag("List the networks to train (needs train).", "--architectures")
    ] = False,
    imports: flags.Imports = None,  # noqa: ARG001 - imported when it is read
    format: flags.Print = flags.Format.table,  # noqa: A002 - the flag is --format
) -> None:
    """List models, architectures, detectors and label schemas."""
    load_entry_points()
    listing = _architectures() if architectures else _models()
    print_result(listing, format, lambda: _print(listing))


def _print(listing: Listing) -> None:
    for title, rows in listing.items():
        print_table(rows[0], (row.values() for row in rows), title=title, left=len(rows[0]))


def _percent(scores: dict[str, Any]) -> str:
    if not scores:
        return "not measured"
    return f"{scores['accuracy']:.1%} ({interval(scores['accuracy_ci'], 1)})"


def _models() -> Listing:
    from mien.detectors import DEFAULT_DETECTOR, detector_names
    from mien.hub import DEFAULT_MODEL, ONNX, bundled_models, read_model_folder
    from mien.hub.card import DATA_BRIEF
    from mien.labels import SCHEMAS

    models = []
    for name in bundled_models():
        config = read_model_folder(name).config
        row = {
            "model": name + (" (default)" if name == DEFAULT_MODEL else ""),
            "labels": len(config.schema),
            "input": f"{config.preprocessing.size} px {config.preprocessing.color}",
            "MB": round(config.files[ONNX]["bytes"] / 1e6, 1),
            "valid accuracy": _percent(config.metrics.get("valid", {})),
            "data": config.data,
            "terms of the data": DATA_BRIEF.get(config.data, "those of its publisher"),
        }
        models.append(row)
    detectors = []
    for name in detector_names():
        shown = name + (" (default)" if name == DEFAULT_DETECTOR else "")
        what = _DETECTORS.get(name, "registered by another package")
        detectors.append({"detector": shown, "what": what})
    schemas = [{"schema": s.name, "labels": " ".join(s.labels)} for s in SCHEMAS.values()]
    return {"bundled models": models, "detectors": detectors, "label schemas": schemas}


def _architectures() -> Listing:
    with needs_extra("listing architectures", "train"):
        from mien.models import create_model, list_backbones, list_models, model_spec
        from mien.models.registry import count_macs, count_parameters
    rows = []
    for name in list_models():
        p, network = model_spec(name).preprocessing, create_model(name, num_classes=8)
        row = {
            "architecture": name,
            "input": f"{p.size} px {p.color}",
            "parameters": f"{count_parameters(network) / 1e6:.2f}M",
            "MACs": f"{count_macs(network, (p.channels, p.size, p.size)) / 1e6:.0f}M",
            "what": model_spec(name).summary,
        }
        rows.append(row)
    backbones = [{"backbone": name} for name in list_backbones()]
    return {"architectures": rows, "backbones of other packages": backbones}
