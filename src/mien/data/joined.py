"""Several datasets as one manifest: one schema, one store of pictures, no leaks between them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.image_stores import JoinedImages
from mien.data.manifest import Manifest
from mien.data.readers.assemble import KNOWN_SCHEMAS, find_leaks
from mien.data.registry import ReadRequest, read_spec
from mien.data.sources import Source, list_specs, parse_sources, show_specs
from mien.data.split import read_held_out
from mien.errors import ConfigError, DataError, MienError
from mien.labels import as_schema, mapping_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mien.arrays import Texts
    from mien.labels import LabelSchema

_LOG = logging.getLogger(__name__)


def read_sources(
    specs: str | Sequence[str],
    labels: str | LabelSchema | None = None,
    *,
    runs: Iterable[str | Path] = (),
    **how: Any,
) -> tuple[Manifest, tuple[ReadRequest, ...]]:
    """Reads one dataset, or several as one; ``how`` are further fields of the requests."""
    listed, runs = list_specs(specs), tuple(runs)
    if not listed:
        raise ConfigError("no dataset: give KIND:PATH, for example folder:faces.")
    sources = parse_sources(listed)
    if len(sources) == 1:
        held = read_held_out(runs, sources[0].name, listed[0])
        manifest, request = read_spec(listed[0], labels, held_out=held, **how)
        _tell(manifest)
        return manifest, (request,)
    wanted = as_schema(labels)
    parts, requests = {}, []
    for source in sources:
        held = read_held_out(runs, source.name, source.spec)
        parts[source.name], request = _read(source, wanted, held_out=held, **how)
        requests.append(request)
        _tell(parts[source.name])
    schema = wanted or _common_schema(parts)
    parts = {name: to_schema(part, schema) for name, part in parts.items()}
    return _join(parts, schema, requests), tuple(requests)


def logs_remarks() -> bool:
    """Says whether reading a dataset logs how it was understood, as the command line has it."""
    return _LOG.isEnabledFor(logging.INFO)


def _tell(part: Manifest) -> None:
    """Logs how a dataset was understood, and what its reader remarked."""
    if not logs_remarks():
        return
    counts = [part.class_ids[part.splits == split] for split in part.counts()]
    sums = [int((part.class_ids == k).sum()) for k in range(len(part.schema))]
    classes = ", ".join(map("{} {:,}".format, part.schema.labels, sums))
    splits = ", ".join(
        f"{name} {len(ids):,}" for name, ids in zip(part.counts(), counts, strict=True)
    )
    _LOG.info("%s: %d classes: %s; %s", part.source, len(sums), classes, splits)
    for text in part.warnings:
        _LOG.info("note: %s: %s", part.source, text)


def _read(source: Source, wanted: LabelSchema | None, **how: Any) -> tuple[Manifest, ReadRequest]:
    """Reads a dataset in its own labels; one that names none is read in those wanted."""
    try:
        return read_spec(source.spec, None, **how)
    except MienError:
        if wanted is None:
            raise
    return read_spec(source.spec, wanted, **how)


def _common_schema(parts: Mapping[str, Manifest]) -> LabelSchema:
    """Returns the schema of all, or the smallest known one that holds the labels of all."""
    schemas = [part.schema for part in parts.values()]
    if all(schema.labels == schemas[0].labels for schema in schemas):
        return schemas[0]
    for known in KNOWN_SCHEMAS:
        if all(label in known for schema in schemas for label in schema.labels):
            return known
    told = "; ".join(f"{name}: {', '.join(part.schema.labels)}" for name, part in parts.items())
    raise ConfigError(
        f"no known label schema holds the labels of all datasets ({told})",
        hint="Name one with --labels: faces whose labels it lacks are left out, with a count.",
    )


def to_schema(part: Manifest, schema: LabelSchema) -> Manifest:
    """Reads a dataset's labels in another schema, as :func:`mien.labels.mapping_matrix` does.

    A label that the schema lacks goes to others in measured shares where there are any: its faces
    then have no majority, and are learned from by these shares. Faces with another such label are
    left out, which is said; votes for it are left out of the others, whose shares are scaled to sum
    to 1.

    Raises:
        DataError: If no face is left.
    """
    if part.schema.labels == schema.labels:
        return replace(part, schema=schema)
    matrix = mapping_matrix(part.schema, schema)
    reached = (matrix > 0).sum(axis=1)
    known, shared = reached > 0, reached > 1
    goes = np.where(known & ~shared, matrix.argmax(axis=1), -1)
    targets = part.targets @ matrix
    sums = targets.sum(axis=1, keepdims=True)
    lost = (sums[:, 0] <= 0) | ((part.class_ids >= 0) & ~known[part.class_ids])
    occurs = (part.targets[lost] > 0).any(axis=0) & ~known
    missing = ", ".join(np.array(part.schema.labels)[occurs])
    if lost.all():
        reason = f"has no label of the schema {schema.name!r}; it has {missing}"
        raise DataError(reason, subject=part.source)
    targets[lost], sums[lost] = 1 / len(schema), 1.0
    warnings = [*part.warnings]
    if lost.any():
        first = int(np.argmax(lost))
        label = part.schema.labels[int(part.targets[first].argmax())]
        warnings.append(
            f"{int(lost.sum())} pictures, such as {part.images.key(first)} ({label}), are left "
            f"out: the schema {schema.name!r} has no {missing}."
        )
        _LOG.warning("note: %s: %s", part.source, warnings[-1])
    if len(dealt := np.flatnonzero((part.class_ids >= 0) & shared[part.class_ids])):
        names = ", ".join(np.array(part.schema.labels)[np.unique(part.class_ids[dealt])])
        warnings.append(
            f"{len(dealt)} pictures of {names} have shares of the labels of {schema.name!r} and no "
            "majority: they are learned from, and not scored."
        )
    whole = replace(
        part, schema=schema, targets=(targets / sums).astype(np.float32),
        class_ids=np.where((part.class_ids >= 0) & ~lost, goes[part.class_ids], -1),
        warnings=tuple(warnings),
    )  # fmt: skip
    return whole.select(~lost) if lost.any() else whole


def _join(
    parts: Mapping[str, Manifest], schema: LabelSchema, requests: Sequence[ReadRequest]
) -> Manifest:
    """Puts datasets one after another and takes out of train what others hold out."""
    manifests = list(parts.values())
    images = JoinedImages({name: part.images for name, part in parts.items()})
    sources = np.repeat(list(parts), [*map(len, manifests)])
    splits = np.concatenate([part.splits for part in manifests])
    warnings = [f"{name}: {text}" for name, part in parts.items() for text in part.warnings]
    keep, leaked = np.ones(len(images), np.bool_), np.concatenate([p.leaked for p in manifests])
    if not all(request.as_is for request in requests):
        # Copies inside one dataset are gone already, unless its spec keeps them.
        copies, held = find_leaks(images, splits)
        leaked = leaked | held
        stay = {r.spec for r in requests if not r.flag("dedupe", default=True)}
        stays = np.repeat([part.source in stay for part in manifests], [*map(len, manifests)])
        keep = ~copies | stays
        for gone, end in (
            (~keep, "of another dataset and were removed from train."),
            (copies & stays, "and stay in train (dedupe=false): scores on these are too good."),
        ):
            if gone.any():
                warnings.append(
                    f"{int(gone.sum())} train pictures, such as {images.key(int(gone.argmax()))}, "
                    f"are byte-identical to valid or test pictures {end}"
                )
                _LOG.warning("note: %s", warnings[-1])
    whole = Manifest(
        show_specs([request.spec for request in requests]), schema, images,
        np.concatenate([part.targets for part in manifests]),
        np.concatenate([part.class_ids for part in manifests]),
        splits, _groups(parts), leaked, tuple(warnings), sources,
        max(part.on_error for part in manifests),  # stop where one says so
    )  # fmt: skip
    return whole if keep.all() else whole.select(keep)


def _groups(parts: Mapping[str, Manifest]) -> Texts | None:
    """Returns groups that no two datasets share; a picture of an unknown group has its own."""
    if all(part.groups is None for part in parts.values()):
        return None
    return np.array([
        f"{name}/{part.images.key(at) if part.groups is None else part.groups[at]}"
        for name, part in parts.items()
        for at in range(len(part))
    ])  # fmt: skip
