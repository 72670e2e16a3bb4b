"""The manifest as pandas and PyTorch see it, and its limits."""

from __future__ import annotations

import io
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.data.image_stores import FileImages
from mien.data.manifest import Manifest, TorchFaces
from mien.errors import DataError
from mien.labels import HES3


def _build(root: Path = Path("root"), **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "source": "by hand", "schema": HES3,
        "images": FileImages(root, ("a.png", "b.png", "c.png")),
        "targets": np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], np.float32),
        "class_ids": np.array([0, -1, 2]), "splits": np.array(["train", "valid", "test"]),
        "groups": np.array(["g1", "g2", "g2"]), "leaked": np.array([False, True, False]),
    }  # fmt: skip
    return Manifest(**{**values, **changes})


def test_pandas_gets_every_column() -> None:
    pytest.importorskip("pandas")
    table = _build().to_pandas()
    assert table.to_dict("list") == {
        "key": ["a.png", "b.png", "c.png"], "label": ["angry", None, "sad"],
        "split": ["train", "valid", "test"], "group": ["g1", "g2", "g2"],
        "leaked": [False, True, False], "p_angry": [1, 0, 0], "p_happy": [0, 0.5, 0],
        "p_sad": [0, 0.5, 1],
    }  # fmt: skip
    assert _build(groups=None).to_pandas()["group"].isna().all()


def test_torch_gets_pictures_and_classes_or_votes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3)).astype(np.uint8)
    for name, picture in zip("abc", pictures, strict=True):
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "PNG")
        (tmp_path / f"{name}.png").write_bytes(out.getvalue())
    faces = _build(tmp_path).to_torch()
    assert len(faces) == 3
    for index in (0, 2, -3, -1):
        image, class_id = faces[index]
        assert np.array_equal(image.permute(1, 2, 0).numpy(), pictures[index])
        assert class_id == (0, -1, 2)[index]
        assert image.is_contiguous()
    for index in (3, -4):
        with pytest.raises(IndexError):
            faces[index]
    votes = _build(tmp_path).to_torch(lambda image: image.float().mean(), votes=True)
    image, shares = votes[1]
    assert float(image) == pytest.approx(pictures[1].mean())
    assert torch.equal(shares, torch.tensor([0, 0.5, 0.5]))
    shares[0] = 9  # a copy: the manifest stays as it is
    assert _build(tmp_path).targets[1].tolist() == [0, 0.5, 0.5]


def test_sums_of_targets_may_miss_1_by_a_thousandth() -> None:
    for first in (0.9991, 1.0009):
        _build(targets=[[first, 0, 0], [0, 1, 0], [0, 0, 1]])
    for first in (0.998, 1.002):
        with pytest.raises(DataError, match=r"targets of by hand must be finite.*1 row\(s\) are"):
            _build(targets=[[first, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_the_first_bad_row_and_their_number_are_told() -> None:
    with pytest.raises(DataError, match=r"2 row\(s\) are not, first b\.png: \[0\.0, 2\.0, 0\.0\]"):
        _build(targets=[[1, 0, 0], [0, 2, 0], [0, 0, 3]])


def test_a_test_picture_may_be_leaked_and_a_train_picture_not() -> None:
    _build(leaked=[False, True, True])
    with pytest.raises(DataError, match="leaked of by hand can hold valid and test pictures only"):
        _build(leaked=[True, False, False])


def test_it_is_frozen_and_keeps_its_warnings() -> None:
    manifest = _build(warnings=["one", "two"])
    assert manifest.warnings == ("one", "two")
    assert manifest.select([0]).warnings == ("one", "two")
    assert manifest.select([0]).source == "by hand"
    assert _build(groups=None).select([1, 2]).groups is None
    with pytest.raises(FrozenInstanceError):
        manifest.source = "x"  # type: ignore[misc]


def test_no_position_and_no_name_find_nothing() -> None:
    for which in (np.empty(0, int), [False] * 3):
        with pytest.raises(DataError, match="by hand holds no pictures"):
            _build().select(which)
    with pytest.raises(DataError, match=r"no split 'nothing'.*Known: "):
        _build().split("nothing")
    unlabelled = _build(class_ids=[-1, -1, -1])
    with pytest.raises(DataError, match="holds no pictures"):
        unlabelled.with_labels()
    assert unlabelled.counts()["train"] == {"angry": 0, "happy": 0, "sad": 0}


def test_a_known_name_without_pictures_gets_no_suggestion() -> None:
    with pytest.raises(DataError) as caught:
        _build(splits=["train"] * 3, leaked=[False] * 3).split("val")
    assert str(caught.value) == "by hand has no split 'val'; it has train (3)."


def test_counts_are_by_split_in_their_order() -> None:
    counts = _build(splits=["test", "train", "test"], leaked=[False] * 3).counts()
    assert list(counts) == ["train", "test"]
    assert counts["test"] == {"angry": 1, "happy": 0, "sad": 1}


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(st.integers(0, 5)))
def test_a_selection_of_a_selection_is_one(first: list[int], second: list[int]) -> None:
    then = [position % len(first) for position in second] or [0]
    twice = _build().select(first).select(then)
    once = _build().select([first[position] for position in then])
    assert twice.fingerprint() == once.fingerprint()
    assert [twice.images.key(i) for i in range(len(twice))] == [
        once.images.key(i) for i in range(len(once))
    ]
    assert twice.class_ids.tolist() == once.class_ids.tolist()


def test_a_name_that_is_no_text_has_a_fingerprint() -> None:
    images = FileImages(Path("root"), ("a\udcff.png", "b.png", "c.png"))
    assert len(_build(images=images).fingerprint()) == 64


@pytest.mark.parametrize("which", [5, [5], [0, 9], np.int64(1)])
def test_positions_are_a_list_within_the_pictures(which: Any) -> None:
    with pytest.raises(DataError, match=r"must lie in 0\.\.2|must be a bool mask"):
        _build().select(which)


def test_class_ids_far_out_are_refused() -> None:
    with pytest.raises(DataError, match=r"must lie in -1\.\.2, got 0\.\.7"):
        _build(class_ids=[0, 1, 7])


def test_what_torch_gets_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        TorchFaces(_build()).votes = True  # type: ignore[misc]
