"""What the page must know beyond the two config files: the constants of the Python path."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.detectors import DEFAULT_DETECTOR, bundle, cells, crops, refiner, search
from mien.detectors import mien as mien_detector
from mien.detectors.protocol import MIN_FACE
from mien.hub import CONFIG
from mien.images import ImageLimits
from mien.images.pixels import BACKGROUND
from mien.quality import DESCRIPTIONS, QUALITY_FLAGS
from mien.results.drawing import contrasting, css_color, label_colors
from mien.web import runtime

if TYPE_CHECKING:
    from mien.hub import ModelFolder

FORMAT = 1
#: Where the parts of a page lie, below its folder.
DETECTOR, MODEL, RUNTIME, EXAMPLE = "detector", "model", "runtime", "example.jpg"


def page_settings(folder: ModelFolder) -> dict[str, Any]:
    """Returns the content of ``mien.json``, which the page reads first.

    Thresholds and scales are in ``detector.json``, labels and preprocessing in ``config.json``, the
    rest of what a script of the page needs is here.
    """
    return {
        "format": FORMAT,
        "mien": __version__,
        "runtime": runtime.VERSION,
        "model": folder.config.name,
        "files": _files(folder),
        "detector": {
            "name": DEFAULT_DETECTOR,
            "strides": list(cells.STRIDES),
            "max_cells": cells._MAX_CELLS,
            "max_log_size": cells._MAX_LOG_SIZE,
            "max_candidates": search.MAX_CANDIDATES,
            "multiple": cells.MULTIPLE,
            "reducing_gaps": [search.REDUCING_GAP, mien_detector._COARSER_GAP],
            "min_face": MIN_FACE,
            "slack": mien_detector._SLACK,
            "batch": crops.BATCH,
            "min_share": refiner._MIN_SHARE,
            "unsound": refiner._UNSOUND,
        },
        "quality_flags": {word: DESCRIPTIONS.get(word, "") for word in QUALITY_FLAGS},
        "limits": asdict(ImageLimits()),
        "background": BACKGROUND,
        "colors": _colors(folder.config.schema.labels),
    }


def _files(folder: ModelFolder) -> dict[str, Any]:
    network = folder.network
    digest = folder.config.files.get(network, {}).get("sha256", "")
    detector = bundle.read_bundle().sha256
    return {
        DETECTOR: {
            "config": f"{DETECTOR}/{bundle.CONFIG}",
            "network": _file(DETECTOR, bundle.NETWORK, detector[bundle.NETWORK]),
            "refiner": _file(DETECTOR, bundle.REFINER, detector[bundle.REFINER]),
            "landmarks": _file(DETECTOR, bundle.LANDMARKS, detector[bundle.LANDMARKS]),
        },
        MODEL: {"config": f"{MODEL}/{CONFIG}", "network": _file(MODEL, network, digest)},
        RUNTIME: {
            key: _file(RUNTIME, runtime.PLACED[name], runtime.FILES[name])
            for key, name in (("module", runtime.MODULE), ("binary", runtime.BINARY))
        },
        "example": EXAMPLE,
    }


def _file(folder: str, name: str, sha256: str) -> dict[str, str]:
    return {"path": f"{folder}/{name}", "sha256": sha256}


def _colors(labels: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Returns by label the colour that drawings give it, and the one that reads well on it."""
    return {
        label: {"paint": css_color(paint), "ink": css_color(contrasting(paint))}
        for label, paint in label_colors(labels).items()
    }
