"""New splits: nothing that belongs together is parted, classes are balanced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageOps

from mien.cli import main
from mien.cli.data import app
from mien.data import read_manifest
from mien.data.inspection import inspect_data
from mien.data.inspection.run import silent
from mien.data.resplit import parse_shares, resplit
from mien.errors import ConfigError
from support.faces import Draw


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app([str(argument) for argument in arguments], prog_name="mien data")
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Path:
    """Faces whose copies, mirror images and augmented copies stand in both splits."""
    root = tmp_path_factory.mktemp("leaking")
    seed = 0
    for folder, label in (("angry", "neutral"), ("happy", "happiness"), ("sad", "sadness")):
        for split in ("train", "test"):
            (root / split / folder).mkdir(parents=True)
        for index in range(24):
            seed += 1
            face = draw(label, seed, 64)
            face.save(root / f"train/{folder}/{index:03}.png")
            if index % 6 == 0:
                face.save(root / f"test/{folder}/copy{index:03}.jpg", quality=70)
            if index % 6 == 1:
                ImageOps.mirror(face).save(root / f"test/{folder}/m{index:03}.png")
            if index % 6 == 2:
                made = root / f"test/{folder}/{index:03}.png_rotation_1.png"
                face.rotate(120).save(made)
    (root / "train/sad/broken.png").write_bytes(b"\x89PNG broken")
    return root


def test_a_new_split_has_no_leak_and_balanced_classes(
    leaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inspect_data(f"folder:{leaking}")
    assert {item.kind for item in before.leaks} == {"near_across", "mirrored_across", "stem_across"}
    output = tmp_path / "split.csv"
    shares = "train=0.7,valid=0.15,test=0.15"
    words = ("data", "split", "-d", f"folder:{leaking}", "-o", str(output), "--shares", shares)
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 1  # one could not be read
    assert "of 109 pictures could not be read" in capsys.readouterr().err
    after = inspect_data(f"csv:{output}")
    assert after.leaks == ()
    assert len(after.manifest) == len(before.manifest) - 1
    for label in ("angry", "happy", "sad"):
        counts = [after.manifest.counts()[s][label] for s in ("train", "valid", "test")]
        assert sum(counts) == 36
        assert np.abs(np.array(counts) / 36 - [0.7, 0.15, 0.15]).max() < 0.06
    assert [path.name for path in tmp_path.iterdir()] == ["split.csv"]
    # Whoever trains on it gets these splits.
    trained = read_manifest(f"csv:{output}")
    assert (trained.splits == after.manifest.splits).all()


def test_a_split_is_the_same_for_the_same_seed(leaking: Path) -> None:
    shares = {"train": 0.5, "valid": 0.5}
    first, again, other = (
        resplit(f"folder:{leaking}", shares, seed=seed, bars=silent).manifest.splits
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_subjects_stay_whole(tmp_path: Path, draw: Draw) -> None:
    rows = ["file_name,label,split,subject_id"]
    for index in range(30):
        draw("sadness", index, 48).save(tmp_path / f"{index}.png")
        split = ("train", "valid")[index % 2]
        rows.append(f"{index}.png,{('happy', 'sad')[index % 3 > 0]},{split},s{index % 10}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    done = resplit(f"csv:{tmp_path / 't.csv'}", {"train": 0.6, "valid": 0.4}, bars=silent)
    assert done.groups == 10
    assert done.manifest.groups is not None
    sides: dict[str, set[str]] = {}
    for group, split in zip(done.manifest.groups, done.manifest.splits, strict=True):
        sides.setdefault(group, set()).add(split)
    assert set(sides) == {f"s{k}" for k in range(10)}
    assert all(len(found) == 1 for found in sides.values())


def test_parquet_and_copies(leaking: Path, tmp_path: Path) -> None:
    spec = f"folder:{leaking}"
    assert run("split", "-d", spec, "-o", tmp_path / "named.parquet") == 0
    assert run("split", "-d", spec, "-o", tmp_path / "whole.parquet", "--copy") == 0
    named, whole = (
        read_manifest(f"parquet:{tmp_path / name}") for name in ("named.parquet", "whole.parquet")
    )
    assert (
        (tmp_path / "named.parquet").stat().st_size
        < 20_000
        < sum(len(whole.images.read(index)) for index in range(len(whole)))
    )
    assert [named.images.read(i) for i in range(5)] == [whole.images.read(i) for i in range(5)]
    assert (named.splits == whole.splits).all()
    # Pictures in a table have no path that a CSV could name.
    with pytest.raises(ConfigError, match="--copy"):
        app(["split", "-d", f"parquet:{tmp_path / 'whole.parquet'}", "-o", f"{tmp_path}/x.csv"],
            prog_name="mien data")  # fmt: skip
    assert not (tmp_path / "x.csv").exists()
    assert run("split", "-d", f"parquet:{tmp_path / 'whole.parquet'}", "-o", tmp_path / "x.csv",
               "--copy") == 0  # fmt: skip
    assert inspect_data(f"csv:{tmp_path / 'x.csv'}").leaks == ()
    assert len(list((tmp_path / "x").rglob("*.*"))) == len(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.8", "sum to 1"),
        ("train=1.2,valid=-0.2", "sum to 1"),
        ("train=0.8,eval=0.2", "has the split 'eval'"),
        ("train:0.8", "split .train:0.8|form train=0.8"),
        ("train=0.5,valid=0.25,val=0.25", "has valid twice"),
    ],
)
def test_wrong_shares(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_shares(text)


def test_wrong_outputs(leaking: Path, tmp_path: Path) -> None:
    for name, message in (("x.json", r"must end in \.csv or \.parquet"), ("no/x.csv", "no folder")):
        with pytest.raises(ConfigError, match=message):
            app(["split", "-d", f"folder:{leaking}", "-o", str(tmp_path / name)])
