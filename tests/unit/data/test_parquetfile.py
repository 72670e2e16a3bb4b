from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data import read_manifest
from mien.data.manifest import Manifest
from mien.errors import DataError, MissingExtraError
from mien.labels import FER7, HES3

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def pictures(*values: str | None) -> Any:
    return pa.array([v and {"bytes": v.encode(), "path": f"{v}.png"} for v in values], STRUCT)


def write(path: Path, names: list[str] | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()})
    if names is not None:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, path, row_group_size=2)
    return path


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


def contents(manifest: Manifest) -> list[str]:
    return [manifest.images.read(index).decode() for index in range(len(manifest))]


@pytest.mark.parametrize(
    "labels",
    [
        ["happy", "sad", "happy"],
        pa.array(["happy", "sad", "happy"], pa.large_string()),
        pa.array(["happy", "sad", "happy"]).dictionary_encode(),
    ],
    ids=["string", "large", "dictionary"],
)
def test_text_labels(tmp_path: Path, labels: Any) -> None:
    path = write(tmp_path / "x.parquet", image=pictures("a", "b", "c"), label=labels)
    manifest = read_manifest(str(path), valid_share=0)
    assert manifest.schema == HES3
    assert manifest.class_ids.tolist() == [1, 2, 1]
    assert keys(manifest) == ["x.parquet#a.png", "x.parquet#b.png", "x.parquet#c.png"]
    assert contents(manifest) == ["a", "b", "c"]
    assert manifest.groups is None


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_binary_column(tmp_path: Path, kind: Any) -> None:
    path = write(tmp_path / "x.parquet", image=pa.array([b"a", b"b"], kind), label=["sad", "joy"])
    manifest = read_manifest(str(path), labels=FER7, valid_share=0)
    assert contents(manifest) == ["a", "b"]
    assert keys(manifest) == ["x.parquet#0", "x.parquet#1"]


def test_hugging_face_folder(tmp_path: Path) -> None:
    names = ["sad", "happy", "bored"]
    data = tmp_path / "data"
    write(data / "train-00000-of-00002.parquet", names, image=pictures("a", "b"), label=[0, 1])
    write(data / "train-00001-of-00002.parquet", names, image=pictures("c"), label=[2])
    write(data / "validation-00000-of-00001.parquet", names, image=pictures("d"), label=[1])
    write(data / "test.parquet", names, image=pictures("e"), label=[-1])
    write(tmp_path / ".cache" / "odd.parquet", names, image=pictures("e"), label=[0])
    manifest = read_manifest(f"parquet:{tmp_path}")
    # The order of ClassLabel, not of the alphabet.
    assert manifest.schema.labels == ("sad", "happy", "bored")
    assert manifest.class_ids.tolist() == [0, 1, 2, 1]
    assert manifest.splits.tolist() == ["train", "train", "train", "valid"]
    assert contents(manifest) == ["a", "b", "c", "d"]
    assert keys(manifest)[2] == "data/train-00001-of-00002.parquet#c.png"
    assert manifest.warnings == ("1 rows without a label are left out.",)


def test_known_class_names_are_mapped_whatever_their_order(tmp_path: Path) -> None:
    names = ["sad", "fear", "happy"]
    path = write(tmp_path / "x.parquet", names, image=pictures("a", "b"), label=[0, 2])
    manifest = read_manifest(str(path), valid_share=0)
    assert manifest.schema == FER7
    assert [FER7.labels[k] for k in manifest.class_ids] == ["sadness", "happiness"]


def test_splits_from_folders_of_files(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0000.parquet", image=pictures("a", "b"), label=["sad", "happy"])
    write(tmp_path / "test" / "0000.parquet", image=pictures("c"), label=["sad"])
    manifest = read_manifest(f"parquet:{tmp_path}", valid_share=0)
    assert manifest.splits.tolist() == ["test", "train", "train"]


def test_columns_of_splits_and_subjects(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet",
        image=pictures("a", "b", "c"),
        label=["sad", "happy", "sad"],
        split=["Training", "validation", "test"],
        subject_id=[1, 1, 2],
    )
    manifest = read_manifest(f"parquet:{path}")
    assert manifest.splits.tolist() == ["train", "valid", "test"]
    assert manifest.groups is not None
    assert manifest.groups.tolist() == ["1", "1", "2"]
    assert manifest.warnings[0].startswith("1 valid or test pictures share")


def test_rows_without_labels_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.parquet",
        image=pictures("a", "b", "c", "d"),
        label=["sad", None, " ", "happy"],
        split=["train", "train", "train", "valid"],
    )
    manifest = read_manifest(f"parquet:{path}")
    assert keys(manifest) == ["x.parquet#a.png", "x.parquet#d.png"]
    assert contents(manifest) == ["a", "d"]
    assert manifest.splits.tolist() == ["train", "valid"]
    assert "2 rows without a label are left out." in manifest.warnings


