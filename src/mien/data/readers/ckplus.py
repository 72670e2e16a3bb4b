"""CK+, the extended Cohn-Kanade sequences (``ckplus:DIR``).

Lucey et al., 2010, "The Extended Cohn-Kanade Dataset (CK+)". Sequences go from neutral to the
peak; 327 of 593 have a label in ``Emotion/S005/001/S005_001_00000011_emotion.txt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.naming import natural_key
from mien.data.readers.assemble import assemble, one_hot
from mien.data.registry import ReadRequest, register_reader
from mien.data.stores import FileImages
from mien.errors import ConfigError, DataError
from mien.labels import FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

_IMAGES = "cohn-kanade-images"
_LABELS = (
    "neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise",
)  # fmt: skip


@register_reader("ckplus", options=("frames", "neutral", "dedupe"))
def read_ckplus(request: ReadRequest) -> Manifest:
    """Reads ``ckplus:DIR``, with ``cohn-kanade-images`` and ``Emotion`` in it.

    Of each labelled sequence the peak frames are taken. Subjects are groups, so that a split
    keeps each on one side; the data has none of its own.

    Options: ``frames=1`` is how many of the last frames to take; ``neutral=true`` takes the first
    frame of each labelled sequence as ``neutral``; ``dedupe`` as elsewhere.

    Raises:
        DataError: If folders are missing, or a label file is not of this form.
        ConfigError: If an option is wrong, or other labels are asked for.
    """
    if request.labels is not None and request.labels != FERPLUS8:
        raise ConfigError(
            "has the labels of 'ferplus8'; leave the labels out", subject=request.spec
        )
    frames = request.options.get("frames", "1")
    if not frames.isdecimal() or int(frames) < 1:
        raise ConfigError(
            f"frames={frames} must be a whole number from 1", subject=f"{request.spec}:"
        )
    with_neutral = request.flag("neutral", default=False)
    root = request.path
    if not (root / _IMAGES).is_dir() or not (root / "Emotion").is_dir():
        raise DataError(f"needs the folders {_IMAGES} and Emotion, as CK+ unpacks", subject=root)
    names, ids, groups = [], [], []
    for file in sorted((root / "Emotion").glob("*/*/*_emotion.txt")):
        label = _label(file)
        subject, sequence = file.parts[-3], file.parts[-2]
        pictures = _frames(root / _IMAGES / subject / sequence)
        taken = [(picture, label) for picture in pictures[-int(frames) :]]
        if with_neutral and len(pictures) > int(frames):
            taken.insert(0, (pictures[0], "neutral"))
        for picture, name in taken:
            names.append(picture.relative_to(root).as_posix())
            ids.append(FERPLUS8.index(name))
            groups.append(subject)
    if not names:
        raise DataError(
            "holds no */*/*_emotion.txt: no sequence has a label", subject=f"{root / 'Emotion'}"
        )
    class_ids = np.array(ids, np.int64)
    return assemble(
        request, schema=FERPLUS8, images=FileImages(root, names),
        targets=one_hot(class_ids, FERPLUS8), class_ids=class_ids, splits=None,
        groups=np.array(groups),
    )  # fmt: skip


def _label(file: Path) -> str:
    text = file.read_text("utf-8").strip()
    numbers = {f"{number:.7e}": name for number, name in enumerate(_LABELS)}
    try:
        found = numbers.get(f"{float(text):.7e}")
    except ValueError:
        found = None
    if found is None:
        raise DataError(
            f"expected a number from 0 to 7 as '3.0000000e+00', got {text!r}", subject=f"{file}:"
        )
    return found


def _frames(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.png"), key=lambda path: natural_key(path.name))
    if not found:
        raise DataError("holds no .png frames, though Emotion has a label for them", subject=folder)
    return [path for path in found if not path.name.startswith(".")]
