"""One pass over all pictures: what can be read, and a few numbers of each."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mien.data.faces import in_threads
from mien.data.inspection.duplicates import HASH_SIDE, THUMB_SIDE, perceptual_hashes
from mien.errors import DataError, MienError
from mien.images import decode
from mien.images.guard import guess_content, picture_suffix
from mien.preprocess import whole_box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mien.arrays import F32, F64, I64, U8, Bools
    from mien.data.image_stores import ImageStore
    from mien.data.manifest import Manifest

#: Side of the mean faces.
MEAN_SIDE = 48
_SHARPNESS_SIDE = 256
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)


@dataclass(frozen=True, eq=False)
class Scan:
    """The result of one pass over N pictures; ``problems`` are by position: what is wrong, and why.

    ``digests`` are those of the bytes, empty where undecodable. Of the gray picture, NaN where
    unreadable: ``brightness`` (N,), its mean on 0..255; ``contrast``, its standard deviation;
    ``sharpness``, the variance of its Laplacian, shrunk to 256 pixels; ``thumbs`` (N, 24, 24).
    ``sizes`` (N, 2) are width and height, ``hashes`` (N, 2) as it is and mirrored, ``mean_faces``
    (K, 48, 48) by class.
    """

    digests: Sequence[bytes]
    problems: dict[int, tuple[str, str]]
    sizes: NDArray[np.int32]
    brightness: F32
    contrast: F32
    sharpness: F32
    thumbs: U8
    hashes: NDArray[np.uint64]
    mean_faces: F32

    @property
    def readable(self) -> Bools:
        """(N,) bool, True where the picture was decoded."""
        return self.sizes[:, 0] > 0

    def damaged(self, manifest: Manifest) -> dict[int, DataError]:
        """Returns why pictures of the manifest could not be read, by their positions."""
        return {
            index: DataError(f"cannot be read: {why}", subject=manifest.images.key(index))
            for index, (_, why) in self.problems.items()
        }

    def summary(self) -> dict[str, Any]:
        """Returns quantiles of each measure and the most common sizes, as plain JSON types."""
        readable = self.readable
        if not readable.any():
            return {}
        sizes = Counter(map(tuple, self.sizes[readable].tolist()))
        measures = {
            "width": self.sizes[:, 0], "height": self.sizes[:, 1], "brightness": self.brightness,
            "contrast": self.contrast, "sharpness": self.sharpness,
        }  # fmt: skip
        summary: dict[str, Any] = {
            "sizes": [[w, h, count] for (w, h), count in sizes.most_common(8)],
            "different_sizes": len(sizes),
        }
        for name, values in measures.items():
            found = np.percentile(values[readable], _QUANTILES).round(2).tolist()
            summary[name] = {f"p{q}": value for q, value in zip(_QUANTILES, found, strict=True)}
        return summary


def scan_pictures(
    images: ImageStore,
    class_ids: I64,
    classes: int,
    *,
    workers: int = 2,
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Decodes every picture once; what cannot be read is noted and passed over.

    Memory is about 0.7 KB per picture, whatever its size. ``class_ids`` (N,), in 0..classes-1, are
    for the mean faces; -1 is left out.
    """
    N = len(images)
    digests = [b""] * N
    unknown = np.full((3, N), np.nan, np.float32)
    means = np.zeros((classes, MEAN_SIDE, MEAN_SIDE), np.float32)
    thumbs = np.zeros((N, THUMB_SIDE, THUMB_SIDE), np.uint8)
    hashes, sizes = np.zeros((N, 2), np.uint64), np.zeros((N, 2), np.int32)
    light, contrast, sharpness = unknown
    scan = Scan(digests, {}, sizes, light, contrast, sharpness, thumbs, hashes, means)
    totals, counts = np.zeros(means.shape, np.float64), np.zeros(classes, np.int64)

    def work(part: range) -> tuple[F64, I64]:
        small = np.zeros((len(part), HASH_SIDE, HASH_SIDE), np.uint8)
        sums, seen = np.zeros(means.shape, np.float64), np.zeros(classes, np.int64)
        for at, index in enumerate(part):
            gray = _read(images, index, digests, scan.problems)
            if gray is None:
                continue
            _measure(scan, index, gray)
            smaller = gray.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BILINEAR)
            small[at] = np.asarray(smaller)
            if class_ids[index] >= 0:
                sums[class_ids[index]] += gray.resize(
                    (MEAN_SIDE, MEAN_SIDE), Image.Resampling.BILINEAR, box=whole_box(*gray.size)
                )
                seen[class_ids[index]] += 1
        scan.hashes[part.start : part.stop] = perceptual_hashes(small)
        return sums, seen

    for sums, seen in in_threads(work, N, workers=workers, progress=progress):
        totals += sums
        counts += seen
    means[...] = totals / np.maximum(counts, 1)[:, None, None]
    return scan


def _read(
    images: ImageStore, index: int, digests: list[bytes], problems: dict[int, tuple[str, str]]
) -> Image.Image | None:
    """Returns a picture in gray, or None and a line in ``problems``."""
    data: bytes | None = None
    try:
        data = images.read(index)
        image_rgb = decode(data)
    except MienError as error:
        if data == b"":
            problems[index] = "empty", "no bytes"
        elif data is None or not isinstance(error.__cause__, UnidentifiedImageError):
            problems[index] = "unreadable", str(error) if data is None else error.reason
        else:
            kind = "unreadable" if picture_suffix(data) else "not_picture"
            problems[index] = kind, guess_content(data)
        return None
    digests[index] = hashlib.blake2b(data, digest_size=16).digest()
    return Image.fromarray(image_rgb).convert("L")


def _measure(scan: Scan, index: int, gray: Image.Image) -> None:
    scan.sizes[index] = gray.size
    scan.thumbs[index] = np.asarray(gray.resize((THUMB_SIDE, THUMB_SIDE), Image.Resampling.BOX))
    if max(gray.size) > _SHARPNESS_SIDE:
        gray = gray.copy()
        gray.thumbnail((_SHARPNESS_SIDE, _SHARPNESS_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(gray, np.float32)
    scan.brightness[index] = pixels.mean()
    scan.contrast[index] = pixels.std()
    inner = pixels[1:-1, 1:-1]
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    scan.sharpness[index] = (around - 4 * inner).var() if inner.size else 0.0
