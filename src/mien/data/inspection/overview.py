"""The parts of the report that show the data itself."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.charts import histogram, split_bars
from mien.data.inspection.finding import readable_name
from mien.data.inspection.pictures import array_url, sheet_url

if TYPE_CHECKING:
    from mien.data.inspection.finding import Inspection

_SAMPLES = 28


def page_text(value: object) -> str:
    """Returns any value as text that stands safely in the page."""
    return html.escape(readable_name(str(value)))


def classes(inspection: Inspection) -> str:
    """Returns a table of pictures by class and split, with bars of their shares."""
    table = inspection.manifest.counts()
    rows = []
    for label in inspection.manifest.schema.labels:
        counts = {split: found[label] for split, found in table.items()}
        cells = "".join(
            f'<td class="num{"" if n else " zero"}">{n:,}</td>' for n in counts.values()
        )
        rows.append(
            f"<tr><th>{page_text(label)}</th>{cells}<td>{split_bars(table, label)}</td></tr>"
        )
    lost = int((inspection.manifest.class_ids < 0).sum())
    note = f'<p class="more">{lost:,} pictures have no majority label</p>' if lost else ""
    head = "".join(f'<th class="num"><span class="split {s}">{s}</span></th>' for s in table)
    return (
        "<h2>Classes</h2><p>Counts, and the share of each class within its split: bars of one "
        'class should be of like length.</p><div class="wide"><table><thead><tr><th></th>'
        f"{head}<th></th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def samples(inspection: Inspection) -> str:
    """Returns the mean face of each class, and a sheet of faces drawn at random."""
    manifest, scan = inspection.manifest, inspection.scan
    rng = np.random.default_rng(0)
    rows = []
    for k, label in enumerate(manifest.schema.labels):
        at = np.flatnonzero((manifest.class_ids == k) & scan.readable)
        if not len(at):
            continue
        chosen = np.sort(rng.choice(at, min(_SAMPLES, len(at)), replace=False))
        sheet = sheet_url(manifest.images, chosen.tolist(), columns=14)
        name = page_text(label)
        rows.append(
            f'<div class="sample"><figure><img class="mean" src="{array_url(scan.mean_faces[k])}" '
            f'alt="mean face of {name}"><figcaption>{name}</figcaption></figure>'
            f'<img class="sheet" src="{sheet}" alt="faces labelled {name}"></div>'
        )
    return (
        "<h2>Mean faces and samples</h2><p>The mean of all readable faces of a class, and faces "
        f"drawn at random.</p>{''.join(rows)}"
    )


def measures(inspection: Inspection) -> str:
    """Returns histograms of size, brightness, contrast and sharpness."""
    scan = inspection.scan
    keep = scan.readable
    if not keep.any():
        return ""
    side = np.sqrt(np.prod(scan.sizes[keep].astype(np.float64), axis=1))
    charts = [
        histogram("side, pixels", side, log=True),
        histogram("brightness, 0 to 255", scan.brightness[keep]),
        histogram("contrast, standard deviation", scan.contrast[keep]),
        histogram("sharpness, Laplacian variance", scan.sharpness[keep], log=True),
    ]
    return f'<h2>Measures</h2><div class="charts">{"".join(charts)}</div>'


def spellings(inspection: Inspection) -> str:
    """Returns a table of how the data spells its labels, empty where nothing is known."""
    rows = [
        f"<tr><th>{page_text(label)}</th><td>"
        + ", ".join(f"<code>{page_text(name)}</code> {n:,}" for name, n in found.items())
        + "</td></tr>"
        for label, found in inspection.spellings.items()
    ]
    if not rows:
        return ""
    return f"<h2>Label spellings</h2><table><tbody>{''.join(rows)}</tbody></table>"
