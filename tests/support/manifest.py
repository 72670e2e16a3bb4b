"""A manifest of three pictures, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien.data.image_stores import FileImages
from mien.data.manifest import Manifest
from mien.labels import HES3


def build_manifest(root: Path = Path("root"), **changes: Any) -> Manifest:
    """Builds it; ``changes`` are fields that are to be others."""
    values: dict[str, Any] = {
        "source": "by hand", "schema": HES3,
        "images": FileImages(root, ("a.png", "b.png", "c.png")),
        "targets": np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], np.float32),
        "class_ids": np.array([0, -1, 2]), "splits": np.array(["train", "valid", "test"]),
        "groups": np.array(["g1", "g2", "g2"]), "leaked": np.array([False, True, False]),
    }  # fmt: skip
    return Manifest(**{**values, **changes})
