"""Findings by names and labels: made copies, subjects, spellings, absent classes, odd files."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from mien.data.filenames import IMAGE_SUFFIXES, is_utf8, source_stem
from mien.data.inspection.duplicates import is_across, splits_of
from mien.data.inspection.finding import Finding
from mien.data.readers.csvtable import METADATA
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mien.data.manifest import Manifest

_LISTED = 200


def name_groups(manifest: Manifest) -> tuple[list[tuple[int, ...]], bool]:
    """Returns pictures made of one source picture, and whether the data's groups are subjects.

    Copies made offline carry the name of their source (``2801.jpg_rotation_1.jpg``). Equal names
    alone tell nothing (every folder may have its ``1.jpg``), so a group has one made copy at least.
    """
    sources = [source_stem(manifest.images.key(index)) for index in range(len(manifest))]
    by_stem: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, (stem, _) in enumerate(sources):
        by_stem[int(manifest.class_ids[index]), stem].append(index)
    stems = [
        tuple(found)
        for found in by_stem.values()
        if len(found) > 1 and any(sources[index][1] for index in found)
    ]
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
    found = []
    for end, where in (("across", "across splits"), ("within", "within a split")):
        part = tuple(g for g in stems if is_across(manifest, g) == (end == "across"))
        if part:
            title = counted(len(part), "source picture has", "source pictures have")
            lines = tuple(
                f"{source_stem(manifest.images.key(g[0]))[0]} · {splits_of(manifest, g)}"
                for g in part
            )
            found.append(Finding(f"stem_{end}", f"{title} augmented copies {where}", part, lines))
    if subjects and manifest.groups is not None:
        members: dict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(manifest.groups.tolist()):
            members[group].append(index)
        shared = {name: tuple(at) for name, at in members.items() if is_across(manifest, at)}
        if shared:
            title = counted(len(shared), "subject is", "subjects are") + " in more than one split"
            lines = tuple(f"{name} · {splits_of(manifest, at)}" for name, at in shared.items())
            found.append(Finding("subject_across", title, tuple(shared.values()), lines))
    return found


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
    if not lines:
        return []
    title = counted(len(lines), "class is", "classes are") + " absent from a split"
    return [Finding("missing_class", title, (), tuple(lines))]


def spelling_findings(spellings: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """Returns labels that the data spells in more than one way."""
    lines = [
        f"{label}: " + ", ".join(f"{name!r} ({n})" for name, n in sorted(found.items()))
        for label, found in spellings.items()
        if len(found) > 1
    ]
    if not lines:
        return []
    title = counted(len(lines), "label is", "labels are") + " spelt in more than one way"
    return [Finding("label_spellings", title, (), tuple(lines))]


def count_spellings(
    names: Sequence[str], class_ids: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Returns, by label, how often each spelling occurs in the data.

    Args:
        names: (N,) labels as the data spells them, or empty where nothing is known.
        class_ids: (N,) what they were read as.
        labels: K labels.
    """
    pairs = Counter(
        (int(k), name) for k, name in zip(class_ids, names, strict=False) if k >= 0 and name
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (k, name), count in sorted(pairs.items()):
        found[labels[k]][name] = count
    return dict(found)


def bad_names(manifest: Manifest) -> list[Finding]:
    """Returns pictures whose names are no UTF-8: many tools cannot open or list them."""
    at = [i for i in range(len(manifest)) if not is_utf8(manifest.images.key(i))]
    if not at:
        return []
    title = counted(len(at), "picture has a name that is", "pictures have names that are")
    return [Finding("bad_name", f"{title} no UTF-8", tuple((index,) for index in at))]


def other_files(root: Path) -> list[Finding]:
    """Returns files of a folder that are not named like pictures; hidden ones are passed over."""
    names = []
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(n for n in inner if not n.startswith((".", "__MACOSX")))
        names += [
            os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 (odd names)
            for name in sorted(files)
            if not name.startswith(".")
            and name != METADATA
            and not name.lower().endswith(IMAGE_SUFFIXES)
        ]
    if not names:
        return []
    title = counted(len(names), "file is", "files are") + " not named like a picture and not read"
    return [Finding("other_files", title, (), tuple(names[:_LISTED]))]