def test_pictures_beside_the_table(tmp_path: Path) -> None:
    for name in ("out", "gone"):
        (tmp_path / f"{name}.png").write_text(name)
    rows = [(b"a", None), (None, "out.png"), (None, "gone.png")]
    images = pa.array([{"bytes": b, "path": p} for b, p in rows], STRUCT)
    path = write(tmp_path / "x.parquet", image=images, label=["sad", "happy", "sad"])
    manifest = read_manifest(f"parquet:{path}", valid_share=0)
    assert contents(manifest) == ["a", "out", "gone"]
    assert keys(manifest) == ["x.parquet#0", "x.parquet#out.png", "x.parquet#gone.png"]
    (tmp_path / "gone.png").unlink()
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        manifest.images.read(2)
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        read_manifest(f"parquet:{path}")


@pytest.mark.parametrize("nothing", [{"bytes": None, "path": None}, None])
def test_rows_without_a_picture_are_named(tmp_path: Path, nothing: dict[str, None] | None) -> None:
    images = pa.array([{"bytes": b"a", "path": "a"}, nothing], STRUCT)
    path = write(tmp_path / "x.parquet", image=images, label=["sad", "happy"])
    with pytest.raises(DataError, match=r"row x\.parquet#1 holds no picture"):
        read_manifest(f"parquet:{path}")


def test_paths_alone_are_enough(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("file")
    images = pa.array([{"path": "a.png"}, {"path": "a.png"}])
    path = write(tmp_path / "x.parquet", image=images, label=["sad", "happy"])
    assert contents(read_manifest(str(path), valid_share=0)) == ["file", "file"]


def test_options_name_other_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", face=pictures("a", "b"), mood=["sad", "happy"])
    manifest = read_manifest(f"{path},image=face,label=mood", valid_share=0)
    assert manifest.class_ids.tolist() == [2, 1]


def test_copies_across_splits_leave_train(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", image=pictures("a", "b"), label=["sad", "happy"])
    write(tmp_path / "valid.parquet", image=pictures("b"), label=["happy"])
    manifest = read_manifest(f"parquet:{tmp_path}")
    assert contents(manifest) == ["a", "b"]
    assert manifest.leaked.tolist() == [False, True]
    assert len(read_manifest(f"parquet:{tmp_path},dedupe=false")) == 3


def test_a_selection_travels_to_workers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=pictures("a", "b", "c"), label=["sad", "joy", "sad"])
    manifest = read_manifest(str(path), labels=FER7, valid_share=0).select([2, 0])
    copy = pickle.loads(pickle.dumps(manifest))
    assert contents(copy) == ["c", "a"]
    assert copy.fingerprint() == manifest.fingerprint()


@pytest.mark.parametrize(
    ("columns", "names", "message"),
    [
        ({"image": pictures("a")}, None, r"lacks the column\(s\) label; it has image"),
        ({"image": pictures("a"), "label": [0]}, None, "does not name its labels"),
        ({"image": pictures("a"), "label": [3]}, ["x", "y"], r"ids \[3\]; they must lie in 0\.\.1"),
        ({"image": pictures("a"), "label": [0.5]}, None, "text or class ids, not double"),
        ({"image": ["a"], "label": ["sad"]}, None, "must hold binary values or structs"),
        ({"image": pictures("a"), "label": [""]}, None, "has no row with a label"),
        ({"image": pictures("a"), "label": ["bored"]}, None, r"1 class\(es\) \(bored\)"),
        ({"image": pictures("a"), "label": ["sad"], "split": ["x"]}, None, "has the split 'x'"),
        ({"image": pictures("a"), "label": ["sad"], "split": pa.array([None], pa.string())},
         None, "1 rows without a split"),
    ],
)  # fmt: skip
def test_wrong_tables_say_why(
    tmp_path: Path, columns: dict[str, Any], names: list[str] | None, message: str
) -> None:
    path = write(tmp_path / "x.parquet", names, **columns)
    with pytest.raises(DataError, match=message):
        read_manifest(f"parquet:{path}")


def test_class_ids_follow_the_schema_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=pictures("a", "b"), label=[6, 0])
    manifest = read_manifest(f"parquet:{path}", labels=FER7, valid_share=0)
    assert manifest.class_ids.tolist() == [6, 0]


