from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.cli import VERBS, main
from mien.cli.sources import SAMPLE
from mien.errors import DetectorError
from mien.explanation import explain
from mien.images import decode


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "explain", "Show what speaks for an emotion.")


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(("explain", *arguments))
    return int(stop.value.code or 0)


def test_picture_is_that_of_the_library(tmp_path: Path) -> None:

    assert _run("sample", "-o", str(tmp_path / "a.png"), "--label", "surprise") == 0
    expected = explain(SAMPLE, label="surprise").image_rgb
    assert (decode(tmp_path / "a.png") == expected).all()


def test_folder_keeps_names_and_survives_a_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos" / "below"
    photos.mkdir(parents=True)
    (photos / "a.jpg").write_bytes(SAMPLE.read_bytes())
    (photos / "bad.jpg").write_bytes(b"no picture")
    Image.new("RGB", (60, 50), (9, 9, 9)).save(photos / "empty.png")
    out = tmp_path / "out"
    assert _run(str(photos.parent), "-o", str(out)) == 1
    assert "bad.jpg" in capsys.readouterr().err
    assert {p.name for p in out.rglob("*.*")} == {"a.jpg", "empty.png"}
    assert (decode(out / "below" / "empty.png") == 9).all()
    before = (out / "below" / "a.jpg").read_bytes()
    assert _run(str(photos.parent), "-o", str(out), "--label", "fear") == 2
    assert (out / "below" / "a.jpg").read_bytes() == before
    assert _run(str(photos.parent), "-o", str(out), "--label", "fear", "--overwrite") == 1
    assert (out / "below" / "a.jpg").read_bytes() != before


def test_a_picture_that_the_detector_fails_on_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien import explanation

    def read_image(recognizer: object, path: Path) -> object:
        if path.name == "b.jpg":
            raise DetectorError("the detector failed")
        return explain_image(recognizer, path)

    explain_image: Any = explanation.read_image
    monkeypatch.setattr(explanation, "read_image", read_image)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(SAMPLE.read_bytes())
    assert _run(str(tmp_path), "-o", str(tmp_path / "out")) == 1
    assert "b.jpg: the detector failed" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.jpg", "c.jpg"}


def test_all_labels_give_a_panel_each(tmp_path: Path) -> None:
    assert _run("sample", "-o", str(tmp_path / "p.png"), "--label", "all", "--labels", "hes3") == 0
    panels = decode(tmp_path / "p.png")
    assert panels.shape == (165, 4 * 136 + 8, 3)
    face, happy = panels[8:136, 8:136], panels[8:136, 280:408]
    assert (np.abs(face.astype(int) - happy).max(axis=2) > 20).mean() > 0.05


def test_faithfulness_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("sample", "--faithfulness", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["maps"]["faces"] == report["chance"]["faces"] == 1
    assert report["maps"]["score"] > report["chance"]["score"]
    assert _run("sample", "--faithfulness") == 0
    assert "insertion" in capsys.readouterr().out


def test_faithfulness_without_a_face_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (60, 50)).save(tmp_path / "a.png")
    assert _run(str(tmp_path / "a.png"), "--faithfulness") == 0
    assert "no face" in capsys.readouterr().out


def test_inside_of_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert _run("--layers") == 0
    assert "stem.0" in capsys.readouterr().out
    assert _run("--layers", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "Conv2d"
    assert _run("--filters", "-o", str(tmp_path)) == 0
    assert decode(tmp_path / "filters.png").shape == (388, 648, 3)
    assert _run("--filters", "-o", str(tmp_path)) == 2
    assert _run("sample", "--feature-maps", "stages.0", "-o", str(tmp_path / "f.png")) == 0
    assert decode(tmp_path / "f.png").std() > 10


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("sample",), 2, "-o FOLDER"),
        ((), 1, "no pictures"),
        (("sample", "-o", "{out}", "--method", "gradcan"), 2, "gradcam"),
        (("sample", "-o", "{out}", "--label", "hapiness"), 2, "happiness"),
        (("sample", "-o", "{out}", "-m", "nothing"), 1, "nothing"),
        (("sample", "--faithfulness", "--label", "all"), 2, "--label all"),
        (("gone.jpg", "-o", "{out}"), 1, "gone.jpg"),
        (("--filters",), 2, "-o FOLDER"),
        (("sample", "-o", "{out}", "--feature-maps", "nowhere"), 2, "nowhere"),
    ],
)
def test_wrong_usage_says_what_is_wrong(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--feature-maps" in arguments:
        pytest.importorskip("torch")
    assert _run(*(word.replace("{out}", str(tmp_path / "out")) for word in arguments)) == code
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in out + err
