from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from mien.data import read_manifest
from mien.data.filenames import source_stem
from mien.data.manifest import Manifest
from mien.data.registry import map_labels
from mien.errors import ConfigError, DataError
from mien.images.files import natural_key
from mien.labels import FER7, FERPLUS8, HES3


def make(root: Path, *names: str) -> Path:
    """Writes files whose bytes differ and have different sizes, unless given as name=text."""
    for size, given in enumerate(names):
        name, _, text = given.partition("=")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(text.encode() or b"x" * (size + 1))
    return root


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


def test_splits_and_labels_come_from_folders(tmp_path: Path) -> None:
    make(
        tmp_path,
        "train/angry/im10.jpg",
        "train/angry/im2.JPG",
        "train/happy/a.png",
        "val/Happy/b.webp",
        "testing/sad/c.tiff",
    )
    manifest = read_manifest(f"folder:{tmp_path}")
    assert manifest.schema == HES3
    assert keys(manifest) == [
        "testing/sad/c.tiff",
        "train/angry/im2.JPG",
        "train/angry/im10.jpg",
        "train/happy/a.png",
        "val/Happy/b.webp",
    ]
    assert manifest.splits.tolist() == ["test", "train", "train", "train", "valid"]
    assert manifest.class_ids.tolist() == [2, 0, 0, 1, 1]
    assert manifest.targets.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert manifest.warnings == ()
    assert manifest.images.read(3) == b"xxx"


@pytest.mark.parametrize(
    ("folders", "name", "labels"),
    [
        (["sad", "happy"], "hes3", HES3.labels),
        (["fear", "happy"], "fer7", FER7.labels),
        (["contempt", "sad"], "ferplus8", FERPLUS8.labels),
        (["Surprised", "afraid"], "fer7", FER7.labels),
        (["smirk", "frown"], "custom", ("frown", "smirk")),
        (["happy", "bored"], "custom", ("bored", "happy")),
    ],
)
def test_a_missing_class_never_shifts_the_others(
    tmp_path: Path, folders: list[str], name: str, labels: tuple[str, ...]
) -> None:
    make(tmp_path, *(f"train/{folder}/{i}.png" for folder in folders for i in range(3)))
    schema = read_manifest(str(tmp_path)).schema
    assert (schema.name, schema.labels) == (name, labels)


def test_own_labels_are_the_union_over_splits(tmp_path: Path) -> None:
    make(tmp_path, "train/b/1.png", "train/c/1.png", "valid/a/1.png", "valid/c/2.png")
    manifest = read_manifest(f"folder:{tmp_path}")
    assert manifest.schema.labels == ("a", "b", "c")
    assert manifest.split("train").class_ids.tolist() == [1, 2]
    assert manifest.split("valid").class_ids.tolist() == [0, 2]


def test_folders_that_are_one_label_are_joined(tmp_path: Path) -> None:
    make(tmp_path, "train/happy/1.png", "train/joy/1.png", "valid/sad/1.png")
    manifest = read_manifest(f"folder:{tmp_path}")
    assert manifest.schema == FER7
    assert manifest.counts()["train"]["happiness"] == 2


def test_a_folder_that_is_no_label_is_named(tmp_path: Path) -> None:
    make(tmp_path, "train/hapiness/1.png", "train/sad/1.png")
    with pytest.raises(DataError, match=r"label 'hapiness'.*schema 'fer7'.*'happiness'"):
        read_manifest(f"folder:{tmp_path}", labels=FER7)


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    make(
        tmp_path,
        "train/happy/1.png",
        "train/happy/.hidden.png",
        "train/happy/notes.txt",
        "train/happy/more/2.png",
        "train/sad/1.jpeg",
        "train/.cache/3.png",
        "__MACOSX/train/happy/1.png",
        ".git/config",
        "valid/sad/9.bmp",
    )
    manifest = read_manifest(f"folder:{tmp_path}")
    assert keys(manifest) == [
        "train/happy/1.png",
        "train/happy/more/2.png",
        "train/sad/1.jpeg",
        "valid/sad/9.bmp",
    ]


