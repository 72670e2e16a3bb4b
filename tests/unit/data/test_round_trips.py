"""What is written in a publisher's layout is read back with the same labels and splits."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mien.data import FileImages, Manifest, read_manifest
from mien.data.readers.ferplus import VOTE_COLUMNS
from mien.images import decode
from mien.labels import FER7, FERPLUS8, HES3
from support.round_trips import (
    PICTURES,
    Face,
    labelled_faces,
    manifest_rows,
    noise_face,
    put_picture,
    read_rows,
    rows_of,
    write_repository,
)

_FEW = settings(max_examples=5)


# FER2013 and FER+


@_FEW
@given(labelled_faces(FER7))
def test_fer2013(faces: list[Face]) -> None:
    usage = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fer2013.csv"
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["emotion", "pixels", "Usage"])
            for number, (label, split) in enumerate(faces):
                text = " ".join(map(str, noise_face(number).ravel()))
                rows.writerow([FER7.index(label), text, usage[split]])
        found = read_rows(f"fer2013:{path}")
    told = [(decode(data)[..., 0].tolist(), label, split) for data, label, split in found]
    assert sorted(told) == sorted(
        (noise_face(number).tolist(), label, split) for number, (label, split) in enumerate(faces)
    )


def _majority(votes: list[int]) -> str | None:
    """FER+'s rule for one face, in plain words: more than half of what is no single vote."""
    left = {name: n for name, n in zip(VOTE_COLUMNS, votes, strict=True) if n != 1}
    name = max(left, key=lambda each: left[each], default="unknown")
    agreed = 2 * left.get(name, 0) > sum(left.values())
    return name if agreed and name in FERPLUS8.labels else None


def _soft(votes: list[int]) -> list[int]:
    """FER+'s cross-entropy rule for one face: the largest counts, until they are enough."""
    left = [0 if n == 1 else n for n in votes]
    total, taken = sum(left), [0] * 8
    while total and 4 * sum(taken) < 3 * total and sum(n > 0 for n in taken) < 3 and max(left):
        top = [at for at, n in enumerate(left) if n == max(left)]
        for at in top:
            if at < 8:
                taken[at] = left[at]
            left[at] = 0
        if max(top) >= 8:
            break
    kept = 2 * sum(taken) > total and sum(n > 0 for n in taken) <= 3
    return taken if kept else [0] * 8


_VOTES = st.lists(
    st.lists(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 8]), min_size=10, max_size=10),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=12)
@given(_VOTES, st.sampled_from(["train", "valid"]))
@example([[3, 3, 2, 0, 0, 0, 0, 0, 0, 0]], "train")  # 6 of 8 are 75 %, which is enough
def test_ferplus_keeps_and_shares_by_the_rules(votes: list[list[int]], split: str) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    agreed, taken = list(map(_majority, votes)), list(map(_soft, votes))
    with tempfile.TemporaryDirectory() as folder:
        # A face that all agree on, so that something is always left.
        sure = [0, 9] + [0] * 8
        columns = zip(VOTE_COLUMNS, zip(*votes, sure, strict=True), strict=True)
        pictures = [{"bytes": data, "path": ""} for data in [*PICTURES[: len(votes)], b"sure"]]
        table = {"image": pictures, **{name: pa.array(n, pa.uint8()) for name, n in columns}}
        pq.write_table(pa.table(table), Path(folder) / f"{split}.parquet")
        spec = f"ferplus:{folder},dedupe=false"
        hard, soft = (read_manifest(f"{spec},mode={mode}") for mode in ("majority", "soft"))
        rows = {
            id(found): {found.images.read(i): i for i in range(len(found))}
            for found in (hard, soft)
        }
        for number, (label, shares) in enumerate(zip(agreed, taken, strict=True)):
            whole = split != "train"
            for found, kept in ((hard, label), (soft, label or any(shares))):
                at = rows[id(found)].get(PICTURES[number])
                assert (at is not None) == bool(whole or kept)
                if at is not None:
                    known = found.class_ids[at]
                    assert (found.schema.labels[known] if known >= 0 else None) == label
            at = rows[id(soft)].get(PICTURES[number])
            if split == "train" and at is not None and any(shares):
                assert soft.targets[at] == pytest.approx(np.array(shares) / sum(shares))


# Archives of pictures


