"""Records a training in a terminal and keeps the pictures of its run, for the documents.

Usage: ``python scripts/training_cast.py``, with the train extra and ``pip install pyte``. It draws
faces, so that no face of a dataset is shown, trains on them as a user would, in a terminal of
80 columns, and writes to ``docs/images``: ``training.cast`` (asciinema's format, version 2),
``training.webp``, the same as a moving picture, and ``run_*.png``. ``--replay`` draws the moving
picture anew from the recording.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import json
import math
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pyte
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PICTURES = ("curves", "confusion", "valid_faces", "augmented")
LABELS = ("happiness", "sadness", "neutral")
COMMAND = f"mien train -d folder:faces --labels {','.join(LABELS)} --preset small"
COLUMNS, ROWS = 80, 36
#: Seconds: a keystroke, a frame, the longest wait that is shown, the end, all before it.
KEY_S, FRAME_S, WAIT_S, END_S, WHOLE_S = 0.03, 0.2, 0.8, 6.0, 40.0
CELL_W, CELL_H, EDGE = 9, 19, 14
PAPER, INK = "#161b22", "#e6edf3"
#: Names of pyte's colours -> ours; others are hexadecimal numbers.
COLORS = {
    "default": INK, "black": "#6e7681", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341",
    "blue": "#79a8f5", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": INK,
}  # fmt: skip

Event = tuple[float, str]
#: What clears a line; and a line that was cleared before another one began.
_CLEAR = "\r\x1b[2K"
_REDRAWN = re.compile(r"\r\x1b\[2K(?:[^\r\n]*\r\x1b\[2K)+")


def record(command: str, folder: Path) -> Iterator[Event]:
    """Runs a command of mien's in a pseudo terminal; yields when it printed what."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    words = [sys.executable, "-m", *command.split()]
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    begun = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - a command of this script
        words, cwd=folder, env=settings, stdin=slave, stdout=slave, stderr=slave, close_fds=True
    ) as process:
        os.close(slave)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not data:
                break
            yield time.perf_counter() - begun, decode(data)
        os.close(master)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")


def merged(events: list[Event]) -> list[Event]:
    """Puts together what came within a frame, without bars that were drawn over at once."""
    kept: list[Event] = []
    for when, text in events:
        if kept and when - kept[-1][0] < FRAME_S:
            kept[-1] = (kept[-1][0], kept[-1][1] + text)
        else:
            kept.append((when, text))
    return [(when, _REDRAWN.sub(_CLEAR, text)) for when, text in kept]


def typed(command: str, events: list[Event]) -> list[Event]:
    """Puts the typing of the command before what it printed."""
    keys = [(at * KEY_S, key) for at, key in enumerate(f"$ {command}")]
    start = keys[-1][0] + 0.5
    return [*keys, (start, "\r\n"), *((start + when, text) for when, text in events)]


def write_cast(path: Path, events: list[Event]) -> None:
    """Writes a recording in asciinema's format."""
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": COMMAND}
    lines = [json.dumps(head), *(json.dumps([round(at, 3), "o", text]) for at, text in events)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_cast(path: Path) -> list[Event]:
    """Reads a recording."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines()[1:])
    return [(at, text) for at, _, text in rows]


def frames(events: list[Event]) -> tuple[list[Image.Image], list[int]]:
    """Returns pictures of the terminal and how many milliseconds each stays.

    A long recording is shown faster, in ``WHOLE_S``.
    """
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    pace, pictures, times = max(1.0, events[-1][0] / WHOLE_S), [], [-math.inf]
    for at, (when, text) in enumerate(events, 1):
        stream.feed(text)
        if at == len(events) or when - times[-1] >= FRAME_S * pace:
            pictures.append(draw(screen))
            times.append(when)
    waits = [min((after - before) / pace, WAIT_S) for before, after in pairwise(times[1:])]
    return pictures, [round(1000 * wait) for wait in (*waits, END_S)]


def draw(screen: Any) -> Image.Image:
    """Draws a terminal as it stands."""
    size = (2 * EDGE + CELL_W * COLUMNS, 2 * EDGE + CELL_H * ROWS)
    image = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(image)
    for y in range(ROWS):
        for x, cell in screen.buffer[y].items():
            if cell.data.strip():
                color = COLORS.get(cell.fg, f"#{cell.fg}")
                place = (EDGE + x * CELL_W, EDGE + y * CELL_H)
                pen.text(place, cell.data, fill=color, font=FONT)
    return image


def write_moving(path: Path, events: list[Event]) -> None:
    """Writes a recording as a moving picture."""
    pictures, durations = frames(events)
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=durations, loop=0,
        lossless=True, method=4,
    )  # fmt: skip
    print(f"{path}: {len(pictures)} frames, {path.stat().st_size // 1000} KB")


def dim_face(label: str, seed: int) -> Image.Image:
    """Draws a face in bad light and grain, so that some of them are taken for others."""
    from support.faces import draw_face

    rng = np.random.default_rng(seed)
    light = Image.fromarray(rng.uniform(0, 255, (5, 5)).astype(np.float32))
    field = np.asarray(light.resize((48, 48), Image.Resampling.BICUBIC))
    share = rng.uniform(0.08, 0.4)
    face = np.asarray(draw_face(label, seed), np.float32)
    mixed = share * face + (1 - share) * field + rng.normal(0, 9, field.shape)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def draw_faces(folder: Path, per_class: int) -> None:
    """Draws faces, a third as many for validation as for training."""
    sys.path.insert(0, str(ROOT / "tests"))
    for split, count in (("train", per_class), ("valid", per_class // 3)):
        for at, label in enumerate(LABELS):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(count):
                seed = 10_000 * at + number + (5_000 if split == "valid" else 0)
                dim_face(label, seed).save(place / f"{number:03}.png")


def train(folder: Path, per_class: int) -> list[Event]:
    """Trains on drawn faces, keeps the pictures of the run, returns what was printed."""
    draw_faces(folder / "faces", per_class)
    events = typed(COMMAND, merged(list(record(COMMAND, folder))))
    for name in PICTURES:
        shutil.copy(folder / "runs" / "train" / f"{name}.png", IMAGES / f"run_{name}.png")
    return events


FONT = ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/DejaVuSansMono.ttf", 15)


def main() -> None:
    """Records, or draws what is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replay", action="store_true", help="draw the recording that is there")
    parser.add_argument("--per-class", type=int, default=60, help="training faces of each")
    given = parser.parse_args()
    cast = IMAGES / "training.cast"
    if not given.replay:
        with tempfile.TemporaryDirectory() as folder:
            write_cast(cast, train(Path(folder), given.per_class))
    write_moving(IMAGES / "training.webp", read_cast(cast))


if __name__ == "__main__":
    main()
