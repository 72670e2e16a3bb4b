"""Whatever people name as pictures: nothing is left out without a word."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import types
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli.sources import SAMPLE, collect
from mien.errors import InputError
from mien.images import IMAGE_SUFFIXES, decode, list_images
from mien.images.guard import guess_file, kind_of
from support.command_line import run

SQUARE = Image.fromarray(
    np.arange(48 * 48 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 48, 3)
)


def _sources(out: str) -> list[str]:
    return [Path(json.loads(line)["source"]).name for line in out.splitlines()]


def _animation(path: Path, count: int = 3) -> Path:
    frames = [Image.new("RGB", (64, 64), (40 * index, 90, 60)) for index in range(count)]
    frames[0].save(path, save_all=count > 1, append_images=frames[1:], duration=100)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder as a phone leaves it, with what else lies there."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("a.png", "b.avif", "c.ppm", "d.pgm", "e.webp"):
        (SQUARE.convert("L") if name == "d.pgm" else SQUARE).save(folder / name)
    SQUARE.save(folder / "photo_without_ending", "JPEG")
    SQUARE.save(folder / "named.txt", "PNG")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "notes.md").write_text("about the photos")
    (folder / "walk.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(400))
    _animation(folder / "waves.gif")
    return folder


def test_a_folder_is_read_whole_and_the_rest_is_named(
    mixed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", str(mixed), "--detector", "none", "--format", "json") == 1
    out, err = capsys.readouterr()
    rows = {Path(row["source"]).name: row for row in map(json.loads, out.splitlines())}
    read = {"a.png", "b.avif", "c.ppm", "d.pgm", "e.webp", "photo_without_ending", "named.txt"}
    assert {name for name, row in rows.items() if "error" not in row} == read
    assert "there is no file" in rows["gone.jpg"]["error"], "a dangling link is a row of its own"
    assert "1 file that mien does not read: notes.md (is text)" in err
    assert "2 clips, which are read apart from photos: walk.mp4, waves.gif" in err
    assert "mien predict" in err


def test_a_glob_names_what_it_leaves_out(mixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", str(mixed / "*[!g]"), "--detector", "none", "--format", "json") == 0
    assert "notes.md (is text)" in capsys.readouterr().err


def test_ten_strange_files_are_counted_and_five_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(10):
        (tmp_path / f"{index}.xmp").write_bytes(b"PK\x03\x04")
    SQUARE.save(tmp_path / "a.png")
    assert [item.path.name for item in collect([str(tmp_path)])] == ["a.png"]
    err = capsys.readouterr().err
    assert "10 files" in err
    assert "4.xmp (is a ZIP archive" in err
    assert "and 5 more" in err
    assert "5.xmp" not in err


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.gif", "clip"), ("a.webp", "clip"), ("a.png", "clip"), ("a.avif", "clip"),
        ("still.gif", "photo"), ("still.webp", "photo"), ("still.png", "photo"),
    ],
)  # fmt: skip
def test_animations_are_clips_and_stills_are_photos(tmp_path: Path, name: str, kind: str) -> None:
    path = _animation(tmp_path / name, 1 if name.startswith("still") else 3)
    assert kind_of(path) == kind
    assert kind_of(path.rename(tmp_path / "renamed.dat")) == kind, "by content, not by name"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x1aE\xdf\xa3" + bytes(300), "clip"), (b"RIFF\0\0\0\0AVI LIST", "clip"),
        (b"G" + bytes(187) + b"G" + bytes(187) + b"G", "clip"), (b"\xff\xd8\xff", "photo"),
        (b"GIF89a", "photo"), (b"import sys\n", ""), (b"", ""), (b"PK\x03\x04", ""),
    ],
)  # fmt: skip
def test_kind_is_told_by_first_bytes(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "x").write_bytes(head)
    assert kind_of(tmp_path / "x") == kind
    assert kind_of(tmp_path) == kind_of(tmp_path / "none") == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_pipe_is_not_opened_to_tell_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # With this end open and enough written, whoever opens it all the same reads a photo.
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(end, b"\xff\xd8\xff" + bytes(8192))
        assert kind_of(pipe) == ""
        assert guess_file(pipe) == "is a pipe, socket or device"
        assert list_images(tmp_path) == []
    finally:
        os.close(end)


def test_one_list_of_endings_serves_folders_and_jobs(mixed: Path) -> None:
    from mien.jobs.inputs import list_sources

    left_out: Counter[str] = Counter()
    job = {Path(path).name for path in list_sources([str(mixed)], left_out)}
    assert job == {path.name for path in list_images(mixed)} | {"gone.jpg"}  # a row, with an error
    assert {"b.avif", "c.ppm", "photo_without_ending", "waves.gif"} <= job
    assert {".avif", ".heic", ".ppm"} <= IMAGE_SUFFIXES
    assert left_out == {".md": 1, ".mp4": 1}


def test_heic_names_its_extra_and_is_read_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.images import guard

    heic = b"\0\0\0\x18ftypheic" + bytes(40)
    with pytest.raises(InputError, match=r"HEIC photo: type pip install \"mien\[heif\]\""):
        decode(heic)
    asked: list[str] = []
    plugin = types.SimpleNamespace(register_heif_opener=lambda: asked.append("heif"))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    guard._known_formats.cache_clear()
    with pytest.raises(InputError, match="HEIC"):
        decode(heic)
    assert asked == ["heif"]
    guard._known_formats.cache_clear()


def test_first_frame_of_an_animation_says_so(tmp_path: Path) -> None:
    from mien import EmotionRecognizer

    recognizer = EmotionRecognizer(detector="none")
    result = recognizer(_animation(tmp_path / "a.gif"))
    assert "only the first frame was read" in result.warnings[0]
    assert recognizer(_animation(tmp_path / "b.gif", 1)).warnings == ()
    assert recognizer(SAMPLE).warnings == ()


def test_an_empty_folder_among_several_is_a_row_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n\n")
    SQUARE.save(tmp_path / "a.png")
    words = [str(tmp_path / name) for name in ("empty", "a.png", "*.jpg", "blank.txt")]
    assert run("predict", *words, "--detector", "none", "--format", "csv") == 1
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    errors = [row["error"] for row in rows if row["error"]]
    assert [any(word in e for e in errors) for word in ("empty: no", "*.jpg: no", "no paths")] == [
        True, True, True,
    ]  # fmt: skip
    assert sum(bool(row["emotion"]) for row in rows) == 1
    assert "3 of 4 pictures could not be read" in err


def test_on_error_stop_stops_at_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_text("no")
    SQUARE.save(tmp_path / "b.png")
    flags = ("--detector", "none", "--format", "json", "--on-error", "stop")
    assert run("predict", str(tmp_path), *flags) == 1
    out, err = capsys.readouterr()
    assert _sources(out) == ["a.png"]
    assert "stopped at" in err
    (tmp_path / "none").mkdir()
    assert run("predict", str(tmp_path / "b.png"), str(tmp_path / "none"), *flags) == 1
    assert capsys.readouterr().out == "", "an empty folder stops it before the first picture"
    assert run("predict", str(tmp_path), "-o", str(tmp_path / "r.parquet"), *flags) == 2


@pytest.mark.parametrize("word", ["~nosuch/a.jpg", "~nosuch", "~nosuch/*.jpg", "~nosuch/a.mp4"])
def test_a_user_who_is_not_known_is_an_error(
    word: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("predict", word) == run("predict", "--source", word) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run("predict", word, "-o", str(tmp_path / "r.parquet")) in {1, 2}
    assert run("predict", str(SAMPLE), "-m", word) == 1
    assert run("predict", str(SAMPLE), "--import", "~nosuch/a.py") in {1, 2}


@pytest.mark.parametrize("word", ["", " "])
def test_an_empty_name_is_not_the_folder_one_is_in(
    word: str, mixed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mixed)
    for more in ([], ["-o", "r.parquet"]):
        assert run("predict", word, *more) == 1
        printed = capsys.readouterr()
        assert "an empty name: is a variable of the shell not set?" in printed.err
        assert "a.png" not in printed.out
    assert run("predict", word, str(SAMPLE)) == 1
    assert "astronaut" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["csv", "parquet", "jpg"])
def test_a_photo_that_is_given_as_data_is_called_one(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    photo = tmp_path / f"a.{ending}"
    photo.write_bytes(SAMPLE.read_bytes())
    assert run("data", "inspect", "-d", str(photo)) == (2 if ending == "jpg" else 1)
    assert "is a JPEG picture" in capsys.readouterr().err


LISTS = {
    "bom": lambda names: "\n".join(names).encode("utf-8-sig"),
    "utf-16": lambda names: "\n".join(names).encode("utf-16"),
    "utf-16 without a mark": lambda names: "\r\n".join(names).encode("utf-16-le"),
    "crlf": lambda names: "\r\n".join(names).encode(),
    "quotes": lambda names: "\n".join(f'"{name}"' for name in names).encode(),
    "semicolons": lambda names: "\n".join(["path;label", *(f"{n};happy" for n in names)]).encode(),
    "commas and quotes": lambda names: "\n".join(f'"{name}","sad"' for name in names).encode(),
    "tabs": lambda names: "\n".join(f"{name}\t1" for name in names).encode(),
    "latin-1": lambda names: "\n".join(names).encode("latin-1"),
    "blanks": lambda names: "\n\n".join(f"  {name}  " for name in names).encode(),
}


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("way", ["list", "stdin", "job"])
def test_lists_are_read_in_any_encoding(
    form: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.jobs.inputs import list_sources

    names = ["grün.png", "b c.png", "d,e;f.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"\x89PNG")
    data = LISTS[form](names if form in {"crlf", "bom", "latin-1", "utf-16"} else names[:2])
    expected = names if form in {"crlf", "bom", "latin-1", "utf-16"} else names[:2]
    (tmp_path / "list.txt").write_bytes(data)
    monkeypatch.chdir(tmp_path if way == "stdin" else tmp_path.parent)
    if way == "stdin":
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        found = [item.path.name for item in collect(["-"])]
    elif way == "list":
        found = [item.path.name for item in collect([str(tmp_path / "list.txt")])]
    else:
        found = [Path(path).name for path in list_sources([str(tmp_path / "list.txt")])]
    assert found == expected


def test_a_line_that_names_nothing_stays_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SQUARE.save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\n'gone.png'\n")
    args = (str(tmp_path / "list.txt"), "--detector", "none", "--format", "json")
    assert run("predict", *args) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "there is no file 'gone.png'" in rows[1]["error"]


def test_addresses_are_named_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("https://example.org/a.jpg", "https://example.org/a.mp4"):
        with pytest.raises(InputError, match=f"'{word}' is an address, not a file"):
            collect([word])
    first, second = collect(["http://example.org/b.jpg", "sample"], partial=True)
    assert first.name == "http://example.org/b.jpg"
    assert "is an address" in first.fault
    assert not second.fault
    assert capsys.readouterr().err == ""
