"""Parquet tables in Hugging Face's image layout (``parquet:PATH``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.data.filenames import natural_key
from mien.data.readers.arrowtables import (
    PictureColumn,
    arrow_images,
    class_names,
    picture_column,
    read_columns,
    read_schema,
)
from mien.data.readers.assemble import assemble, choose_schema
from mien.data.readers.parquetlabels import VOTES, label_texts, vote_targets
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLIT_NAMES, file_split
from mien.errors import DataError
from mien.labels import LabelSchema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.data.manifest import Manifest


@dataclass(frozen=True, eq=False)
class Part:
    """One file: M pictures with M names of labels, and its other columns."""

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
    named by Hugging Face's ClassLabel or by the labels wanted. ``split`` and ``subject_id``
    may be there; else splits are taken from file names (``train-00000-of-00001.parquet``) or
    from their folder. Rows without a label are left out, unless a column ``votes`` holds shares.

    Options: ``image=`` and ``label=`` name other columns; ``dedupe=true`` removes from train what
    is also in valid or test.

    Raises:
        DataError: If a table cannot be read, lacks a column, or does not fit the others.
        MissingExtraError: If pyarrow is not installed.
    """
    files = _files(request.path)
    parts = [_read_part(request, file) for file in files]
    splits = _column(parts, "split", request.path)
    if splits is None:
        splits = _file_splits(request.path, files, [len(part.labels) for part in parts])
    return join_parts(request, parts, splits)


def join_parts(
    request: ReadRequest, parts: Sequence[Part], splits: Sequence[str] | None
) -> Manifest:
    """Makes one manifest of tables; ``splits`` (N,) may be spelled in any way.

    Raises:
        DataError: If no row has a label, or the tables do not fit each other.
    """
    labels = [label for part in parts for label in part.labels]
    if not any(labels):
        raise DataError("has no row with a label", subject=request.spec)
    schema = request.labels or _schema(parts, labels, str(request.path))
    dropped = sum(part.dropped for part in parts)
    return assemble(
        request,
        arrow_images([part.pictures for part in parts]),
        labels,
        schema=schema,
        targets=vote_targets(
            # A file that names no labels is read with those wanted.
            [(part.names or _wanted(request), part.votes) for part in parts],
            labels, schema, request.spec,
        ),
        splits=splits,
        groups=_column(parts, "subject_id", request.path),
        warnings=[f"{dropped} rows without a label are left out."] if dropped else (),
    )  # fmt: skip


def _wanted(request: ReadRequest) -> list[str] | None:
    return list(request.labels.labels) if request.labels else None


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


def _read_part(request: ReadRequest, file: Path) -> Part:
    image = request.options.get("image", "image")
    label = request.options.get("label", "label")
    schema = read_schema(file)
    roles = [role for role in ("split", "subject_id") if role in schema.names]
    has_votes = VOTES in schema.names
    table = read_columns(file, [image, label, *roles, *([VOTES] if has_votes else [])])
    base = file.name if request.path.is_file() else file.relative_to(request.path).as_posix()
    return table_part(request, table, class_names(schema, label), file=file, name=base)


def table_part(
    request: ReadRequest, table: Any, names: list[str] | None, *, file: Path, name: str
) -> Part:
    """Takes pictures, labels and roles out of a ``pyarrow.Table``.

    Args:
        request: What was asked for; it may name the columns.
        table: The table.
        names: The labels that class ids stand for, or None.
        file: Where it was read, for messages; paths in it are relative to its folder.
        name: What the keys of its pictures begin with.

    Raises:
        DataError: If a column does not hold what it should.
    """
    image = request.options.get("image", "image")
    label = request.options.get("label", "label")
    roles = [role for role in ("split", "subject_id") if role in table.column_names]
    has_votes = VOTES in table.column_names
    texts = label_texts(table[label], names, request.labels, f"{file}, column {label!r}")
    if has_votes:
        # A face without a majority has votes all the same.
        texts = [text or "" for text in texts]
    whole = [text is not None for text in texts]
    dropped = whole.count(False)
    pictures = picture_column(file, table, column=image, name=name)
    if dropped:
        pictures = pictures.take([row for row, kept in enumerate(whole) if kept])
        table = table.select(roles).filter(whole) if roles else table
    columns = {}
    for role in roles:
        values = table[role]
        if values.null_count:
            raise DataError(
                f"has {values.null_count} rows without a {role}", subject=file, hint="Fill them."
            )
        columns[role] = [str(value) for value in values.to_pylist()]
    votes = table[VOTES].to_pylist() if has_votes else None
    return Part(pictures, [t for t in texts if t is not None], names, columns, dropped, votes)


def _schema(parts: Sequence[Part], labels: list[str], where: str) -> LabelSchema:
    declared = next((part.names for part in parts if part.names), None) or []
    schema = choose_schema({*declared, *labels} - {""}, where)
    if set(schema.labels) == set(declared):
        # Class ids of other tools follow the declared order: keep it, where no schema is known.
        return LabelSchema(schema.name, tuple(declared)) if schema.name == "custom" else schema
    return schema


def _column(parts: Sequence[Part], role: str, path: Path) -> list[str] | None:
    have = [role in part.columns for part in parts]
    if any(have) and not all(have):
        raise DataError(
            f"has a column {role!r} in {sum(have)} of {len(have)} files only", subject=path
        )
    return [value for part in parts for value in part.columns[role]] if all(have) else None


def _file_splits(root: Path, files: list[Path], sizes: list[int]) -> list[str] | None:
    """Returns N splits by the names of the files or of their folders, None if none has one."""
    found = [
        file_split(file.stem)
        or (SPLIT_NAMES.get(file.parent.name.lower(), "") if file.parent != root else "")
        for file in files
    ]
    if not any(found) or root.is_file():
        return None
    if not all(found):
        raise DataError(
            "does not name its split, as other files do",
            subject=files[found.index("")],
            hint="Name it as in train-00000.parquet, or write a column 'split' in all of them.",
        )
    return [name for name, size in zip(found, sizes, strict=True) for _ in range(size)]
