"""Readers: what was written comes back, and hostile text is a DataError at worst."""

from __future__ import annotations

import csv
import io
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mien.data import FileImages, Manifest, read_manifest
from mien.data.filenames import plain_name
from mien.data.writers.files import write_csv, write_folder
from mien.errors import ConfigError, DataError
from mien.labels import HES3

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

_HOSTILE = st.text("abhpy01.,;:\\/\"'\t\n\r\x00=+-@#%*?<>|é \u202e\ud83d", max_size=8)
_CELLS = st.one_of(
    _HOSTILE,
    st.sampled_from(
        ["", "happy", "sad", "train", "../../etc/passwd", "/etc/passwd", "CON", "nul.png", "a.png",
         "sub\\a.png", "=1+1", "1e999", "-1", "nan", "0x1", "'; DROP TABLE faces", "a" * 300]
    ),
)  # fmt: skip
_FEW = settings(max_examples=25)


def _png(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


_PICTURES = [_png(seed) for seed in range(8)]
_FACE = st.tuples(st.sampled_from(HES3.labels), st.sampled_from(["train", "valid", "test"]))


def _manifest(root: Path, faces: list[tuple[str, str]], votes: NDArray[Any] | None) -> Manifest:
    names = tuple(f"{index}.png" for index in range(len(faces)))
    for name, data in zip(names, _PICTURES, strict=False):
        (root / name).write_bytes(data)
    ids = np.array([HES3.index(label) for label, _ in faces])
    targets = np.eye(3)[ids] if votes is None else votes
    return Manifest(
        "by hand", HES3, FileImages(root, names), targets.astype(np.float32), ids,
        np.array([split for _, split in faces]), None, np.zeros(len(faces), bool),
    )  # fmt: skip


def _rows(manifest: Manifest) -> list[tuple[bytes, str, str, list[float]]]:
    return sorted(
        (
            manifest.images.read(index),
            manifest.schema.labels[manifest.class_ids[index]],
            str(manifest.splits[index]),
            [round(float(value), 4) for value in manifest.targets[index]],
        )
        for index in range(len(manifest))
    )


@settings(max_examples=6)
@given(st.lists(_FACE, min_size=2, max_size=6), st.booleans())
def test_what_is_written_is_read(faces: list[tuple[str, str]], voted: bool) -> None:
    from mien.data.writers.parquet import write_parquet

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        votes = None
        if voted:  # seven votes for the label, three for the next one
            ids = np.array([HES3.index(label) for label, _ in faces])
            votes = np.eye(3)[ids] * 0.7 + np.eye(3)[(ids + 1) % 3] * 0.3
        manifest = _manifest(root / "in", faces, votes)
        write_csv(manifest, root / "list.csv", copy=False)
        write_csv(manifest, root / "whole.csv", copy=True)
        write_folder(manifest, root / "folder")
        write_parquet(manifest, root / "one.parquet", embed=True)
        expected = _rows(manifest)
        for spec in ("csv:list.csv", "csv:whole.csv", "folder:folder", "parquet:one.parquet"):
            kind, _, name = spec.partition(":")
            found = read_manifest(f"{kind}:{root / name},dedupe=false", labels=HES3, valid_share=0)
            kept = kind != "folder"  # class folders have no place for votes
            assert [row[: 4 if kept else 3] for row in _rows(found)] == [
                row[: 4 if kept else 3] for row in expected
            ], spec


@_FEW
@given(st.lists(st.lists(_CELLS, min_size=3, max_size=4), max_size=4), st.sampled_from(",;\t"))
def test_a_hostile_table_is_refused_or_read(rows: list[list[str]], delimiter: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "a.png").write_bytes(_PICTURES[0])
        text = io.StringIO()
        with suppress(csv.Error):
            csv.writer(text, delimiter=delimiter).writerows(
                [["file_name", "label", "split"], ["a.png", "happy", "train"], *rows]
            )
        (root / "t.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
        for header in ("", "file_name,angry,happy,sad\na.png,1,"):
            (root / "t.csv").write_bytes(header.encode() + (root / "t.csv").read_bytes())
            with suppress(DataError):
                assert len(read_manifest(f"csv:{root / 't.csv'}")) >= 1


@_FEW
@given(st.lists(st.tuples(_CELLS, _CELLS, st.binary(max_size=6)), min_size=1, max_size=3))
def test_a_hostile_parquet_table_is_refused_or_read(rows: list[tuple[str, str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        texts = [
            [text.encode("utf-8", "replace").decode() for text in column[:2]] for column in rows
        ]
        pictures = [
            {"bytes": row[2], "path": text[0]} for row, text in zip(rows, texts, strict=True)
        ]
        pq.write_table(pa.table({"image": pictures, "label": [text[1] for text in texts]}), path)
        with suppress(DataError):
            read_manifest(f"parquet:{path}")


@_FEW
@given(st.lists(st.tuples(st.text("0123 9ab-,", max_size=12), _CELLS), min_size=1, max_size=3))
def test_a_hostile_fer2013_table_is_refused_or_read(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, text = Path(folder) / "fer2013.csv", io.StringIO()
        csv.writer(text).writerows([["emotion", "pixels", "Usage"], ["3", "0 " * 2304, "Training"]])
        with suppress(csv.Error):
            csv.writer(text).writerows([emotion[:1], emotion, usage] for emotion, usage in rows)
        path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
        with suppress(DataError, ConfigError):
            read_manifest(f"fer2013:{path}")


@_FEW
@given(st.lists(st.text("abhpy .-#%é'", min_size=1, max_size=6), min_size=1, max_size=3))
def test_hostile_folder_names_are_refused_or_read(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(names):
            place = Path(folder) / "train" / name.strip(" .") / "x.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_PICTURES[index])
        with suppress(DataError):
            read_manifest(f"folder:{folder}")


@_FEW
@given(st.binary(max_size=40), st.sampled_from(["parquet", "shards", "wds", "ferplus", "csv"]))
def test_any_bytes_are_a_dataset_or_refused(data: bytes, kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        name = {"shards": "index.json", "wds": "train-0.tar", "ferplus": "train.parquet"}.get(kind)
        path = Path(folder) / (name or f"x.{kind}")
        path.write_bytes(data)
        whole = kind in {"shards", "ferplus"}
        with suppress(DataError):
            read_manifest(f"{kind}:{folder if whole else path}")


def test_a_name_that_is_too_long_is_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"file_name,label\n{'a' * 300},happy\n")
    with pytest.raises(DataError, match="1 are missing"):
        read_manifest(f"csv:{tmp_path / 't.csv'}")


# Names of Windows


@pytest.mark.parametrize("name", ["CON", "con.png", "Aux.jpg", "nul.tar.png", "COM1.png", "lpt9"])
def test_a_name_that_windows_keeps_for_itself_is_changed(name: str) -> None:
    assert plain_name(f"x.parquet#{name}") == f"_{name}"
    assert plain_name(f"faces/x{name}") == f"x{name}"
    assert plain_name("console.png") == "console.png"


def test_a_label_that_windows_keeps_for_itself_names_no_folder(tmp_path: Path) -> None:
    from mien.data.filenames import check_folder_names

    check_folder_names(["contempt", "null", "com"])
    for label in ("con", "NUL", "com1", "aux.x"):
        with pytest.raises(DataError, match="cannot name a folder"):
            check_folder_names(["happy", label])


@pytest.mark.skipif(Path("a\\b").name == "b", reason="on Windows, it is a path")
def test_paths_of_windows_in_a_table_are_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, data in zip(("sub/a.png", "sub/b.png", "c\\d.png"), _PICTURES, strict=False):
        (tmp_path / name).write_bytes(data)
    table = tmp_path / "t.csv"
    table.write_text(
        "file_name,label,split\nsub\\a.png,happy,train\n.\\sub\\b.png,sad,train\nc\\d.png,sad,valid\n"
    )
    manifest = read_manifest(f"csv:{table}")
    names = [manifest.images.key(index) for index in range(3)]
    assert names == ["sub/a.png", "./sub/b.png", "c\\d.png"]
    assert "2 names are written with \\ and read with /." in manifest.warnings


@pytest.mark.skipif(Path("a\\b").name == "b", reason="on Windows, it is a path")
def test_paths_of_windows_tell_who_is_on_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for at, name in enumerate(("happy", "sad")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(_PICTURES[at])
    rows = "file_name,subject_id\nhappy\\a.png,ann\nsad\\a.png,ann\n"
    (tmp_path / "metadata.csv").write_text(rows)
    manifest = read_manifest(f"folder:{tmp_path}", valid_share=0)
    assert manifest.groups is not None
    assert set(manifest.groups) == {"ann"}
