"""The pictures of a manifest as one uint8 array in memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mien.errors import DataError, InputError
from mien.images import decode
from mien.preprocess import Preprocessing, crop_faces, whole_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.arrays import U8, Bools
    from mien.data.image_stores import ImageStore
    from mien.data.manifest import Manifest

__all__ = ["load_faces", "read_face", "read_picture"]

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


def chunks(manifest: Manifest, size: int = 2048) -> Iterator[Manifest]:
    """Yields a manifest in parts, which bounds memory on datasets of any size."""
    for start in range(0, len(manifest), size):
        yield manifest.select(np.arange(start, min(start + size, len(manifest))))


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

    Returns:
        uint8 (N, S, S, C), 2.3 KB per face at 48x48 gray.

    Raises:
        DataError: If a picture cannot be read and there is no ``damaged``; it is named.
    """
    side, images = preprocessing.size, manifest.images
    faces = np.zeros((len(manifest), side, side, preprocessing.channels), np.uint8)

    def load(part: range) -> None:
        for index in part:
            try:
                faces[index] = read_face(images.read(index), images.key(index), preprocessing)
            except DataError as error:
                if damaged is None:
                    raise
                damaged[index] = error

    for _ in in_threads(load, len(manifest), workers=workers, progress=progress):
        pass
    return faces


def keep_readable(part: Manifest, damaged: dict[int, DataError]) -> Bools:
    """Tells which pictures of a split could be read (N,), and logs how many are left out.

    Args:
        part: The N pictures.
        damaged: What :func:`load_faces` met, by position.

    Raises:
        DataError: If none could be read.
    """
    keep = np.ones(len(part), np.bool_)
    if damaged:
        first = damaged[min(damaged)]
        if len(damaged) == len(part):
            raise first
        _LOG.warning(
            "note: %d of %d %s pictures cannot be read and are left out; the first: %s "
            "They are all named by: mien data inspect -d %s",
            len(damaged), len(part), part.splits[0], first, part.source,
        )  # fmt: skip
        keep[list(damaged)] = False
    return keep
