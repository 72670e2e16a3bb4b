"""CK+, the extended Cohn-Kanade sequences (``ckplus:DIR``).

Lucey et al., 2010, "The Extended Cohn-Kanade Dataset (CK+)". Sequences go from neutral to the
peak; 327 of 593 have a label in ``Emotion/S005/001/S005_001_00000011_emotion.txt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.filenames import natural_key
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble
from mien.data.registry import ReadRequest, register_reader
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

    The peak frames of each labelled sequence are taken. Subjects are groups, so that a split
    keeps each on one side; the data has none of its own.

    Options: ``frames=1`` is how many of the last frames to take; ``neutral=true`` takes the first
    frame of each labelled sequence as ``neutral``; ``dedupe`` as elsewhere.

    Raises:
        DataError: If folders are missing, or a label file is not of this form.
        ConfigError: If an option is wrong, or other labels are wanted.
    """
    schema = request.expect(FERPLUS8)
    frames = request.options.get("frames", "1")
    if not frames.isdecimal() or int(frames) < 1:
        raise ConfigError(f"has frames={frames}; it must be 1 or more", subject=request.spec)
    with_neutral = request.flag("neutral", default=False)
    root = request.path
    if not (root / _IMAGES).is_dir() or not (root / "Emotion").is_dir():
        raise DataError(f"needs the folders {_IMAGES} and Emotion, as CK+ unpacks", subject=root)
    rows = []
    for file in sorted((root / "Emotion").glob("*/*/*_emotion.txt")):
        label, (subject, sequence) = _label(file), file.parts[-3:-1]
        pictures = _frames(root / _IMAGES / subject / sequence)
        if with_neutral and len(pictures) > int(frames):
            rows.append((pictures[0], "neutral", subject))
        rows += [(picture, label, subject) for picture in pictures[-int(frames) :]]
    if not rows:
        raise DataError("holds no */*/*_emotion.txt with a label", subject=root / "Emotion")
    files, labels, groups = zip(*rows, strict=True)
    names = [picture.relative_to(root).as_posix() for picture in files]
    return assemble(request, FileImages(root, names), labels, schema=schema, groups=groups)


def _label(file: Path) -> str:
    text = file.read_text("utf-8").strip()
    numbers = {f"{number:.7e}": name for number, name in enumerate(_LABELS)}
    try:
        return numbers[f"{float(text):.7e}"]
    except (ValueError, KeyError):
        raise DataError(
            f"holds {text!r}; it must be a number from 0 to 7 such as '3.0000000e+00'", subject=file
        ) from None


def _frames(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.png"), key=lambda path: natural_key(path.name))
    if not found:
        raise DataError("holds no .png frames, though Emotion has a label for them", subject=folder)
    return [path for path in found if not path.name.startswith(".")]
