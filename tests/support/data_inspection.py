"""What the tests of inspection share."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from mien.data.inspection import Inspection, inspect_data
from support.faces import Draw

#: A folder, and what must be found in it: kind -> sets of names.
Planted = tuple[Path, dict[str, set[frozenset[str]]]]

LABELS = {"happy": "happiness", "sad": "sadness", "angry": "neutral"}


CLEAN = {"train": 20, "valid": 8, "test": 8}


def write_clean(root: Path, draw: Draw, leave_out: Collection[tuple[str, str]] = ()) -> Path:
    seed = 0
    for split, count in CLEAN.items():
        for folder, label in LABELS.items():
            for index in range(count):
                seed += 1
                if (split, folder) in leave_out:
                    continue
                path = root / split / folder / f"{split[:2]}{index:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                draw(label, seed).save(path)
    return root


def write_two_labels(root: Path, draw: Draw, count: int) -> Path:
    for at, (folder, label) in enumerate((("happy", "happiness"), ("sad", "sadness"))):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            draw(label, 1000 * at + index, 48).save(root / folder / f"{index}.png")
    return root


def found_first(inspection: Inspection, kind: str) -> list[str]:
    item = next((item for item in inspection.findings if item.kind == kind), None)
    return [] if item is None else [inspection.keys(group)[0] for group in item.groups]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, draw: Draw) -> Planted:
    """A folder with every fault there is, and what must be found: kind -> sets of names."""
    root = write_clean(tmp_path_factory.mktemp("planted"), draw, leave_out={("test", "sad")})
    face = iter(draw("happiness", seed) for seed in range(5_000, 5_100))

    def save(picture: Image.Image, name: str, **options: Any) -> str:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **options)
        return name

    expected: dict[str, set[frozenset[str]]] = {"missing_class": {frozenset(["test has no sad"])}}

    def expect(kind: str, *names: str) -> None:
        expected.setdefault(kind, set()).add(frozenset(names))

    whole = root / save(next(face), "train/happy/cut.jpg", quality=95)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    expect("unreadable", "train/happy/cut.jpg")
    (root / "valid/sad/head.jpg").write_bytes(b"\xff\xd8\xff\xe0 and nothing else")
    expect("unreadable", "valid/sad/head.jpg")
    (root / "train/sad/empty.png").touch()
    expect("empty", "train/sad/empty.png")
    (root / "train/angry/page.jpg").write_text("<html>404 not found</html>")
    (root / "test/happy/notes.jpg").write_text("these are my notes")
    expect("not_picture", "train/angry/page.jpg")
    expect("not_picture", "test/happy/notes.jpg")
    (root / "train/happy/readme.txt").write_text("not a picture, nor named like one")
    expect("other_files", "train/happy/readme.txt")

    one = next(face)
    expect("exact_across", save(one, "train/happy/e1.png"), save(one, "test/happy/e2.png"))
    one = next(face)
    expect("exact_within", save(one, "train/angry/w1.png"), save(one, "train/angry/w2.png"))
    one = next(face)
    pair = save(one, "train/happy/c1.png"), save(one, "train/sad/c2.png")
    expect("exact_within", *pair)
    expect("conflicting_labels", *pair)
    one = next(face)
    again = save(one, "valid/sad/n2.jpg", quality=40)
    expect("near_across", save(one, "train/sad/n1.png"), again)
    one = next(face)
    smaller = save(one.resize((72, 72)), "train/sad/s2.png")
    expect("near_within", save(one, "train/sad/s1.png"), smaller)
    one = next(face)
    pair = (
        save(one, "valid/happy/d1.png"),
        save(one.point(lambda v: v * 0.8 + 10), "valid/angry/d2.png"),
    )
    expect("near_within", *pair)
    expect("conflicting_labels", *pair)
    one = next(face)
    flip = save(ImageOps.mirror(one), "test/angry/m2.jpg", quality=80)
    expect("mirrored_across", save(one, "train/angry/m1.png"), flip)
    one = next(face)
    expect("mirrored_within", save(one, "train/sad/o1.png"),
           save(ImageOps.mirror(one), "train/sad/o2.png"))  # fmt: skip
    one = next(face)
    turned = [save(one.rotate(a), f"{split}/happy/2801.jpg_rotation_{a}.jpg")
              for a, split in ((35, "train"), (-40, "test"))]  # fmt: skip
    expect("stem_across", *turned)
    one = next(face)
    turned = [save(one, "train/sad/77.jpg"), save(one.rotate(90), "train/sad/77.jpg_rotate.png")]
    expect("stem_within", *turned)

    odd = os.fsdecode(b"caf\xe9.png")
    save(next(face), f"train/sad/{odd}")
    expect("bad_name", "train/sad/caf\\xe9.png")
    flat = save(Image.new("L", (96, 96), 90), "train/sad/flat.png")
    expect("flat", flat)
    # Enlarged from few pixels: large, and with little detail for its size.
    expect("size_high", save(next(face).resize((640, 640)), "train/sad/big.png"))
    expect("sharpness_low", "train/sad/big.png")
    (root / "valid/happy").rename(root / "valid/Happy")
    for kind, sets in expected.items():
        expected[kind] = {
            frozenset(name.replace("valid/happy", "valid/Happy") for name in names)
            for names in sets
        }
    expected["label_spellings"] = {frozenset(["happy: 'Happy' (9), 'happy' (35)"])}
    return root, expected


@pytest.fixture(scope="module")
def inspection(planted: Planted) -> Inspection:
    return inspect_data(f"folder:{planted[0]}")
