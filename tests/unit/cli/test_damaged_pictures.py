"""One damaged picture in a data set: every verb does the rest, counts it, and exits with 1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from mien.data import read_manifest
from support.command_line import run
from support.faces import write_folder
from support.network import write_model

VERBS = ("evaluate", "compare", "calibrate", "ensemble", "data split", "data shard")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two model folders, and faces of which the first of valid is damaged."""
    root = tmp_path_factory.mktemp("made")
    shutil.copytree(write_model(root / "one"), root / "two")
    write_folder(root / "faces", 16)
    (root / "faces" / "valid" / "sadness" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return root


def _words(verb: str, made: Path, place: Path) -> list[str]:
    one, two = (str(shutil.copytree(made / name, place / name)) for name in ("one", "two"))
    return [
        *verb.split(), "-d", f"folder:{made / 'faces'}", "-q",
        *{
            "evaluate": ["-m", one, "--format", "json"],
            "compare": [one, two, "--format", "json", "--no-timing"],
            "calibrate": ["-m", one, "--format", "json"],
            "ensemble": [one, two, "-o", str(place / "both"), "--format", "json"],
            "data split": ["-o", str(place / "faces.csv")],
            "data shard": ["-o", str(place / "shards"), "--size", "48"],
        }[verb],
    ]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_the_rest_is_done_and_the_exit_code_is_1(
    verb: str,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if verb.startswith("data"):
        pytest.importorskip("pyarrow")
    assert run(*_words(verb, made, tmp_path)) == 1
    printed = capsys.readouterr()
    part = "1 of 60 pictures" if verb.startswith("data") else "1 of 12 valid pictures"
    assert f"error: {part} could not be read" in printed.err
    assert "valid/sadness/000.png" in caplog.text + printed.err
    assert "mien data inspect -d" in caplog.text + printed.err
    if verb.startswith("data"):
        spec = tmp_path / "faces.csv" if verb == "data split" else f"shards:{tmp_path / 'shards'}"
        assert len(read_manifest(str(spec))) == 59
    else:
        assert json.loads(printed.out)["unreadable"] == ["valid/sadness/000.png"]


@pytest.mark.parametrize("verb", VERBS)
def test_on_error_stop_ends_at_the_first_and_writes_nothing(
    verb: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb.startswith("data"):
        pytest.importorskip("pyarrow")
    words = _words(verb, made, tmp_path)
    before = (tmp_path / "one" / "config.json").read_bytes()
    assert run(*words, "--on-error", "stop") == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert "valid/sadness/000.png" in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert (tmp_path / "one" / "config.json").read_bytes() == before


def test_on_error_needs_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("calibrate", "-m", str(tmp_path), "--on-error")
    assert run(*words, "stop") == 2
    assert "--on-error is for what --data names" in capsys.readouterr().err


def test_label_map_is_no_word_of_on_error(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*_words("evaluate", made, tmp_path), "--label-map", "continue") == 2
    assert "label" in capsys.readouterr().err


def test_labels_that_a_model_lacks_are_a_fault(
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faces = tmp_path / "faces"
    for label, name in (("happiness", "happiness"), ("sadness", "disgust")):
        shutil.copytree(made / "faces" / "train" / label, faces / "valid" / name)
    words = ("-d", f"folder:{faces}", "--format", "json")
    for verb in (
        ("evaluate", "-m", str(made / "one")),
        ("compare", str(made / "one"), str(made / "two"), "--no-timing"),
    ):
        assert run(*verb, *words) == 1
        printed = capsys.readouterr()
        assert "error: 16 faces count as wrong: the model has no label disgust" in printed.err
        assert "--label-map disgust=" in caplog.text + printed.err
        assert json.loads(printed.out)
        assert run(*verb, *words, "--label-map", "disgust=sadness") == 0
        assert json.loads(capsys.readouterr().out)
