"""Labelled regions of pictures: what they are, and the shards they are kept in."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import replacing
from mien.data.arrowtables import read_columns
from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: Kinds of a labelled region.
FACE, IGNORE, BACKGROUND = 1, 0, -1
#: Share of scenes that no training sees, as one in so many.
HELD_OUT = 10
#: Where a mirrored face has its five landmarks: right and left change places.
MIRRORED = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class Labels:
    """Labelled regions of a set of pictures; M regions in all.

    Args:
        names: File name of each picture.
        picture: (M,) which picture a region is in.
        boxes: float32 (M, 4), corners in pixels of the picture.
        points: float32 (M, 5, 2), landmarks; NaN where there are none.
        scores: float32 (M, 2), the best of YuNet and of UltraFace; 0 where it saw nothing.
        kind: int8 (M,), ``FACE`` or ``IGNORE``.
    """

    names: tuple[str, ...]
    picture: NDArray[np.int64]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    scores: NDArray[np.float32]
    kind: NDArray[np.int8]

    def of(self, index: int) -> NDArray[np.intp]:
        """Returns which regions lie in one picture."""
        return np.flatnonzero(self.picture == index)


def held_out(name: str) -> bool:
    """Says whether a scene belongs to the tenth that training never sees.

    >>> held_out("00227a15f545.jpg"), held_out("other.jpg")
    (False, False)
    """
    return zlib.crc32(name.encode()) % HELD_OUT == 0


def read_scenes(path: Path) -> tuple[list[str], list[bytes]]:
    """Returns the names and the encoded pictures of a parquet file in Hugging Face's layout.

    Raises:
        DataError: If the file cannot be read or has no such column.
    """
    rows = read_columns(path, ["image"])["image"].to_pylist()
    return [str(row["path"]) for row in rows], [row["bytes"] for row in rows]


def save_labels(path: Path, labels: Labels) -> None:
    """Writes a shard whole or not at all."""
    values = {
        name: getattr(labels, name) for name in ("picture", "boxes", "points", "scores", "kind")
    }
    with replacing(path) as temporary:
        np.savez_compressed(temporary, names=np.array(labels.names), **values)


def load_labels(folder: Path, scenes: str) -> Labels:
    """Reads all shards of a set of scenes.

    Raises:
        DataError: If there are none.
    """
    paths = sorted(folder.glob(f"{scenes}-*.npz"))
    if not paths:
        raise DataError(f"{folder} has no labels of {scenes!r}. Type: mien finder label")
    names: list[str] = []
    columns: dict[str, list[Any]] = {}
    for path in paths:
        with np.load(path) as shard:
            columns.setdefault("picture", []).append(shard["picture"] + len(names))
            names += shard["names"].tolist()
            for name in ("boxes", "points", "scores", "kind"):
                columns.setdefault(name, []).append(shard[name])
    return Labels(tuple(names), **{name: np.concatenate(parts) for name, parts in columns.items()})
