"""Tables in Hugging Face's image layout: Parquet files (``parquet:PATH``) and ``hf:ORG/NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.readers.arrowtables import (
    VOTES,
    PictureColumn,
    arrow_images,
    class_names,
    label_texts,
    picture_column,
    read_columns,
    read_schema,
    vote_targets,
)
from mien.data.readers.assemble import assemble, choose_schema
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLIT_NAMES, file_split
from mien.errors import DataError, import_extra
from mien.labels import LabelSchema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data.manifest import Manifest

_ROLES = ("split", "subject_id")


@dataclass(frozen=True, eq=False)
class _Part:
    """One table: M pictures with M names of labels, and its other columns."""

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

    Options: ``image=`` and ``label=`` name other columns.
    """
    files = _files(request.path)
    parts = [_read_part(request, file) for file in files]
    splits = _column(parts, "split", request.path)
    return _join_parts(request, parts, splits or _file_splits(request.path, files, parts))


@register_reader(
    "hf", options=("split", "config", "revision", "image", "label", "dedupe"), remote=True
)
def read_hf(request: ReadRequest) -> Manifest:
    """Reads ``hf:ORG/NAME``: a dataset of the Hub, or a local folder in one of its layouts.

    A local folder holds what ``save_to_disk`` wrote, or Parquet or picture files with a README.
    Columns are those of ``parquet:``.

    Options: ``split=`` takes one split only; ``config=`` and ``revision=`` name a subset and a
    branch, tag or commit; ``image=``, ``label=`` and ``dedupe=`` are those of ``parquet:``.
    """
    chosen = load_splits(request)
    parts = [_hub_part(request, split, rows) for split, rows in chosen.items()]
    return _join_parts(request, parts, _repeated(list(chosen), parts))


def load_splits(request: ReadRequest) -> dict[str, Any]:
    """Returns the splits of a dataset by name, or the one that is wanted."""
    tables, wanted = _load(request), request.options.get("split")
    if wanted is None:
        return tables
    if wanted not in tables:
        reason = f"has no split {wanted!r}; it has {', '.join(tables)}"
        raise DataError(reason, subject=request.spec)
    return {wanted: tables[wanted]}


def _load(request: ReadRequest) -> dict[str, Any]:
    datasets = import_extra("datasets", "reading hf: datasets", "datasets")
    path, options = request.path, request.options
    try:
        if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            found = datasets.load_from_disk(str(path))
        else:
            subset, revision = options.get("config"), options.get("revision")
            found = datasets.load_dataset(path.as_posix(), subset, revision=revision)
    except Exception as error:  # the errors of a dozen libraries below have no common base
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = f"cannot be read: {lines[0].rstrip('.')}"
        hint = "Check the name and the network; a private one needs HF_TOKEN."
        raise DataError(reason, subject=request.spec, hint=hint) from error
    if hasattr(found, "column_names") and not isinstance(found, dict):
        return {str(found.split or "train"): found}
    return dict(found)


