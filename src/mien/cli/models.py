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
    """Prints the rows for people: the default is marked, numbers have units and intervals."""
    for title, rows in listing.items():
        shown = [_cells(row) for row in rows]
        columns = shown[0] if shown else ()
        print_table(columns, (row.values() for row in shown), title=title, left=len(columns))


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    (kind, name), *values = row.items()
    cells = {kind: name + (" (default)" if row.get("default") else "")}
    for key, value in values:
        if key == "valid":
            shown = "not measured"
            if value is not None:
                shown = f"{value['accuracy']:.1%} ({interval(value['accuracy_ci'], 1)})"
            cells["valid accuracy"] = shown
        elif key == "input":
            cells[key] = f"{value['size']} px {value['color']}"
        elif key == "bytes":
            cells["MB"] = f"{value / 1e6:.1f}"
        elif key in {"parameters", "MACs"}:
            cells[key] = f"{value / 1e6:.{2 if key == 'parameters' else 0}f}M"
        elif key == "labels":
            cells[key] = " ".join(value) if kind == "schema" else str(len(value))
        elif key != "default":
            cells[key.replace("_", " ")] = value
    return cells


def _models() -> Listing:
    from mien.detectors import DEFAULT_DETECTOR, detector_names
    from mien.hub import DEFAULT_MODEL, ONNX, bundled_models, read_model_folder
    from mien.hub.card import DATA_BRIEF
    from mien.labels import SCHEMAS

    models = []
    for name in bundled_models():
        config = read_model_folder(name).config
        scores = config.metrics.get("valid")
        row = {
            "model": name,
            "default": name == DEFAULT_MODEL,
            "labels": list(config.schema.labels),
            "input": {"size": config.preprocessing.size, "color": config.preprocessing.color},
            "bytes": config.files[ONNX]["bytes"],
            "valid": scores and {key: scores[key] for key in ("accuracy", "accuracy_ci", "n")},
            "data": config.data,
            "terms_of_the_data": DATA_BRIEF.get(config.data, "those of its publisher"),
        }
        models.append(row)
    detectors = [
        {
            "detector": name,
            "default": name == DEFAULT_DETECTOR,
            "what": _DETECTORS.get(name, "registered by another package"),
        }
        for name in detector_names()
    ]
    schemas = [{"schema": s.name, "labels": list(s.labels)} for s in SCHEMAS.values()]
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
            "input": {"size": p.size, "color": p.color},
            "parameters": count_parameters(network),
            "MACs": count_macs(network, (p.channels, p.size, p.size)),
            "what": model_spec(name).summary,
        }
        rows.append(row)
    backbones = [{"backbone": name} for name in list_backbones()]
    return {"architectures": rows, "backbones of other packages": backbones}
