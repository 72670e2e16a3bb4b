"""``mien data inspect`` from the outside, and its report in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.data_inspect_command import run
from support.faces import Draw


def test_leakage_is_exit_code_1_and_comes_first(
    leaking: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run("-d", f"folder:{leaking}") == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "LEAKAGE: scores on this data are not honest"
    assert out.index("byte-identical") < out.index("cannot be decoded")
    assert "leaks between its splits" in err


def test_file_that_cannot_be_read_is_exit_code_1_without_leakage(
    leaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    clean = shutil.copytree(leaking, tmp_path / "clean")
    (clean / "valid/happy/copy.png").unlink()
    assert run("-d", f"folder:{clean}", "--format", "json") == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["leakage"] is False
    assert "error: 1 picture cannot be decoded" in err
    broken = [item["kind"] for item in report["findings"] if item["level"] == "fault"]
    assert broken == ["unreadable"]
    assert report["pictures"] == 41
    assert report["readable"] == 40


def test_clean_data_is_exit_code_0(leaking: Path, tmp_path: Path) -> None:
    import shutil

    clean = shutil.copytree(leaking, tmp_path / "clean")
    (clean / "valid/happy/copy.png").unlink()
    (clean / "train/happy/broken.jpg").unlink()
    assert run("-d", f"folder:{clean}") == 0


def test_near_says_how_close_copies_are(
    tmp_path: Path, draw: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "valid"):
        for folder in ("happy", "sad"):
            (tmp_path / split / folder).mkdir(parents=True)
    one = draw("happiness", 1)
    one.save(tmp_path / "train/happy/1.png")
    # Cut tighter by a few pixels: the same photograph, further away than a recompressed one.
    one.crop((4, 4, 92, 92)).save(tmp_path / "valid/happy/1.png")
    draw("sadness", 2).save(tmp_path / "train/sad/1.png")
    draw("sadness", 3).save(tmp_path / "valid/sad/1.png")
    assert run("-d", f"folder:{tmp_path}", "--near", "0.9") == 1
    assert run("-d", f"folder:{tmp_path}", "--near", "1.0") == 0
