from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data import read_manifest
from mien.data.manifest import Manifest
from mien.errors import DataError
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
    ],
    ids=["plain", "bom-crlf", "semicolon", "tab-aliases", "empty-lines", "quoted"],
)  # fmt: skip
def test_one_table_in_many_spellings(table: Table, text: str) -> None:
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
        (b"file_name,label\na.png,fr\xf6hlich\n", r"not UTF-8"),
        ('file_name,label\na.png,"' + "x" * 200_000 + '"\n', r"row \d+ is no CSV"),
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
