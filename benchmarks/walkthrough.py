"""Walks a page of the documentation as a newcomer would, and writes down what was printed.

Every console block marked ``<!-- block: needs the walk -->`` is run, in the order of the pages,
in one folder that holds nothing but an archive of faces as Kaggle's unpack, and with a fresh
environment's programs alone. The text block below it becomes what it printed and how long that
took; a block that ends with another exit code than 0 says so in its mark (``needs the walk, exit
code 1``). Paths are those of the folder; long output is cut in the middle.

Usage: ``python benchmarks/walkthrough.py ../shared docs/walkthrough.md docs/kaggle-to-space.md``.
The faces are those of FER+, under ``data/ferplus`` of the folder named first: the archive's of the
validation split, and those of ``fer2013.csv`` of the training split.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from mien.atomic import write_text
from mien.data import read_manifest
from mien.data.readers.ferplus import VOTE_COLUMNS
from mien.labels import FER7

ROOT = Path(__file__).resolve().parents[1]
#: Folder of Kaggle's archive -> label of FER+, and how many faces of it are taken.
CLASSES = {"angry": ("anger", 260), "happy": ("happiness", 320), "sad": ("sadness", 320)}
MAX_LINES = 48
_BLOCK = re.compile(
    r"(?P<mark><!-- block: needs the walk(?:, exit code (?P<code>\d+))? -->\n)"
    r"```console\n(?P<body>.*?)```\n"
    r"(?:\n```text\n(?P<shown>.*?)```\n)?(?P<took>\n\*\d[^*\n]*\*\n)?",
    re.DOTALL,
)


def write_archive(target: Path, shared: Path) -> None:
    """Lays faces out as the Human Emotions Dataset unpacks, made copies and all.

    A fifth of the faces is ``test``. Of every ninth face a turned or a brightened copy is made
    before the deal, so that some stand in the other split: the archive's own fault.
    """
    valid = read_manifest(f"ferplus:{shared / 'data/ferplus'},mode=majority").split("valid")
    rng = np.random.default_rng(0)
    for folder, (label, count) in CLASSES.items():
        at = np.flatnonzero(valid.class_ids == valid.schema.index(label))
        for number, index in enumerate(rng.permutation(at)[:count].tolist()):
            face = Image.open(io.BytesIO(valid.images.read(index)))
            copies = {f"{number:04}.jpg": face}
            if number % 9 == 0:
                copies[f"{number:04}.jpg_rotation_1.jpg"] = face.rotate(8, expand=False)
            elif number % 9 == 1:
                copies[f"{number:04}.jpg_brightness_1.jpg"] = ImageEnhance.Brightness(face).enhance(
                    1.3
                )
            for name, picture in copies.items():
                split = "test" if rng.random() < 0.2 else "train"
                place = target / "Emotions Dataset" / "Emotions Dataset" / split / folder
                place.mkdir(parents=True, exist_ok=True)
                picture.save(place / name, quality=92)


def write_fer2013(target: Path, shared: Path) -> None:
    """Writes ``fer2013.csv`` and ``fer2013new.csv`` in Kaggle's and FER+'s form."""
    import pyarrow.parquet as pq

    faces, votes = [], []
    table = pq.read_table(shared / "data/ferplus/train.parquet")
    for usage, first, count in (("Training", 0, 1000), ("PublicTest", 1000, 250)):
        for row in table.slice(first, count).to_pylist():
            pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).ravel()
            class_id = FER7.index(row["fer2013"])
            faces.append([class_id, " ".join(map(str, pixels.tolist())), usage])
            votes.append([usage, row["image"]["path"], *(row[column] for column in VOTE_COLUMNS)])
    for file, head, rows in (
        ("fer2013.csv", ["emotion", "pixels", "Usage"], faces),
        ("fer2013new.csv", ["Usage", "Image name", *VOTE_COLUMNS], votes),
    ):
        with (target / file).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([head, *rows])


def build_wheel(target: Path) -> None:
    """Writes the wheel of the tree as it is."""
    subprocess.run([sys.executable, "-m", "venv", str(target / "tools")], check=True)
    command = [str(target / "tools/bin/pip"), "wheel", "-q", "--no-deps", "-w", str(target)]
    subprocess.run([*command, str(ROOT)], check=True)


def tidy(output: str, place: Path) -> str:
    """Takes paths of the machine and trailing blanks out of what was printed, and cuts it."""
    for path, word in ((f"{place}/", ""), (str(place), "."), (str(Path.home()), "~")):
        output = output.replace(path, word)
    # What a bar has overwritten was never to be read.
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in output.split("\n")]
    lines = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > MAX_LINES:
        half = MAX_LINES // 2
        left_out = len(lines) - 2 * half
        lines = [*lines[:half], f"… {left_out} lines …", *lines[-half:]]
    return "\n".join(lines)


def seconds(value: float) -> str:
    """Returns a duration in words.

    >>> seconds(0.44), seconds(7.04), seconds(200)
    ('0.4 s', '7 s', '3 min 20 s')
    """
    if value < 1:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60} s"


def run_block(body: str, place: Path, environment: dict[str, str]) -> tuple[int, str, float]:
    """Runs the commands of a block; returns exit code, output of both streams, and seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        ["bash", "-eu", "-c", body],
        cwd=place, env=environment, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    # Decoded by hand: text mode would make lines of what a bar overwrites.
    return done.returncode, done.stdout.decode("utf-8", "replace"), time.perf_counter() - started


def walk(
    page: Path, place: Path, environment: dict[str, str], *, resume: bool = False
) -> None:  # fmt: skip
    """Runs the blocks of a page and writes what they printed below each, one after the other.

    Args:
        page: Markdown; it is written anew after each block.
        place: Folder to walk in.
        environment: Variables of the commands.
        resume: Leave blocks that have a time already.

    Raises:
        SystemExit: If a block ends with another exit code than its mark says.
    """
    text, at = page.read_text(encoding="utf-8"), 0
    while block := _BLOCK.search(text, at):
        at = block.end()
        if resume and block["took"]:
            continue
        print("+", block["body"].strip(), flush=True)
        code, output, took = run_block(block["body"], place, environment)
        shown = tidy(output, place)
        print(shown, f"({seconds(took)})", sep="\n", flush=True)
        if code != int(block["code"] or 0):
            sys.exit(f"exit code {code}, but the mark says {block['code'] or 0}")
        printed = f"\n```text\n{shown}\n```\n" if shown else ""
        new = f"{block['mark']}```console\n{block['body']}```\n{printed}\n*{seconds(took)}*\n"
        text = text[: block.start()] + new + text[at:]
        at = block.start() + len(new)
        write_text(page, text)


def main() -> None:
    """Runs the pages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--keep", type=Path, help="Folder to walk in; it is not removed.")
    parser.add_argument(
        "--resume", action="store_true", help="Go on in KEEP after the last block that has a time."
    )
    arguments = parser.parse_args()
    if arguments.resume and arguments.keep is None:
        parser.error("--resume needs --keep, the folder of the walk that stopped")
    root = arguments.keep or Path(tempfile.mkdtemp())
    place = root / "walk"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "archive").exists():
        write_archive(place / "archive", arguments.shared)
        write_fer2013(place, arguments.shared)
    if not arguments.resume:
        build_wheel(root)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHON"))}
    environment = {
        **kept,
        "COLUMNS": "100",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PATH": f"{place / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "3",
        "PIP_FIND_LINKS": str(root),  # mien is not on PyPI yet
    }
    for page in arguments.pages:
        walk(page, place, environment, resume=arguments.resume)
    if arguments.keep is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