def test_warnings_name_what_is_odd(tmp_path: Path) -> None:
    make(tmp_path, "train/happy/1.png", "train/sad/1.png", "train/angry/", "train/lost.png")
    make(tmp_path, "valid/sad/22222222.png=valid", "originals/happy/1.png")
    text = "\n".join(read_manifest(f"folder:{tmp_path}").warnings)
    assert "angry holds no pictures" in text
    assert "1 pictures directly in" in text
    assert "not read: originals" in text
    assert "no pictures of: angry" in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no pictures"),
        (["happy/", "sad/"], "has no pictures"),
        (["1.png", "2.png"], "has no pictures"),
        (["happy/1.png", "happy/2.png"], None),
        (["bored/1.png"], r"1 class\(es\) \(bored\)"),
    ],
)
def test_folders_without_classes(tmp_path: Path, names: list[str], message: str | None) -> None:
    make(tmp_path, *names)
    if message is None:
        assert read_manifest(f"folder:{tmp_path}").schema == HES3
    else:
        with pytest.raises(DataError, match=message):
            read_manifest(f"folder:{tmp_path}")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    make(tmp_path, "faces.zip")
    with pytest.raises(DataError, match="is no folder"):
        read_manifest(f"folder:{tmp_path / 'faces.zip'}")


def test_folders_around_the_archive_are_stepped_into(tmp_path: Path) -> None:
    make(tmp_path, "Emotions/Emotions/train/happy/1.png", "Emotions/Emotions/test/sad/2.png")
    manifest = read_manifest(f"folder:{tmp_path}", valid_share=0)
    assert keys(manifest)[0] == "Emotions/Emotions/test/sad/2.png"
    assert manifest.splits.tolist() == ["test", "train"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_level_is_split_with_groups_whole(tmp_path: Path, seed: int) -> None:
    names = []
    for label in ("angry", "happy"):
        for face in range(20):
            names += [f"{label}/{face}.jpg", f"{label}/{face}.jpg_rotation_1.jpg"]
    make(tmp_path, *names)
    manifest = read_manifest(str(tmp_path), valid_share=0.2, seed=seed)
    assert manifest.counts() == {
        "train": {"angry": 32, "happy": 32, "sad": 0},
        "valid": {"angry": 8, "happy": 8, "sad": 0},
    }
    assert manifest.groups is not None
    by_group: dict[str, set[str]] = {}
    for group, split in zip(manifest.groups.tolist(), manifest.splits.tolist(), strict=True):
        by_group.setdefault(group, set()).add(split)
    assert len(by_group) == 40
    assert all(len(splits) == 1 for splits in by_group.values())
    again = read_manifest(str(tmp_path), valid_share=0.2, seed=seed)
    assert again.fingerprint() == manifest.fingerprint()
    assert read_manifest(str(tmp_path), valid_share=0.2, seed=9).fingerprint() != (
        manifest.fingerprint()
    )


def test_valid_is_cut_from_train_and_test_left_alone(tmp_path: Path) -> None:
    names = [f"train/{label}/{i}.png" for label in ("happy", "sad") for i in range(10)]
    make(tmp_path, *names, *(f"test/{label}/{label}.png" for label in ("happy", "sad")))
    manifest = read_manifest(str(tmp_path), valid_share=0.2)
    assert {name: sum(row.values()) for name, row in manifest.counts().items()} == {
        "train": 16,
        "valid": 4,
        "test": 2,
    }
    assert "4 pictures of train became it" in manifest.warnings[0]
    whole = read_manifest(str(tmp_path), valid_share=0)
    assert set(whole.counts()) == {"train", "test"}


def test_made_copies_across_splits_are_told(tmp_path: Path) -> None:
    make(
        tmp_path,
        "train/happy/7.jpg_rotation_1.jpg",
        "train/happy/8.jpg",
        "train/sad/7.jpg",
        "test/happy/7.jpg_brightness_2.jpg",
        "test/happy/8.jpg",
        "test/sad/9.jpg",
        "valid/sad/7.jpg",
    )
    manifest = read_manifest(str(tmp_path))
    (shared, _) = manifest.warnings
    # happy/7 only: two files called 8.jpg or sad/7.jpg need not be one face.
    assert shared.startswith("1 valid or test pictures share a subject or source")


def test_copies_across_splits_leave_train(tmp_path: Path) -> None:
    make(
        tmp_path,
        "train/happy/1.png=same",
        "train/happy/2.png=also",
        "train/sad/3.png=same",
        "train/sad/4.png=twice",
        "train/sad/5.png=twice",
        "valid/happy/6.png=same",
        "test/sad/7.png=unlike",
    )
    manifest = read_manifest(str(tmp_path))
    assert keys(manifest)[1:] == [
        "train/happy/2.png",
        "train/sad/4.png",
        "train/sad/5.png",
        "valid/happy/6.png",
    ]
    assert manifest.leaked.tolist() == [False, False, False, False, True]
    assert manifest.warnings[0].startswith("2 train pictures are byte-identical to 1")
    kept = read_manifest(f"{tmp_path},dedupe=false")
    assert len(kept) == 7
    assert kept.leaked.sum() == 1


def test_only_files_of_shared_sizes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "train/happy/1.png=abc", "train/sad/2.png=defgh", "train/sad/5.png=xxxxx")
    make(tmp_path, "valid/happy/3.png=xyz", "valid/sad/4.png=longer")
    read = []
    plain = hashlib.blake2b

    def noted(data: bytes, **options: Any) -> Any:
        read.append(data)
        return plain(data, **options)

    monkeypatch.setattr("mien.data.readers.assemble.hashlib.blake2b", noted)
    assert not read_manifest(str(tmp_path)).leaked.any()
    assert sorted(read) == [b"abc", b"xyz"]


