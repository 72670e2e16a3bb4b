"""What is written, and where: never where nobody asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli.sources import SAMPLE
from mien.errors import ConfigError
from mien.hub import ASSETS, read_model_folder
from mien.hub.folder import refuse_bundled
from support.command_line import run

BUNDLED = "mienet_s.ferplus8"


@pytest.fixture
def face(tmp_path: Path) -> Path:
    Image.fromarray(np.full((48, 48, 3), 90, np.uint8)).save(tmp_path / "face.png")
    return tmp_path / "face.png"


def _state() -> dict[str, str]:
    return {
        path.relative_to(ASSETS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ASSETS.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", "-m", BUNDLED, "-d", "folder:none"),
        ("calibrate", "-m", BUNDLED, "--prior", "shipped"),
        ("calibrate", "-m", str(ASSETS / BUNDLED), "--prior", "own", "-s", str(SAMPLE)),
        ("evaluate", "-m", BUNDLED, "-d", "folder:none", "--record"),
        ("export", BUNDLED, "--overwrite"),
        ("export", BUNDLED, "--format", "int8-dynamic"),
    ],
)
def test_no_verb_changes_an_installed_model(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] == "export":
        pytest.importorskip("torch")
    before = _state()
    assert run(*arguments) == 2
    assert "is the installed model" in capsys.readouterr().err
    assert _state() == before


def test_a_copy_of_an_installed_model_may_be_changed(tmp_path: Path) -> None:
    refuse_bundled(tmp_path)
    with pytest.raises(ConfigError, match="cp -r"):
        refuse_bundled(read_model_folder(None).path)


@pytest.mark.parametrize("name", ["faces.csv", "faces.json", "faces.jsonl", "FACES.CSV"])
def test_a_table_is_no_folder_of_pictures(
    face: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", str(face), "--detector", "none", "-o", str(tmp_path / name)) == 2
    form = "csv" if name.lower().endswith("csv") else "json"
    assert f"--format {form} > {tmp_path / name}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.png"]


@pytest.mark.parametrize(
    "name", ["a.pdf", "a.xlsx", "a.mp4", "a.html", "a.txt", "a.onnx", "a.gif", "a.heic", "a.avif"]
)
def test_a_file_that_is_not_written_is_refused(
    name: str, face: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", str(face), "-o", str(tmp_path / name), "--detector", "none") == 2
    # Of a picture that is not written the ending is named, of another file the name.
    named = Path(name).suffix if name.endswith((".gif", ".heic", ".avif")) else name
    assert named in capsys.readouterr().err
    assert run("explain", str(face), "-o", str(tmp_path / name), "--detector", "none") == 2
    assert not (tmp_path / name).exists()
    (tmp_path / "2024.10").mkdir()
    assert run("predict", str(face), "-o", str(tmp_path / "2024.11"), "--detector", "none") == 0
    assert (tmp_path / "2024.11" / "face.png").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", BUNDLED, "-o"),
        ("ensemble", BUNDLED, BUNDLED, "-o"),
        ("evaluate", "-d", "folder:none", "-o"),
        ("train", "-d", "folder:none", "-o"),
        ("data", "convert", "-d", "folder:none", "--to", "folder", "-o"),
        ("data", "shard", "-d", "folder:none", "-o"),
        ("web",),
        ("predict", str(SAMPLE), "--engine", "local", "-o"),
    ],
)
@pytest.mark.parametrize("name", ["out.json", "out.jpg"])
def test_folders_are_not_made_with_names_of_files(
    arguments: tuple[str, ...], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, str(tmp_path / name)) == 2
    assert "is no name for a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", [("-o", "out"), ("-o", "face.jpg")])
def test_nothing_is_made_where_the_input_is_bad(
    form: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run("predict", "empty", *form) == 1
    assert run("predict", str(SAMPLE), *form, "-m", "no-such-model") == 1
    assert run("predict", str(SAMPLE), *form, "--detector", "harr") == 2
    assert run("explain", "empty", "-o", "maps") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "gone.mp4", "-o", "new/copy.mp4"),
        ("train", "-d", "gone", "-o", "run"),
        ("train", "-d", "folder:empty", "-o", "run"),
        ("train", "-d", "gone", "-o", "run", "--devices", "2", "--device", "cpu"),
        ("tune", "-d", "gone", "-o", "study", "--space", "space.yaml", "--trials", "1"),
        ("tune", "-d", "gone", "-o", "study", "--find-lr"),
        ("evaluate", "-d", "gone", "-o", "scores"),
        ("data", "shard", "-d", "gone", "-o", "shards"),
    ],
)
def test_nothing_is_made_where_the_data_is_bad(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in {"predict": ("av",), "tune": ("torch", "optuna"), "train": ("torch", "onnx")}.get(
        words[0], ()
    ):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "space.yaml").write_text("lr: [0.01, 0.1]\n")
    assert run(*words) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "space.yaml"]


def test_a_run_that_never_began_is_no_obstacle(tmp_path: Path) -> None:
    from mien.training.directory import is_used

    assert not is_used(tmp_path / "none")
    (tmp_path / "args.yaml").write_text("epochs: 1\n")
    assert not is_used(tmp_path)
    (tmp_path / "metrics.csv").touch()
    assert is_used(tmp_path)
    assert is_used(tmp_path / "args.yaml")
