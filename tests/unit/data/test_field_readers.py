"""Readers of the field's files, each on a small archive in the layout its source publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data import read_manifest
from mien.data.manifest import Manifest
from mien.errors import ConfigError, DataError
from mien.images import decode
from mien.labels import FER7, FERPLUS8, HES3

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (6, 48, 48)).astype(np.uint8)


def text_of(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel().tolist()))


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def labels(manifest: Manifest) -> list[str | None]:
    return [manifest.schema.labels[k] if k >= 0 else None for k in manifest.class_ids]


def keys(manifest: Manifest) -> list[str]:
    return [manifest.images.key(index) for index in range(len(manifest))]


USAGE = ["Training", "Training", "Training", "PublicTest", "PublicTest", "PrivateTest"]


@pytest.fixture
def fer2013(tmp_path: Path) -> Path:
    rows = [
        f"{k},{text_of(f)},{u}" for k, f, u in zip([0, 3, 6, 4, 5, 2], FACES, USAGE, strict=True)
    ]
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "\n".join(rows) + "\n")
    votes = [
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "Training,fer0000001.png,0,10,0,0,0,0,0,0,0,0",
        "Training,,0,0,0,0,0,0,0,0,0,10",
        "PublicTest,fer0028709.png,0,0,0,9,1,0,0,0,0,0",
        "PublicTest,fer0028710.png,0,0,5,0,0,0,5,0,0,0",
        "PrivateTest,fer0032298.png,0,0,0,0,0,0,9,0,1,0",
    ]
    head = ("Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,"
            "unknown,NF\n")  # fmt: skip
    (tmp_path / "fer2013new.csv").write_text(head + "\n".join(votes) + "\n")
    return tmp_path / "fer2013.csv"


def test_fer2013(fer2013: Path) -> None:
    manifest = read_manifest(f"fer2013:{fer2013}")
    assert manifest.schema == FER7
    assert labels(manifest) == ["anger", "happiness", "neutral", "sadness", "surprise", "fear"]
    assert manifest.splits.tolist() == ["train"] * 3 + ["valid"] * 2 + ["test"]
    assert keys(manifest)[0] == "fer2013.csv#fer0000000.png"
    for index, face in enumerate(FACES):
        assert (decode(manifest.images.read(index))[:, :, 0] == face).all()


def test_fer2013_in_the_other_order_of_columns(tmp_path: Path) -> None:
    rows = [f"{k}, Training,{text_of(f)}" for k, f in enumerate(FACES[:3])]
    path = tmp_path / "icml_face_data.csv"
    path.write_text("emotion, Usage, pixels\n" + "\n".join(rows))
    manifest = read_manifest(f"fer2013:{path}", valid_share=0)
    assert labels(manifest) == ["anger", "disgust", "fear"]


def test_ck_in_the_form_of_fer2013(fer2013: Path) -> None:
    fer2013.write_text(fer2013.read_text().replace("\n3,", "\n7,"))
    manifest = read_manifest(f"fer2013:{fer2013}")
    assert manifest.schema == FERPLUS8
    assert labels(manifest)[:3] == ["anger", "contempt", "neutral"]
    assert "emotion 7 is read as contempt, which CK+ has in this form." in manifest.warnings
    with pytest.raises(ConfigError, match="CK\\+'s emotion 7 give 'ferplus8'"):
        read_manifest(f"fer2013:{fer2013}", labels="fer7")


def test_fer2013_of_large_pictures(tmp_path: Path) -> None:
    pixels = " ".join(["200"] * 224 * 224)
    path = tmp_path / "large.csv"
    path.write_text(
        "emotion;pixels;Usage\r\n" + f"3;{pixels};Training\r\n4;{pixels};PublicTest\r\n"
    )
    manifest = read_manifest(f"fer2013:{path},dedupe=false")
    assert decode(manifest.images.read(0)).shape == (224, 224, 3)


def test_fer2013_with_votes(fer2013: Path) -> None:
    manifest = read_manifest(f"fer2013:{fer2013},votes=fer2013new.csv")
    assert manifest.schema == FERPLUS8
    # The third face has no name in FER+. Of the first, 4 and 3 of the 9 repeated votes are enough.
    assert [key.split("#")[1] for key in keys(manifest)] == [
        f"fer000000{row}.png" for row in (0, 1, 3, 4, 5)
    ]
    assert labels(manifest) == [None, "happiness", "sadness", None, "fear"]
    assert manifest.targets[0] == pytest.approx(np.array([4, 0, 0, 0, 3, 0, 0, 0], np.float32) / 7)
    assert manifest.splits.tolist() == ["train", "train", "valid", "valid", "test"]
    hard = read_manifest(f"fer2013:{fer2013},votes=fer2013new.csv,mode=majority")
    assert labels(hard.split("train")) == ["happiness"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.replace("emotion,", "mood,"), "", "lacks the column"),
        (lambda t: t.replace("\n3,", "\n8,"), "", r"row 3 has the emotion 8; it must be 0\.\.6"),
        (lambda t: t.replace("Public", "Pubic"), "", "row 5 has the split 'PubicTest'"),
        (lambda t: t[:-40], "", r"row 7 (has [12] cells|needs 2304)"),
        (lambda t: t.replace("\n3,", "\n3,999 "), "", "row 3 needs 2304 pixels"),
        (lambda t: t, ",votes=no.csv", "there is no .*no.csv"),
        (lambda t: t[: t.index("\n", 10)] + "\n", ",votes=fer2013new.csv", "at least one row"),
    ],
)
def test_damaged_fer2013(
    fer2013: Path, change: Callable[[str], str], options: str, message: str
) -> None:
    fer2013.write_text(change(fer2013.read_text()))
    with pytest.raises(DataError, match=message):
        read_manifest(f"fer2013:{fer2013}{options}")


def test_votes_of_another_order_are_refused(fer2013: Path) -> None:
    votes = fer2013.with_name("fer2013new.csv")
    lines = votes.read_text().splitlines()
    votes.write_text("\n".join([lines[0], lines[4], *lines[1:4], *lines[5:]]))
    with pytest.raises(DataError, match="in the same order"):
        read_manifest(f"fer2013:{fer2013},votes=fer2013new.csv")
    votes.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="5 rows, but there are 6 faces"):
        read_manifest(f"fer2013:{fer2013},votes=fer2013new.csv")
    with pytest.raises(ConfigError, match="add votes="):
        read_manifest(f"fer2013:{fer2013},mode=soft")


def write_rafdb(root: Path) -> list[str]:
    order = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
    lines = []
    for number in range(1, 8):
        for split, name in (("train", f"train_{number:05}"), ("test", f"test_{number:04}")):
            lines.append(f"{name}.jpg {number}")
            picture(
                root / f"basic/Image/aligned/{name}_aligned.jpg", number + 10 * (split == "test")
            )
            picture(root / f"basic/Image/original/{name}.jpg", number + 100)
    (root / "basic/EmoLabel").mkdir()
    (root / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return order


@pytest.mark.parametrize("below", ["", "basic", "basic/EmoLabel"])
def test_rafdb(tmp_path: Path, below: str) -> None:
    order = write_rafdb(tmp_path)
    manifest = read_manifest(f"rafdb:{tmp_path / below}", valid_share=0)
    assert manifest.schema == FER7
    train = manifest.split("train")
    assert labels(train) == order == labels(manifest.split("test"))
    assert keys(train)[0] == "Image/aligned/train_00001_aligned.jpg"
    whole = read_manifest(f"rafdb:{tmp_path},images=original,dedupe=false", valid_share=0)
    assert keys(whole)[1] == "Image/original/test_0001.jpg"
    assert decode(manifest.images.read(0)).shape == (16, 16, 3)


def test_damaged_rafdb(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"EmoLabel/list_patition_label\.txt"):
        read_manifest(f"rafdb:{tmp_path}")
    write_rafdb(tmp_path)
    listed = tmp_path / "basic/EmoLabel/list_patition_label.txt"
    (tmp_path / "basic/Image/aligned/test_0003_aligned.jpg").unlink()
    with pytest.raises(DataError, match=r"14 pictures, of which 1 are missing.*test_0003"):
        read_manifest(f"rafdb:{tmp_path}")
    listed.write_text("train_00001.jpg 8\n")
    with pytest.raises(DataError, match=r"line 1 is .*label 1 to 7"):
        read_manifest(f"rafdb:{tmp_path}")


def test_affectnet_lists(tmp_path: Path) -> None:
    head = ("subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
            "expression,valence,arousal\n")  # fmt: skip
    lists = tmp_path / "Manually_Annotated_file_lists"
    lists.mkdir()
    images = tmp_path / "Manually_Annotated/Manually_Annotated_Images"
    rows: dict[str, list[str]] = {"training": [], "validation": []}
    for number in range(11):
        for split, found in rows.items():
            name = f"{number}/{split[:2]}{number}.jpg"
            found.append(f"{name},134,134,899,899,181.64;530.91;188.32,{number},-0.3,0.2")
            if number < 8:
                picture(images / name, number + 20 * (split == "validation"))
    (lists / "training.csv").write_text(head + "\n".join(rows["training"]))
    (lists / "validation.csv").write_text("\n".join(rows["validation"]))  # some have no header
    manifest = read_manifest(f"affectnet:{tmp_path}")
    order = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
    assert labels(manifest.split("train")) == order == labels(manifest.split("valid"))
    assert keys(manifest)[1] == "Manually_Annotated/Manually_Annotated_Images/1/tr1.jpg"
    assert "6 pictures without one of the emotions" in manifest.warnings[0]
    seven = read_manifest(f"affectnet:{tmp_path},classes=7")
    assert seven.schema == FER7
    assert labels(seven.split("valid")) == order[:7]
    (images / "3/va3.jpg").unlink()
    with pytest.raises(DataError, match=r"16 pictures, of which 1 are missing.*va3.jpg"):
        read_manifest(f"affectnet:{tmp_path}")


def test_affectnet_arrays(tmp_path: Path) -> None:
    for name, shift in (("train_set", 0), ("val_set", 50)):
        (tmp_path / name / "annotations").mkdir(parents=True)
        for number in range(8):
            picture(tmp_path / name / f"images/{number}.jpg", number + shift)
            stem = tmp_path / name / f"annotations/{number}"
            np.save(f"{stem}_exp.npy", np.array(str(number)))
            np.save(f"{stem}_val.npy", np.array("-0.3"))
    manifest = read_manifest(f"affectnet:{tmp_path}")
    assert labels(manifest.split("valid"))[6:] == ["anger", "contempt"]
    assert keys(manifest)[3] == "train_set/images/3.jpg"
    (tmp_path / "val_set/annotations/5_exp.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"5_exp\.npy holds no number"):
        read_manifest(f"affectnet:{tmp_path}")


def test_affectnet_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_set/.*Manually_Annotated_file_lists"):
        read_manifest(f"affectnet:{tmp_path}")


def write_ckplus(root: Path) -> None:
    sequences = {"S005/001": 3, "S010/002": 7, "S010/004": 1, "S011/006": 5, "S999/001": None}
    for at, (sequence, number) in enumerate(sequences.items()):
        stem = sequence.replace("/", "_")
        for frame in (1, 2, 11):
            picture(root / f"cohn-kanade-images/{sequence}/{stem}_{frame:08}.png", 100 * at + frame)
        (root / "Emotion" / sequence).mkdir(parents=True)
        if number is not None:
            file = root / f"Emotion/{sequence}/{stem}_00000011_emotion.txt"
            file.write_text(f"   {number:.7e}\n")
    (root / "cohn-kanade-images/S010/002/.DS_Store").write_bytes(b"x")


def test_ckplus(tmp_path: Path) -> None:
    write_ckplus(tmp_path)
    manifest = read_manifest(f"ckplus:{tmp_path}", valid_share=0)
    assert manifest.schema == FERPLUS8
    assert labels(manifest) == ["disgust", "surprise", "anger", "happiness"]
    assert keys(manifest)[0] == "cohn-kanade-images/S005/001/S005_001_00000011.png"
    assert manifest.groups is not None
    assert manifest.groups.tolist() == ["S005", "S010", "S010", "S011"]
    assert manifest.warnings[0] == "1 sequences without a label are left out."
    split = read_manifest(f"ckplus:{tmp_path},frames=2,neutral=true", valid_share=0.4)
    assert len(split) == 12
    assert labels(split).count("neutral") == 4
    assert split.groups is not None
    held = set(split.groups[split.splits == "valid"].tolist())
    assert held
    assert not held & set(split.groups[split.splits == "train"].tolist())


def test_damaged_ckplus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs the folders cohn-kanade-images and Emotion"):
        read_manifest(f"ckplus:{tmp_path}")
    write_ckplus(tmp_path)
    with pytest.raises(ConfigError, match="frames=0"):
        read_manifest(f"ckplus:{tmp_path},frames=0")
    file = tmp_path / "Emotion/S011/006/S011_006_00000011_emotion.txt"
    for text in ("8.0000000e+00", "3.5", "happy", ""):
        file.write_text(text)
        with pytest.raises(DataError, match="must be a number from 0 to 7"):
            read_manifest(f"ckplus:{tmp_path}")


def test_hes(tmp_path: Path) -> None:
    root = tmp_path / "Emotions Dataset/Emotions Dataset"
    seed = 0
    for split in ("train", "test"):
        for label in ("angry", "happy", "sad"):
            for stem in ("2801", "62821"):
                for made in ("", ".jpg_rotation_1", ".jpg_brightness_2"):
                    seed += 1
                    picture(root / split / label / f"{stem}{made}.jpg", seed)
    manifest = read_manifest(f"hes:{tmp_path}", valid_share=0)
    assert manifest.schema == HES3
    assert len(manifest) == 36
    assert manifest.counts()["test"] == {"angry": 6, "happy": 6, "sad": 6}
    assert manifest.groups is not None
    assert sorted(set(manifest.groups.tolist())) == [
        f"{label}/{stem}" for label in ("angry", "happy", "sad") for stem in ("2801", "62821")
    ]
    assert "6" in manifest.warnings[0] or "18" in manifest.warnings[0]
    inner = read_manifest(f"hes:{root}", valid_share=0.4)
    assert inner.groups is not None
    held = set(inner.groups[inner.splits == "valid"].tolist())
    assert held
    assert not held & set(inner.groups[inner.splits == "train"].tolist())
    with pytest.raises(ConfigError, match="Leave the labels out"):
        read_manifest(f"hes:{tmp_path}", labels=FER7)
