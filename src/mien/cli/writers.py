"""Results on stdout, as they come: a table for people, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import os
import sys
from typing import TYPE_CHECKING

from mien.results import ErrorResult, ImageResult, csv_header

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mien.cli.sources import Item

Writer = "Callable[[ImageResult | ErrorResult], None]"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int = 12) -> str:
    """Draws a share as a bar of block characters.

    >>> bar(0.5, 4)
    '██  '
    """
    eighths = round(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def make_writer(
    form: str, items: Sequence[Item], labels: Sequence[str]
) -> Callable[[ImageResult | ErrorResult], None]:
    """Returns a function that prints one result.

    Args:
        form: ``table``, ``json`` or ``csv``.
        items: The pictures to come, for the width of the first column.
        labels: Labels of the answers.
    """
    if form == "json":
        return lambda result: print(result.to_json(), flush=True)
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, csv_header(labels), lineterminator="\n")
        writer.writeheader()
        return lambda result: writer.writerows(result.to_rows(labels))
    return _table(items, labels)


def _table(
    items: Sequence[Item], labels: Sequence[str]
) -> Callable[[ImageResult | ErrorResult], None]:
    name_width = min(max((len(str(item.path)) for item in items), default=6), 40)
    name_width = max(name_width, len("picture"))
    label_width = max(*(len(label) for label in labels), len("emotion"))
    blocks = (sys.stdout.encoding or "").lower().startswith("utf") and not os.environ.get(
        "MIEN_ASCII"
    )
    header = (
        f"{'picture':<{name_width}}  face  {'emotion':<{label_width}}  {'prob.':>6}  "
        f"{'':12}  next best           box (x1 y1 x2 y2)"
    )
    print(header)

    def short(name: str) -> str:
        return name if len(name) <= name_width else "…" + name[-(name_width - 1) :]

    def write(result: ImageResult | ErrorResult) -> None:
        name = short(result.source)
        if isinstance(result, ErrorResult):
            print(f"{name:<{name_width}}  error: {result.error}", flush=True)
            return
        if not result.faces:
            print(f"{name:<{name_width}}  no face found", flush=True)
        for number, face in enumerate(result.faces, 1):
            ranked = sorted(face.probs.items(), key=lambda pair: -pair[1])
            second = f"{ranked[1][0]} {ranked[1][1]:.0%}"
            drawn = (
                bar(face.confidence) if blocks else ("#" * round(face.confidence * 12)).ljust(12)
            )
            box = " ".join(f"{value:.0f}" for value in face.box_xyxy)
            print(
                f"{name if number == 1 else '':<{name_width}}  {number:>4}  "
                f"{face.emotion + '?' * face.uncertain:<{label_width + 1}} "
                f"{face.confidence:>6.1%}  {drawn}  "
                f"{second:<18}  {box}",
                flush=True,
            )

    return write