def test_metadata_that_is_broken(tmp_path: Path) -> None:
    table = pa.table({"image": pictures("a"), "label": [0]})
    path = tmp_path / "x.parquet"
    pq.write_table(table.replace_schema_metadata({"huggingface": "{"}), path)
    with pytest.raises(DataError, match="'huggingface' metadata"):
        read_manifest(f"parquet:{path}")


def test_files_that_disagree(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", image=pictures("a"), label=["sad"])
    write(tmp_path / "more.parquet", image=pictures("b"), label=["happy"])
    with pytest.raises(DataError, match=r"more\.parquet does not name its split"):
        read_manifest(f"parquet:{tmp_path}")
    write(tmp_path / "more.parquet", image=pictures("b"), label=["happy"], split=["test"])
    with pytest.raises(DataError, match="has a column 'split' in 1 of 2 files only"):
        read_manifest(f"parquet:{tmp_path}")


def test_column_types_may_differ_between_files(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", image=pictures("a"), label=["sad"])
    images = pa.array([b"b"], pa.large_binary())
    write(tmp_path / "valid.parquet", image=images, label=["happy"])
    assert contents(read_manifest(f"parquet:{tmp_path}")) == ["a", "b"]


def test_folders_without_tables_and_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.parquet files"):
        read_manifest(f"parquet:{tmp_path}")
    (tmp_path / "x.parquet").write_bytes(b"not at all")
    with pytest.raises(DataError, match="is no Parquet file"):
        read_manifest(f"parquet:{tmp_path}")


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.parquet", image=pictures("a"), label=["sad"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pyarrow.*pip install "mien\[eval\]"'):
        read_manifest(str(path))


def test_real_table_by_its_fer2013_column(shared: Path) -> None:
    path = shared / "data" / "ferplus" / "valid.parquet"
    manifest = read_manifest(f"{path},label=fer2013", valid_share=0)
    assert len(manifest) == 3579
    assert manifest.schema == FER7
    assert set(manifest.splits.tolist()) == {"train"}
    assert manifest.images.read(3578).startswith(b"\x89PNG")


NO_NAMES = (
    r"column 'votes' of .* must have 2 values per row in the order of the labels, but the table "
    r"does not name its labels\. Store the labels as a ClassLabel of .*, or pass --labels"
)


@pytest.mark.parametrize(
    ("names", "votes", "message"),
    [
        (None, [[0.5, 0.5], [1.0, 0.0]], NO_NAMES),
        (["frown", "grin"], [[0.5, 0.5], [1.0]], "must have 2 values per row .* row 1 has"),
    ],
)
def test_votes_that_do_not_fit_say_what_to_do(
    tmp_path: Path, names: list[str] | None, votes: list[list[float]], message: str
) -> None:
    label = ["grin", "frown"] if names is None else [0, 1]
    write(tmp_path / "x.parquet", names, image=pictures("a", "b"), label=label, votes=votes)
    with pytest.raises(DataError, match=message):
        read_manifest(f"parquet:{tmp_path / 'x.parquet'}")


def test_label_map_and_the_order_of_labels_go_for_votes_too(tmp_path: Path) -> None:
    votes = [[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]]
    path = write(
        tmp_path / "x.parquet", ["kummer", "happy", "grin"], image=pictures("a", "b"),
        label=[1, 0], votes=votes,
    )  # fmt: skip
    spec = f"parquet:{path},label_map=kummer:sad|grin:happy"
    manifest = read_manifest(spec, valid_share=0)
    assert manifest.schema.labels == ("angry", "happy", "sad")
    np.testing.assert_allclose(manifest.targets, np.array([[0, 0.75, 0.25], [0, 0.5, 0.5]]))
    assert manifest.class_ids.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"has votes for 'kummer'.*--label-map kummer="):
        read_manifest(f"parquet:{path},label_map=grin:happy", labels="hes3")
