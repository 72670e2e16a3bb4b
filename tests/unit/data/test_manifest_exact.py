"""The manifest's limits; tests/integration has what pandas and PyTorch see of it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.data.image_stores import FileImages
from mien.data.manifest import TorchFaces
from mien.errors import DataError
from support.manifest import build_manifest


def test_sums_of_targets_may_miss_1_by_a_thousandth() -> None:
    for first in (0.9991, 1.0009):
        build_manifest(targets=[[first, 0, 0], [0, 1, 0], [0, 0, 1]])
    for first in (0.998, 1.002):
        with pytest.raises(DataError, match=r"targets of by hand must be finite.*1 row\(s\) are"):
            build_manifest(targets=[[first, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_the_first_bad_row_and_their_number_are_told() -> None:
    with pytest.raises(DataError, match=r"2 row\(s\) are not, first b\.png: \[0\.0, 2\.0, 0\.0\]"):
        build_manifest(targets=[[1, 0, 0], [0, 2, 0], [0, 0, 3]])


def test_a_test_picture_may_be_leaked_and_a_train_picture_not() -> None:
    build_manifest(leaked=[False, True, True])
    with pytest.raises(DataError, match="leaked of by hand can hold valid and test pictures only"):
        build_manifest(leaked=[True, False, False])


def test_sources_are_checked_where_no_groups_are_known() -> None:
    with pytest.raises(DataError, match=r"sources of by hand must have shape \(3,\)"):
        build_manifest(groups=None, sources=["a", "b"])


def test_it_is_frozen_and_keeps_its_warnings() -> None:
    manifest = build_manifest(warnings=["one", "two"])
    assert manifest.warnings == ("one", "two")
    assert manifest.select([0]).warnings == ("one", "two")
    assert manifest.select([0]).source == "by hand"
    assert build_manifest(groups=None).select([1, 2]).groups is None
    with pytest.raises(FrozenInstanceError):
        manifest.source = "x"  # type: ignore[misc]


def test_no_position_and_no_name_find_nothing() -> None:
    for which in (np.empty(0, int), [False] * 3):
        with pytest.raises(DataError, match="by hand holds no pictures"):
            build_manifest().select(which)
    with pytest.raises(DataError, match=r"no split 'nothing'.*Known: "):
        build_manifest().split("nothing")
    unlabelled = build_manifest(class_ids=[-1, -1, -1])
    with pytest.raises(DataError, match="holds no pictures"):
        unlabelled.with_labels()
    assert unlabelled.counts()["train"] == {"angry": 0, "happy": 0, "sad": 0}


def test_a_known_name_without_pictures_gets_no_suggestion() -> None:
    with pytest.raises(DataError) as caught:
        build_manifest(splits=["train"] * 3, leaked=[False] * 3).split("val")
    assert str(caught.value) == "by hand has no split 'val'; it has train (3)."


def test_counts_are_by_split_in_their_order() -> None:
    counts = build_manifest(splits=["test", "train", "test"], leaked=[False] * 3).counts()
    assert list(counts) == ["train", "test"]
    assert counts["test"] == {"angry": 1, "happy": 0, "sad": 1}


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(st.integers(0, 5)))
def test_a_selection_of_a_selection_is_one(first: list[int], second: list[int]) -> None:
    then = [position % len(first) for position in second] or [0]
    twice = build_manifest().select(first).select(then)
    once = build_manifest().select([first[position] for position in then])
    assert twice.fingerprint() == once.fingerprint()
    assert [twice.images.key(i) for i in range(len(twice))] == [
        once.images.key(i) for i in range(len(once))
    ]
    assert twice.class_ids.tolist() == once.class_ids.tolist()


def test_a_name_that_is_no_text_has_a_fingerprint() -> None:
    images = FileImages(Path("root"), ("a\udcff.png", "b.png", "c.png"))
    assert len(build_manifest(images=images).fingerprint()) == 64


@pytest.mark.parametrize("which", [5, [5], [0, 9], np.int64(1)])
def test_positions_are_a_list_within_the_pictures(which: Any) -> None:
    with pytest.raises(DataError, match=r"must lie in 0\.\.2|must be a bool mask"):
        build_manifest().select(which)


def test_class_ids_far_out_are_refused() -> None:
    with pytest.raises(DataError, match=r"must lie in -1\.\.2, got 0\.\.7"):
        build_manifest(class_ids=[0, 1, 7])


def test_what_torch_gets_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        TorchFaces(build_manifest()).votes = True  # type: ignore[misc]
