"""Datasets as their publishers hand them out: AffectNet, RAF-DB and CK+."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import by_name
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble, check_files, with_slashes
from mien.data.readers.csvfile import read_rows, read_text
from mien.data.registry import ReadRequest, register_reader
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mien.data.manifest import Manifest

#: AffectNet's expressions by number; the last three are no emotions.
_EXPRESSIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
    "none", "uncertain", "no face",
)  # fmt: skip
_PATH, _EXPRESSION = "subDirectory_filePath", "expression"
#: The columns of AffectNet's lists that come without a header.
_COLUMNS = (
    _PATH, "face_x", "face_y", "face_width", "face_height", "facial_landmarks", _EXPRESSION,
    "valence", "arousal",
)  # fmt: skip
#: Its lists and folders by split.
_SPLITS = {"train": ("training.csv", "train_set"), "valid": ("validation.csv", "val_set")}
_RAF_LIST = "list_patition_label.txt"
#: The numbers of RAF-DB's list, from 1.
_RAF_LABELS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_RAF_LINE = re.compile(r"\s*((train|test)_\S*?)(\.[^.\s]+)\s+([1-7])\s*")
_CK_IMAGES = "cohn-kanade-images"
#: The numbers of CK+'s label files, from 0.
_CK_LABELS = (
    "neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
)  # fmt: skip


@register_reader("affectnet", options=("classes", "dedupe"))
def read_affectnet(request: ReadRequest) -> Manifest:
    """Reads ``affectnet:DIR``, in either layout that is handed out.

    Mollahosseini, Hasani and Mahoor, 2017, arXiv:1708.03985. The full release has
    ``Manually_Annotated_file_lists/{training,validation}.csv`` and the faces in
    ``Manually_Annotated/Manually_Annotated_Images/689/....jpg``; the release for eight classes has
    ``{train_set,val_set}/images/0.jpg`` and ``.../annotations/0_exp.npy``. Pictures marked
    ``None``, ``Uncertain`` or ``No-Face`` are left out.

    Options: ``classes=8``, or ``7`` without contempt.
    """
    schema = FERPLUS8 if request.choice("classes", "8", "7") == "8" else FER7
    request.expect(schema, "Leave the labels out; classes=7 gives 'fer7'.")
    root = request.path
    rows = [(*row, split) for split, names in _SPLITS.items() for row in _affectnet(root, *names)]
    if not rows:
        raise DataError(
            "holds neither train_set/, val_set/ with images/ and annotations/, "
            "nor Manually_Annotated_file_lists/ with training.csv",
            subject=root,
        )
    kept = [row for row in rows if row[1] in schema]
    if not kept:
        raise DataError(f"shows none of the emotions on {len(rows)} pictures", subject=request.spec)
    names, labels, splits = zip(*kept, strict=True)
    check_files(root, names)
    left = len(rows) - len(kept)
    warnings = [f"{left} pictures without one of the emotions are left out."] * bool(left)
    images = FileImages(root, names)
    return assemble(request, images, labels, schema=schema, splits=splits, warnings=warnings)


def _affectnet(root: Path, name: str, folder: str) -> Iterator[tuple[str, str]]:
    """Yields the path and label of each picture of a split."""
    if (root / folder / "annotations").is_dir():
        yield from _read_arrays(root, folder)
        return
    for parent in (root / "Manually_Annotated_file_lists", root):
        if (parent / name).is_file():
            yield from _read_list(root, parent / name)
            return


def _read_arrays(root: Path, name: str) -> Iterator[tuple[str, str]]:
    for file in by_name((root / name / "annotations").glob("*_exp.npy")):
        try:
            number = str(int(np.load(file, allow_pickle=False).item()))
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"holds no number of an expression ({error})", subject=file) from error
        picture = f"{name}/images/{file.name.removesuffix('_exp.npy')}.jpg"
        yield picture, _expression(number, str(file))


def _read_list(root: Path, listed: Path) -> Iterator[tuple[str, str]]:
    images = "Manually_Annotated/Manually_Annotated_Images"
    if not (root / images).is_dir() and (root / "Manually_Annotated_Images").is_dir():
        images = "Manually_Annotated_Images"
    columns: tuple[str, ...] = _COLUMNS
    for line, cells in read_rows(listed):
        if line == 1 and _PATH in cells:
            columns = cells
            continue
        where = f"{listed}, row {line}"
        if len(cells) != len(columns) or _EXPRESSION not in columns:
            reason = f"does not have the columns {', '.join(_COLUMNS)}"
            raise DataError(reason, subject=where)
        row = dict(zip(columns, map(str.strip, cells), strict=True))
        name = with_slashes(root, f"{images}/{row[_PATH]}")
        yield name, _expression(row[_EXPRESSION], where)


def _expression(number: str, where: str) -> str:
    if not number.isdecimal() or int(number) >= len(_EXPRESSIONS):
        raise DataError(
            f"has the expression {number!r}; it must be a number of 0 to {len(_EXPRESSIONS) - 1}",
            subject=where,
        )
    return _EXPRESSIONS[int(number)]


@register_reader("rafdb", options=("images", "dedupe"))
def read_rafdb(request: ReadRequest) -> Manifest:
    """Reads ``rafdb:DIR``: RAF-DB's folder ``basic``, or one above or below it.

    Li, Deng and Du, 2017, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for
    Expression Recognition in the Wild". The archive ``basic`` holds
    ``EmoLabel/list_patition_label.txt`` (spelt so) and ``Image/aligned/train_00001_aligned.jpg``.

    Options: ``images=aligned`` (100x100 faces) or ``original``. There is no valid split: a share
    of train becomes it.
    """
    schema = request.expect(FER7)
    kind = request.choice("images", "aligned", "original")
    base, listed = _find_list(request.path)
    rows = []
    for number, line in enumerate(read_text(listed).splitlines(), 1):
        match = _RAF_LINE.fullmatch(line)
        if match:
            stem, split, ending, label = match.groups()
            file = f"{stem}_aligned{ending}" if kind == "aligned" else f"{stem}{ending}"
            rows.append((f"Image/{kind}/{file}", _RAF_LABELS[int(label) - 1], split))
        elif line.strip():
            raise DataError(
                f"is {line!r}; it must be like 'train_00001.jpg 5' (train_ or test_, label 1 to 7)",
                subject=f"{listed}, line {number}",
            )
    if not rows:
        raise DataError("lists no pictures", subject=listed)
    names, labels, splits = zip(*rows, strict=True)
    hint = "Unpack the archive of aligned faces, or say images=original."
    check_files(base, names, hint, listed=listed)
    return assemble(request, FileImages(base, names), labels, schema=schema, splits=splits)


def _find_list(path: Path) -> tuple[Path, Path]:
    for base in (path, path / "basic", path.parent):
        for listed in (base / "EmoLabel" / _RAF_LIST, base / _RAF_LIST):
            if listed.is_file() and (base / "Image").is_dir():
                return base, listed
    hint = "Give the folder that RAF-DB's archive 'basic' unpacks to."
    raise DataError(f"holds no EmoLabel/{_RAF_LIST} next to Image/", subject=path, hint=hint)


@register_reader("ckplus", options=("frames", "neutral", "dedupe"))
def read_ckplus(request: ReadRequest) -> Manifest:
    """Reads ``ckplus:DIR``, with ``cohn-kanade-images`` and ``Emotion`` in it.

    Lucey et al., 2010, "The Extended Cohn-Kanade Dataset (CK+)". Sequences go from neutral to the
    peak; 327 of 593 have a label in ``Emotion/S005/001/S005_001_00000011_emotion.txt``. The peak
    frames of each labelled sequence are taken. Subjects are groups, so that a split keeps each on
    one side; the data has none of its own.

    Options: ``frames=1`` is how many of the last frames to take; ``neutral=true`` takes the first
    frame of each labelled sequence as ``neutral``.
    """
    schema = request.expect(FERPLUS8)
    frames = request.options.get("frames", "1")
    if not frames.isdecimal() or int(frames) < 1:
        raise ConfigError(f"has frames={frames}; it must be 1 or more", subject=request.spec)
    with_neutral = request.flag("neutral", default=False)
    root = request.path
    if not (root / _CK_IMAGES).is_dir() or not (root / "Emotion").is_dir():
        raise DataError(f"needs the folders {_CK_IMAGES} and Emotion, as CK+ unpacks", subject=root)
    rows = []
    labelled = sorted((root / "Emotion").glob("*/*/*_emotion.txt"))
    for file in labelled:
        label, (subject, sequence) = _label(file), file.parts[-3:-1]
        folder = root / _CK_IMAGES / subject / sequence
        pictures = by_name(path for path in folder.glob("*.png") if path.name[0] != ".")
        if not pictures:
            reason = "holds no .png frames, though Emotion has a label for them"
            raise DataError(reason, subject=folder)
        if with_neutral and len(pictures) > int(frames):
            rows.append((pictures[0], "neutral", subject))
        rows += [(picture, label, subject) for picture in pictures[-int(frames) :]]
    if not rows:
        raise DataError("holds no */*/*_emotion.txt with a label", subject=root / "Emotion")
    files, labels, groups = zip(*rows, strict=True)
    names = [picture.relative_to(root).as_posix() for picture in files]
    left = sum(path.is_dir() for path in (root / _CK_IMAGES).glob("*/*")) - len(labelled)
    warnings = [f"{left} sequences without a label are left out."] * (left > 0)
    images = FileImages(root, names)
    return assemble(request, images, labels, schema=schema, groups=groups, warnings=warnings)


def _label(file: Path) -> str:
    text = file.read_text("utf-8").strip()
    numbers = {f"{number:.7e}": name for number, name in enumerate(_CK_LABELS)}
    try:
        return numbers[f"{float(text):.7e}"]
    except (ValueError, KeyError):
        reason = f"holds {text!r}; it must be a number from 0 to 7 such as '3.0000000e+00'"
        raise DataError(reason, subject=file) from None
