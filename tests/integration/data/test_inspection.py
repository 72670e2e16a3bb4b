"""Planted faults: each is found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data.inspection import inspect_data

parquet = pytest.importorskip("pyarrow.parquet")


def test_ferplus_copies_come_first(shared: Path, tmp_path: Path) -> None:
    """All valid faces, every face of the train ones that is among them, and a tenth of the rest."""
    tables = {
        split: parquet.read_table(shared / f"data/ferplus/{split}.parquet")
        for split in ("train", "valid")
    }
    faces = {split: table["image"].to_pylist() for split, table in tables.items()}
    held_out = {face["bytes"] for face in faces["valid"]}
    rows = [i for i, face in enumerate(faces["train"]) if i % 10 == 0 or face["bytes"] in held_out]
    parquet.write_table(tables["train"].take(rows), tmp_path / "train.parquet")
    parquet.write_table(tables["valid"], tmp_path / "valid.parquet")
    inspection = inspect_data(f"ferplus:{tmp_path},dedupe=false,labels=fer2013")
    first = inspection.findings[0]
    assert (first.kind, first.level) == ("exact_across", "leak")
    assert first.title == "279 valid pictures are byte-identical to a train picture"
    held = {i for group in first.groups for i in group if inspection.manifest.splits[i] == "valid"}
    assert len(held) == 279
    assert inspection.to_dict()["classes"]["valid"]["disgust"] > 0
