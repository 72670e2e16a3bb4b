from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from mien.data.image_stores import FileImages
from mien.data.manifest import Manifest
from mien.errors import DataError
from mien.labels import HES3, LabelSchema


def build(**changes: Any) -> Manifest:
    fields = {
        "source": "by hand",
        "schema": HES3,
        "images": FileImages(Path("root"), ("a.png", "b.png", "c.png", "d.png")),
        "targets": [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]],
        "class_ids": [0, 1, -1, 2],
        "splits": ["train", "valid", "valid", "train"],
        "groups": ["g1", "g2", "g2", "g3"],
        "leaked": [False, True, False, False],
    }
    return Manifest(**{**fields, **changes})


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


def test_fields_are_arrays_of_the_documented_types() -> None:
    manifest = build()
    assert len(manifest) == 4
    assert manifest.targets.dtype == np.float32
    assert manifest.class_ids.dtype == np.int64
    assert manifest.splits.dtype.kind == "U"
    assert manifest.leaked.dtype == np.bool_
    assert manifest.warnings == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": FileImages(Path(), ())}, "holds no pictures"),
        ({"targets": [[1, 0], [0, 1], [1, 0], [0, 1]]}, r"shape \(4, 3\).*got \(4, 2\)"),
        ({"class_ids": [0, 1]}, r"class_ids .*must have shape \(4,\).*got \(2,\)"),
        ({"splits": ["train"]}, "splits .*must have shape"),
        ({"groups": ["g"]}, "groups .*must have shape"),
        ({"leaked": [[True]]}, "leaked .*must have shape"),
        ({"targets": [[1, 0, 0], [0, 0.8, 0], [0, 1, 0], [0, 0, 1]]}, r"1 row.*first b\.png"),
        ({"targets": [[2, -1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]}, r"1 row.*first a\.png"),
        ({"targets": [[1, 0, 0], [0, 1, 0], [np.nan, 1, 0], [0, 0, 1]]}, r"first c\.png"),
        ({"targets": [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, np.inf]]}, r"first d\.png"),
        ({"class_ids": [0, 1, 3, 2]}, r"-1\.\.2, got 0\.\.3"),
        ({"class_ids": [0, 1, -2, 2]}, r"got -2\.\.2"),
        ({"splits": ["train", "valid", "val", "train"]}, r"got \['val'\]"),
        ({"leaked": [True, False, False, False]}, "valid and test pictures only"),
    ],
)
def test_construction_refuses_what_does_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(**changes)


def test_targets_may_be_off_by_rounding() -> None:
    build(targets=[[0.9995, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ([True, False, False, True], ["a.png", "d.png"]),
        ([3, 0, 3], ["d.png", "a.png", "d.png"]),
        (np.array([2], dtype=np.uint8), ["c.png"]),
    ],
)
def test_select_takes_masks_and_positions(which: ArrayLike, expected: list[str]) -> None:
    chosen = build().select(which)
    assert keys(chosen) == expected
    rows = ["abcd".index(name[0]) for name in expected]
    full = build()
    for field in ("targets", "class_ids", "splits", "groups", "leaked"):
        np.testing.assert_array_equal(getattr(chosen, field), getattr(full, field)[rows])


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([True, False], r"mask of shape \(4,\).*got bool"),
        ([0.5], "got float64"),
        ([[0]], r"of shape \(1, 1\)"),
        ([4], r"0\.\.3, got 4\.\.4"),
        ([-1], r"got -1"),
        ([False] * 4, "holds no pictures"),
    ],
)
def test_select_refuses_other_things(which: ArrayLike, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build().select(which)


def test_select_of_a_selection_reads_the_right_file(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.png").write_text(name)
    images = FileImages(tmp_path, ("a.png", "b.png", "c.png", "d.png"))
    twice = build(images=images).select([3, 2, 1]).select([2, 0])
    assert keys(twice) == ["b.png", "d.png"]
    assert [twice.images.read(0), twice.images.read(1)] == [b"b", b"d"]


def test_reading_a_picture_that_is_gone_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        FileImages(tmp_path, ("gone.png",)).read(0)
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        FileImages(tmp_path, ("gone.png",)).size(0)


@pytest.mark.parametrize("name", ["valid", "val", "validation", "Valid", " dev "])
def test_split_accepts_aliases(name: str) -> None:
    assert keys(build().split(name)) == ["b.png", "c.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test", r"no split 'test'; it has train \(2\), valid \(2\)\."),
        ("vaild", "Did you mean .*valid"),
        ("", "no split ''"),
    ],
)
def test_split_names_what_there_is(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build().split(name)


def test_with_labels_drops_faces_without_majority() -> None:
    assert keys(build().with_labels()) == ["a.png", "b.png", "d.png"]


def test_counts_by_hand() -> None:
    assert build().counts() == {
        "train": {"angry": 1, "happy": 0, "sad": 1},
        "valid": {"angry": 0, "happy": 1, "sad": 0},
    }


def test_fingerprint_is_a_stable_sha256() -> None:
    expected = hashlib.sha256()
    expected.update(b"angry\0happy\0sad\0\0")
    expected.update(b"a.png\0b.png\0c.png\0d.png\0\0")
    expected.update(b"train\0valid\0valid\0train\0\0")
    expected.update(np.array(build().targets, dtype="<f4").tobytes())
    assert build().fingerprint() == expected.hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"images": FileImages(Path("root"), ("a.png", "b.png", "c.png", "e.png"))},
        {"targets": [[1, 0, 0], [0, 1, 0], [0, 0.4, 0.6], [0, 0, 1]]},
        {"splits": ["train", "valid", "valid", "test"]},
        {"schema": LabelSchema("hes3", ("angry", "happy", "calm"))},
    ],
)
def test_fingerprint_changes_with_the_data(changes: dict[str, Any]) -> None:
    assert build(**changes).fingerprint() != build().fingerprint()


def test_fingerprint_does_not_depend_on_the_place() -> None:
    elsewhere = FileImages(Path("other"), ("a.png", "b.png", "c.png", "d.png"))
    assert build(images=elsewhere, source="x").fingerprint() == build().fingerprint()
    assert build().select([0, 1, 2, 3]).fingerprint() == build().fingerprint()
