"""Manifests for pandas and PyTorch, and datasets in the layouts of the Hugging Face Hub."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.data import Manifest, read_manifest
from mien.errors import DataError, MissingExtraError
from support.faces import LABELS, write_folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "faces", 8)


@pytest.fixture(scope="module")
def manifest(faces: Path) -> Manifest:
    return read_manifest(f"folder:{faces}")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``datasets`` copies to its cache stays out of the home folder."""
    config = pytest.importorskip("datasets.config")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def hub_layouts(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same faces as ``save_to_disk`` writes them, and as a repository of Parquet files."""
    datasets = pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("hub")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(LABELS))}
    )
    splits = {}
    for split, name in (("train", "train"), ("valid", "validation")):
        files = sorted((faces / split).rglob("*.png"))
        rows = {
            "image": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
            "label": [LABELS.index(file.parent.name) for file in files],
        }
        splits[name] = datasets.Dataset.from_dict(rows, features=features)
        (root / "repository" / "data").mkdir(parents=True, exist_ok=True)
        splits[name].to_parquet(root / "repository" / "data" / f"{name}-00000-of-00001.parquet")
    (root / "repository" / "README.md").write_text("# Drawn faces\n")
    datasets.DatasetDict(splits).save_to_disk(root / "saved")
    splits["train"].save_to_disk(root / "one_split")
    return {path.name: path for path in root.iterdir()}


def test_table_has_a_row_per_picture(manifest: Manifest) -> None:
    pytest.importorskip("pandas")
    table = manifest.to_pandas()
    assert len(table) == len(manifest)
    assert list(table.columns[:5]) == ["key", "label", "split", "group", "leaked"]
    assert table["label"].tolist() == [manifest.schema.labels[k] for k in manifest.class_ids]
    assert table["key"][0] == manifest.images.key(0)
    shares = table[[f"p_{label}" for label in manifest.schema.labels]].to_numpy()
    assert (shares == manifest.targets).all()
    counts = table.groupby(["split", "label"]).size()
    assert counts["train", "happiness"] == manifest.counts()["train"]["happiness"]


def test_faces_without_a_majority_have_no_label(manifest: Manifest) -> None:
    pytest.importorskip("pandas")
    from dataclasses import replace

    open_votes = replace(manifest, class_ids=np.full(len(manifest), -1))
    assert open_votes.to_pandas()["label"].isna().all()


def test_torch_loads_pictures_and_labels(manifest: Manifest) -> None:
    data = pytest.importorskip("torch.utils.data")
    import torch

    faces = manifest.split("train").to_torch()
    image, class_id = faces[0]
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 48, 48))
    assert class_id == manifest.split("train").class_ids[0]
    batch, ids = next(iter(data.DataLoader(faces, batch_size=4)))
    assert (tuple(batch.shape), ids.dtype) == ((4, 3, 48, 48), torch.int64)
    twin = pickle.loads(pickle.dumps(faces))
    assert (twin[-1][0] == faces[len(faces) - 1][0]).all()
    with pytest.raises(IndexError):
        faces[len(faces)]
    half = manifest.to_torch(lambda picture: picture.float() / 255, votes=True)
    image, target = half[0]
    assert image.max() <= 1
    assert target.tolist() == manifest.targets[0].tolist()


@pytest.mark.parametrize("layout", ["saved", "repository"])
def test_hub_layouts_read_like_the_folder(
    hub_layouts: dict[str, Path], manifest: Manifest, layout: str
) -> None:
    found = read_manifest(f"hf:{hub_layouts[layout]}")
    assert found.schema.labels == manifest.schema.labels
    assert found.counts() == manifest.counts()
    ours = {bytes(manifest.images.read(index)) for index in range(len(manifest))}
    assert {bytes(found.images.read(index)) for index in range(len(found))} == ours


def test_one_split_of_the_hub_is_dealt_anew(hub_layouts: dict[str, Path]) -> None:
    for spec in (f"hf:{hub_layouts['saved']},split=train", f"hf:{hub_layouts['one_split']}"):
        found = read_manifest(spec, valid_share=0.25)
        assert set(found.splits) == {"train", "valid"}
        assert len(found) == 24
    with pytest.raises(DataError, match=r"no split 'tarin'.*train, validation"):
        read_manifest(f"hf:{hub_layouts['saved']},split=tarin")
    with pytest.raises(DataError, match=r"no column picture.*label=COLUMN"):
        read_manifest(f"hf:{hub_layouts['saved']},image=picture")


def test_dataset_that_cannot_be_had_says_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"cannot be read.*HF_TOKEN"):
        read_manifest(f"hf:{tmp_path / 'empty'}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[datasets\]"'):
        read_manifest("hf:someone/faces")