def test_pictures_of_every_ending_are_read_and_other_files_are_said(tmp_path: Path) -> None:
    make(tmp_path, "happy/1.jfif", "happy/2.JPE", "sad/3.psd", "sad/4.tif", "sad/.hidden")
    manifest = read_manifest(str(tmp_path), valid_share=0.0)
    assert sorted(map(manifest.images.key, range(3))) == [
        "happy/1.jfif",
        "happy/2.JPE",
        "sad/4.tif",
    ]
    said = "1 files are not named like pictures and not read, such as sad/3.psd."
    assert said in manifest.warnings


def test_subjects_of_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    make(tmp_path, "happy/1.png", "happy/2.png", "sad/3.png")
    rows = "file_name,subject_id\nhappy/1.png,ann\nhappy/9.png,bob\n"
    (tmp_path / "metadata.csv").write_text(rows)
    manifest = read_manifest(str(tmp_path), valid_share=0.0)
    assert manifest.groups is not None
    assert "ann" in manifest.groups.tolist()
    said = "metadata.csv names 1 files that are not read, such as happy/9.png."
    assert said in manifest.warnings


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    make(tmp_path, "train/happy/1.png", "train/sad/2.png", "valid/sad/3.png")
    (tmp_path / "train" / "happy" / "loop").symlink_to(tmp_path / "train")
    assert len(read_manifest(str(tmp_path))) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2801.jpg_rotation_1.jpg", ("2801", True)),
        ("62821.jpg_brightness_2.jpg", ("62821", True)),
        ("a/b/62821.PNG_flip.webp", ("62821", True)),
        ("face.v2.png", ("face.v2", False)),
        ("jpg_notes.jpg", ("jpg_notes", False)),
    ],
)
def test_source_stem(name: str, expected: tuple[str, bool]) -> None:
    assert source_stem(name) == expected


def test_natural_key_orders_numbers_as_numbers() -> None:
    names = ["a10", "a2", "b1", "A3", "a02", "10", "9", "a", "a²"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "a02", "a2", "A3", "a10", "a²", "b1"]


