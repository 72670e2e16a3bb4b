"""What copies mean: leaks across splits, waste within one, labels that differ."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.copies import join
from mien.data.inspection.finding import Finding, counted
from mien.data.naming import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mien.data.inspection.copies import Copies
    from mien.data.manifest import Manifest


def between(splits: Iterable[str]) -> str:
    """Returns the names of the splits that pictures stand in, as ``"train and valid"``."""
    found = set(splits)
    return " and ".join(name for name in SPLITS if name in found)


def copy_findings(manifest: Manifest, copies: Copies) -> list[Finding]:
    """Turns copies into findings: across splits, within one, and with labels that differ."""
    found = _exact(manifest, copies)
    equal = {index: group for group in copies.exact for index in group}
    for kind, word, pairs, scores in (
        ("near", "near copies", copies.near, copies.near_scores),
        ("mirrored", "mirrored copies", copies.mirrored, copies.mirrored_scores),
    ):
        # The first of equal pictures stands for all of them, in whatever split they are.
        whole = [(*equal.get(int(a), (int(a),)), *equal.get(int(b), (int(b),))) for a, b in pairs]
        across = [len(set(manifest.splits[list(group)].tolist())) > 1 for group in whole]
        for leaks in (True, False):
            at = [i for i, value in enumerate(across) if value == leaks]
            if at:
                where = "across splits" if leaks else "within a split"
                at.sort(key=lambda i: -scores[i])
                found.append(
                    Finding(
                        f"{kind}_{'across' if leaks else 'within'}",
                        "leak" if leaks else "note",
                        counted(len(at), f"pair of {word} {where}", f"pairs of {word} {where}"),
                        tuple(whole[i] for i in at),
                        tuple(_line(manifest, whole[i], float(scores[i])) for i in at),
                    )
                )
    return [*found, *_conflicts(manifest, copies)]


def _line(manifest: Manifest, group: Sequence[int], score: float) -> str:
    return f"correlation {score:.3f} · {between(manifest.splits[list(group)].tolist())}"


def _exact(manifest: Manifest, copies: Copies) -> list[Finding]:
    splits = manifest.splits
    across = [g for g in copies.exact if len(set(splits[list(g)].tolist())) > 1]
    within = [g for g in copies.exact if len(set(splits[list(g)].tolist())) == 1]
    found = []
    parts, total = [], 0
    for name in ("valid", "test"):
        inside = splits == name
        copied = manifest.leaked & inside
        for group in across:
            at = np.array(group)
            if "train" in splits[at]:
                copied[at[inside[at]]] = True
        total += int(copied.sum())
        if copied.any():
            parts.append(f"{int(copied.sum())} {name}")
    held = [g for g in across if "train" not in splits[list(g)]]
    words = "picture is" if total == 1 else "pictures are"
    titles = [f"{' and '.join(parts)} {words} byte-identical to a train picture"] * bool(parts)
    titles += [
        counted(len(held), "picture stands", "pictures stand") + " in valid and test alike"
    ] * bool(held)
    if titles:
        listed = {index for group in across for index in group}
        lost = int((manifest.leaked & ~np.isin(np.arange(len(splits)), sorted(listed))).sum())
        if lost:
            titles.append(f"the reader leaves the train copies of {lost} of them out")
        found.append(
            Finding(
                "exact_across",
                "leak",
                "; ".join(titles),
                tuple(across),
                tuple(f"{between(splits[list(g)].tolist())}" for g in across),
            )
        )
    if within:
        extra = sum(len(g) - 1 for g in within)
        title = (
            counted(extra, "picture is", "pictures are") + " byte-identical to another of the split"
        )
        lines = tuple(str(splits[g[0]]) for g in within)
        found.append(Finding("exact_within", "note", title, tuple(within), lines))
    return found


def _conflicts(manifest: Manifest, copies: Copies) -> list[Finding]:
    """Copies whose labels differ; pictures without a majority have no label to differ."""
    links = [*copies.exact, *copies.near.tolist(), *copies.mirrored.tolist()]
    together = join(len(manifest), links)
    members: dict[int, list[int]] = defaultdict(list)
    for index in sorted({int(i) for link in links for i in link}):
        if manifest.class_ids[index] >= 0:
            members[int(together[index])].append(index)
    cases, lines = [], []
    for group in members.values():
        ids = sorted({int(manifest.class_ids[index]) for index in group})
        if len(ids) > 1:
            cases.append(tuple(group))
            lines.append(" against ".join(manifest.schema.labels[k] for k in ids))
    if not cases:
        return []
    title = counted(len(cases), "group of copies has", "groups of copies have")
    title += " labels that differ"
    return [Finding("conflicting_labels", "fault", title, tuple(cases), tuple(lines))]
