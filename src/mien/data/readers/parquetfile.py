"""Parquet tables in Hugging Face's image layout (``parquet:PATH``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.duplicates import shared_groups_warning
from mien.data.manifest import SPLIT_NAMES, Manifest
from mien.data.naming import natural_key
from mien.data.readers.arrowtables import (
    PictureColumn,
    arrow_images,
    class_names,
    picture_column,
    read_columns,
    read_schema,
)
from mien.data.readers.assemble import assemble, choose_schema, class_id, split_name
from mien.data.readers.parquetlabels import VOTES, label_texts, vote_targets
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError
from mien.labels import LabelSchema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# train-00000-of-00001.parquet, validation.parquet, test_2.parquet
_FILE_SPLIT = re.compile(r"([a-z]+)(?:[-_.]?\d.*)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _Part:
    """One file: M pictures with M names of labels, and what else its columns say."""

    pictures: PictureColumn
    labels: list[str]
    names: list[str] | None
    columns: dict[str, list[str]]
    dropped: int
    votes: list[list[float]] | None = None


@register_reader("parquet", options=("image", "label", "dedupe"))
def read_parquet(request: ReadRequest) -> Manifest:
    """Reads ``parquet:PATH``: a file, or a folder of files, with columns ``image`` and ``label``.

    ``image`` is a struct of ``bytes`` and ``path``, or binary; ``label`` is text, or class ids
    named by Hugging Face's ClassLabel or by the labels asked for. ``split`` and ``subject_id``
    may be there; else splits are taken from file names (``train-00000-of-00001.parquet``) or
    from their folder. Rows without a label are left out, unless a column ``votes`` holds shares.

    Options: ``image=`` and ``label=`` name other columns; ``dedupe=true`` removes from train what
    also stands in valid or test.

    Raises:
        DataError: If a table cannot be read, lacks a column, or does not fit the others.
        MissingExtraError: If pyarrow is not installed.
    """
    files = _files(request.path)
    parts = [_read_part(request, file) for file in files]
    labels = [label for part in parts for label in part.labels]
    if not any(labels):
        raise DataError("no row has a label", subject=f"{request.spec}:")
    schema = request.labels or _schema(parts, labels, str(request.path))
    ids = {name: class_id(schema, name, str(request.path)) for name in sorted(set(labels) - {""})}
    ids[""] = -1
    class_ids = np.array([ids[label] for label in labels], dtype=np.int64)
    splits = _joined(parts, "split", request.path)
    if splits is None:
        splits = _file_splits(request.path, files, [len(part.labels) for part in parts])
    else:
        unique = {name: split_name(name, str(request.path)) for name in np.unique(splits).tolist()}
        splits = np.array([unique[name] for name in splits.tolist()])
    groups = _joined(parts, "subject_id", request.path)
    dropped = sum(part.dropped for part in parts)
    warnings = [f"{dropped} rows without a label are left out."] if dropped else []
    if splits is not None and groups is not None:
        warnings.append(shared_groups_warning(groups, splits))
    return assemble(
        request,
        schema=schema,
        images=arrow_images([part.pictures for part in parts]),
        targets=vote_targets(
            [(part.names, part.votes) for part in parts], class_ids, schema, request.spec
        ),
        class_ids=class_ids,
        splits=splits,
        groups=groups,
        warnings=warnings,
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [
        file
        for file in path.rglob("*.parquet")
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise DataError("holds no .parquet files", subject=path)
    return sorted(found, key=lambda file: natural_key(file.relative_to(path).as_posix()))


def _read_part(request: ReadRequest, file: Path) -> _Part:
    image = request.options.get("image", "image")
    label = request.options.get("label", "label")
    schema = read_schema(file)
    roles = [role for role in ("split", "subject_id") if role in schema.names]
    has_votes = VOTES in schema.names
    table = read_columns(file, [image, label, *roles, *([VOTES] if has_votes else [])])
    names = class_names(schema, label)
    texts = label_texts(table[label], names, request.labels, f"{file}, column {label!r}")
    if has_votes:
        # A face without a majority has votes all the same.
        texts = [text or "" for text in texts]
    whole = [text is not None for text in texts]
    dropped = whole.count(False)
    base = file.name if request.path.is_file() else file.relative_to(request.path).as_posix()
    pictures = picture_column(file, table, column=image, name=base)
    if dropped:
        pictures = pictures.take([row for row, kept in enumerate(whole) if kept])
        table = table.select(roles).filter(whole) if roles else table
    columns = {}
    for role in roles:
        values = table[role]
        if values.null_count:
            raise DataError(
                f"{values.null_count} rows have no {role}; fill them", subject=f"{file}:"
            )
        columns[role] = [str(value) for value in values.to_pylist()]
    votes = table[VOTES].to_pylist() if has_votes else None
    return _Part(pictures, [t for t in texts if t is not None], names, columns, dropped, votes)


def _schema(parts: Sequence[_Part], labels: list[str], where: str) -> LabelSchema:
    declared = next((part.names for part in parts if part.names), None) or []
    schema = choose_schema({*declared, *labels} - {""}, where)
    if set(schema.labels) == set(declared):
        # Class ids of other tools follow the declared order: keep it, where no schema is known.
        return LabelSchema(schema.name, tuple(declared)) if schema.name == "custom" else schema
    return schema


def _joined(parts: Sequence[_Part], role: str, path: Path) -> NDArray[np.str_] | None:
    have = [role in part.columns for part in parts]
    if any(have) and not all(have):
        raise DataError(
            f"only {sum(have)} of {len(have)} files have a column {role!r}", subject=f"{path}:"
        )
    if not all(have):
        return None
    return np.array([value for part in parts for value in part.columns[role]])


def _file_splits(root: Path, files: list[Path], sizes: list[int]) -> NDArray[np.str_] | None:
    """Returns (N,) splits by the names of the files or of their folders, None if none has one."""
    found = []
    for file in files:
        match = _FILE_SPLIT.fullmatch(file.stem)
        folder = file.parent.name if file.parent != root else ""
        words = [match[1] if match else "", folder]
        found.append(next((SPLIT_NAMES[w.lower()] for w in words if w.lower() in SPLIT_NAMES), ""))
    if not any(found) or root.is_file():
        return None
    if not all(found):
        lost = files[found.index("")]
        raise DataError(
            "does not say its split, as other files beside it do",
            subject=lost,
            hint="Name it as in train-00000.parquet, or write a column 'split' in all of them.",
        )
    return np.repeat(np.array(found), sizes)
