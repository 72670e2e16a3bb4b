"""Opening a dataset as it is: copies kept, nothing split anew, labels as the data spells them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.data.readers.csvtable import read_table
from mien.data.registry import READERS, ReadRequest, parse_spec
from mien.data.split import SPLIT_NAMES
from mien.labels import as_schema

if TYPE_CHECKING:
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema


def open_for_inspection(
    spec: str, *, labels: str | LabelSchema | None = None
) -> tuple[Manifest, ReadRequest]:
    """Reads a dataset with everything in it: copies are not removed and no split is made up.

    Args:
        spec: ``KIND:PATH[,key=value...]``; copies stay unless it has ``dedupe=true``.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.

    Raises:
        ConfigError: If the kind or an option is unknown or impossible.
        DataError: If the path does not exist or the data does not add up.
        MissingExtraError: If the reader needs a library that is not installed.
    """
    kind, path, options = parse_spec(spec)
    request = ReadRequest(spec, path, options, as_schema(labels), valid_share=0.0, as_is=True)
    return READERS[kind].read(request), request


def spelled_labels(manifest: Manifest, request: ReadRequest) -> list[str]:
    """Returns the label of each picture as the data spells it; empty where that is not known.

    Folders spell a label by the name of the class folder, tables by the cell.
    """
    kind = parse_spec(request.spec)[0]
    if kind in {"folder", "hes"}:
        keys = map(manifest.images.key, range(len(manifest)))
        return [_class_folder(key, manifest.schema) for key in keys]
    names = read_table(request.path).cells("label") if kind == "csv" else None
    return names if names is not None and len(names) == len(manifest) else []


def _class_folder(name: str, schema: LabelSchema) -> str:
    parts = PurePosixPath(name).parts[:-1]
    for at, part in enumerate(parts):
        if part.strip().casefold() in SPLIT_NAMES and at + 1 < len(parts):
            return parts[at + 1]
    return next((part for part in parts if part in schema), "")
