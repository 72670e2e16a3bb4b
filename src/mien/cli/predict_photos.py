"""``mien predict`` of photos: a table for people, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import os
import sys
from typing import TYPE_CHECKING

from mien.cli.printing import Manner, failed, print_notes, progress_bar
from mien.cli.sources import Outputs
from mien.errors import InputError
from mien.results import ErrorResult, ImageResult, csv_header
from mien.results.wording import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.cli.sources import Item
    from mien.jobs.config import JobConfig

    Write = Callable[[ImageResult | ErrorResult], None]

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def predict_photos(items: list[Item], config: JobConfig, output: Path | None, how: Manner) -> None:
    """Answers photos in order and prints a row each; with ``output``, draws them too."""
    outputs = Outputs(output, items, overwrite=how.overwrite) if output else None
    recognizer = config.open_recognizer(threads=0)
    good, bad = [index for index, item in enumerate(items) if not item.fault], 0
    paths = [items[index].path for index in good]
    write = make_writer(how.form, [item.name for item in items], recognizer.labels)
    for item in items:
        if item.fault:
            bad += 1
            write(ErrorResult(item.name, item.fault, InputError.__name__))
    notes: list[str] = []
    with progress_bar("predict", len(items), quiet=how.quiet) as advance:
        stream = recognizer.stream(
            paths, workers=config.workers or None, keep_images=outputs is not None
        )
        for index, (result, image_rgb) in zip(good, stream, strict=True):
            write(result)
            if isinstance(result, ImageResult) and how.form != "json":  # which has them itself
                notes += (f"{items[index].name}: {warning}" for warning in result.warnings)
            if isinstance(result, ErrorResult):
                bad += 1
                if how.on_error == "stop":
                    raise failed(f"stopped at {items[index].path}, which could not be read")
            elif outputs is not None and image_rgb is not None:
                outputs.save(index, result.draw(image_rgb))
            advance(1)
    print_notes(notes)
    if bad:
        what = "picture" if len(items) == 1 else f"of {len(items)} pictures"
        raise failed(f"{bad} {what} could not be read")


def make_writer(form: str, names: Sequence[str], labels: Sequence[str]) -> Write:
    """Prints the head of what is to come and returns a function that prints one result."""
    if form == "json":
        return lambda result: print(result.to_json(), flush=True)
    if form == "table":
        return _table(names, labels)
    writer = csv.DictWriter(sys.stdout, csv_header(labels), lineterminator="\n")
    writer.writeheader()

    def write(result: ImageResult | ErrorResult) -> None:
        writer.writerows(result.to_rows(labels))
        sys.stdout.flush()

    return write


def bar(share: float, width: int = 12) -> str:
    """Draws a share as a bar of block characters.

    >>> bar(0.5, 4)
    '██  '
    """
    whole, rest = divmod(round(share * width * 8), 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _table(names: Sequence[str], labels: Sequence[str]) -> Write:
    name_width = max(min(max(map(len, names), default=6), 40), len("picture"))
    label_width = max(*map(len, labels), len("emotion"))
    is_utf = (sys.stdout.encoding or "").lower().startswith("utf")
    blocks = is_utf and not os.environ.get("MIEN_ASCII")
    print(
        f"{'picture':<{name_width}}  face  {'emotion':<{label_width}}  {'prob.':>8}  "
        f"{'':12}  next best           box (x1 y1 x2 y2)"
    )

    def write(result: ImageResult | ErrorResult) -> None:
        name = result.source
        name = name if len(name) <= name_width else "…" + name[-(name_width - 1) :]
        if isinstance(result, ErrorResult):
            print(f"{name:<{name_width}}  error: {result.error}", flush=True)
            return
        if not result.faces:
            print(f"{name:<{name_width}}  no face found", flush=True)
        for number, face in enumerate(result.faces, 1):
            label, probability = sorted(face.probs.items(), key=lambda pair: -pair[1])[1]
            drawn = bar(face.confidence) if blocks else f"{'#' * round(face.confidence * 12):<12}"
            box = " ".join(f"{value:.0f}" for value in face.box_xyxy)
            print(
                f"{name if number == 1 else '':<{name_width}}  {number:>4}  "
                f"{face.emotion + '?' * face.uncertain:<{label_width + 1}} "
                f"{percent(face.confidence, 1):>8}  {drawn}  "
                f"{f'{label} {percent(probability)}':<18}  {box}",
                flush=True,
            )

    return write
