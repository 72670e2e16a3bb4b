"""A manifest's pictures as one uint8 array in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DataError, InputError
from mien.images import decode
from mien.preprocess import crop_faces, whole_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.data.manifest import Manifest
    from mien.preprocess import Preprocessing


def read_face(data: bytes, key: str, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decodes a picture that shows one face: uint8 (S, S, C).

    Args:
        data: The encoded picture.
        key: Its name, for messages.
        preprocessing: Size S and colour (C channels) to scale it to.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        image_rgb = decode(data)
    except InputError as error:
        raise DataError(error, subject=f"{key}:") from error
    height, width = image_rgb.shape[:2]
    face: NDArray[np.uint8] = crop_faces(image_rgb, [whole_box(width, height)], preprocessing)[0]
    return face


def load_faces(
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.uint8]:
    """Decodes every picture of a manifest as one ready face.

    Args:
        manifest: N pictures that show one face each.
        preprocessing: Size S and colour (C channels) to scale them to.
        workers: Threads that decode.
        progress: Called with the number of faces just finished.

    Returns:
        uint8 (N, S, S, C), 2.3 KB a face at 48x48 gray.

    Raises:
        DataError: If a picture cannot be read; it is named.
    """
    side = preprocessing.size
    faces = np.empty((len(manifest), side, side, preprocessing.channels), np.uint8)

    def load(start: int) -> int:
        stop = min(start + 256, len(manifest))
        for index in range(start, stop):
            images = manifest.images
            faces[index] = read_face(images.read(index), images.key(index), preprocessing)
        return stop - start

    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for done in pool.map(load, range(0, len(manifest), 256)):
            if progress:
                progress(done)
    return faces