@pytest.mark.parametrize(
    "names",
    [
        ("images/1.jpg", "images/2.jpg", "labels/1.txt"),
        ("train/images/1.jpg", "train/labels/1.txt", "valid/images/2.jpg", "valid/labels/2.txt"),
        ("images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt"),
        ("JPEGImages/1.jpg", "Annotations/1.xml", "ImageSets/Main/train.txt"),
        ("img/1.jpg", "masks/1.png"),
    ],
    ids=["yolo", "yolo by split", "split by yolo", "voc", "masks"],
)
def test_folders_of_a_detection_data_set_are_no_classes(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    make(tmp_path, *names)
    with pytest.raises(DataError, match=r"laid out for detection: .* are no classes .*csv:FILE"):
        read_manifest(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("cohn-kanade-images/S005/001/a.png", "Emotion/S005/001/a.txt"), "ckplus"),
        (("EmoLabel/list_patition_label.txt", "Image/aligned/a.jpg"), "rafdb"),
        (("train_set/images/0.jpg", "val_set/images/1.jpg"), "affectnet"),
    ],
)
def test_a_release_with_a_reader_of_its_own_is_named(
    tmp_path: Path, names: tuple[str, ...], kind: str
) -> None:
    make(tmp_path, *names)
    with pytest.raises(DataError, match=f"Type {kind}:"):
        read_manifest(str(tmp_path))


def test_a_class_of_pictures_may_be_called_label_among_others(tmp_path: Path) -> None:
    make(tmp_path, "label/1.jpg", "happy/2.jpg", "image/3.jpg")
    assert read_manifest(f"folder:{tmp_path}").schema.labels == ("happy", "image", "label")


def test_class_ids_are_named_by_a_map(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}/{at}.jpg" for number in range(1, 8) for at in range(2)))
    plain = read_manifest(f"folder:{tmp_path}", valid_share=0)
    assert plain.warnings == ("the labels are numbers: name them, --label-map 1=LABEL,...",)
    order = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    pairs = "|".join(f"{number}:{label}" for number, label in enumerate(order, 1))
    named = read_manifest(f"folder:{tmp_path},label_map={pairs}", valid_share=0)
    assert named.schema == FER7
    assert [FER7.labels[k] for k in named.class_ids[::2]] == list(order)
    with pytest.raises(DataError, match="To read it as another: --label-map 1=LABEL"):
        read_manifest(f"folder:{tmp_path}", labels="fer7")


def test_labels_may_be_swapped_joined_and_misspelled(tmp_path: Path) -> None:
    make(tmp_path, "happy/1.jpg", "sad/2.jpg", "hapiness/3.jpg", "SADDNESS/4.jpg")
    (warning,) = read_manifest(f"folder:{tmp_path}", valid_share=0).warnings
    assert "--label-map SADDNESS=sadness,hapiness=happiness" in warning
    spec = f"folder:{tmp_path},label_map=happy:sad|sad:happy|hapiness:happy|saddness:sad"
    manifest = read_manifest(spec, labels="hes3", valid_share=0)
    named = dict(zip(keys(manifest), manifest.class_ids, strict=True))
    assert [HES3.labels[named[key]] for key in sorted(named, key=lambda key: key[-5])] == [
        "sad", "happy", "happy", "sad",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["happy", "happy:", "a:b:c"])
def test_a_map_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    make(tmp_path, "happy/1.jpg", "sad/2.jpg")
    with pytest.raises(ConfigError, match="it must be OLD:NEW"):
        read_manifest(f"folder:{tmp_path},label_map={text}")
    with pytest.raises(ConfigError, match="must be OLD=NEW"):
        map_labels([str(tmp_path)], text.replace(":", "="))


def test_what_a_map_names_in_vain_and_what_is_not_learned_is_said(tmp_path: Path) -> None:
    make(tmp_path, "happy/1.jpg", "sad/2.jpg")
    warnings = read_manifest(f"folder:{tmp_path},label_map=hapy:happy", valid_share=0).warnings
    assert "label_map names what no picture has: hapy." in warnings
    assert warnings[-1].endswith("For a model of the others alone: --labels happy,sad.")
    alone = read_manifest(f"folder:{tmp_path}", labels="happy,sad", valid_share=0)
    assert alone.schema.labels == ("happy", "sad")
    assert alone.warnings == ()


def test_what_was_understood_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, *(f"{label}/{at}.jpg" for label in ("angry", "happy", "sad") for at in "123"))
    with caplog.at_level("INFO", logger="mien.data"):
        read_manifest(f"folder:{tmp_path}", valid_share=0.34)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == (f"folder:{tmp_path}: 3 classes: angry 3, happy 3, sad 3; train 6, valid 3")
    assert "the data has no valid split" in second
