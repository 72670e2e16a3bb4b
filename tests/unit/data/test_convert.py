"""Round trips between folders, CSV and Parquet, and what must never be half-written."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from mien.atomic import replacing_folder
from mien.cli.data import app
from mien.data import read_manifest
from mien.data.filenames import FreeNames
from mien.data.image_stores import FileImages
from mien.data.inspection import open_for_inspection
from mien.data.inspection.run import silent
from mien.data.writers.convert import convert_data
from mien.data.writers.files import write_csv
from mien.errors import ConfigError, DataError
from mien.images import decode


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app([str(argument) for argument in arguments], prog_name="mien data")
    return int(stop.value.code or 0)


def content(spec: str) -> set[tuple[object, ...]]:
    """Returns what a round trip must keep: pixels, label, split, group and target."""
    manifest, _ = open_for_inspection(spec)
    rows: set[tuple[object, ...]] = set()
    for index in range(len(manifest)):
        k = int(manifest.class_ids[index])
        share = {
            label: round(float(value), 5)
            for label, value in zip(manifest.schema.labels, manifest.targets[index], strict=True)
            if value > 0
        }
        rows.add(
            (
                decode(manifest.images.read(index)).tobytes(),
                manifest.schema.labels[k] if k >= 0 else "",
                str(manifest.splits[index]),
                None if manifest.groups is None else str(manifest.groups[index]),
                tuple(share.items()),
            )
        )
    assert len(rows) == len(manifest)
    return rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of faces with subjects; two of one name, one JPEG, one with spaces."""
    rows = ["file_name,label,split,subject_id"]
    names = ["a/1.png", "b/1.png", "a/2 x, y.jpg", "b/2801.jpg_rot_1.jpg", "b/3.png", "c/4.png"]
    labels = ["angry", "angry", "happy", "sad", "happy", "angry"]
    splits = ["train", "train", "train", "valid", "test", "valid"]
    rng = np.random.default_rng(0)
    for name, label, split in zip(names, labels, splits, strict=True):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)).save(path)
        rows.append(f'"{name}",{label},{split},{"S1" if name < "b" else "S2"}')
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize(
    "chain",
    [
        ["folder", "parquet", "csv", "folder"],
        ["csv", "parquet", "folder", "csv"],
        ["parquet", "folder", "parquet"],
    ],
)
def test_round_trips_keep_everything(table: Path, tmp_path: Path, chain: list[str]) -> None:
    spec = f"csv:{table}"
    before = content(spec)
    assert len(before) == 6
    for step, to in enumerate(chain):
        ending = "" if to == "folder" else f".{to}"
        output = tmp_path / f"out{step}{ending}"
        assert run("convert", "-d", spec, "-o", output, "--to", to) == 0
        spec = f"{to}:{output}"
        assert content(spec) == before, to


