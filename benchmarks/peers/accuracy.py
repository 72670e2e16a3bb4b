"""The same labelled faces for two tools with different words for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.labels import FER7
from mien.metrics import wilson_interval
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


def load_common_faces(source: str) -> tuple[NDArray[np.uint8], list[str]]:
    """Reads the valid faces whose label both tools have.

    A face's label is the majority of its raters (mode of ``ferplus:``); faces without one are
    left out, and so are those called contempt, a word that fer's seven classes lack.

    Returns:
        uint8 (N, 48, 48) and N labels of ``fer7``.
    """
    manifest = read_manifest(source).split("valid").with_labels()
    names = [manifest.schema.labels[index] for index in manifest.class_ids]
    kept = np.array([name in FER7.labels for name in names])
    faces = load_faces(manifest, Preprocessing(size=48, color="gray"))
    return faces[kept][..., 0], [name for name, keep in zip(names, kept, strict=True) if keep]


def compare_labels(said: Mapping[str, Sequence[str]], truth: Sequence[str]) -> dict[str, Any]:
    """Scores two tools on the same faces.

    Args:
        said: Labels by tool, ``mien`` and another.
        truth: The labels of the faces.

    Returns:
        By tool ``accuracy`` and its 95 % Wilson interval; ``difference_points``, mien's lead in
        points, and its interval for pairs: ``d +- 1.96 sqrt(b + c - (b - c)^2 / n) / n`` with b
        and c the faces that one of the two alone has right.

    >>> both = {"mien": ["fear", "anger"], "fer": ["fear", "fear"]}
    >>> compare_labels(both, ["fear", "anger"])["difference_points"]
    50.0
    """
    n = len(truth)
    right = {name: np.array(labels) == np.array(truth) for name, labels in said.items()}
    other = next(name for name in said if name != "mien")
    alone = int((right["mien"] & ~right[other]).sum()), int((right[other] & ~right["mien"]).sum())
    lead = (alone[0] - alone[1]) / n
    half = 1.96 * math.sqrt(max(sum(alone) - n * lead * lead, 0.0)) / n
    counts = {name: int((np.array(truth) == name).sum()) for name in FER7.labels}
    return {
        "faces": n,
        "faces_by_label": counts,
        "tools": {
            name: {
                "accuracy": float(values.mean()),
                "accuracy_ci": list(wilson_interval(int(values.sum()), n)),
                "recall": {
                    label: round(float(values[np.array(truth) == label].mean()), 4)
                    for label, count in counts.items()
                    if count
                },
            }
            for name, values in right.items()
        },
        "only_right": {"mien": alone[0], other: alone[1]},
        "difference_points": round(100 * lead, 2),
        "difference_ci": [round(100 * (lead - half), 2), round(100 * (lead + half), 2)],
    }
