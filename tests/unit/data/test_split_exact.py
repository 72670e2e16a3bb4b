"""How faces are dealt, face by face: a change would move faces between train and valid."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.data import FileImages, Manifest
from mien.data.split import (
    SPLIT,
    SPLIT_NAMES,
    _fill_gaps,
    check_shares,
    file_split,
    grouped_folds,
    read_held_out,
    recorded_split,
    split_name,
    stratified_group_split,
    write_split,
)
from mien.errors import ConfigError, DataError
from mien.labels import HES3

_SHARES = {"train": 0.6, "valid": 0.25, "test": 0.15}

GOLDEN = {
    (0, "reearrrrerarrraeraar"),
    (0, "rrrrrrraaeraaeeerrae"),
    (1, "erearraraerrrrarrare"),
    (1, "aarrrrraeeerrreerraa"),
}
MANY = "debd667f81bbb1a7"
FOLDS = [2, 0, 1, 2, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 2, 1, 2, 2, 1, 2]


def _letters(splits: np.ndarray) -> str:
    """Second letters: r, a and e of train, valid and test."""
    return "".join(str(name)[1] for name in splits)


def test_the_deal_of_a_seed_stays_as_it_is() -> None:
    ids = np.array([0, 1, 2, 0, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0, 2, 0, 0, 1, 0, 0])
    groups = np.array(list("aabbbccdefghhijjkklm"))
    assert {
        (seed, _letters(stratified_group_split(ids, whose, _SHARES, seed)))
        for seed in (0, 1)
        for whose in (None, groups)
    } == GOLDEN
    assert grouped_folds(ids, folds=3, seed=1).tolist() == FOLDS
    assert grouped_folds(ids, folds=3, seed=1).dtype == np.int64


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1), st.integers(0, 99))
def test_groups_stay_whole_and_classes_are_where_they_can_be(
    faces: list[tuple[int, int]], seed: int
) -> None:
    ids, groups = np.array(faces).T
    splits = stratified_group_split(ids, groups.astype(str), {"train": 0.8, "valid": 0.2}, seed)
    assert len(splits) == len(faces)
    for group in set(groups.tolist()):
        assert len(set(splits[groups == group])) == 1
    again = stratified_group_split(ids, groups.astype(str), {"train": 0.8, "valid": 0.2}, seed)
    assert splits.tolist() == again.tolist()
    # Two groups of one class alone are enough for both splits to have it.
    for k in range(4):
        alone = [g for g in set(groups[ids == k]) if set(ids[groups == g]) == {k}]
        if len(alone) >= 2:
            assert set(splits[ids == k]) == {"train", "valid"}


@given(st.integers(2, 6), st.integers(0, 9))
def test_folds_of_single_faces_differ_by_one_face_of_a_class_at_most(folds: int, seed: int) -> None:
    ids = np.repeat([0, 1], [4 * folds, 2 * folds])
    dealt = grouped_folds(ids, folds=folds, seed=seed)
    for k, each in ((0, 4), (1, 2)):
        assert np.bincount(dealt[ids == k], minlength=folds).tolist() == [each] * folds


def test_folds_have_a_default_and_limits() -> None:
    assert set(grouped_folds(np.zeros(5, int)).tolist()) == set(range(5))
    assert set(grouped_folds(np.zeros(2, int), folds=2).tolist()) == {0, 1}
    with pytest.raises(ConfigError, match="2 folds or more; got 1"):
        grouped_folds(np.zeros(5, int), folds=1)
    with pytest.raises(DataError, match=r"4 group\(s\) of faces cannot be dealt into 5 folds"):
        grouped_folds(np.zeros(4, int))
    with pytest.raises(DataError, match=r"2 group\(s\)"):
        grouped_folds(np.zeros(4, int), np.array(["a", "a", "b", "b"]), folds=3)


def test_shares_may_miss_1_by_rounding_only() -> None:
    check_shares({"train": 1 / 3, "valid": 1 / 3, "test": 1 / 3})
    check_shares({"train": 1.0, "valid": 0.0})
    for wrong in ({"train": 1.00001}, {"train": 0.99999}, {"train": 1.1, "valid": -0.1}, {}):
        with pytest.raises(ConfigError, match="the shares of the splits must be 0 or more and sum"):
            check_shares(wrong)


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"), ("Training", "train"), ("val", "valid"), ("dev_2", "valid"),
        ("PublicTest", "valid"), ("PrivateTest", "test"), ("testing.3", "test"),
        ("test-00000-of-00001", "test"), ("train2", "train"), ("trainer", None), ("faces", None),
        ("train-faces", None), ("2", None), ("", None),
    ],
)  # fmt: skip
def test_the_name_of_a_file_tells_its_split(stem: str, split: str | None) -> None:
    assert file_split(stem) == split


def test_spellings_of_splits() -> None:
    for name, split in SPLIT_NAMES.items():
        assert split_name(f" {name.upper()} ", "here") == split
    with pytest.raises(DataError, match=r"row 3 has the split 'tran', which is none.*'train'"):
        split_name("tran", "row 3")


def _manifest(names: list[str]) -> Manifest:
    n = len(names)
    return Manifest(
        "folder:faces", HES3, FileImages(Path("faces"), tuple(names)),
        np.eye(3, dtype=np.float32)[[0] * n],
        np.zeros(n, int), np.full(n, "valid"), None, np.zeros(n, bool),
    )  # fmt: skip


def test_a_run_says_who_was_in_valid(tmp_path: Path) -> None:
    for name, keys in (("one", ["a.png", "b.png"]), ("two", ["b.png", "ü.png"])):
        (tmp_path / name).mkdir()
        write_split(tmp_path / name, _manifest(keys), seed=3, fold=1)
    text = (tmp_path / "one" / SPLIT).read_text()
    assert text.startswith('{\n "data"')
    assert text.endswith("]\n}\n")
    assert json.loads(text) == {
        "data": "folder:faces", "seed": 3, "fold": 1, "valid": ["a.png", "b.png"],
    }  # fmt: skip
    (tmp_path / "two" / "model.onnx").touch()
    found = read_held_out(
        [tmp_path / "one", str(tmp_path / "two" / "model.onnx"), "mien-s", tmp_path / "none"]
    )
    assert found == {"one": {"a.png", "b.png"}, "two": {"b.png", "ü.png"}}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"valid": 3}', "\xff"])
def test_a_damaged_record_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / SPLIT).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"split\.json cannot be read: .*Restore it"):
        read_held_out([tmp_path])


def test_a_record_of_several_datasets_goes_by_place_then_by_name(tmp_path: Path) -> None:
    record: dict[str, Any] = {
        "data": ["csv:one/a.csv", "csv:two/a.csv,split=valid"], "sources": ["one", "two"],
        "valid": ["one/x.png", "two/sub/x.png", "two/y.png"],
    }  # fmt: skip
    (tmp_path / SPLIT).write_text(json.dumps(record))

    def held(name: str = "", spec: str = "") -> frozenset[str]:
        return read_held_out([tmp_path], name, spec)[tmp_path.name]

    second = {"sub/x.png", "y.png"}
    assert held(spec="csv:two/a.csv") == held("one", "csv:two/a.csv,color=rgb") == second
    assert held("two") == held("two", "csv:three/a.csv") == second
    assert held("one", "csv:three/a.csv") == {"x.png"}
    assert held() == held("three") == held("three", "csv:three/a.csv") == {"x.png"} | second
    for wrong in ({"sources": ["one"]}, {"data": ["csv:one/a.csv"]}):
        (tmp_path / SPLIT).write_text(json.dumps(record | wrong))
        with pytest.raises(DataError, match="cannot be read"):
            held()
    (tmp_path / SPLIT).write_text(json.dumps({"data": "csv:a.csv", "valid": ["one/x.png"]}))
    assert held("two", "csv:two/a.csv") == {"one/x.png"}


def test_faces_that_no_run_learned_are_found(caplog: pytest.LogCaptureFixture) -> None:
    held = {"one": frozenset("abc"), "two": frozenset("bcd"), "other": frozenset("xyz")}
    with caplog.at_level(logging.WARNING, "mien"):
        found = recorded_split(list("abcde"), held, "csv:faces.csv")
    assert found is not None
    assert found[0].tolist() == [False, True, True, False, False]
    expected = "the 2 pictures that one, two did not learn from became it (split.json)."
    assert found[1] == f"the data has no valid split: {expected}"
    assert caplog.messages == [f"note: csv:faces.csv: {found[1]}"]
    assert recorded_split(list("ab"), {"other": frozenset("xyz")}, "s") is None
    assert recorded_split(list("ab"), {}, "s") is None
    apart = {"one": frozenset("a"), "two": frozenset("b")}
    with pytest.raises(DataError, match="s the runs one, two held out different faces"):
        recorded_split(list("abc"), apart, "s")


def test_gaps_are_filled_in_the_larger_split_first_and_leave_none() -> None:
    dealt = np.array([0, 0])
    _fill_gaps(np.array([[1], [1]]), np.array([0.8, 0.05, 0.15]), dealt)
    assert dealt.tolist() == [2, 0]
    # A class that is in neither the group nor the split that it leaves is no reason to stay.
    dealt = np.array([0, 0, 1])
    _fill_gaps(np.array([[1, 0], [1, 0], [0, 1]]), np.array([0.6, 0.4]), dealt)
    assert dealt.tolist() == [1, 0, 1]


def test_the_deal_of_many_groups_stays_as_it_is() -> None:
    """Groups of one to nine faces, of classes that are rare and common."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(60), rng.integers(1, 10, 60))
    ids = np.minimum(rng.geometric(0.5, len(groups)) - 1, 5)
    ids[groups % 3 == 0] = 0
    dealt = [
        _letters(stratified_group_split(ids, groups.astype(str), _SHARES, seed))
        for seed in range(6)
    ]
    assert hashlib.sha256(" ".join(dealt).encode()).hexdigest()[:16] == MANY


def test_a_group_whose_class_is_nowhere_else_is_not_moved() -> None:
    # b alone holds class 1 and cannot be spared; d can be, although it holds nothing of class 0.
    ids, groups = np.array([0, 0, 1, 2, 2]), np.array(["a", "b", "b", "c", "d"])
    for seed in range(8):
        splits = stratified_group_split(ids, groups, {"train": 0.95, "valid": 0.05}, seed)
        assert set(splits[3:]) == {"train", "valid"}
        assert set(splits[:2]) == {"train", "valid"}


def test_folds_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        grouped_folds(np.zeros(6, int), None, 3)  # type: ignore[call-arg]