def test_votes_survive_tables_and_faces_without_majority_stay(tmp_path: Path) -> None:
    rows = [
        "file_name,label,split,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt",
        "0.png,happiness,train,1,9,0,0,0,0,0,0",
        "1.png,,train,5,0,0,5,0,0,0,0",
        # Of ten raters four said neutral: most of the votes below, yet no majority.
        "2.png,,valid,4,0,0,0,2,0,0,0",
    ]
    rng = np.random.default_rng(1)
    for index in range(3):
        pixels = rng.integers(0, 256, (9, 9)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    (tmp_path / "v.csv").write_text("\n".join(rows))
    before = content(f"csv:{tmp_path / 'v.csv'}")
    assert {row[1] for row in before} == {"happiness", ""}
    assert run("convert", "-d", f"csv:{tmp_path / 'v.csv'}", "-o", tmp_path / "v.parquet",
               "--to", "parquet") == 0  # fmt: skip
    assert content(f"parquet:{tmp_path / 'v.parquet'}") == before
    assert run("convert", "-d", f"parquet:{tmp_path / 'v.parquet'}", "-o", tmp_path / "w.csv",
               "--to", "csv") == 0  # fmt: skip
    assert content(f"csv:{tmp_path / 'w.csv'}") == before


def test_a_folder_has_no_place_for_faces_without_majority(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = f"ferplus:{shared / 'data/ferplus'}"
    manifest = read_manifest(spec).split("valid").select(np.arange(60))
    table = tmp_path / "some.csv"
    write_csv(manifest, table, copy=True)
    assert run("convert", "-d", f"csv:{table}", "-o", tmp_path / "f", "--to", "folder") == 0
    lost = int((manifest.class_ids < 0).sum())
    assert lost > 0
    assert f"{lost} pictures without a majority" in capsys.readouterr().err
    assert len(list((tmp_path / "f").rglob("*.png"))) == 60 - lost


def test_a_table_names_pictures_where_they_lie(table: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    output = tmp_path / "elsewhere/t.csv"
    assert run("convert", "-d", f"csv:{table}", "-o", output, "--to", "csv") == 0
    assert "../a/1.png,angry,train,S1" in output.read_text()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["t.csv"]
    assert content(f"csv:{output}") == content(f"csv:{table}")
    assert run("convert", "-d", f"csv:{table}", "-o", tmp_path / "copied.csv", "--to", "csv",
               "--copy") == 0  # fmt: skip
    assert (tmp_path / "copied/train/1-2.png").is_file()


@pytest.mark.parametrize("to", ["folder", "csv", "parquet"])
def test_nothing_is_overwritten_unless_asked(table: Path, tmp_path: Path, to: str) -> None:
    output = tmp_path / ("out" if to == "folder" else f"out.{to}")
    arguments = ["convert", "-d", f"csv:{table}", "-o", output, "--to", to]
    if to == "folder":
        output.mkdir()
        (output / "mine.txt").write_text("mine")
    else:
        output.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        app([str(a) for a in arguments], prog_name="mien data")
    assert (output / "mine.txt" if to == "folder" else output).read_text() == "mine"
    assert run(*arguments, "--overwrite") == 0
    assert content(f"{to}:{output}") == content(f"csv:{table}")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("to", ["folder", "csv", "parquet"])
def test_an_interrupted_conversion_leaves_nothing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    output = tmp_path / ("out" if to == "folder" else f"out.{to}")
    before = sorted(tmp_path.iterdir())
    read = FileImages.read
    calls: list[int] = []

    def stop(self: FileImages, index: int) -> bytes:
        calls.append(index)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return read(self, index)

    monkeypatch.setattr(FileImages, "read", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_data(f"csv:{table}", output, to, copy=True, bars=silent)
    assert len(calls) == 4
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_in_place_survives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").write_text("old")

    def fail() -> NoReturn:
        with replacing_folder(target) as fresh:
            (fresh / "new").write_text("new")
            raise DataError("the disk is full")

    with pytest.raises(DataError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "old"]


def test_a_source_is_never_replaced_by_itself(table: Path, tmp_path: Path) -> None:
    for output, to in ((tmp_path / "a.csv", "csv"), (tmp_path, "folder"), (table, "csv")):
        with pytest.raises(ConfigError, match="is read from there"):
            convert_data(f"csv:{table}", output, to, copy=True, overwrite=True, bars=silent)
    assert (tmp_path / "a/1.png").is_file()


def test_wrong_options(table: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (["-o", tmp_path / "x.txt", "--to", "csv"], r"must end in \.csv"),
        (["-o", tmp_path / "no/x.csv", "--to", "csv"], "there is no folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            app(["convert", "-d", f"csv:{table}", *map(str, arguments)], prog_name="mien data")


def test_names_are_unique_whatever_the_case() -> None:
    names, given = FreeNames(), ("x.png", "X.PNG", "x.png", "1.jpg_r.jpg", "1.jpg_r.jpg")
    assert [names.take("a", name) for name in given] == [
        "a/x.png", "a/X-2.PNG", "a/x-3.png", "a/1.jpg_r.jpg", "a/1-2.jpg_r.jpg",
    ]  # fmt: skip
