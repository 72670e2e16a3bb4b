"""Planted faults: each is found, and nothing else is."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.inspection import Inspection, inspect_data, page
from mien.reporting.pages import Diagram
from support.data_inspection import Planted, write_clean
from support.faces import Draw


def found(inspection: Inspection) -> dict[str, set[frozenset[str]]]:
    return {
        item.kind: {frozenset(inspection.keys(group)) for group in item.groups}
        or {frozenset([line]) for line in item.details}
        for item in inspection.findings
        if item.kind != "few_faces"  # a handful of drawings is one by its nature
    }


@pytest.fixture
def without_diagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's diagrams are left empty where its text is what counts."""
    monkeypatch.setattr(page, "draw", lambda plot: Diagram(b"", b""))


@pytest.mark.usefixtures("without_diagrams")
def test_clean_faces_have_no_findings(tmp_path: Path, draw: Draw) -> None:
    inspection = inspect_data(f"folder:{write_clean(tmp_path, draw)}")
    assert found(inspection) == {}
    assert not inspection.leaks
    assert "No leakage found" in page.inspection_page(inspection)


def test_every_planted_fault_is_found_and_nothing_else(
    planted: Planted, inspection: Inspection
) -> None:
    assert found(inspection) == planted[1]


@pytest.mark.usefixtures("without_diagrams")
def test_leaks_come_first_everywhere(inspection: Inspection) -> None:
    levels = [item.level for item in inspection.findings]
    assert levels == sorted(levels, key=["leak", "fault", "note"].index)
    report = inspection.to_dict()
    assert next(iter(report)) == "leakage"
    assert report["leakage"] is True
    assert report["findings"][0]["kind"] == "exact_across"
    assert report["findings"][0]["title"].startswith("1 test picture is byte-identical")
    json.dumps(report, ensure_ascii=False).encode()
    text = page.inspection_page(inspection)
    assert text.index("byte-identical") < text.index("<h2>Classes")


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href"} and value is not None:
                self.pictures += value.startswith("data:image/jpeg;base64,")
                if not value.startswith(("data:", "#")):
                    self.outside.append((tag, value))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone_and_escapes_names(tmp_path: Path, draw: Draw) -> None:
    for folder, label in (("happy", "happiness"), ("sad", "sadness")):
        for split in ("train", "valid"):
            path = tmp_path / split / folder / "<b>&amp.png"
            path.parent.mkdir(parents=True)
            draw(label, 3).save(path)
    text = page.inspection_page(inspect_data(f"folder:{tmp_path}"))
    links = _Links()
    links.feed(text)
    assert links.outside == []
    assert links.pictures >= 6
    assert not re.search(r"url\(|@import|<script|https?:", text)
    assert "<b>" not in text
    assert "<b>&amp.png" in "".join(links.text)
    text.encode()


def test_numbers_of_pictures_are_right(tmp_path: Path) -> None:
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


def test_subjects_and_stems_in_tables(tmp_path: Path, draw: Draw) -> None:
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
