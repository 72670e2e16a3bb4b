"""Folders of pictures by class (``folder:PATH``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import IMAGE_SUFFIXES, natural_key, source_stem
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble, choose_schema, class_id
from mien.data.readers.csvtable import read_subjects
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLIT_NAMES
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mien.data.manifest import Manifest


@dataclass(frozen=True)
class _ClassFolder:
    path: Path
    split: str | None
    files: tuple[Path, ...]


@register_reader("folder", options=("dedupe",))
def read_folder(request: ReadRequest) -> Manifest:
    """Reads ``folder:PATH``: ``{train,valid,test}/<label>/*``, or ``<label>/*`` to be split.

    Labels are those of the schema wanted; else of the smallest known schema that has all the
    names; else the sorted names over all splits. A folder within a folder, as archives make them,
    is stepped into. Made copies (``2801.jpg_rotation_1.jpg``) share a group with their source. A
    ``metadata.csv`` next to the folders, with ``file_name`` and ``subject_id``, gives the groups.

    Options: ``dedupe=true`` removes from train what is also in valid or test.

    Raises:
        DataError: If there are no pictures, or a folder is no label of the schema wanted.
    """
    root = _real_root(request.path)
    warnings: list[str] = []
    folders = _class_folders(root, warnings)
    _check_filled(request.spec, folders)
    schema = request.labels or choose_schema({folder.path.name for folder in folders}, str(root))
    for folder in folders:
        class_id(schema, folder.path.name, str(folder.path))
    rows = [(file.relative_to(request.path).as_posix(), f) for f in folders for file in f.files]
    names = [name for name, _ in rows]
    sources = [source_stem(name) for name in names]
    # With the label: angry/1.jpg and happy/1.jpg are two faces.
    groups = np.array(
        [
            f"{schema.labels[schema.index(folder.path.name)]}/{stem}"
            for (_, folder), (stem, _) in zip(rows, sources, strict=True)
        ]
    )
    told = np.isin(groups, groups[np.array([made for _, made in sources])])
    subjects = read_subjects(root)
    if subjects:
        prefix = "" if root == request.path else root.relative_to(request.path).as_posix() + "/"
        named = [subjects.get(name.removeprefix(prefix)) for name in names]
        groups = np.array([a or b for a, b in zip(named, groups.tolist(), strict=True)])
        told = np.array([subject is not None for subject in named])
    return assemble(
        request,
        FileImages(request.path, names),
        [folder.path.name for _, folder in rows],
        schema=schema,
        splits=None if folders[0].split is None else [str(folder.split) for _, folder in rows],
        groups=groups.tolist(),
        told=told,
        warnings=warnings,
    )


def _check_filled(spec: str, folders: list[_ClassFolder]) -> None:
    if not any(folder.files for folder in folders):
        raise DataError(
            "has no pictures",
            subject=spec,
            hint="It needs folders named after the labels, with files of "
            f"{' '.join(IMAGE_SUFFIXES)} in them, or such folders in train/ and valid/.",
        )
    for split in {folder.split for folder in folders}:
        if not any(folder.files for folder in folders if folder.split == split):
            raise DataError(
                f"has no pictures in the folder of the split {split!r}",
                subject=spec,
                hint="Fill it, or remove it: then faces of train are set aside.",
            )


def _visible(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        (p for p in paths if not p.name.startswith((".", "__MACOSX"))),
        key=lambda p: natural_key(p.name),
    )


def _subfolders(path: Path) -> list[Path]:
    return [p for p in _visible(path.iterdir()) if p.is_dir()]


def _is_split(path: Path) -> bool:
    return path.name.strip().casefold() in SPLIT_NAMES


def _real_root(path: Path) -> Path:
    if not path.is_dir():
        raise DataError(
            "is no folder", subject=path, hint="For a table of files, use csv: or parquet:."
        )
    inner = _subfolders(path)
    while len(inner) == 1 and not _is_split(inner[0]) and _subfolders(inner[0]):
        path = inner[0]
        inner = _subfolders(path)
    return path


def _class_folders(root: Path, warnings: list[str]) -> list[_ClassFolder]:
    inner = _subfolders(root)
    splits = [folder for folder in inner if _is_split(folder)]
    ignored = [folder.name for folder in inner if splits and not _is_split(folder)]
    if ignored:
        warnings.append(f"next to the splits, these folders are not read: {', '.join(ignored)}.")
    found = []
    for parent in splits or [root]:
        split = SPLIT_NAMES[parent.name.strip().casefold()] if splits else None
        loose = sum(_is_image(path) for path in _visible(parent.iterdir()))
        if loose:
            warnings.append(
                f"{loose} pictures directly in {parent} have no label and are not read."
            )
        for folder in _subfolders(parent):
            files = tuple(_images_below(folder))
            if not files:
                warnings.append(f"{folder} holds no pictures.")
            found.append(_ClassFolder(folder, split, files))
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _is_inner(path: Path) -> bool:
    # A link may lead back up; real folders cannot.
    return path.is_dir() and not path.is_symlink()


def _images_below(folder: Path) -> list[Path]:
    inner = _visible(folder.iterdir())
    files = [path for path in inner if _is_image(path)]
    return files + [file for path in inner if _is_inner(path) for file in _images_below(path)]
