"""Opening a dataset as it is: copies kept, nothing split anew, labels as the data spells them."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.data.naming import SPLIT_NAMES
from mien.data.readers.csvtable import read_table
from mien.data.registry import READERS, ReadRequest, parse_spec
from mien.labels import as_schema

if TYPE_CHECKING:
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema


def open_for_inspection(
    spec: str, *, labels: str | LabelSchema | None = None
) -> tuple[Manifest, ReadRequest]:
    """Reads a dataset with everything in it: copies are not removed and no split is made up.

    Args:
        spec: ``KIND:PATH[,key=value...]``; ``dedupe=false`` is added where the reader knows it.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.

    Raises:
        ConfigError: If the kind or an option is unknown or impossible.
        DataError: If the path does not exist or the data does not add up.
        MissingExtraError: If the reader needs a library that is not installed.
    """
    kind, path, options = parse_spec(spec)
    if "dedupe" in READERS[kind].options:
        options = {"dedupe": "false", **options}
    request = ReadRequest(spec, path, options, as_schema(labels), valid_share=0.0)
    manifest = READERS[kind].read(request)
    # Copies and shared groups are told of as findings, with pictures.
    said = tuple(
        text
        for text in manifest.warnings
        if "dedupe=false" not in text and "share a subject or source picture" not in text
    )
    return dataclasses.replace(manifest, warnings=said), request


def spelled_labels(manifest: Manifest, request: ReadRequest) -> list[str]:
    """Returns the label of each picture as the data spells it; empty where it does not tell.

    Folders spell a label by the name of the class folder, tables by the cell.
    """
    kind = parse_spec(request.spec)[0]
    if kind in {"folder", "hes"}:
        return [
            _class_folder(manifest.images.key(index), manifest.schema)
            for index in range(len(manifest))
        ]
    if kind == "csv":
        table = read_table(request.path)
        at = table.find("label")
        if at is not None and len(table.rows) == len(manifest):
            return table.column(at)
    return []


def _class_folder(name: str, schema: LabelSchema) -> str:
    parts = PurePosixPath(name).parts[:-1]
    for at, part in enumerate(parts):
        if part.strip().casefold() in SPLIT_NAMES and at + 1 < len(parts):
            return parts[at + 1]
    return next((part for part in parts if part in schema), "")
