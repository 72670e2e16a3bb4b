from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from mien.cli import main
from mien.data import Manifest, read_manifest
from mien.data.faces import load_faces
from mien.data.image_stores import find_shards
from mien.data.writers.parquet import write_shards
from mien.errors import DataError
from mien.labels import get_schema
from mien.preprocess import Preprocessing
from support.faces import LABELS, draw_face, write_folder

INPUT = Preprocessing(size=48, color="gray")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(f"folder:{write_folder(tmp_path_factory.mktemp('faces'), 11)}")


@pytest.fixture
def shards(faces: Manifest, tmp_path: Path) -> Path:
    write_shards(faces, tmp_path / "shards", faces_per_shard=10)
    return tmp_path / "shards"


def _rows(manifest: Manifest) -> set[tuple[bytes, int, str]]:
    return {
        (manifest.images.read(i), int(manifest.class_ids[i]), str(manifest.splits[i]))
        for i in range(len(manifest))
    }


def test_shards_hold_each_face_once_with_its_label(faces: Manifest, shards: Path) -> None:
    found = read_manifest(f"shards:{shards}")
    assert len(found) == len(faces) == 45
    assert _rows(found) == _rows(faces)
    assert found.schema == faces.schema
    assert found.counts() == faces.counts()
    index = json.loads((shards / "shards.json").read_text())
    assert [one["faces"] for one in index["shards"]] == [9, 8, 8, 8, 6, 6]
    assert index["counts"] == faces.counts()
    # The same files are an ordinary Parquet dataset too.
    assert _rows(read_manifest(f"parquet:{shards}")) == _rows(faces)


def test_votes_subjects_and_leaks_survive(faces: Manifest, tmp_path: Path) -> None:
    import dataclasses

    targets = np.full((45, len(faces.schema)), 0.1, np.float32)
    targets[:, 0] += 1 - targets.sum(axis=1)
    leaked = (faces.splits == "valid") & (np.arange(45) % 2 == 0)
    groups = np.array([f"person {i % 7}" for i in range(45)])
    given = dataclasses.replace(faces, targets=targets, leaked=leaked, groups=groups)
    write_shards(given, tmp_path / "s", faces_per_shard=7)
    found = read_manifest(f"shards:{tmp_path / 's'}")
    assert np.allclose(found.targets, targets, atol=1e-6)
    assert found.leaked.sum() == leaked.sum() > 0
    assert found.groups is not None
    names = [found.images.read(i) for i in range(45)]
    for i in range(45):
        at = names.index(given.images.read(i))
        assert (found.groups[at], found.leaked[at]) == (groups[i], leaked[i])


def test_bare_pixels_are_the_faces_that_decoding_gives(faces: Manifest, tmp_path: Path) -> None:
    write_shards(faces, tmp_path / "s", faces_per_shard=20, pixels=INPUT)
    found = read_manifest(f"shards:{tmp_path / 's'}")
    one, two = (load_faces(part, INPUT) for part in (faces, found))
    assert {face.tobytes() for face in one} == {face.tobytes() for face in two}


def _read_second(shards: Path) -> None:
    found = find_shards(read_manifest(f"shards:{shards}").images)
    assert found is not None
    list(found[0].read_rows(1, np.arange(8)))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: data[:200] + bytes(8) + data[208:], "is not the file"),
    ],
)
def test_damaged_shard_is_named(shards: Path, damage: object, match: str) -> None:
    path = shards / "train-00001-of-00004.parquet"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match=f"train-00001-of-00004.*{match}"):
        _read_second(shards)


def test_missing_and_foreign_tables_of_contents_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="parquet:DIR"):
        read_manifest(f"shards:{tmp_path}")
    (shards / "shards.json").write_text('{"format": 1}')
    with pytest.raises(DataError, match="no table of contents"):
        read_manifest(f"shards:{shards}")


def test_command_writes_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "faces", 4)
    given = ["data", "shard", "-d", f"folder:{data}", "-o", str(tmp_path / "s"), "-q"]
    with pytest.raises(SystemExit) as stop:
        main([*given, "--faces-per-shard", "5", "--size", "32"])
    assert not stop.value.code
    assert "24 faces in 6 shards" in capsys.readouterr().err
    assert json.loads((tmp_path / "s" / "shards.json").read_text())["pixels"]["size"] == 32
    with pytest.raises(SystemExit) as stop:
        main(given)
    assert stop.value.code == 2


def _tar(path: Path, samples: list[dict[str, bytes]]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, sample in enumerate(samples):
            for ending, data in sample.items():
                info = tarfile.TarInfo(f"faces/{path.stem}_{number:04}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _png(label: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_face(label, seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_tars_are_read_by_key(tmp_path: Path) -> None:
    for number in range(3):
        split = "valid" if number == 2 else "train"
        _tar(
            tmp_path / f"{number:02}.tar",
            [
                {
                    "png": _png(label, number * 10 + k),
                    "json": json.dumps({"label": label, "split": split}).encode(),
                }
                for k, label in enumerate(LABELS)
            ],
        )
    found = read_manifest(f"wds:{tmp_path}/{{00..02}}.tar")
    assert found.counts()["train"]["sadness"] == 2
    assert found.counts()["valid"]["neutral"] == 1
    for i in range(len(found)):
        number, k = divmod(i, 3)
        assert found.images.read(i) == _png(LABELS[k], number * 10 + k)
        assert found.images.key(i) == f"{number:02}.tar#faces/{number:02}_{k:04}"
    assert len(read_manifest(f"wds:{tmp_path}")) == 9
    with pytest.raises(DataError, match=r"names .*03\.tar, which does not exist"):
        read_manifest(f"wds:{tmp_path}/{{00..03}}.tar")


def test_tar_numbers_need_a_schema_and_names_of_tars_tell_splits(tmp_path: Path) -> None:
    for name in ("train-0", "valid-0"):
        samples = [{"png": _png(LABELS[k], k), "cls": str(k).encode()} for k in range(3)]
        _tar(tmp_path / f"{name}.tar", [*samples, {"png": _png("neutral", 99)}])
    with pytest.raises(DataError, match="Type --label-map 0=LABEL"):
        read_manifest(f"wds:{tmp_path}")
    mapped = read_manifest(f"wds:{tmp_path},dedupe=false,label_map=0:angry|1:happy|2:sad")
    assert mapped.counts()["train"] == {"angry": 1, "happy": 1, "sad": 1}
    found = read_manifest(f"wds:{tmp_path},dedupe=false", labels=get_schema("hes3"))
    assert found.counts() == {s: {"angry": 1, "happy": 1, "sad": 1} for s in ("train", "valid")}
    assert any("2 samples without a label" in text for text in found.warnings)


def test_truncated_tar_is_named(tmp_path: Path) -> None:
    _tar(tmp_path / "a.tar", [{"png": _png(LABELS[k % 3], k), "cls": b"sad"} for k in range(4)])
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:2000])
    with pytest.raises(DataError, match=r"a\.tar is damaged"):
        read_manifest(f"wds:{tmp_path}")


def test_a_valid_share_that_shards_cannot_give_is_said(faces: Manifest, tmp_path: Path) -> None:
    write_shards(faces.split("train"), tmp_path / "s")
    (warning,) = read_manifest(f"shards:{tmp_path / 's'}").warnings
    assert "no valid split" in warning
    assert "mien data shard" in warning
    assert read_manifest(f"shards:{tmp_path / 's'}", valid_share=0).warnings == ()