def _hub_part(request: ReadRequest, split: str, rows: Any) -> _Part:
    import datasets

    image, label = _names(request)
    missing = {image, label} - set(rows.column_names)
    if missing:
        raise DataError(
            f"has no column {', '.join(sorted(missing))}; it has {', '.join(rows.column_names)}",
            subject=request.spec,
            hint="Name them with ,image=COLUMN,label=COLUMN.",
        )
    if isinstance(rows.features[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    names = getattr(rows.features[label], "names", None)
    table = rows.with_format("arrow")[:]
    # A column of the splits' names would stand against the splits that the dataset declares.
    table = table.select([name for name in table.column_names if name != "split"])
    file = request.path / split if request.path.is_dir() else Path(split)
    return _table_part(request, table, names, file=file, name=split)


def _join_parts(
    request: ReadRequest, parts: Sequence[_Part], splits: Sequence[str] | None
) -> Manifest:
    """Makes one manifest of tables; ``splits`` (N,) may be spelled in any way."""
    labels = [label for part in parts for label in part.labels]
    if not any(labels):
        raise DataError("has no row with a label", subject=request.spec)
    schema = request.labels or _schema(request, parts, labels)
    dropped = sum(part.dropped for part in parts)
    wanted = list(request.labels.labels) if request.labels else None
    return assemble(
        request,
        arrow_images([part.pictures for part in parts]),
        labels,
        schema=schema,
        targets=vote_targets(
            # A file that names no labels is read with those wanted.
            [([*map(request.rename, part.names)] if part.names else wanted, part.votes)
             for part in parts],
            labels, schema, request.spec,
        ),
        splits=splits,
        columns={name for part in parts for name in part.names or ()},
        groups=_column(parts, "subject_id", request.path),
        warnings=[f"{dropped} rows without a label are left out."] if dropped else (),
    )  # fmt: skip


def _files(path: Path) -> list[Path]:
    from mien.images.files import natural_key

    if path.is_file():
        return [path]
    found = {file.relative_to(path).as_posix(): file for file in path.rglob("*.parquet")}
    shown = [name for name in found if not any(part.startswith(".") for part in name.split("/"))]
    if not shown:
        raise DataError("holds no .parquet files", subject=path)
    return [found[name] for name in sorted(shown, key=natural_key)]


def _names(request: ReadRequest) -> tuple[str, str]:
    """Returns the names of the columns of pictures and of labels."""
    return request.options.get("image", "image"), request.options.get("label", "label")


def _read_part(request: ReadRequest, file: Path) -> _Part:
    have, (image, label) = read_schema(file), _names(request)
    more = [name for name in (*_ROLES, VOTES) if name in have.names]
    table = read_columns(file, [image, label, *more])
    name = file.name if request.path.is_file() else file.relative_to(request.path).as_posix()
    return _table_part(request, table, class_names(have, label), file=file, name=name)


def _table_part(
    request: ReadRequest, table: Any, names: list[str] | None, *, file: Path, name: str
) -> _Part:
    """Takes pictures, labels and roles out of a ``pyarrow.Table`` that ``file`` holds.

    ``names`` are the labels that class ids stand for; the pictures' keys begin with ``name``.
    """
    image, label = _names(request)
    roles = [role for role in _ROLES if role in table.column_names]
    votes = table[VOTES].to_pylist() if VOTES in table.column_names else None
    texts = label_texts(table[label], names, request, f"{file}, column {label!r}")
    if votes is not None:
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
            reason = f"has {values.null_count} rows without a {role}"
            raise DataError(reason, subject=file, hint="Fill them.")
        columns[role] = [str(value) for value in values.to_pylist()]
    return _Part(pictures, [t for t in texts if t is not None], names, columns, dropped, votes)


def _schema(request: ReadRequest, parts: Sequence[_Part], labels: list[str]) -> LabelSchema:
    declared = next((part.names for part in parts if part.names), None) or []
    declared = [request.rename(name) for name in declared]
    labels = [request.rename(name) for name in labels]
    schema = choose_schema({*declared, *labels} - {""}, str(request.path))
    if set(schema.labels) == set(declared):
        # Class ids of other tools follow the declared order: keep it, where no schema is known.
        return LabelSchema(schema.name, tuple(declared)) if schema.name == "custom" else schema
    return schema


def _column(parts: Sequence[_Part], role: str, path: Path) -> list[str] | None:
    have = [role in part.columns for part in parts]
    if any(have) and not all(have):
        reason = f"has a column {role!r} in {sum(have)} of {len(have)} files only"
        raise DataError(reason, subject=path)
    return [value for part in parts for value in part.columns[role]] if all(have) else None


def _file_splits(root: Path, files: list[Path], parts: Sequence[_Part]) -> list[str] | None:
    """Returns N splits by the names of the files or of their folders, None if none has one."""
    found = [
        file_split(file.stem)
        or (SPLIT_NAMES.get(file.parent.name.lower(), "") if file.parent != root else "")
        for file in files
    ]
    if not any(found) or root.is_file():
        return None
    if not all(found):
        reason = "does not name its split, as other files do"
        hint = "Name it as in train-00000.parquet, or write a column 'split' in all of them."
        raise DataError(reason, subject=files[found.index("")], hint=hint)
    return _repeated(found, parts)


def _repeated(splits: Sequence[str], parts: Sequence[_Part]) -> list[str]:
    return [name for name, p in zip(splits, parts, strict=True) for _ in p.labels]
