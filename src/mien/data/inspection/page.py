"""The page of an inspection, which opens offline (extra ``eval``)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from mien.data.filenames import printable
from mien.errors import MienError
from mien.images import decode
from mien.reporting.pages import draw, render
from mien.reporting.text import counted
from mien.reporting.theme import Theme, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from mien.arrays import U8, Floats
    from mien.data.image_stores import ImageStore
    from mien.data.inspection.finding import Finding, Inspection

#: What the page shows of long lists; the rest is in the JSON.
_CASES, _PICTURES, _LINES = 12, 6, 40
_SAMPLES, _COLUMNS, _SIDE, _GAP = 28, 14, 56, 2


def inspection_page(inspection: Inspection) -> str:
    """Returns the page: leakage first, then faults, the data itself, and notes.

    Pictures are embedded; nothing is loaded from anywhere. Of long lists the first cases are
    shown and the rest is in the JSON.
    """
    manifest, findings = inspection.manifest, inspection.findings
    faults = sum(item.level == "fault" for item in findings)
    counts = manifest.counts()
    splits = " · ".join(f"{int((manifest.splits == s).sum()):,} {s}" for s in counts)
    return render(
        "inspection.html",
        title=printable(manifest.source),
        subtitle=(
            f"{len(manifest):,} pictures ({splits}) · {len(manifest.schema)} labels "
            f"({manifest.schema.name}) · {_kinds(len(inspection.leaks), 'leak')} · "
            f"{_kinds(faults, 'fault')}"
        ),
        inspection=inspection,
        serious=[_finding(inspection, item) for item in findings if item.level != "note"],
        notes=[_finding(inspection, item) for item in findings if item.level == "note"],
        classes=_classes(counts, manifest.schema.labels),
        splits=list(counts),
        unlabelled=int((manifest.class_ids < 0).sum()),
        samples=_samples(inspection),
        measures=_measures(inspection),
        spellings={
            label: [(printable(name), count) for name, count in names.items()]
            for label, names in inspection.spellings.items()
        },
    )


def _kinds(count: int, what: str) -> str:
    return counted(count, f"kind of {what}", f"kinds of {what}") if count else f"no {what}"


def _finding(inspection: Inspection, item: Finding) -> dict[str, Any]:
    cases = [
        _case(inspection, group, item.details[at] if item.details else "")
        for at, group in enumerate(item.groups[:_CASES])
    ]
    lines = [] if cases else [printable(line) for line in item.details[:_LINES]]
    return {
        "item": item,
        "meaning": item.meaning.split("`"),
        "cases": cases,
        "lines": lines,
        "left": item.count - len(cases or lines),
    }


def _case(inspection: Inspection, group: tuple[int, ...], line: str) -> dict[str, Any]:
    manifest = inspection.manifest
    labels = (*manifest.schema.labels, "no majority")  # -1 is the last one
    name = inspection.keys(group[:1])[0]
    return {
        "pictures": [
            {
                "key": inspection.keys((index,))[0],
                "picture": _small(manifest.images, index, 96),
                "label": labels[manifest.class_ids[index]],
                "split": str(manifest.splits[index]),
            }
            for index in group[:_PICTURES]
        ],
        "more": len(group) - _PICTURES,
        "line": printable(line),
        "name": name if len(name) <= 44 else f"…{name[-43:]}",
    }


def _classes(
    counts: dict[str, dict[str, int]], labels: Sequence[str]
) -> list[tuple[str, list[tuple[str, int, float, float]]]]:
    """Returns by label and split: the pictures, their share, and the length of the bar, 0..100."""
    totals = {split: max(sum(found.values()), 1) for split, found in counts.items()}
    shares = {s: {name: n / totals[s] for name, n in found.items()} for s, found in counts.items()}
    top = max((share for found in shares.values() for share in found.values()), default=0) or 1
    return [
        (name, [(s, counts[s][name], shares[s][name], 100 * shares[s][name] / top) for s in counts])
        for name in labels
    ]


def _small(images: ImageStore, index: int, side: int) -> U8 | None:
    """Returns a picture that fits a square of ``side`` pixels, None if it cannot be read."""
    try:
        picture = Image.fromarray(decode(images.read(index)))
    except MienError:
        return None
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _samples(inspection: Inspection) -> list[dict[str, Any]]:
    """Returns the mean face of each class, and a sheet of faces drawn at random."""
    manifest, scan = inspection.manifest, inspection.scan
    rng = np.random.default_rng(0)
    samples = []
    for k, label in enumerate(manifest.schema.labels):
        at = np.flatnonzero((manifest.class_ids == k) & scan.readable)
        if len(at):
            chosen = np.sort(rng.choice(at, min(_SAMPLES, len(at)), replace=False))
            mean = np.clip(scan.mean_faces[k], 0, 255).astype(np.uint8)
            sheet = _sheet(manifest.images, chosen.tolist())
            mean_rgb = np.repeat(mean[:, :, None], 3, axis=2)
            samples.append({"label": label, "mean": mean_rgb, "sheet": sheet})
    return samples


def _sheet(images: ImageStore, indices: Sequence[int]) -> U8:
    """Lays pictures out in rows, each cut to its centred square."""
    faces = [face for index in indices if (face := _small(images, index, 4 * _SIDE)) is not None]
    columns, step = min(_COLUMNS, max(len(faces), 1)), _SIDE + _GAP
    rows = -(-len(faces) // columns) or 1
    sheet = Image.new("RGB", (columns * step - _GAP, rows * step - _GAP), (128, 128, 128))
    for at, face in enumerate(faces):
        small = ImageOps.fit(Image.fromarray(face), (_SIDE, _SIDE), Image.Resampling.BICUBIC)
        sheet.paste(small, (at % columns * step, at // columns * step))
    return np.asarray(sheet)


def _measures(inspection: Inspection) -> list[dict[str, Any]]:
    scan, keep = inspection.scan, inspection.scan.readable
    if not keep.any():
        return []
    measures = {
        "side, pixels": (np.sqrt(np.prod(scan.sizes.astype(np.float64), axis=1)), True),
        "brightness, 0 to 255": (scan.brightness, False),
        "contrast, standard deviation": (scan.contrast, False),
        "sharpness, Laplacian variance": (scan.sharpness, True),
    }
    return [
        {
            "title": title,
            "diagram": draw(partial(plot_histogram, values[keep], log=log)),
            "note": f"median {_number(np.median(values[keep]))}",
        }
        for title, (values, log) in measures.items()
    ]


def plot_histogram(values: Floats, theme: Theme, *, log: bool) -> Figure:
    """Draws a histogram with its lowest and highest value; ``log`` makes steps of equal ratio."""
    shown = np.log2(1 + values.astype(np.float64)) if log else values.astype(np.float64)
    low, high = float(shown.min()), float(shown.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(shown, bins=40, range=(low, high))
    figure, axes = new_figure(theme, 2.8, 1.6)
    axes.bar(edges[:-1], counts, width=0.85 * np.diff(edges), align="edge", color=theme.accent)
    # A few pictures far out are what a histogram is read for: never shorter than a line.
    axes.vlines(edges[:-1][counts > 0], 0, 0.02 * counts.max(), color=theme.accent)
    axes.grid(visible=False)
    axes.set_yticks([])
    ends = [shown.min(), shown.max()] if values.min() < values.max() else [shown.min()]
    axes.set_xticks(ends, [_number(v) for v in (values.min(), values.max())][: len(ends)])
    return figure


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"
