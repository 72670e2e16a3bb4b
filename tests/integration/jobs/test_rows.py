"""Datasets of Hugging Face as the input of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

datasets = pytest.importorskip("datasets")
pytest.importorskip("pyarrow")

from mien.errors import ConfigError, DataError
from mien.jobs import JobConfig, predict_files
from mien.jobs.rows import list_rows, read_row
from support.jobs import read


@pytest.fixture
def saved(faces: Path, tmp_path: Path) -> Path:
    """A dataset on disk: the faces of one folder as train, of the other as test."""
    splits = {}
    for split, folder in (("train", "a"), ("test", "b")):
        files = sorted(map(str, (faces / folder).glob("*.[jp][pn]g")))
        table = datasets.Dataset.from_dict({"id": list(range(len(files))), "photo": files})
        splits[split] = table.cast_column("photo", datasets.Image())
    # Saving brings the bytes into the tables, those of files that are no pictures too.
    datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_dataset_gives_the_rows_of_its_files(saved: Path, faces: Path, tmp_path: Path) -> None:
    config = JobConfig(workers=1, detector="none", part_size=5)
    files, rows = tmp_path / "files.parquet", tmp_path / "rows.parquet"
    predict_files([faces / "a", faces / "b"], files, config=config)
    summary = predict_files([f"hf:{saved}"], rows, config=config)
    assert (summary.pictures, summary.failed) == (14, 2)
    one, other = read(files), read(rows)
    assert one.drop_columns(["source", "error"]).equals(other.drop_columns(["source", "error"]))
    assert other["source"].to_pylist()[:2] == [f"hf:{saved}#train/0", f"hf:{saved}#train/1"]
    with pytest.raises(ConfigError, match="another sources"):
        predict_files([f"hf:{saved},split=test"], rows, config=config, resume=True)


def test_options_and_their_faults(saved: Path) -> None:
    assert len(list(list_rows(f"hf:{saved},split=test,image=photo"))) == 7
    for option, said in (("split=other", "no split"), ("image=id", "no column 'id' of pictures")):
        with pytest.raises(DataError, match=said):
            list(list_rows(f"hf:{saved},{option}"))
    first = read_row(f"hf:{saved}#train/0")
    assert isinstance(first, bytes)


def test_row_without_a_picture_says_so(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"photo": [None]})
    rows.cast_column("photo", datasets.Image()).save_to_disk(str(tmp_path / "saved"))
    (name,) = list_rows(f"hf:{tmp_path / 'saved'}")
    assert str(read_row(name)) == f"{name} holds no picture."
