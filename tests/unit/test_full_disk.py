"""A disk that is full: each verb names the file, and leaves nothing that is half-written."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.atomic import replacing, replacing_folder, write_text
from mien.cli import main
from mien.errors import MienError
from mien.images import save_image
from support import ROOT

Fill = Callable[[Path], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Says that the disk below a folder is full: a file is made, and nothing can be put into it."""

    def full_below(folder: Path) -> None:
        real = io.open

        def open_(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            inside = not isinstance(file, int) and folder in Path(os.fspath(file)).parents
            if inside and set(mode) & set("wax+"):
                real(file, "wb").close()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(file))
            return real(file, mode, *args, **options)

        monkeypatch.setattr(io, "open", open_)
        monkeypatch.setattr(builtins, "open", open_)

    return full_below


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Six faces in folders by split and class."""
    rng = np.random.default_rng(0)
    for split in ("train", "valid"):
        for label in ("happy", "sad", "angry"):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 256, (20, 24), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "1.png")
    return tmp_path / "faces"


#: What is typed before the output, and the name of the output.
_VERBS = {
    "predict": ("predict {face} --detector none -o", "seen.png"),
    "explain": ("explain {face} --detector none -o", "why.png"),
    "evaluate": ("evaluate -d folder:{faces} -o", "report"),
    "convert-folder": ("data convert -d folder:{faces} --to folder -o", "out"),
    "convert-csv": ("data convert -d folder:{faces} --to csv --copy -o", "out.csv"),
    "convert-list": ("data convert -d folder:{faces} --to csv -o", "out.csv"),
    "card": ("data card -d folder:{faces} -o", "README.md"),
    "space": ("space", "space"),
}


@pytest.mark.parametrize("verb", _VERBS)
def test_a_verb_names_the_file_and_leaves_nothing(
    verb: str, faces: Path, tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "full"
    output.mkdir()
    words, name = _VERBS[verb]
    typed = words.format(faces=faces, face=faces / "valid/sad/1.png").split()
    fill(output)
    with pytest.raises(SystemExit) as stop:
        main([*typed, str(output / name)])
    told = capsys.readouterr().err
    assert stop.value.code in {1, 2}, told
    assert "No space left on device" in told
    assert str(output / name).removesuffix(".csv") in told
    assert "Traceback" not in told
    left = [path for path in output.rglob("*") if path.is_file() or path.name != name]
    assert left == []


def test_what_was_there_stays(tmp_path: Path, fill: Fill) -> None:
    target, folder = tmp_path / "a.txt", tmp_path / "folder"
    target.write_text("before")
    folder.mkdir()
    (folder / "old").write_text("before")
    fill(tmp_path)
    with pytest.raises(MienError, match=r"a\.txt cannot be written: No space left on device"):
        write_text(target, "after")
    with pytest.raises(MienError, match="folder cannot be written: No space left"):  # noqa: SIM117
        with replacing_folder(folder) as place:
            (place / "new").write_text("after")
    with pytest.raises(MienError, match=r"a\.png cannot be written \(No space|a\.png .*No space"):
        save_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]
    assert (target.read_text(), (folder / "old").read_text()) == ("before", "before")


def test_the_outer_file_is_not_blamed_for_the_inner_one(tmp_path: Path, fill: Fill) -> None:
    (tmp_path / "inner").mkdir()
    fill(tmp_path / "inner")
    with pytest.raises(MienError, match=r"inner/b\.txt cannot be written") as caught:  # noqa: SIM117
        with replacing(tmp_path / "a.txt"):
            write_text(tmp_path / "inner" / "b.txt", "x")
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == errno.ENOSPC


def test_another_fault_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "gone").read_bytes()


def test_the_sample_stays_readable(fill: Fill, tmp_path: Path) -> None:
    fill(tmp_path)
    assert (ROOT / "src/mien/assets/sample/astronaut.jpg").read_bytes()
