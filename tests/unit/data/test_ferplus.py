from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mien.data import read_manifest
from mien.data.manifest import Manifest
from mien.data.readers.ferplus import (
    VOTE_COLUMNS,
    crossentropy_votes,
    drop_single_votes,
    majority_class,
)
from mien.errors import ConfigError, DataError, MissingExtraError
from mien.labels import FER7, FERPLUS8, HES3, LabelSchema

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

# Ten counts each, in the order of VOTE_COLUMNS:
# neutral happiness surprise sadness anger disgust fear contempt unknown NF
CLEAR = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0]
AFTER_SINGLES = [5, 3, 1, 1, 0, 0, 0, 0, 0, 0]  # 5 of 8: a majority only without the singles
TIE = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
UNKNOWN = [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
WITH_UNKNOWN = [0, 0, 6, 0, 0, 0, 0, 0, 4, 0]
HALF_UNKNOWN = [0, 0, 5, 0, 0, 0, 0, 0, 5, 0]
THREE = [4, 3, 0, 3, 0, 0, 0, 0, 0, 0]
FOUR = [3, 3, 2, 2, 0, 0, 0, 0, 0, 0]
FIVE_TIED = [2, 2, 2, 2, 2, 0, 0, 0, 0, 0]
MIDDLE = [4, 0, 0, 3, 0, 0, 0, 0, 3, 0]
SINGLES = [1, 1, 1, 1, 1, 1, 1, 1, 2, 0]

TABLE = [
    (CLEAR, 1, [0, 10, 0, 0, 0, 0, 0, 0]),
    (AFTER_SINGLES, 0, [5, 3, 0, 0, 0, 0, 0, 0]),
    (TIE, -1, [5, 5, 0, 0, 0, 0, 0, 0]),
    (UNKNOWN, -1, [0] * 8),
    (NO_FACE, -1, [0] * 8),
    (WITH_UNKNOWN, 2, [0, 0, 6, 0, 0, 0, 0, 0]),  # unknown comes second and ends it
    (HALF_UNKNOWN, -1, [0] * 8),  # half of the votes are not more than half
    (THREE, -1, [4, 3, 0, 3, 0, 0, 0, 0]),
    (FOUR, -1, [0] * 8),  # 6 of 10, then two at once make four
    (FIVE_TIED, -1, [0] * 8),
    (MIDDLE, -1, [4, 0, 0, 3, 0, 0, 0, 0]),  # sadness and unknown are taken together
    (SINGLES, -1, [0] * 8),
]


@pytest.mark.parametrize(("votes", "expected", "_taken"), TABLE)
def test_majority_class_by_hand(votes: list[int], expected: int, _taken: list[int]) -> None:
    assert majority_class(np.array([votes])).tolist() == [expected]


@pytest.mark.parametrize(("votes", "_majority", "expected"), TABLE)
def test_crossentropy_votes_by_hand(votes: list[int], _majority: int, expected: list[int]) -> None:
    assert crossentropy_votes(np.array([votes])).tolist() == [expected]


def test_rules_take_many_rows_of_unsigned_bytes() -> None:
    votes = np.array([row for row, _, _ in TABLE], dtype=np.uint8)
    before = votes.copy()
    assert majority_class(votes).tolist() == [k for _, k, _ in TABLE]
    assert crossentropy_votes(votes).tolist() == [taken for _, _, taken in TABLE]
    assert drop_single_votes(votes)[1].tolist() == [5, 3, 0, 0, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(votes, before)


#: A picture, its label of FER2013, its votes.
Face = tuple[bytes, str, list[int]]


def write(path: Path, faces: list[Face]) -> None:
    """Writes (picture, fer2013 label, votes) as a table of the FER+ form."""
    pictures, labels, votes = zip(*faces, strict=True)
    columns = {
        "image": pa.array(
            [{"bytes": p, "path": f"fer{i}.png"} for i, p in enumerate(pictures)],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        ),
        "fer2013": pa.array(labels),
    }
    for at, name in enumerate(VOTE_COLUMNS):
        columns[name] = pa.array([row[at] for row in votes], pa.uint8())
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write(
        tmp_path / "train.parquet",
        [
            (b"one", "happy", CLEAR),
            (b"two", "neutral", AFTER_SINGLES),
            (b"three", "sad", THREE),
            (b"four", "fear", UNKNOWN),
            (b"copy", "angry", CLEAR),
            (b"copy", "angry", CLEAR),
        ],
    )
    write(
        tmp_path / "valid.parquet",
        [
            (b"copy", "angry", WITH_UNKNOWN),
            (b"five", "surprise", FOUR),
            (b"six", "disgust", SINGLES),
            (b"seven", "disgust", NO_FACE),
        ],
    )
    return tmp_path


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


def test_soft_keeps_distributions_and_all_of_valid(archive: Path) -> None:
    manifest = read_manifest(f"ferplus:{archive}")
    assert manifest.schema == FERPLUS8
    assert keys(manifest) == [
        "train.parquet#fer0.png",
        "train.parquet#fer1.png",
        "train.parquet#fer2.png",
        "valid.parquet#fer0.png",
        "valid.parquet#fer1.png",
        "valid.parquet#fer2.png",
        "valid.parquet#fer3.png",
    ]
    assert manifest.class_ids.tolist() == [1, 0, -1, 2, -1, -1, -1]
    np.testing.assert_allclose(
        manifest.targets,
        np.array([
            [0, 1, 0, 0, 0, 0, 0, 0],
            [5 / 8, 3 / 8, 0, 0, 0, 0, 0, 0],
            [0.4, 0.3, 0, 0.3, 0, 0, 0, 0],
            [0, 0, 1, 0, 0, 0, 0, 0],
            [0.3, 0.3, 0.2, 0.2, 0, 0, 0, 0],
            [1 / 8] * 8,  # only single votes
            [1 / 8] * 8,  # no vote at all
        ]),
        rtol=1e-6,
    )  # fmt: skip
    assert manifest.leaked.tolist() == [False, False, False, True, False, False, False]
    assert manifest.images.read(3) == b"copy"
    left_out, copies = manifest.warnings
    assert left_out.startswith("1 train faces, such as train.parquet#fer3.png, are left out")
    assert "labels=fer2013" in left_out
    assert copies.startswith("2 train pictures are byte-identical to 1 valid or test picture and")


def test_majority_keeps_other_votes_in_its_targets(archive: Path) -> None:
    manifest = read_manifest(f"ferplus:{archive},mode=majority")
    assert manifest.warnings[0].startswith("2 train faces, such as train.parquet#fer2.png, are")
    assert "mode=soft" in manifest.warnings[0]
    train = manifest.split("train")
    assert keys(train) == ["train.parquet#fer0.png", "train.parquet#fer1.png"]
    np.testing.assert_allclose(train.targets[1, :2], [5 / 8, 3 / 8])


def test_dedupe_false_keeps_copies_and_says_so(archive: Path) -> None:
    manifest = read_manifest(f"ferplus:{archive},dedupe=false")
    assert len(manifest.split("train")) == 5
    assert manifest.leaked.sum() == 1
    assert "dedupe=false" in manifest.warnings[1]


def test_fer2013_labels_drop_no_face(archive: Path) -> None:
    manifest = read_manifest(f"ferplus:{archive},labels=fer2013,dedupe=false")
    assert manifest.schema == FER7
    given = ["happy", "neutral", "sad", "fear", "angry", "angry"]
    given += ["angry", "surprise", "disgust", "disgust"]
    assert manifest.class_ids.tolist() == [FER7.index(name) for name in given]
    assert manifest.targets.argmax(axis=1).tolist() == manifest.class_ids.tolist()
    assert (manifest.targets.max(axis=1) == 1).all()


def test_one_table_is_enough(archive: Path) -> None:
    (archive / "train.parquet").unlink()
    manifest = read_manifest(f"ferplus:{archive}")
    assert set(manifest.splits.tolist()) == {"valid"}
    assert not manifest.leaked.any()
    assert manifest.warnings == ()


@pytest.mark.parametrize(
    ("options", "schema", "message"),
    [
        (",labels=fer2014", None, "labels=fer2014.*Did you mean 'fer2013'"),
        (",mode=hard", None, "mode=hard"),
        (",labels=fer2013,mode=soft", None, "Leave one of the two out"),
        ("", FER7, "labels=fer2013 gives 'fer7'"),
        (",labels=fer2013", HES3, "cannot be read with 'hes3'"),
    ],
)
def test_options_that_cannot_be(
    archive: Path, options: str, schema: LabelSchema | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_manifest(f"ferplus:{archive}{options}", labels=schema)


def test_schema_of_the_data_may_be_named(archive: Path) -> None:
    assert len(read_manifest(f"ferplus:{archive}", labels=FERPLUS8)) == 7


def test_damaged_tables_are_named(archive: Path) -> None:
    (archive / "valid.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"valid\.parquet is no Parquet"):
        read_manifest(f"ferplus:{archive}")


def test_missing_column_is_named(archive: Path) -> None:
    table = pq.read_table(archive / "train.parquet").drop_columns(["contempt", "NF"])
    pq.write_table(table, archive / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet lacks the column\(s\) contempt, NF"):
        read_manifest(f"ferplus:{archive}")
    read_manifest(f"ferplus:{archive},labels=fer2013")


def test_null_votes_are_refused(archive: Path) -> None:
    table = pq.read_table(archive / "train.parquet")
    at = table.column_names.index("fear")
    table = table.set_column(at, "fear", pa.array([None, 0, 0, 0, 0, 0], pa.uint8()))
    pq.write_table(table, archive / "train.parquet")
    with pytest.raises(DataError, match="rows without a value in fear"):
        read_manifest(f"ferplus:{archive}")


def test_empty_folder_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.parquet, valid\.parquet or test\.parquet"):
        read_manifest(f"ferplus:{tmp_path}")


def test_without_pyarrow_the_extra_is_named(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[eval\]"'):
        read_manifest(f"ferplus:{archive}")
