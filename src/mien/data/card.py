"""Dataset cards, written from what an inspection measured: no figure is typed by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import printable
from mien.data.inspection.checks import name_groups
from mien.data.registry import parse_spec
from mien.errors import MienError
from mien.images import decode
from mien.reporting.text import card_metadata, counted, markdown_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.data.inspection import Finding, Inspection

__all__ = ["COLOR_SAMPLE", "dataset_card"]

#: Pictures that are opened to tell gray from colour, spread evenly over the data.
COLOR_SAMPLE = 500
#: Upper ends of the Hub's size categories, and their names.
_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)  # fmt: skip
_COPIES = re.compile(r"(exact|near|mirrored|stem|subject)_|conflicting_labels")


def dataset_card(
    inspection: Inspection, *, name: str | None = None, license: str = "unknown"  # noqa: A002
) -> str:  # fmt: skip
    """Returns the card of a dataset as Markdown with the Hub's metadata block.

    It holds neither paths of the machine nor names of pictures or subjects.

    Args:
        inspection: What was measured.
        name: What to call the dataset; None: the last part of its path.
        license: Its licence, an identifier of the Hub's list or any other words.
    """
    kind, path, options = parse_spec(inspection.manifest.source)
    title = _plain(name or path.resolve().stem or kind)
    read = kind + ":" + path.resolve().name + "".join(f",{k}={v}" for k, v in options.items())
    parts = {
        "Classes": _classes(inspection),
        "Pictures": _pictures(inspection),
        "Copies": _copies(inspection),
        "Agreement of the raters": _agreement(inspection),
        "Known gaps": _gaps(inspection),
        "Licence": _terms(license),
        "How it was read": _reading(inspection, _plain(read)),
    }
    sections = "\n\n".join(f"## {head}\n\n{text}" for head, text in parts.items())
    count = len(inspection.manifest)
    # The fields are those of https://huggingface.co/docs/hub/datasets-cards.
    fields = {
        "pretty_name": title,
        "task_categories": ["image-classification"],
        "size_categories": [next((word for end, word in _SIZES if count < end), "n>10M")],
    }
    front = card_metadata(license, fields)
    return f"{front}\n# {title}\n\n{_what(inspection)}\n\n{sections}\n"


def _plain(text: str) -> str:
    """Returns a name that can stand in a table of Markdown."""
    return printable(text).replace("|", "\\|").replace("\n", " ").strip()


def _what(inspection: Inspection) -> str:
    manifest = inspection.manifest
    counts = {split: int((manifest.splits == split).sum()) for split in manifest.counts()}
    splits = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    labels = ", ".join(f"`{_plain(label)}`" for label in manifest.schema.labels)
    return (
        f"{len(manifest):,} labelled pictures for reading facial expressions ({splits}), with "
        f"{len(manifest.schema)} labels: {labels}. A label says what an expression looked like to "
        "whoever labelled it, not what the person felt."
    )


def _classes(inspection: Inspection) -> str:
    manifest = inspection.manifest
    table = manifest.counts()
    totals = {split: max(sum(found.values()), 1) for split, found in table.items()}
    rows = [
        [_plain(label), *(f"{n[label]:,} ({n[label] / totals[s]:.1%})" for s, n in table.items())]
        for label in manifest.schema.labels
    ]
    lost = [int((manifest.class_ids[manifest.splits == s] < 0).sum()) for s in table]
    rows += [["no majority label", *(f"{count:,}" for count in lost)]] * any(lost)
    text = markdown_table(["class", *table], rows)
    found = [sum(n[label] for n in table.values()) for label in manifest.schema.labels]
    if min(found) > 0:
        times = f"{max(found) / min(found):.1f} times as many pictures as the smallest."
        text += f"\n\nThe largest class holds {times}"
    return text


def _pictures(inspection: Inspection) -> str:
    scan, measures = inspection.scan, inspection.scan.summary()
    if not measures:
        return f"None of the {len(inspection.manifest):,} pictures can be decoded."
    sizes = ", ".join(f"{w}x{h} ({count:,})" for w, h, count in measures["sizes"])
    columns = ("p0", "p5", "p50", "p95", "p100")
    names = ("width", "height", "brightness", "contrast", "sharpness")
    rows = [[name, *(f"{measures[name][q]:g}" for q in columns)] for name in names]
    return (
        f"{int(scan.readable.sum()):,} of {len(inspection.manifest):,} can be decoded. "
        f"{measures['different_sizes']} different size(s) in pixels, the most common: {sizes}. "
        f"{_colour(inspection)}\n\n"
        + markdown_table(["measure", "lowest", "5 %", "median", "95 %", "highest"], rows)
        + "\n\nBrightness is the mean of the gray picture (0 to 255), contrast its standard "
        "deviation, sharpness the variance of its Laplacian."
    )


def _colour(inspection: Inspection) -> str:
    """Returns how many pictures have a pixel whose channels differ, of a sample if need be."""
    at = np.flatnonzero(inspection.scan.readable)
    sample = at[np.unique(np.linspace(0, len(at) - 1, min(COLOR_SAMPLE, len(at))).astype(int))]
    gray = seen = 0
    for index in sample.tolist():
        try:
            image_rgb = decode(inspection.manifest.images.read(index))
        except MienError:
            continue  # Gone since it was inspected.
        seen += 1
        gray += bool((image_rgb == image_rgb[:, :, :1]).all())
    part = "" if seen == len(at) else f" (of {seen:,} checked, spread evenly)"
    return f"{gray:,} are gray and {seen - gray:,} in colour{part}."


def _copies(inspection: Inspection) -> str:
    near = inspection.settings.get("near")
    searched = (
        "Searched for: byte-identical pictures, pictures that look alike upright or mirrored "
        f"(correlation of {near:g} or more), copies made of one source picture, and subjects in "
        "more than one split."
    )
    verdict = "No copies are in more than one split."
    if inspection.leaks:
        verdict = (
            "**The splits leak: scores measured on them are too good.** `mien data split` makes "
            "splits that do not."
        )
    found = _listed(item for item in inspection.findings if _COPIES.match(item.kind))
    return "\n\n".join(filter(None, [searched, verdict, found]))


def _listed(findings: Iterable[Finding]) -> str:
    return "\n".join(f"- {item.level}: {_plain(item.title)}" for item in findings)


def _agreement(inspection: Inspection) -> str:
    manifest = inspection.manifest
    chosen = np.flatnonzero(manifest.class_ids >= 0)
    if not len(chosen) or (manifest.targets.max(axis=1) > 1 - 1e-6).all():
        return (
            "The data holds one label per picture and no votes: how far raters agree is not known."
        )
    shares = manifest.targets[chosen, manifest.class_ids[chosen]].astype(np.float64)
    rows = []
    for class_id, label in enumerate(manifest.schema.labels):
        inside = shares[manifest.class_ids[chosen] == class_id]
        shown = f"{inside.mean():.1%}" if len(inside) else "none"
        rows.append([_plain(label), f"{len(inside):,}", shown])
    rows.append(["all", f"{len(shares):,}", f"{shares.mean():.1%}"])
    lost = counted(len(manifest) - len(chosen), "picture has", "pictures have")
    return (
        f"On {len(chosen):,} pictures with a majority label, {shares.mean():.1%} of the votes go "
        f"to it on average; {(shares > 1 - 1e-6).mean():.1%} of these pictures are unanimous. "
        f"{lost} no majority. These are the votes that the reader gives.\n\n"
        + markdown_table(["class", "pictures", "votes for it"], rows)
    )


def _gaps(inspection: Inspection) -> str:
    manifest = inspection.manifest
    lacking = np.flatnonzero((manifest.targets > 0).sum(axis=0) == 0).tolist()
    absent = [_plain(manifest.schema.labels[k]) for k in lacking]
    lines = [f"- no picture of: {', '.join(absent)}"] * bool(absent)
    splits = manifest.counts()
    lines += [f"- all pictures are in one split, {next(iter(splits), '')}"] * (len(splits) == 1)
    if not name_groups(manifest)[1]:
        lines.append("- who is on which picture is not known: people may be in several splits")
    # The remarks of a reader may name folders of the machine.
    others = [f for f in inspection.findings if f.kind != "reader" and not _COPIES.match(f.kind)]
    lines += filter(None, [_listed(others)])
    lines.append(
        "- not measured, because no file tells it: where and when the pictures were taken, whether "
        "the people agreed, their age, sex, skin tone and culture, and how the raters were asked"
    )
    return "\n".join(lines)


def _terms(terms: str) -> str:
    if terms == "unknown":
        return (
            "Unknown: nobody has stated under which terms these pictures and labels may be used. "
            "Ask whoever published them before you use or pass them on."
        )
    return f"`{_plain(terms)}`, as the writer of this card states. It was not checked."


def _reading(inspection: Inspection, read: str) -> str:
    from mien import __version__

    manifest = inspection.manifest
    return (
        f"`mien data card -d {read}`, mien {__version__}, copies kept, labels as "
        f"`{_plain(manifest.schema.name)}`. Fingerprint of names, labels, targets and splits "
        f"(sha256): `{manifest.fingerprint()}`."
    )
