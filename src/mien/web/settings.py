"""What the page must know beyond the two config files: the constants of the Python path."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien._image_pixels import BACKGROUND
from mien.drawing import color_of, contrasting
from mien.faces import DEFAULT_DETECTOR
from mien.faces import finder as finding
from mien.faces import finder_cells as cells
from mien.faces.finder_config import CONFIG as FINDER_CONFIG
from mien.faces.finder_config import MULTIPLE, read_finder
from mien.faces.finder_config import NETWORK as FINDER_NETWORK
from mien.faces.registry import MIN_FACE
from mien.faces.voting import vote
from mien.hub import CONFIG
from mien.images import ImageLimits
from mien.results import FaceEmotion
from mien.uncertainty import DOUBTS, SAID
from mien.web import runtime

if TYPE_CHECKING:
    from mien.hub import ModelFolder

FORMAT = 1
#: Where the parts of a page lie, below its folder.
FINDER_FOLDER, MODEL_FOLDER, RUNTIME_FOLDER, EXAMPLE = "finder", "model", "runtime", "example.jpg"


def page_settings(folder: ModelFolder) -> dict[str, Any]:
    """Returns the content of ``mien.json``, which the page reads first.

    Nothing that a script of the page needs is typed there a second time: thresholds and scales are
    in ``finder.json``, labels and preprocessing in ``config.json``, the rest is here.

    Args:
        folder: The model that the page runs.
    """
    return {
        "format": FORMAT,
        "mien": __version__,
        "runtime": runtime.VERSION,
        "model": folder.config.name,
        "files": _files(folder),
        "finder": {
            "name": DEFAULT_DETECTOR,
            "strides": list(cells.STRIDES),
            "most_cells": cells._MOST,
            "max_log_size": cells._MAX_LOG_SIZE,
            "max_candidates": finding._MAX_CANDIDATES,
            "multiple": MULTIPLE,
            "min_face": MIN_FACE,
            "vote": _defaults(vote),
        },
        "doubts": {word: SAID.get(word, "") for word in DOUBTS},
        "limits": asdict(ImageLimits()),
        "background": BACKGROUND,
        "colors": _colors(folder.config.schema.labels),
    }


def _files(folder: ModelFolder) -> dict[str, Any]:
    network = folder.network
    digest = folder.config.files.get(network, {}).get("sha256", "")
    return {
        "finder": {
            "config": f"{FINDER_FOLDER}/{FINDER_CONFIG}",
            "network": _file(FINDER_FOLDER, FINDER_NETWORK, read_finder().sha256),
        },
        "model": {
            "config": f"{MODEL_FOLDER}/{CONFIG}",
            "network": _file(MODEL_FOLDER, network, digest),
        },
        "runtime": {
            key: _file(RUNTIME_FOLDER, runtime.PLACED[name], runtime.FILES[name])
            for key, name in (("module", runtime.MODULE), ("binary", runtime.BINARY))
        },
        "example": EXAMPLE,
    }


def _file(folder: str, name: str, sha256: str) -> dict[str, str]:
    return {"path": f"{folder}/{name}", "sha256": sha256}


def _defaults(function: Any) -> dict[str, Any]:
    """Returns the defaults of a function's keywords."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _colors(labels: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Returns by label the colour that drawings give it, and the one that reads well on it."""
    colors = {}
    for index, label in enumerate(labels):
        sure = [float(index == other) for other in range(len(labels))]
        face = FaceEmotion.from_probs(labels, sure, box_xyxy=(0, 0, 1, 1), detection_score=1)
        paint = color_of(face)
        colors[label] = {"paint": _hex(paint), "ink": _hex(contrasting(paint))}
    return colors


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
