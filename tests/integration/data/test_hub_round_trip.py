"""A local repository of the Hugging Face Hub is read back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mien.labels import HES3
from support.round_trips import Face, labelled_faces, read_rows, rows_of, write_repository

pytest.importorskip("pyarrow")
pytest.importorskip("datasets")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faces=labelled_faces(HES3, "train", "valid", "test"))
def test_hub_repository(
    faces: list[Face], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root: Path = tmp_path_factory.mktemp("hub")
    # What datasets copies to its cache stays out of the home folder.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", root / "cache")
    # One split alone is dealt anew: it has been told apart from nothing.
    faces = [*faces, (HES3.labels[0], "train" if faces[0][1] != "train" else "valid")][:10]
    (root / "repository").mkdir()
    write_repository(root / "repository", faces)
    assert read_rows(f"hf:{root / 'repository'}") == rows_of(faces)
