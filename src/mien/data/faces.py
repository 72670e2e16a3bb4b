"""The pictures of a manifest as one uint8 array in memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mien.errors import FAULT, DataError, InputError
from mien.images import decode
from mien.preprocess import Preprocessing, crop_faces, whole_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mien.arrays import U8, Bools
    from mien.data.image_stores import ImageStore
    from mien.data.manifest import Manifest

__all__ = ["load_faces", "load_readable", "read_face", "read_picture"]

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")


def in_threads(
    work: Callable[[range], _T],
    count: int,
    *,
    workers: int,
    progress: Callable[[int], None] | None = None,
    size: int = 256,
) -> Iterator[_T]:
    """Yields what ``work`` makes of 0..count-1, part by part in their order, done by threads."""
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for part, made in zip(parts, pool.map(work, parts), strict=True):
            yield made
            if progress:
                progress(len(part))


def read_picture(images: ImageStore, index: int) -> U8:
    """Decodes one picture of a dataset: uint8 (H, W, 3).

    Raises:
        DataError: If it cannot be read; its name is the subject.
    """
    return _decode(images.read(index), images.key(index))


def _decode(data: bytes, key: str) -> U8:
    try:
        return decode(data)
    except InputError as error:
        raise DataError(error.reason, subject=key, hint=error.hint) from error


def read_face(data: bytes, key: str, preprocessing: Preprocessing) -> U8:
    """Decodes a picture that shows one face: uint8 (S, S, C).

    Args:
        data: The encoded picture.
        key: Its name, for messages.
        preprocessing: Size S and colour (C channels) to scale it to.

    Raises:
        DataError: If it cannot be read.
    """
    image_rgb = _decode(data, key)
    height, width = image_rgb.shape[:2]
    return np.asarray(crop_faces(image_rgb, [whole_box(width, height)], preprocessing)[0])


def load_faces(
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
    damaged: dict[int, DataError] | None = None,
) -> U8:
    """Decodes every picture of a manifest as one cropped face.

    Args:
        manifest: N pictures that show one face each.
        preprocessing: Size S and colour (C channels) to scale them to.
        workers: Threads that decode.
        progress: Called with the number of faces just finished.
        damaged: Gets the positions of pictures that cannot be read, which are then black.
            None, or a manifest with ``on_error="stop"``: the first is raised.

    Returns:
        uint8 (N, S, S, C), 2.3 KB per face at 48x48 gray.

    Raises:
        DataError: If a picture cannot be read and is not to be left out; it is named.
    """
    side, images = preprocessing.size, manifest.images
    faces = np.zeros((len(manifest), side, side, preprocessing.channels), np.uint8)

    def load(part: range) -> None:
        for index in part:
            try:
                faces[index] = read_face(images.read(index), images.key(index), preprocessing)
            except DataError as error:
                if damaged is None or manifest.on_error == "stop":
                    raise
                damaged[index] = error

    for _ in in_threads(load, len(manifest), workers=workers, progress=progress):
        pass
    return faces


def load_readable(
    part: Manifest,
    preprocessing: Preprocessing,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
    damaged: dict[int, DataError] | None = None,
) -> tuple[Manifest, U8]:
    """Decodes the faces of a split, and leaves those out that cannot be read, which is logged.

    Args:
        part: Pictures that show one face each.
        preprocessing: Size S and colour (C channels) to scale them to.
        workers: Threads that decode.
        progress: Called with the number of faces just finished.
        damaged: Gets why pictures cannot be read, by their positions.

    Returns:
        The N readable pictures, and their faces, uint8 (N, S, S, C).

    Raises:
        DataError: If none can be read, or one cannot and the manifest says ``on_error="stop"``.
    """
    damaged = {} if damaged is None else damaged
    faces = load_faces(part, preprocessing, workers=workers, progress=progress, damaged=damaged)
    keep = keep_readable(part, damaged)
    return (part.select(keep), faces[keep]) if damaged else (part, faces)


def load_chunks(
    manifest: Manifest,
    inputs: Iterable[Preprocessing],
    damaged: dict[int, DataError] | None = None,
    *,
    size: int = 2048,
) -> Iterator[tuple[Manifest, dict[Preprocessing, U8]]]:
    """Yields a manifest in parts, which bounds memory, with their faces for each of the inputs.

    ``damaged`` is that of :func:`load_faces`, by positions in the whole manifest.
    """
    for start in range(0, len(manifest), size):
        chunk = manifest.select(np.arange(start, min(start + size, len(manifest))))
        found: dict[int, DataError] | None = None if damaged is None else {}
        faces = {each: load_faces(chunk, each, damaged=found) for each in inputs}
        if damaged is not None and found:
            damaged.update({start + index: error for index, error in found.items()})
        yield chunk, faces


def damaged_keys(part: Manifest, damaged: Mapping[int, DataError]) -> tuple[str, ...]:
    """Returns the names of pictures that cannot be read."""
    return tuple(part.images.key(index) for index in sorted(damaged))


def keep_readable(part: Manifest, damaged: Mapping[int, DataError]) -> Bools:
    """Tells which pictures of a split could be read (N,), and logs how many are left out.

    Args:
        part: The N pictures.
        damaged: Why others could not, by position.

    Raises:
        DataError: If none could be read, or one could not and the manifest says
            ``on_error="stop"``.
    """
    keep = np.ones(len(part), np.bool_)
    if damaged:
        first = damaged[min(damaged)]
        if len(damaged) == len(part) or part.on_error == "stop":
            raise first
        split = f"{part.splits[0]} " if len(np.unique(part.splits)) == 1 else ""
        count = f"{len(damaged)} of {len(part)} {split}pictures"
        _LOG.warning(
            "note: %s cannot be read and are left out; the first: %s "
            "They are all named by: mien data inspect -d %s",
            count, first, part.source, extra={FAULT: f"{count} could not be read"},
        )  # fmt: skip
        keep[list(damaged)] = False
    return keep
