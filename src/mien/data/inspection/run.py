"""``inspect_data``: one pass over the pictures, then findings of all kinds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.inspection import labels as by_labels
from mien.data.inspection import quality
from mien.data.inspection.duplicates import (
    Duplicates,
    connected_groups,
    duplicate_findings,
    find_duplicates,
)
from mien.data.inspection.finding import Finding, Inspection
from mien.data.inspection.scan import Scan, scan_pictures
from mien.data.inspection.source import open_for_inspection, spelled_labels
from mien.data.registry import parse_spec
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

    Bars = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class InspectConfig:
    """What to look for.

    Args:
        near: Smallest correlation, 0..1, of two small gray pictures that count as near copies.
        max_bits: Bits of 64 that their perceptual hashes may differ in.
        faces: Name of a detector that searches for pictures without a face; None: no search.
        suspects: List labels that are probably wrong; takes minutes on tens of thousands of faces.
        model: Model whose features the labels are checked with; None: the bundled one.
        workers: Threads that decode.
        seed: Seed of the folds.
    """

    near: float = 0.95
    max_bits: int = 12
    faces: str | None = None
    suspects: bool = False
    model: str | None = None
    workers: int = 2
    seed: int = 0


def inspect_data(
    spec: str,
    config: InspectConfig | None = None,
    *,
    labels: str | LabelSchema | None = None,
    bars: Bars | None = None,
) -> Inspection:
    """Inspects a dataset; a file that cannot be read is a finding, not an end.

    Args:
        spec: The dataset, ``KIND:PATH[,key=value...]``.
        config: What to look for.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.
        bars: Makes a progress bar of a title and a number of steps.

    Raises:
        ConfigError: If the spec or a name in the config is unknown.
        DataError: If the dataset as a whole cannot be read.
        MissingExtraError: If a library that was asked for is not installed.
    """
    config = config or InspectConfig()
    started = time.perf_counter()
    bar = bars or silent
    manifest, request = open_for_inspection(spec, labels=labels)
    with bar("read pictures", len(manifest)) as advance:
        scan = scan_pictures(
            manifest.images, manifest.class_ids, len(manifest.schema), workers=config.workers,
            progress=advance,
        )  # fmt: skip
    with bar("compare pictures", 2 * int(scan.readable.sum())) as advance:
        duplicates = find_duplicates(
            scan, max_bits=config.max_bits, min_correlation=config.near, progress=advance
        )
    spellings = by_labels.count_spellings(
        spelled_labels(manifest, request), manifest.class_ids, manifest.schema.labels
    )
    found = [
        *duplicate_findings(manifest, duplicates),
        *by_labels.group_findings(manifest),
        *quality.problems(scan),
        *by_labels.bad_names(manifest),
        *by_labels.class_findings(manifest),
        *by_labels.spelling_findings(spellings),
        *quality.outliers(scan),
    ]
    if parse_spec(spec)[0] in {"folder", "hes"}:
        found += by_labels.other_files(request.path)
    found += _slow(manifest, scan, duplicates, config, bar)
    if manifest.warnings:
        title = counted(len(manifest.warnings), "remark", "remarks") + " of the reader"
        found.append(Finding("reader", title, (), manifest.warnings))
    settings = {
        "near": config.near, "max_bits": config.max_bits, "faces": config.faces,
        "suspects": config.suspects, "model": config.model,
    }  # fmt: skip
    seconds = time.perf_counter() - started
    return Inspection(manifest, scan, tuple(found), spellings, settings, seconds)


def _slow(
    manifest: Manifest, scan: Scan, duplicates: Duplicates, config: InspectConfig, bar: Bars
) -> list[Finding]:
    """Returns the findings that cost minutes, and are searched for on demand."""
    found: list[Finding] = []
    readable = scan.readable
    if config.faces is not None:
        from mien.data.inspection.suspects import faceless
        from mien.detectors import get_detector

        detector = get_detector(config.faces)
        with bar("search for faces", int(readable.sum())) as advance:
            found += faceless(
                manifest, readable, detector, workers=config.workers, progress=advance
            )
    if config.suspects and readable.any():
        from mien.data.inspection.suspects import face_features, picked, suspicious_labels

        at = np.flatnonzero(readable)
        part = picked(manifest, readable)
        with bar("read expressions", len(part)) as advance:
            features = face_features(part, config.model, workers=config.workers, progress=advance)
        groups = picture_groups(manifest, duplicates)[at]
        for item in suspicious_labels(part, features, groups, seed=config.seed):
            cases = tuple(tuple(int(at[i]) for i in group) for group in item.groups)
            found.append(Finding(item.kind, item.title, cases, item.details))
    return found


def picture_groups(manifest: Manifest, duplicates: Duplicates) -> Any:
    """Returns int64 (N,), equal for pictures that must stay in one split.

    These are copies of each other, made copies of one source, and pictures of one subject.
    """
    stems, _ = by_labels.name_groups(manifest)
    links: list[Any] = [*duplicates.links, *stems]
    if manifest.groups is not None:
        _, first, inverse = np.unique(manifest.groups, return_index=True, return_inverse=True)
        links += list(zip(range(len(manifest)), first[inverse].tolist(), strict=True))
    return connected_groups(len(manifest), links)


def silent(_title: str, _total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """Returns a progress bar that shows nothing."""
    from contextlib import nullcontext

    return nullcontext(lambda _done: None)
