"""Planted faults: each is found, and nothing else is."""

from __future__ import annotations

import html.parser
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mien.data.inspection import inspect_data
from mien.data.inspection.page import inspection_page

LABELS = {"happy": "happiness", "sad": "sadness", "angry": "neutral"}
CLEAN = {"train": 20, "valid": 8, "test": 8}


def write_clean(root: Path, draw, leave_out=()) -> Path:
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


@pytest.fixture(scope="module")
def planted(tmp_path_factory, draw):
    """A folder with every fault there is, and what must be found: kind -> sets of names."""
    root = write_clean(tmp_path_factory.mktemp("planted"), draw, leave_out={("test", "sad")})
    face = iter(draw("happiness", seed) for seed in range(5_000, 5_100))

    def save(picture, name, **options):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **options)
        return name

    expected: dict[str, set[frozenset[str]]] = {"missing_class": {frozenset(["test has no sad"])}}

    def expect(kind, *names):
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
def inspection(planted):
    return inspect_data(f"folder:{planted[0]}")


def found(inspection) -> dict[str, set[frozenset[str]]]:
    return {
        item.kind: {frozenset(inspection.keys(group)) for group in item.groups}
        or {frozenset([line]) for line in item.details}
        for item in inspection.findings
    }


def test_clean_faces_have_no_findings(tmp_path, draw):
    inspection = inspect_data(f"folder:{write_clean(tmp_path, draw)}")
    assert found(inspection) == {}
    assert not inspection.leaks
    assert "No leakage found" in inspection_page(inspection)


def test_every_planted_fault_is_found_and_nothing_else(planted, inspection):
    assert found(inspection) == planted[1]


def test_leaks_come_first_everywhere(inspection):
    levels = [item.level for item in inspection.findings]
    assert levels == sorted(levels, key=["leak", "fault", "note"].index)
    report = inspection.to_dict()
    assert next(iter(report)) == "leakage"
    assert report["leakage"] is True
    assert report["findings"][0]["kind"] == "exact_across"
    assert report["findings"][0]["title"].startswith("1 test picture is byte-identical")
    json.dumps(report, ensure_ascii=False).encode()
    page = inspection_page(inspection)
    assert page.index("byte-identical") < page.index("<h2>Classes")


class _Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.pictures, self.text = [], 0, []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in {"src", "href"}:
                self.pictures += value.startswith("data:image/jpeg;base64,")
                if not value.startswith(("data:", "#")):
                    self.outside.append((tag, value))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_stands_alone_and_escapes_names(tmp_path, draw):
    for folder, label in (("happy", "happiness"), ("sad", "sadness")):
        for split in ("train", "valid"):
            path = tmp_path / split / folder / "<b>&amp.png"
            path.parent.mkdir(parents=True)
            draw(label, 3).save(path)
    page = inspection_page(inspect_data(f"folder:{tmp_path}"))
    links = _Links()
    links.feed(page)
    assert links.outside == []
    assert links.pictures >= 6
    assert not re.search(r"url\(|@import|<script|https?:", page)
    assert "<b>" not in page
    assert "<b>&amp.png" in "".join(links.text)
    page.encode()


def test_numbers_of_pictures_are_right(tmp_path):
    for folder, value in (("happy", 40), ("sad", 200)):
        (tmp_path / "train" / folder).mkdir(parents=True)
        half = np.full((20, 10), value, np.uint8)
        half[10:] = value + 20
        Image.fromarray(half).save(tmp_path / "train" / folder / "1.png")
    scan = inspect_data(f"folder:{tmp_path}").scan
    assert scan.sizes.tolist() == [[10, 20], [10, 20]]
    assert scan.brightness.tolist() == [50, 210]
    assert scan.contrast.tolist() == [10, 10]
    # Two of 18 inner rows have a Laplacian of 20 and -20: a mean of 0, a variance of 800 / 18.
    assert scan.sharpness == pytest.approx([800 / 18, 800 / 18])
    assert scan.mean_faces[0].mean() == pytest.approx(0)
    assert scan.mean_faces[1].mean() == pytest.approx(50, abs=0.5)


def test_subjects_and_stems_in_tables(tmp_path, draw):
    rows = ["file_name,label,split,subject_id"]
    for index, (split, who) in enumerate(
        [("train", "ann"), ("train", "bob"), ("valid", "ann"), ("valid", "cy")]
    ):
        draw("sadness", index).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{'Sad' if index % 2 else 'happy'},{split},{who}")
    (tmp_path / "faces.csv").write_text("\n".join(rows))
    inspection = inspect_data(f"csv:{tmp_path / 'faces.csv'}")
    assert found(inspection)["subject_across"] == {frozenset(["0.png", "2.png"])}
    assert inspection.findings[0].details == ("ann · train and valid",)
    assert inspection.spellings == {"happy": {"happy": 2}, "sad": {"Sad": 2}}
