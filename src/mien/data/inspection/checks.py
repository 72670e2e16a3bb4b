"""Findings by names, labels and measures: made copies, subjects, spellings, odd files, outliers."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from mien.data.balance import balance_remarks
from mien.data.filenames import is_picture, is_utf8, source_stem
from mien.data.inspection.duplicates import FLAT_CONTRAST, is_across, splits_of
from mien.data.inspection.finding import Finding, found
from mien.data.readers.csvfile import METADATA, read_table
from mien.data.registry import ReadRequest, parse_spec
from mien.data.split import SPLIT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.arrays import I64
    from mien.data.inspection.scan import Scan
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

#: Measure -> smallest distance from the quartiles of an outlier, and words for the two ends.
_MEASURES = {
    "size": (0.9, "small", "large"),
    "brightness": (50.0, "dark", "bright"),
    "contrast": (30.0, "pale", "harsh"),
    "sharpness": (3.0, "blurred", "sharp or noisy"),
}


def name_groups(manifest: Manifest) -> tuple[list[tuple[int, ...]], bool]:
    """Returns pictures made of one source picture, and whether the data's groups are subjects.

    Copies made offline carry the name of their source (``2801.jpg_rotation_1.jpg``). Equal names
    alone tell nothing (every folder may have its ``1.jpg``), so a group has one made copy at least.
    """
    sources = [source_stem(manifest.images.key(index)) for index in range(len(manifest))]
    by_stem: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for index, (stem, _) in enumerate(sources):
        dataset = "" if manifest.sources is None else str(manifest.sources[index])
        by_stem[int(manifest.class_ids[index]), stem, dataset].append(index)
    stems = [tuple(at) for at in by_stem.values() if len(at) > 1 and any(sources[i][1] for i in at)]
    if manifest.groups is None:
        return stems, False
    named = all(
        str(group).rsplit("/", 1)[-1] == stem
        for group, (stem, _) in zip(manifest.groups, sources, strict=True)
    )
    return stems, not named


def group_findings(manifest: Manifest) -> list[Finding]:
    """Returns made copies of one picture, and subjects, that are in more than one split."""
    stems, subjects = name_groups(manifest)
    listed = []
    for end, where in (("across", "across splits"), ("within", "within a split")):
        part = [g for g in stems if is_across(manifest, g) == (end == "across")]
        words = "source picture has", "source pictures have"
        lines = (
            f"{source_stem(manifest.images.key(g[0]))[0]} · {splits_of(manifest, g)}" for g in part
        )
        listed += found(f"stem_{end}", words, f"augmented copies {where}", part, lines)
    if subjects and manifest.groups is not None:
        members: dict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(manifest.groups.tolist()):
            members[group].append(index)
        shared = {name: tuple(at) for name, at in members.items() if is_across(manifest, at)}
        lines = (f"{name} · {splits_of(manifest, at)}" for name, at in shared.items())
        words, rest = ("subject is", "subjects are"), "in more than one split"
        listed += found("subject_across", words, rest, shared.values(), lines)
    return listed


def class_findings(manifest: Manifest) -> list[Finding]:
    """Returns classes that a split lacks and another has."""
    table = manifest.counts()
    lines = [
        f"{split} has no {label}"
        for label in manifest.schema.labels
        if any(counts[label] for counts in table.values())
        for split, counts in table.items()
        if not counts[label]
    ]
    words = "class is", "classes are"
    return found("missing_class", words, "absent from a split", lines=lines)


def balance_findings(manifest: Manifest) -> list[Finding]:
    """Returns remarks on counts, see :func:`mien.data.balance.balance_remarks`."""
    lines: dict[str, list[str]] = defaultdict(list)
    for kind, line in balance_remarks(manifest.counts()):
        lines[kind].append(line)
    words = {
        "imbalance": (("split is", "splits are"), "uneven"),
        "share_shift": (("class has", "classes have"), "another share in another split"),
        "few_faces": (("part is", "parts are"), "too small"),
    }
    return [item for kind in lines for item in found(kind, *words[kind], lines=lines[kind])]


def spelling_findings(spellings: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """Returns labels that the data spells in more than one way."""
    lines = [
        f"{label}: " + ", ".join(f"{name!r} ({n})" for name, n in sorted(counts.items()))
        for label, counts in spellings.items()
        if len(counts) > 1
    ]
    words = "label is", "labels are"
    return found("label_spellings", words, "spelt in more than one way", lines=lines)


def count_spellings(manifest: Manifest, request: ReadRequest) -> dict[str, dict[str, int]]:
    """Returns, by label, how often a class folder or cell spells it each way; empty if unknown."""
    kind, names = parse_spec(request.spec)[0], None
    if kind in {"folder", "hes"}:
        keys = map(manifest.images.key, range(len(manifest)))
        names = [_class_folder(key, manifest.schema) for key in keys]
    elif kind == "csv":
        names = read_table(request.path).cells("label")
    if names is None or len(names) != len(manifest):
        return {}
    ids = manifest.class_ids.tolist()
    pairs = Counter((k, name) for k, name in zip(ids, names, strict=True) if k >= 0 and name)
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for (k, name), count in sorted(pairs.items()):
        counts[manifest.schema.labels[k]][name] = count
    return dict(counts)


def _class_folder(name: str, schema: LabelSchema) -> str:
    parts = PurePosixPath(name).parts[:-1]
    for at, part in enumerate(parts):
        if part.strip().casefold() in SPLIT_NAMES and at + 1 < len(parts):
            return parts[at + 1]
    return next((part for part in parts if part in schema), "")


def bad_names(manifest: Manifest) -> list[Finding]:
    """Returns pictures whose names are no UTF-8: many tools cannot open or list them."""
    at = [i for i in range(len(manifest)) if not is_utf8(manifest.images.key(i))]
    words = "picture has a name that is", "pictures have names that are"
    return found("bad_name", words, "no UTF-8", ((index,) for index in at))


def other_files(root: Path) -> list[Finding]:
    """Returns files of a folder that are not named like pictures; hidden ones are passed over."""
    names = []
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(n for n in inner if not n.startswith((".", "__MACOSX")))
        names += [
            os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 (odd names)
            for name in sorted(files)
            if not (name.startswith(".") or name == METADATA or is_picture(name))
        ]
    words = "file is", "files are"
    return found("other_files", words, "not named like a picture and not read", lines=names)


def outliers(scan: Scan) -> list[Finding]:
    """Returns pictures far outside the middle half of their dataset, by measure.

    A picture is an outlier beyond three times the interquartile range from a quartile (Tukey's
    "far out", Exploratory Data Analysis, 1977), and by no less than a distance that people see:
    nearly twice the side, 50 gray levels, eight times the variance of the Laplacian.
    """
    flat = scan.readable & (scan.contrast < FLAT_CONTRAST)
    contrasts = [f"contrast {value:.1f}" for value in scan.contrast]
    listed = _pictures("flat", np.flatnonzero(flat), "of one colour", contrasts)
    usable = scan.readable & ~flat
    if usable.sum() < 8:
        return listed
    with np.errstate(divide="ignore"):
        sides = np.log2(np.sqrt(np.prod(scan.sizes.astype(np.float64), axis=1)))
    light, contrast, sharpness = scan.brightness, scan.contrast, scan.sharpness
    # Each measure on a scale where distances mean the same everywhere, and in words.
    axes = {
        "size": (sides, [f"{w}x{h} pixels" for w, h in scan.sizes.tolist()]),
        "brightness": (light, [f"mean {value:.0f}" for value in light]),
        "contrast": (contrast, [f"standard deviation {value:.0f}" for value in contrast]),
        "sharpness": (np.log2(1 + sharpness), [f"Laplacian variance {v:.0f}" for v in sharpness]),
    }
    for name, (numbers, shown) in axes.items():
        values, (nearest, *words) = numbers.astype(np.float64), _MEASURES[name]
        low, high = np.percentile(values[usable], [25, 75])
        reach = max(3 * (high - low), nearest)
        for end, word, outside, order in (
            ("low", words[0], values < low - reach, values),
            ("high", words[1], values > high + reach, -values),
        ):
            at = np.flatnonzero(usable & outside)
            at = at[np.argsort(order[at], kind="stable")]
            lines = [f"{word}: {line}" for line in shown]
            listed += _pictures(f"{name}_{end}", at, f"unusually {word}", lines)
    return listed


def _pictures(kind: str, at: I64, what: str, lines: list[str]) -> list[Finding]:
    """Returns a finding on the pictures at these positions, with their lines of all lines."""
    words = "picture is", "pictures are"
    return found(kind, words, what, ((int(i),) for i in at), (lines[i] for i in at))


def problems(scan: Scan) -> list[Finding]:
    """Returns the files that are empty, no pictures, or damaged."""
    listed = []
    for kind, words, what in (
        ("unreadable", ("picture", "pictures"), "cannot be decoded"),
        ("empty", ("file is", "files are"), "empty"),
        ("not_picture", ("file has", "files have"), "a picture's name and no picture inside"),
    ):
        at = sorted(index for index, (other, _) in scan.problems.items() if other == kind)
        lines = (scan.problems[index][1] for index in at)
        listed += found(kind, words, what, ((index,) for index in at), lines)
    return listed
