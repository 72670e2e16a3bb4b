from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data import read_manifest
from mien.data.manifest import Manifest
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8, HES3, LabelSchema

Table = Callable[..., Manifest]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Returns a function that writes a table next to five pictures and reads it."""
    for size, name in enumerate(("a", "b", "c", "d", "e, the last")):
        (tmp_path / f"{name}.png").write_bytes(b"x" * (size + 1))

    def write(text: str | bytes, *, options: str = "", **arguments: Any) -> Manifest:
        path = tmp_path / "faces.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_manifest(f"csv:{path}{options}", **arguments)

    return write


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


ROWS = "a.png,happy,train,s1\nb.png,sad,train,s2\nc.png,sad,Validation,s3\nd.png,joy,TEST,s4\n"


@pytest.mark.parametrize(
    "text",
    [
        "file_name,label,split,subject_id\n" + ROWS,
        "\ufefffile_name,label,split,subject_id\r\n" + ROWS.replace("\n", "\r\n"),
        "file_name;label;split;subject_id\n" + ROWS.replace(",", ";"),
        "Filename\tEmotion\tUsage\tSubject\n" + ROWS.replace(",", "\t"),
        "\n\nfile_name, label , split,subject_id\n\n" + ROWS.replace("\n", "\n,,,\n\n"),
        '"file_name","label","split","subject_id"\n' + ROWS.replace("a.png", '"a.png"'),
        ("file_name,label,split,subject_id\r\n" + ROWS).encode("utf-16"),
        ("file_name\tlabel\tsplit\tsubject_id\n" + ROWS.replace(",", "\t")).encode("utf-16-le"),
        "sep=|\nfile_name|label|split|subject_id\n" + ROWS.replace(",", "|"),
        b"file_name,label,split,subject_id,note\n" + ROWS.replace("\n", ",fröhlich\n")
        .encode("latin-1"),
    ],
    ids=["plain", "bom-crlf", "semicolon", "tab-aliases", "empty-lines", "quoted", "utf-16",
         "utf-16-without-bom", "excel", "latin-1"],
)  # fmt: skip
def test_one_table_in_many_spellings(table: Table, text: str | bytes) -> None:
    manifest = table(text, labels=FER7)
    assert keys(manifest) == ["a.png", "b.png", "c.png", "d.png"]
    assert [FER7.labels[k] for k in manifest.class_ids] == [
        "happiness",
        "sadness",
        "sadness",
        "happiness",
    ]
    assert manifest.splits.tolist() == ["train", "train", "valid", "test"]
    assert manifest.groups is not None
    assert manifest.groups.tolist() == ["s1", "s2", "s3", "s4"]
    assert manifest.targets.sum(axis=1).tolist() == [1, 1, 1, 1]


def test_names_with_delimiters_are_quoted(table: Table) -> None:
    manifest = table('file_name,label\n"e, the last.png",happy\na.png,sad\n', valid_share=0)
    assert keys(manifest) == ["e, the last.png", "a.png"]
    assert manifest.schema == HES3
    assert manifest.images.read(0) == b"xxxxx"


def test_splits_are_made_with_subjects_whole(table: Table) -> None:
    rows = "a.png,sad,1\nb.png,happy,1\nc.png,sad,2\nd.png,happy,2\n"
    manifest = table("file_name,label,subject\n" + rows, valid_share=0.5)
    first, second = manifest.splits[:2].tolist(), manifest.splits[2:].tolist()
    assert {*first, *second} == {"train", "valid"}
    assert len(set(first)) == len(set(second)) == 1


def test_a_subject_in_two_splits_is_told(table: Table) -> None:
    text = "file_name,label,split,subject_id\n" + ROWS.replace("s4", "s1")
    assert any(w.startswith("1 valid or test pictures share") for w in table(text).warnings)


def test_votes_become_shares(table: Table) -> None:
    manifest = table(
        "file_name,happy,Sad,unknown\na.png,3,1,9\nb.png,0.5,0.5,0\nc.png,0,0,4\nd.png,0,2,0\n",
        valid_share=0,
    )
    assert manifest.schema == HES3
    assert keys(manifest) == ["a.png", "b.png", "d.png"]
    np.testing.assert_allclose(
        manifest.targets, np.array([[0, 0.75, 0.25], [0, 0.5, 0.5], [0, 0, 1]])
    )
    assert manifest.class_ids.tolist() == [1, -1, 2]
    assert manifest.warnings[:2] == (
        "1 rows without a vote for any label are left out.",
        "columns that are no labels of 'hes3' are not read: unknown.",
    )


@pytest.mark.parametrize(
    ("header", "schema", "expected"),
    [
        ("happy,sad", None, "hes3"),
        ("happy,fear", None, "fer7"),
        ("neutral,contempt,anger", None, "ferplus8"),
        ("neutral,anger", FERPLUS8, "ferplus8"),
        ("smirk,frown", LabelSchema("mine", ("frown", "smirk")), "mine"),
    ],
)
def test_schema_of_vote_columns(
    table: Table, header: str, schema: LabelSchema | None, expected: str
) -> None:
    cells = ",".join("1" for _ in header.split(","))
    manifest = table(f"file_name,{header}\na.png,{cells}\nb.png,{cells}\n", labels=schema)
    assert manifest.schema.name == expected


def test_a_label_column_goes_before_vote_columns(table: Table) -> None:
    manifest = table("file_name,label,happy,sad\na.png,happy,0,9\nb.png,sad,1,0\n", valid_share=0)
    assert manifest.class_ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"needs a header and at least one row; it has 0"),
        ("file_name,label\n", r"it has 1 line"),
        ("label,split\nhappy,train\n", r"no column 'file_name'; it has label, split"),
        ("file_name,mood\na.png,happy\n", r"no label column.*file_name, mood"),
        ("file_name,label,label\na.png,happy,sad\n", r"column\(s\) label twice"),
        ("file_name,label,emotion\na.png,happy,sad\n", r"several columns for .*: label, emotion"),
        ("file_name,happy,joy,sad\na.png,1,2,1\n", None),
        ("file_name,label\na.png,happy\n\nb.png,hapy\n", r"row 4 has the label 'hapy'"),
        ("file_name,label\na.png,happy\nb.png,\n", r"row 3 has the label ''"),
        ("file_name,label\na.png,happy,x\n", r"row 2 has 3 cells under 2 columns"),
        ("file_name,label\na.png\n", r"row 2 has 1 cells under 2 columns"),
        ("file_name,label,split\na.png,happy,trian\n", r"row 2 has the split 'trian'.*'train'"),
        ("file_name,label,subject\na.png,happy,\n", r"row 2 has an empty subject"),
        ("file_name,happiness,sad\na.png,1,-1\n", r"row 2, column sad holds '-1'; votes"),
        ("file_name,happiness,sad\na.png,1,nan\n", r"column sad holds 'nan'"),
        ("file_name,happiness,sad\na.png,many,1\n", r"column happiness holds 'many'"),
        ("file_name,happiness,sad\na.png,,1\n", r"column happiness holds ''"),
        ("file_name,happiness,sad\na.png,0,0\n", r"has no row with a vote"),
        ("emotion,pixels,Usage\n0,1 2 3 4,Training\n", r"as in FER2013: type fer2013:.*faces\.csv"),
        ("file_name,label\nA.PNG,sad\n", r"There is '.*a\.png': write names as the files have"),
        ("file_name,label\nx.png,sad\n../y.png,sad\na.png,sad\nz.png,sad\n/w.png,happy\n",
         r"5 pictures, of which 4 are missing, such as 'x\.png', '\.\./y\.png', 'z\.png'\."),
        ("file_name,label\n.,happy\n", r"1 pictures, of which 1 are missing"),
    ],
)  # fmt: skip
def test_wrong_tables_name_the_place(table: Table, text: str | bytes, message: str | None) -> None:
    if message is None:
        message = "two columns for one label among happy, joy, sad"
    with pytest.raises(DataError, match=message):
        table(text, labels=FER7)


def test_an_unknown_label_among_own_labels_needs_a_schema(table: Table) -> None:
    manifest = table("file_name,label\na.png,happy\nb.png,bored\n", valid_share=0)
    assert manifest.schema.labels == ("bored", "happy")


def test_absolute_paths_and_parents_are_taken_as_typed(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_text(name)
    path = tmp_path / "tables" / "t.csv"
    path.write_text(f"file_name,label\n../a.png,sad\n{tmp_path / 'b.png'},happy\n")
    manifest = read_manifest(str(path), valid_share=0)
    assert [manifest.images.read(0), manifest.images.read(1)] == [b"a", b"b"]


def test_copies_across_splits_leave_train(table: Table, tmp_path: Path) -> None:
    (tmp_path / "d.png").write_bytes(b"x")  # as a.png
    text = "file_name,label,split,subject_id\n" + ROWS
    manifest = table(text)
    assert keys(manifest) == ["b.png", "c.png", "d.png"]
    assert manifest.leaked.tolist() == [False, False, True]
    assert len(table(text, options=",dedupe=false")) == 4


def test_a_table_that_is_gone_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*gone\.csv"):
        read_manifest(f"csv:{tmp_path / 'gone.csv'}")
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(f"csv:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(257) + b"ustar" + bytes(250), r"it is a tar archive: unpack it. Type tar -xf "),
        (b"\x1f\x8b\x08\0\0\0", "it is a gzip archive: unpack it"),
        (b"PK\x03\x04\x14\0\0\0", "it is a ZIP archive: unpack it"),
        (b"PAR1\x15\x04\0\0", r"it is a Parquet table. Type parquet:.*faces\.csv"),
        (b"<!DOCTYPE html><html>log in\n", "it is HTML or XML text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is a PNG picture"),
        (b"\0\x01\x02\x03" * 99, "it starts with"),
    ],
    ids=["tar", "gzip", "zip", "parquet", "login page", "lfs", "picture", "other"],
)
def test_what_is_no_table_is_named(table: Table, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"is no CSV, whatever its name says: .*{message}"):
        table(content)


def test_a_cell_may_hold_a_whole_picture(table: Table) -> None:
    limit = csv.field_size_limit()
    manifest = table('file_name,label,note\na.png,happy,"' + "9 " * 150_000 + '"\nb.png,sad,\n')
    assert keys(manifest) == ["a.png", "b.png"]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("parquet", b"file_name,label\n", r"it is text .*read as csv:"),
        ("parquet", b"PK\x03\x04\x14\0\0\0", "it is a ZIP archive"),
        ("folder", b"PK\x03\x04\x14\0\0\0", "is no folder: it is a ZIP archive: unpack it"),
        ("wds", b"\x1f\x8b\x08\0\0\0", "is no tar: it is a gzip archive: unpack it"),
    ],
)
def test_other_readers_say_what_a_file_is(
    tmp_path: Path, kind: str, content: bytes, message: str
) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "faces").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_manifest(f"{kind}:{tmp_path / 'faces'}")


def test_labels_of_a_table_are_read_as_others(table: Table) -> None:
    rows = "a.png,1\nb.png,2\nc.png,2\n"
    manifest = table("file_name,label\n" + rows, options=",label_map=1:happy|2:Sadness")
    assert [manifest.schema.labels[k] for k in manifest.class_ids] == ["happy", "sad", "sad"]


def test_an_archive_without_a_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "faces.zip").write_bytes(b"PK\x03\x04\x14\0\0\0")
    with pytest.raises(ConfigError, match="this one is a ZIP archive: unpack it"):
        read_manifest(str(tmp_path / "faces.zip"))
    with pytest.raises(DataError, match=r"https://example\.org/a\.csv is an address"):
        read_manifest("csv:https://example.org/a.csv")


def test_label_map_renames_columns_of_votes_and_adds_those_of_one_label(table: Table) -> None:
    text = "file_name,hapiness,grin,sad\na.png,1,2,1\nb.png,0,0,4\n"
    options = ",label_map=hapiness:happy|grin:happy|rage:angry"
    manifest = table(text, options=options, valid_share=0)
    assert manifest.schema == HES3
    np.testing.assert_allclose(manifest.targets, np.array([[0, 0.75, 0.25], [0, 0, 1]]))
    assert manifest.class_ids.tolist() == [1, 2]
    assert "label_map names what no picture has: rage." in manifest.warnings
    swapped = table(
        "file_name,happy,sad\na.png,3,1\n", options=",label_map=happy:sad|sad:happy",
        valid_share=0,
    )  # fmt: skip
    np.testing.assert_allclose(swapped.targets, np.array([[0, 0.25, 0.75]]))
    assert swapped.class_ids.tolist() == [2]


def test_label_map_renames_labels_and_their_votes_alike(table: Table) -> None:
    header = "file_name,label,angry,happy,kummer"
    text = f"{header}\na.png,kummer,0,1,3\nb.png,happy,0,2,0\n"
    manifest = table(text, options=",label_map=kummer:sad", valid_share=0)
    np.testing.assert_allclose(manifest.targets, np.array([[0, 0.25, 0.75], [0, 1, 0]]))
    assert manifest.class_ids.tolist() == [2, 1]
