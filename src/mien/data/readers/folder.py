"""Folders of pictures by class (``folder:PATH``, ``hes:PATH``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import by_name, is_picture, source_stem
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble, choose_schema, class_id
from mien.data.readers.csvfile import METADATA, read_subjects
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLIT_NAMES
from mien.errors import DataError
from mien.labels import HES3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.data.manifest import Manifest

#: Folders of the releases that have readers of their own, in lower case.
_RELEASES = {
    "ckplus": {"cohn-kanade-images", "emotion"}, "rafdb": {"emolabel", "image"},
    "affectnet": {"train_set", "val_set"},
}  # fmt: skip
#: Folders of data sets for detection and segmentation, in lower case.
_IMAGES = {"images", "image", "imgs", "img", "jpegimages"}
_ANNOTATIONS = {
    "labels", "label", "annotations", "annotation", "masks", "mask", "imagesets",
    "segmentationclass", "segmentationobject", "xml", "json",
}  # fmt: skip
#: A folder of one class: its split, None where there are none, and the pictures in it.
_ClassFolder = tuple[str | None, Path, list[Path]]


@register_reader("folder", options=("dedupe",))
def read_folder(request: ReadRequest) -> Manifest:
    """Reads ``folder:PATH``: ``{train,valid,test}/<label>/*``, or ``<label>/*`` to be split.

    Labels are those of the schema wanted; else of the smallest known schema that has all the
    names; else the sorted names over all splits. A folder within a folder, as archives make them,
    is stepped into. Made copies (``2801.jpg_rotation_1.jpg``) share a group with their source. A
    ``metadata.csv`` next to the folders, with ``file_name`` and ``subject_id``, gives the groups.
    """
    root = _real_root(request.path)
    warnings: list[str] = []
    folders, others = _class_folders(root, warnings)
    if others and not request.as_is:  # an inspection lists them all
        first = others[0].relative_to(root)
        reason = f"{len(others)} files are not named like pictures and not read, such as {first}."
        warnings.append(reason)
    _check_filled(request.spec, folders)
    _refuse_layout(root, [folder.name for _, folder, _ in folders])
    classes = {folder: request.rename(folder.name) for _, folder, _ in folders}
    schema = request.labels or choose_schema(classes.values(), str(root))
    labels = {f: schema.labels[class_id(schema, name, str(f))] for f, name in classes.items()}
    rows = [
        (file.relative_to(request.path).as_posix(), folder, split)
        for split, folder, files in folders
        for file in files
    ]
    names, places, splits = zip(*rows, strict=True)
    sources = [source_stem(name) for name in names]
    # With the label: angry/1.jpg and happy/1.jpg are two faces.
    groups = np.array([f"{labels[f]}/{stem}" for f, (stem, _) in zip(places, sources, strict=True)])
    told = np.isin(groups, groups[np.array([made for _, made in sources])])
    subjects = read_subjects(root)
    if subjects:
        prefix = "" if root == request.path else root.relative_to(request.path).as_posix() + "/"
        named = [subjects.get(name.removeprefix(prefix)) for name in names]
        if lost := sorted(subjects.keys() - {name.removeprefix(prefix) for name in names}):
            reason = f"{METADATA} names {len(lost)} files that are not read, such as {lost[0]}."
            warnings.append(reason)
        groups = np.array([a or b for a, b in zip(named, groups.tolist(), strict=True)])
        told = np.array([subject is not None for subject in named])
    return assemble(
        request,
        FileImages(request.path, names),
        [folder.name for folder in places],
        schema=schema,
        splits=None if None in splits else splits,
        groups=groups.tolist(),
        told=told,
        warnings=warnings,
    )


def _refuse_layout(root: Path, names: list[str]) -> None:
    """Refuses folders that are no classes: those of a data set for detection, or of a release."""
    folded = {name.casefold() for name in names}
    inside = {path.name.casefold() for path in _subfolders(root)}
    for kind, its in _RELEASES.items():
        if its <= inside:
            raise DataError("has a layout of its own", subject=root, hint=f"Type {kind}:{root}.")
    if folded & _IMAGES and folded <= _IMAGES | _ANNOTATIONS:
        raise DataError(
            f"is laid out for detection: {', '.join(sorted(set(names)))} are no classes of faces",
            subject=root,
            hint="It needs one cropped face per picture, in folders named after the labels, or a "
            "table of file_name,label (csv:FILE).",
        )


def _check_filled(spec: str, folders: list[_ClassFolder]) -> None:
    if not any(files for _, _, files in folders):
        from mien.images import IMAGE_SUFFIXES

        hint = (
            "It needs folders named after the labels, with files of "
            f"{' '.join(sorted(IMAGE_SUFFIXES))} in them, or such folders in train/ and valid/."
        )
        raise DataError("has no pictures", subject=spec, hint=hint)
    for split in {split for split, _, _ in folders}:
        if not any(files for other, _, files in folders if other == split):
            reason = f"has no pictures in the folder of the split {split!r}"
            hint = "Fill it, or remove it: then faces of train are set aside."
            raise DataError(reason, subject=spec, hint=hint)


def _visible(paths: Iterable[Path]) -> list[Path]:
    return by_name(path for path in paths if not path.name.startswith((".", "__MACOSX")))


def _subfolders(path: Path) -> list[Path]:
    return [p for p in _visible(path.iterdir()) if p.is_dir()]


def _is_split(path: Path) -> bool:
    return path.name.strip().casefold() in SPLIT_NAMES


def _real_root(path: Path) -> Path:
    if not path.is_dir():
        from mien.images.guard import guess_file

        kind = guess_file(path)
        hint = "" if "unpack" in kind else "For a table of files, use csv: or parquet:."
        raise DataError(f"is no folder: it {kind}", subject=path, hint=hint)
    inner = _subfolders(path)
    while len(inner) == 1 and not _is_split(inner[0]) and _subfolders(inner[0]):
        path = inner[0]
        inner = _subfolders(path)
    return path


def _class_folders(root: Path, warnings: list[str]) -> tuple[list[_ClassFolder], list[Path]]:
    """Returns the folders by class, and the files in them that are no pictures by their names."""
    inner = _subfolders(root)
    splits = [folder for folder in inner if _is_split(folder)]
    ignored = [folder.name for folder in inner if splits and not _is_split(folder)]
    if ignored:
        warnings.append(f"next to the splits, these folders are not read: {', '.join(ignored)}.")
    found: list[_ClassFolder] = []
    others: list[Path] = []
    for parent in splits or [root]:
        split = SPLIT_NAMES[parent.name.strip().casefold()] if splits else None
        loose = [p for p in parent.iterdir() if is_picture(p.name) and p.is_file()]
        if loose:
            reason = f"{len(loose)} pictures directly in {parent} have no label and are not read."
            warnings.append(reason)
        for folder in _subfolders(parent):
            inside = _files_below(folder)
            files = [file for file in inside if is_picture(file.name)]
            others += [file for file in inside if not is_picture(file.name)]
            if not files:
                warnings.append(f"{folder} holds no pictures.")
            found.append((split, folder, files))
    return found, others


def _files_below(folder: Path) -> list[Path]:
    inner = _visible(folder.iterdir())
    files = [path for path in inner if path.is_file()]
    # A link may lead back up; real folders cannot.
    deeper = [path for path in inner if path.is_dir() and not path.is_symlink()]
    return files + [file for path in deeper for file in _files_below(path)]


@register_reader("hes", options=("dedupe",))
def read_hes(request: ReadRequest) -> Manifest:
    """Reads ``hes:DIR``: Kaggle's Human Emotions Dataset, or any folder in it that holds ``train``.

    The archive unpacks to ``Emotions Dataset/Emotions Dataset/{train,test}/{angry,happy,sad}/``.
    Many files are copies that were made before the data was split (``2801.jpg_rotation_1.jpg``),
    so copies of one face are in train and in test: ``mien data split`` makes splits without that
    leak. Labels are ``hes3``; groups are the source pictures, the name before ``.jpg_``. A share
    of train becomes valid, whole groups at a time.
    """
    return read_folder(replace(request, labels=request.expect(HES3)))
