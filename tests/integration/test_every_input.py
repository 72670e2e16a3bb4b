"""Every input that was once misread or passed over, on the base install and with every extra.

All are made here, tiny. Each has what it must say and how it must end; a traceback or silence
fails. ``python -m support.light`` runs every verb; here are the sources.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.cli import main
from mien.cli.sources import SAMPLE
from support import ROOT

DOORS = ("light", "full")


@dataclass(frozen=True)
class Case:
    """A command, run where its inputs lie: how it ends and what is said, by door."""

    words: tuple[str, ...]
    code: int
    says: str
    light: tuple[int, str] | None = None

    def expected(self, door: str) -> tuple[int, str]:
        return self.light if door == "light" and self.light else (self.code, self.says)


VIDEO = (1, 'pip install "mien[video]"')
HEIC = (1, 'pip install "mien[heif]"')
CASES = {
    # Left out without a word.
    "folder of all": Case(("predict", "mixed"), 1, "left out: 2 files that mien does not read"),
    "clips of a folder": Case(("predict", "mixed"), 1, "left out: 1 clip"),
    "dangling link": Case(("predict", "mixed"), 1, "gone.jpg"),
    "ppm": Case(("predict", "mixed/a.ppm"), 0, "a.ppm"),
    "heic": Case(("predict", "a.heic"), 1, "a.heic", HEIC),
    "folder of clips": Case(("predict", "clips"), 0, "no face", VIDEO),
    "glob of clips": Case(("predict", "clips/*.gif"), 0, "no face", VIDEO),
    "moving gif": Case(("predict", "clips/a.gif"), 0, "no face found in 0.3 s", VIDEO),
    # Cut short and called complete.
    "clock starts late": Case(("predict", "late.mkv"), 0, "no face found in 0.6 s", VIDEO),
    "damaged in the middle": Case(("predict", "damaged.ts"), 1, "the clip is not whole", VIDEO),
    "cut short": Case(("predict", "cut.mkv"), 1, "the clip is not whole", VIDEO),
    "zeros in a packet": Case(("predict", "zeros.mp4"), 1, "the clip is not whole", VIDEO),
    "damaged, as JSON": Case(
        ("predict", "damaged.ts", "--format", "json"), 1, '"complete": false', VIDEO
    ),
    # Scored wrong without a remark.
    "detection layout": Case(("data", "inspect", "-d", "folder:det"), 1, "laid out for detection"),
    "two of three": Case(("data", "inspect", "-d", "folder:two"), 0, "no pictures of: angry"),
    "class ids": Case(("data", "inspect", "-d", "folder:ids"), 0, "--label-map 1=LABEL"),
    "misspelled": Case(("data", "inspect", "-d", "folder:misspelt"), 0, "happyness=happiness"),
    "label map": Case(
        ("data", "inspect", "-d", "folder:ids", "--label-map", "1=happy,2=sad"), 0, "happy 3"
    ),
    "label of no model": Case(
        ("evaluate", "-d", "folder:unknown", "--split", "train"), 1, "--label-map boredom="
    ),
    "several": Case(
        ("data", "split", "-d", "two", "-d", "ids", "-o", "x.csv"), 2, "2 datasets where one"
    ),
    # Wrong cause.
    "tar named csv": Case(("data", "inspect", "-d", "csv:tar.csv"), 1, "tar archive: unpack it"),
    "large pixels": Case(
        ("data", "inspect", "-d", "fer2013:large.csv"), 0, "sadness 1, surprise 0"
    ),
    "bare fer2013": Case(("data", "inspect", "-d", "fer2013.csv"), 1, "type fer2013:fer2013.csv"),
    "much text": Case(("predict", "text.png"), 0, "text.png"),
    "short jpeg": Case(("predict", "short.jpg"), 0, "short.jpg"),
    "backslashes": Case(("data", "inspect", "-d", "csv:windows.csv"), 0, "train 2"),
    "address": Case(("predict", "https://a.b/c.jpg"), 1, "'https://a.b/c.jpg' is an address"),
    "no such user": Case(("predict", "~nosuch/a.jpg"), 1, "there is no file '~nosuch/a.jpg'"),
    # Writing where nobody asked.
    "installed model": Case(
        ("calibrate", "-m", "mienet_s.ferplus8", "-d", "two"), 2, "is the installed model"
    ),
    "csv as a folder": Case(
        ("predict", "sample", "--format", "csv", "-o", "faces.csv"), 2, "--format csv > faces.csv"
    ),
    # One bad thing stops all.
    "empty among several": Case(("predict", "empty", "sample"), 1, "astronaut"),
    "stop at the first": Case(("predict", "empty", "sample", "--on-error", "stop"), 1, "empty"),
    "damaged face": Case(
        ("evaluate", "-d", "folder:damaged"), 1, "1 of 4 valid pictures cannot be read"
    ),
    "damaged face, compared": Case(
        ("compare", "mienet_s.ferplus8", "mienet_s.faces8", "--no-timing", "-d", "folder:damaged"),
        1,
        "1 of 4 valid pictures could not be read",
    ),
    "stop at a damaged face": Case(
        ("evaluate", "-d", "folder:damaged", "--on-error", "stop"), 1, "error: valid/happiness/bad"
    ),
    "damaged face inspected": Case(("data", "inspect", "-d", "folder:damaged"), 1, "bad.png"),
    # Encodings of lists.
    **{
        f"list in {name}": Case(("predict", f"{name}.txt"), 0, "ü.png")
        for name in ("utf-8-sig", "utf-16", "latin-1")
    },
    # Machine output made for eyes.
    "models": Case(("models", "--format", "json"), 0, '"default": true'),
}


def _faces(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(zlib.crc32(str(folder).encode())).integers(
        0, 256, (count, 48, 48, 3), np.uint8
    )
    for index, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{index}.png")


def _write_sources(place: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    mixed, clips = place / "mixed", place / "clips"
    for folder in (mixed, clips, place / "empty"):
        folder.mkdir()
    frames = [Image.new("RGB", (64, 64), (60 * index, 90, 60)) for index in range(3)]
    for path in (mixed / "moves.gif", clips / "a.gif"):
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    for path in (mixed / "a.ppm", mixed / "a.jpg", place / "ü.png"):
        frames[1].save(path)
    (mixed / "gone.jpg").symlink_to("nowhere.jpg")
    (mixed / "notes.txt").write_text("a note")
    (mixed / "sound.mp3").write_bytes(b"ID3" + bytes(100))
    (place / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic")
    much = PngInfo()
    much.add_text("comment", "x" * 2_000_000)
    frames[1].save(place / "text.png", pnginfo=much)
    (place / "short.jpg").write_bytes(SAMPLE.read_bytes()[:-2])
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        text = '"ü.png";1\r\n'
        (place / f"{encoding}.txt").write_bytes(text.encode(encoding))


def write_clips(place: Path) -> Path:
    """Writes clips, whole and damaged, for which PyAV is needed: the base install has none."""
    from support.clips import write_clip

    frames = list(np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8))
    late = [5000 + index / 25 for index in range(16)]
    write_clip(place / "late.mkv", frames, times_s=late)
    for name in ("damaged.ts", "cut.mkv", "zeros.mp4"):
        path = write_clip(place / name, frames)
        data, half = bytearray(path.read_bytes()), path.stat().st_size // 2
        if name == "cut.mkv":
            del data[half:]
        else:
            length = 100 if name == "zeros.mp4" else half // 5
            data[half : half + length] = bytes(length)
        path.write_bytes(data)
    return place


def _write_datasets(place: Path) -> None:
    for name in ("det/images", "det/labels", "two/happy", "two/sad", "ids/1", "ids/2",
                 "misspelt/happyness", "misspelt/sad", "unknown/boredom", "unknown/sad",
                 "train"):  # fmt: skip
        _faces(place / name)
    for split in ("train", "valid"):
        for label in ("happiness", "sadness"):
            _faces(place / "damaged" / split / label, 2)
    (place / "damaged/valid/happiness/0.png").rename(place / "damaged/valid/happiness/bad.png")
    (place / "damaged/valid/happiness/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with tarfile.open(place / "tar.csv", "w") as archive:
        archive.add(place / "two", "two")
    rows = ["emotion,pixels,Usage"]
    small = " ".join(["1", "200"] * 1152)
    (place / "fer2013.csv").write_text("\n".join([*rows, f"0,{small},Training"]))
    rows += [f"{label},{' '.join([str(label), '200'] * 25_088)},Training" for label in (3, 4)]
    (place / "large.csv").write_text("\n".join(rows))
    (place / "windows.csv").write_text(
        "file_name,label\ntrain\\0.png,happiness\ntrain\\1.png,sadness\n"
    )


def run(words: tuple[str, ...]) -> tuple[object, str]:
    """Runs a command line in this process: its exit code, and all that it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit as stop:
            return stop.code, said.getvalue()
    return None, said.getvalue()


