from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.cli import VERBS
from mien.cli.printing import print_table
from mien.cli.sources import SAMPLE
from mien.images import decode
from support.command_line import run


def test_json_line_is_the_result_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    from mien import EmotionRecognizer, ImageResult

    assert run("predict", str(SAMPLE), "--format", "json") == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    result = ImageResult.from_json(line)
    assert result.faces == EmotionRecognizer().predict(SAMPLE).faces


def test_folder_with_a_bad_file_answers_the_rest(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", str(photos), "--format", "csv") == 1
    out, err = capsys.readouterr()
    rows = {Path(row["source"]).name: row for row in csv.DictReader(io.StringIO(out))}
    assert set(rows) == {"a.jpg", "b.png", "c.jpg", "d.png"}
    assert rows["a.jpg"]["emotion"] == rows["b.png"]["emotion"] == "happiness"
    assert rows["c.jpg"]["error"]
    assert rows["d.png"]["emotion"] == rows["d.png"]["error"] == ""
    assert "1 of 4 pictures" in err


@pytest.mark.parametrize("form", ["table", "csv"])
def test_what_a_picture_lacks_is_told(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(7):
        (tmp_path / f"{number}.jpg").write_bytes(SAMPLE.read_bytes()[:-2])
    assert run("predict", str(tmp_path), "--detector", "none", "--format", form) == 0
    said = capsys.readouterr().err
    assert said.count("its pixels are all there") == 5
    assert "note: 2 more such notes: mien predict --format json" in said


def test_table_shows_every_picture(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", str(photos)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert sum("happiness" in line for line in lines) == 2
    assert sum("no face found" in line for line in lines) == 1
    assert sum("error:" in line for line in lines) == 1


def test_glob_stdin_and_sample_are_sources(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("predict", str(photos / "*.png"), "--format", "json") == 0
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photos / 'a.jpg'}\n\n{photos / 'd.png'}\n"))
    assert run("predict", "-", "--format", "json") == 0
    assert capsys.readouterr().out.count("\n") == 2
    assert run("predict", "-s", "sample", "--labels", "hes3", "--format", "json") == 0
    face = json.loads(capsys.readouterr().out)["faces"][0]
    assert list(face["probs"]) == ["angry", "happy", "sad"]


def test_output_holds_annotated_copies_and_never_replaces(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", str(photos), "-o", str(out), "--format", "json") == 1
    drawn = decode(out / "a.jpg")
    assert drawn.shape == decode(photos / "a.jpg").shape
    assert np.abs(drawn.astype(int) - decode(photos / "a.jpg")).max() > 100
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "a.jpg", "below/b.png", "d.png",
    ]  # fmt: skip
    before = (out / "a.jpg").stat().st_mtime_ns
    assert run("predict", str(photos), "-o", str(out)) == 2
    assert (out / "a.jpg").stat().st_mtime_ns == before
    assert run("predict", str(photos), "-o", str(out), "--overwrite") == 1
    assert (out / "a.jpg").stat().st_mtime_ns > before
    original = (photos / "a.jpg").read_bytes()
    assert run("predict", str(photos), "-o", str(photos), "--overwrite") == 2
    assert (photos / "a.jpg").read_bytes() == original


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("predict",), 1, "no pictures"),
        (("predict", "nothing-here.jpg"), 1, "could not be read"),
        (("predict", "sample", "-m", "no-such-model"), 1, "no-such-model"),
        (("predict", "sample", "--labels", "hes4"), 2, "hes3"),
        (("predict", "sample", "--detector", "harr"), 2, "haar"),
        (("predict", "sample", "--format", "xml"), 2, "xml"),
        (("predict", "sample", "--nonsense"), 2, "--nonsense"),
        (("predikt", "sample"), 2, "predikt"),
        (("evaluate",), 2, "--data"),
        (("evaluate", "-d", "foldre:x"), 2, "folder"),
        (("evaluate", "-d", "folder:no-such-folder"), 1, "no-such-folder"),
        (("train", "--epochs", "0", "-d", "folder:x"), 2, "epochs"),
        (("export", "no-such-run"), 1, "no-such-run"),
    ],
)
def test_wrong_usage_says_what_is_wrong(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] == "export":
        pytest.importorskip("torch")
    assert run(*arguments) == code
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in out + err


def test_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", str(tmp_path)) == 1
    assert "no pictures there" in capsys.readouterr().err


def test_a_picture_named_twice_gets_two_copies(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("predict", str(SAMPLE), str(SAMPLE), "-o", str(out)) == 0
    assert {path.name for path in out.iterdir()} == {SAMPLE.name, f"{SAMPLE.stem}-2.jpg"}


def test_cells_of_a_table_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("", "[joy]"), [["[red]", 1]], title="faces[0]", caption="[b]")
    out = capsys.readouterr().out
    assert all(word in out for word in ("[joy]", "[red]", "faces[0]", "[b]"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verb, "--help") == 0
    assert "Usage: mien" in capsys.readouterr().out


def test_models_and_doctor_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--format", "json") == 0
    listing = json.loads(capsys.readouterr().out)
    default, *others = sorted(listing["bundled models"], key=lambda row: not row["default"])
    assert EmotionRecognizer(default["model"]).config.name == default["model"]
    assert [row["default"] for row in others] == [False] * len(others)
    assert default["labels"] == list(EmotionRecognizer().labels)
    assert default["input"] == {"size": 48, "color": "gray"}
    assert 0 < default["valid"]["accuracy_ci"][0] < default["valid"]["accuracy"] < 1
    assert isinstance(default["bytes"], int)
    assert [row["detector"] for row in listing["detectors"] if row["default"]] == ["mien"]
    assert listing["label schemas"][0]["labels"][0] == "neutral"
    assert run("doctor", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["self_test"]["ok"] is True
    assert report["packages"]["numpy"] == np.__version__
    assert {"eval", "train", "serve", "client", "video"} <= set(report["extras"])
    assert run("models") == 0
    shown = capsys.readouterr().out
    assert "(default)" in shown
    assert "48 px gray" in shown
    assert run("doctor") == 0
    assert "self-test" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [1, 5, 12])
@pytest.mark.parametrize("width", ["40", "80"])
def test_figures_are_never_cut(
    columns: int, width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    figures = [f"{31_415_926 + index:,} to {271.8281:.2f}%" for index in range(columns)]
    names = ["a name of some words that is far too long for a table of figures", "[square]"]
    print_table(("name", *map(str, range(columns))), [[name, *figures] for name in names])
    out = capsys.readouterr().out
    for figure in figures:
        assert out.count(figure) == 2
    assert "…" not in out
    assert "[square]" in out


def test_exit_codes_mean_the_same_for_photos_and_jobs(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name, code in (("a.jpg", 0), ("c.jpg", 1), ("", 1), ("below", 0)):
        words = ("predict", str(photos / name), "--detector", "none")
        out = str(tmp_path / f"{name or 'all'}.parquet")
        assert run(*words) == run(*words, "-o", out, "-j", "1") == code
    (photos / "below" / "gone.jpg").symlink_to("nowhere.jpg")
    words = ("predict", str(photos / "below"), "--detector", "none")
    assert run(*words) == run(*words, "-o", str(tmp_path / "links.parquet"), "-j", "1") == 1
