"""What the tests share that write a dataset and read it back."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from mien.data import Manifest, read_manifest
from mien.labels import HES3, LabelSchema

_SPLITS = ("train", "valid", "test")
_SIDE = 6
_HUB = {"train": "train", "valid": "validation", "test": "test"}

#: A label and a split.
Face = tuple[str, str]
#: Picture, label and split.
Row = tuple[bytes, str, str]


def noise_face(seed: int) -> np.ndarray:
    """A small gray picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (_SIDE, _SIDE), dtype=np.uint8)


def _png(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise_face(seed)).save(out, "PNG")
    return out.getvalue()


PICTURES = [_png(seed) for seed in range(10)]


def put_picture(path: Path, number: int) -> None:
    """Writes a picture, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURES[number])


def labelled_faces(schema: LabelSchema, *splits: str) -> st.SearchStrategy[list[Face]]:
    """Draws labels and splits of at most as many faces as there are pictures."""
    face = st.tuples(st.sampled_from(schema.labels), st.sampled_from(splits or _SPLITS))
    return st.lists(face, min_size=1, max_size=len(PICTURES))


def rows_of(faces: Sequence[Face]) -> list[Row]:
    """Returns what is to be read back, in order."""
    return sorted((PICTURES[number], *face) for number, face in enumerate(faces))


def manifest_rows(manifest: Manifest) -> list[Row]:
    """Returns what was read, in order."""
    return sorted(
        (bytes(manifest.images.read(i)), manifest.schema.labels[k], str(manifest.splits[i]))
        for i, k in enumerate(manifest.class_ids)
    )


def read_rows(spec: str, **options: Any) -> list[Row]:
    """Reads a dataset as it is: no copies are dropped, no split is dealt."""
    return manifest_rows(read_manifest(f"{spec},dedupe=false", valid_share=0, **options))


def write_repository(root: Path, faces: Sequence[Face]) -> None:
    """Writes faces of ``HES3`` as a repository of Parquet files of the Hugging Face Hub."""
    import pyarrow as pa
    from pyarrow import parquet

    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(HES3.labels), "_type": "ClassLabel"},
    }
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    (root / "data").mkdir()
    for split in sorted({split for _, split in faces}):
        own = [(n, label) for n, (label, each) in enumerate(faces) if each == split]
        columns = {
            "image": [{"bytes": PICTURES[n], "path": f"{n}.png"} for n, _ in own],
            "label": pa.array([HES3.index(label) for _, label in own], pa.int64()),
        }
        table = pa.table(columns).replace_schema_metadata(about)
        parquet.write_table(table, root / f"data/{_HUB[split]}-00000-of-00001.parquet")
