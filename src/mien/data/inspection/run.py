"""``inspect_data``: one pass over the pictures, then findings of all kinds."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.inspection import checks
from mien.data.inspection.duplicates import connected_groups, duplicate_findings, find_duplicates
from mien.data.inspection.finding import Finding, Inspection, found
from mien.data.inspection.scan import Scan, scan_pictures
from mien.data.joined import read_sources
from mien.data.registry import parse_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data.inspection.duplicates import Duplicates
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

#: Makes a progress bar of a title and a number of steps (None: not known).
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
    spec: str | Sequence[str],
    config: InspectConfig | None = None,
    *,
    labels: str | LabelSchema | None = None,
    bars: Bars | None = None,
) -> Inspection:
    """Inspects a dataset; a file that cannot be read is a finding, not an end.

    Args:
        spec: The dataset, ``KIND:PATH[,key=value...]``, or several, which are compared too.
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
    bars = bars or silent
    manifest, requests = read_sources(spec, labels, valid_share=0.0, as_is=True)
    scan, duplicates = compare_pictures(
        manifest, near=config.near, max_bits=config.max_bits, workers=config.workers, bars=bars
    )
    spellings = checks.count_spellings(manifest, requests[0]) if len(requests) == 1 else {}
    findings = [
        *duplicate_findings(manifest, duplicates),
        *checks.group_findings(manifest),
        *checks.problems(scan),
        *checks.bad_names(manifest),
        *checks.class_findings(manifest),
        *checks.balance_findings(manifest),
        *checks.spelling_findings(spellings),
        *checks.outliers(scan),
    ]
    for request in requests:
        if parse_spec(request.spec)[0] in {"folder", "hes"}:
            findings += checks.other_files(request.path)
    findings += _slow(manifest, scan, duplicates, config, bars)
    findings += found("reader", ("remark", "remarks"), "of the reader", lines=manifest.warnings)
    settings = {k: v for k, v in asdict(config).items() if k not in {"workers", "seed"}}
    seconds = time.perf_counter() - started
    return Inspection(manifest, scan, tuple(findings), spellings, settings, seconds)


def compare_pictures(
    manifest: Manifest, *, near: float, max_bits: int = 12, workers: int, bars: Bars
) -> tuple[Scan, Duplicates]:
    """Reads every picture of a manifest once, and finds those that show the same."""
    with bars("read pictures", len(manifest)) as advance:
        scan = scan_pictures(
            manifest.images, manifest.class_ids, len(manifest.schema), workers=workers,
            progress=advance,
        )  # fmt: skip
    with bars("compare pictures", 2 * int(scan.readable.sum())) as advance:
        duplicates = find_duplicates(
            scan, max_bits=max_bits, min_correlation=near, progress=advance
        )
    return scan, duplicates


def _slow(
    manifest: Manifest, scan: Scan, duplicates: Duplicates, config: InspectConfig, bars: Bars
) -> list[Finding]:
    """Returns the findings that cost minutes, and are searched for on demand."""
    findings: list[Finding] = []
    readable, workers = scan.readable, config.workers
    if config.faces is not None:
        from mien.data.inspection.suspects import faceless
        from mien.detectors import get_detector

        detector = get_detector(config.faces)
        with bars("search for faces", int(readable.sum())) as advance:
            findings += faceless(manifest, readable, detector, workers=workers, progress=advance)
    if config.suspects and readable.any():
        from mien.data.inspection.suspects import face_features, suspicious_labels

        at, part = np.flatnonzero(readable), manifest.select(readable)
        with bars("read expressions", len(part)) as advance:
            features = face_features(part, config.model, workers=workers, progress=advance)
        groups = picture_groups(manifest, duplicates)[at]
        for item in suspicious_labels(part, features, groups, seed=config.seed):
            cases = tuple(tuple(int(at[i]) for i in group) for group in item.groups)
            findings.append(replace(item, groups=cases))
    return findings


def picture_groups(manifest: Manifest, duplicates: Duplicates) -> Any:
    """Returns (N,) groups: copies of each other or of one source, and pictures of one subject."""
    stems, _ = checks.name_groups(manifest)
    links: list[Any] = [*duplicates.links, *stems]
    if manifest.groups is not None:
        _, first, inverse = np.unique(manifest.groups, return_index=True, return_inverse=True)
        links += list(zip(range(len(manifest)), first[inverse].tolist(), strict=True))
    return connected_groups(len(manifest), links)


def silent(_title: str, _total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    """Returns a progress bar that shows nothing."""
    return nullcontext(lambda _done: None)
