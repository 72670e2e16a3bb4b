"""A disk that is full: each verb names the file, and leaves nothing that is half-written.

Of what Python writes, the test refuses the bytes; of what libraries write (Parquet, clips, SQLite),
the operating system does, by the largest size that a file may have.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.atomic import is_full, naming_unwritable, replacing, replacing_folder, write_text
from mien.cli import main
from mien.errors import ConfigError, MienError
from mien.images import save_image
from support import ROOT
from support.full_disk import error_when_full, files_of, write_faces, write_linear_model

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
    return write_faces(tmp_path / "faces")


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
    assert stop.value.code == 1, told
    assert "No space left on device" in told
    assert sum(line.startswith("error: ") for line in told.splitlines()) == 1
    assert str(output / name).removesuffix(".csv") in told
    assert "Traceback" not in told
    left = [path for path in output.rglob("*") if path.is_file() or path.name != name]
    assert left == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return write_linear_model(tmp_path_factory.mktemp("linear") / "model")


#: What is typed, the library that is needed, and what the error names below the folder ``full``.
_LIBRARIES = {
    "job": ("predict {faces} --workers 1 -m {model} -o {out}/r.parquet", "pyarrow", "r.parquet"),
    "convert-parquet": (
        "data convert -d folder:{faces} --to parquet -o {out}/x.parquet", "pyarrow", "x.parquet",
    ),
    "split": ("data split -d folder:{faces} -o {out}/x.parquet", "pyarrow", "x.parquet"),
    "shard": ("data shard -d folder:{faces} -o {out}/shards", "pyarrow", "shards"),
    "ensemble": (
        "ensemble {model} {other} -d folder:{faces} --folds 2 -o {out}/e", "onnx", "e/model.onnx",
    ),
    "adopt": (
        "adopt {model}/model.onnx --labels happy,sad,angry --scale 1 --color gray -o {out}/a",
        "onnx", "a/model.onnx",
    ),
    "export": ("export {model} --format onnx-fp16 -o {out}/x", "onnx", "x/model.onnx"),
    "web": ("web {out}/page -m {model} --runtime {faces}", "onnxruntime", "page"),
    "calibrate": ("calibrate -m {out}/model -d folder:{faces}", "onnx", "model/config.json"),
}  # fmt: skip


@pytest.mark.parametrize("verb", _LIBRARIES)
def test_a_verb_whose_library_cannot_write_says_so(
    verb: str, faces: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, library, named = _LIBRARIES[verb]
    pytest.importorskip(library)
    output, other = tmp_path / "full", tmp_path / "other"
    output.mkdir()
    for copy in (other, output / "model")[: 2 if verb == "calibrate" else 1]:
        shutil.copytree(model, copy)
    before = files_of(output)
    words = typed.format(faces=faces, model=model, other=other, out=output)
    error = error_when_full(words, capsys)
    assert f"{output / named} cannot be written: " in error
    assert "ile too large" in error
    assert files_of(output) == before


def test_a_disk_that_nobody_named_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_up() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/list.parquet")

    monkeypatch.setattr("mien.cli.doctor.command", fill_up)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == (
        "error: /tmp/list.parquet cannot be written: No space left on device. Free some space, or "
        "write elsewhere.\n"
    )


def test_a_full_disk_is_told_from_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    full, foreign = (OSError(code, os.strerror(code)) for code in (errno.EDQUOT, errno.EACCES))
    assert (is_full(full), is_full(foreign), is_full(ValueError())) == (True, False, False)
    with pytest.raises(ConfigError, match=r"Permission denied.*copy the folder"):  # noqa: SIM117
        with naming_unwritable(tmp_path):
            raise foreign
    with pytest.raises(OSError, match="quota") as caught, naming_unwritable(tmp_path):
        raise full
    assert caught.value is full


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