@_FEW
@given(labelled_faces(FER7, "train", "test"))
def test_rafdb(faces: list[Face]) -> None:
    order = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    with tempfile.TemporaryDirectory() as folder:
        root, lines = Path(folder), []
        for number, (label, split) in enumerate(faces):
            lines.append(f"{split}_{number:05}.jpg {order.index(label) + 1}\n")
            put_picture(root / f"Image/aligned/{split}_{number:05}_aligned.jpg", number)
        (root / "EmoLabel").mkdir()
        (root / "EmoLabel/list_patition_label.txt").write_text("".join(lines))
        assert read_rows(f"rafdb:{root}") == rows_of(faces)


_AFFECTNET = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


@_FEW
@given(labelled_faces(FERPLUS8, "train", "valid"), st.booleans())
def test_affectnet(faces: list[Face], listed: bool) -> None:
    names = {"train": ("training", "train_set"), "valid": ("validation", "val_set")}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lists = {split: ["subDirectory_filePath,expression"] for split in names}
        for number, (label, split) in enumerate(faces):
            k = _AFFECTNET.index(label)
            lists[split].append(f"{number % 3}/{number}.jpg,{k}")
            if listed:
                put_picture(root / f"Manually_Annotated_Images/{number % 3}/{number}.jpg", number)
                continue
            part = root / names[split][1]
            put_picture(part / f"images/{number}.jpg", number)
            (part / "annotations").mkdir(exist_ok=True)
            np.save(part / f"annotations/{number}_exp.npy", np.array(str(k)))
        for split, lines in lists.items():
            if listed:
                (root / f"{names[split][0]}.csv").write_text("\n".join(lines))
        assert read_rows(f"affectnet:{root}") == rows_of(faces)


_CKPLUS = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")


@_FEW
@given(labelled_faces(FERPLUS8, "train"))
def test_ckplus(faces: list[Face]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, (label, _) in enumerate(faces):
            place, stem = f"S{number % 3:03}/{number:03}", f"S{number % 3:03}_{number:03}_00000002"
            put_picture(root / f"cohn-kanade-images/{place}/{stem}.png", number)
            (root / "Emotion" / place).mkdir(parents=True)
            (root / f"Emotion/{place}/{stem}_emotion.txt").write_text(
                f"   {_CKPLUS.index(label):.7e}\n"
            )
        manifest = read_manifest(f"ckplus:{root},dedupe=false", valid_share=0)
        assert manifest.groups is not None
        people = {manifest.images.read(i): manifest.groups[i] for i in range(len(faces))}
        assert people == {PICTURES[i]: f"S{i % 3:03}" for i in range(len(faces))}
        assert read_rows(f"ckplus:{root}") == rows_of(faces)


# Shards, tars, and the Hub's files


@_FEW
@given(labelled_faces(HES3), st.integers(1, 4))
def test_shards(faces: list[Face], size: int) -> None:
    pytest.importorskip("pyarrow")
    from mien.data.writers.parquet import write_shards

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = tuple(f"{number}.png" for number in range(len(faces)))
        for number, name in enumerate(names):
            put_picture(root / name, number)
        ids = np.array([HES3.index(label) for label, _ in faces])
        manifest = Manifest(
            "by hand", HES3, FileImages(root, names), np.eye(3, dtype=np.float32)[ids], ids,
            np.array([split for _, split in faces]), None, np.zeros(len(faces), bool),
        )  # fmt: skip
        write_shards(manifest, root / "shards", faces_per_shard=size)
        assert manifest_rows(read_manifest(f"shards:{root / 'shards'}")) == rows_of(faces)


@_FEW
@given(labelled_faces(HES3), st.booleans())
def test_wds(faces: list[Face], told: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for at, split in enumerate({split for _, split in faces}):
            name = f"faces-{at}" if told else f"{split}-000"
            with tarfile.open(Path(folder) / f"{name}.tar", "w") as tar:
                for number, (label, own) in enumerate(faces):
                    if own != split:
                        continue
                    about = {"label": label, "split": split}
                    text = json.dumps(about) if told else label
                    for ending, data in (
                        ("png", PICTURES[number]), ("json" if told else "cls", text.encode()),
                    ):  # fmt: skip
                        entry = tarfile.TarInfo(f"{number:04}.{ending}")
                        entry.size = len(data)
                        tar.addfile(entry, io.BytesIO(data))
        assert read_rows(f"wds:{folder}", labels=HES3) == rows_of(faces)


@_FEW
@given(labelled_faces(HES3))
def test_parquet_repository(faces: list[Face]) -> None:
    pytest.importorskip("pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        write_repository(Path(folder), faces)
        assert read_rows(f"parquet:{folder}") == rows_of(faces)