def run_all(clips: Path) -> dict[str, tuple[object, str]]:
    """Makes the inputs, next to the clips, and runs every case."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        shutil.copytree(clips, Path(), dirs_exist_ok=True)
        _write_sources(Path())
        _write_datasets(Path())
        before = set(Path().rglob("*"))
        answers = {case: run(CASES[case].words) for case in CASES}
        answers["files made"] = (0, " ".join(map(str, sorted(set(Path().rglob("*")) - before))))
    return answers


def _run_light(clips: Path) -> dict[str, tuple[object, str]]:
    code = (
        "import json, sys; from support.light import LIBRARIES, block; block(list(LIBRARIES)); "
        "from pathlib import Path; import test_every_input as every; "
        "sys.stdout.write(json.dumps(every.run_all(Path(sys.argv[1]))))"
    )
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, "-c", code, str(clips)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {case: tuple(answer) for case, answer in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], dict[str, tuple[object, str]]]:
    made: dict[str, dict[str, tuple[object, str]]] = {}
    clips = write_clips(tmp_path_factory.mktemp("clips"))

    def of(door: str) -> dict[str, tuple[object, str]]:
        if door not in made:
            made[door] = _run_light(clips) if door == "light" else run_all(clips)
        return made[door]

    return of


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", CASES)
def test_every_input_is_answered(
    name: str, door: str, answers: Callable[[str], dict[str, tuple[object, str]]]
) -> None:
    code, said = answers(door)[name]
    expected, says = CASES[name].expected(door)
    assert "Traceback" not in said
    assert says in " ".join(said.split()), said
    assert code == expected, said


@pytest.mark.parametrize("door", DOORS)
def test_nothing_is_written_unasked(
    door: str, answers: Callable[[str], dict[str, tuple[object, str]]]
) -> None:
    assert answers(door)["files made"] == (0, "")


def _read_to_the_end() -> io.BytesIO:
    stream = io.BytesIO(SAMPLE.read_bytes())
    stream.read()
    return stream


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "rewound to the end": (lambda: mien.predict(_read_to_the_end()), "Call seek(0)"),
    "floats of 0..255": (
        lambda: mien.predict(np.linspace(0, 255, 12_288).reshape(64, 64, 3)),
        "bgr=True",
    ),
    "a list of labels": (
        lambda: mien.EmotionRecognizer(labels=["happy"]),  # type: ignore[arg-type]
        "LabelSchema('mine'",
    ),
    "an empty list of data": (lambda: mien.evaluate(None, []), "dataset"),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_from_python_say_what_to_type(name: str) -> None:
    call, says = CALLS[name]
    with pytest.raises(mien.MienError) as refusal:
        call()
    assert says in str(refusal.value)


def test_one_picture_where_many_are_expected_is_one() -> None:
    found = mien.EmotionRecognizer().predict_many(str(SAMPLE))
    assert len(list(found)) == 1
