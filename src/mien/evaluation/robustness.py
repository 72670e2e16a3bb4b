"""How much worse a model gets on corrupted faces.

Six corruptions in five severities, after the idea of Hendrycks and Dietterich 2019
(https://arxiv.org/abs/1903.12261) with strengths chosen for small faces, and the framing errors
that detectors make. Every draw has a fixed seed: two runs give the same numbers.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from mien.data.faces import read_picture
from mien.errors import ConfigError, suggest
from mien.labels import map_probs
from mien.metrics import wilson_interval
from mien.preprocess import crop_faces, whole_box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mien.arrays import F64, U8
    from mien.data import Manifest
    from mien.preprocess import Preprocessing
    from mien.recognizer import EmotionRecognizer

__all__ = [
    "CLEAN",
    "CONDITIONS",
    "FRAMINGS",
    "SMALL",
    "SUBSET",
    "RobustnessRow",
    "conditions",
    "framed_crops",
    "robustness",
]

#: Strength by severity 1..5. Noise: sigma in grey levels. Blur: sigma as a share of the side.
#: JPEG: quality. Brightness: grey levels added. Contrast: factor. Occlusion: share of the area.
SEVERITIES: dict[str, tuple[float, ...]] = {
    "noise": (8, 16, 26, 40, 60),
    "blur": (0.01, 0.02, 0.03, 0.045, 0.06),
    "jpeg": (40, 25, 15, 9, 5),
    "brightness": (25, 50, 75, 100, 125),
    "contrast": (0.7, 0.5, 0.35, 0.22, 0.12),
    "occlusion": (0.06, 0.12, 0.2, 0.3, 0.4),
}
#: Name -> (scale of the crop, its shift to the right, down), in sides of the crop.
FRAMINGS: dict[str, tuple[float, float, float]] = {
    "10 % tighter": (0.9, 0.0, 0.0),
    "10 % wider": (1.1, 0.0, 0.0),
    "10 % to the left": (1.0, -0.1, 0.0),
    "10 % to the right": (1.0, 0.1, 0.0),
    "10 % up": (1.0, 0.0, -0.1),
    "10 % down": (1.0, 0.0, 0.1),
    "zoomed in 1.4 times": (1 / 1.4, 0.0, 0.0),
}
SMALL = "24 px, scaled up"
CLEAN = "as they are"
SUBSET = 800
#: How many conditions there are, the clean faces included.
CONDITIONS = sum(map(len, SEVERITIES.values())) + len(FRAMINGS) + 2


@dataclass(frozen=True)
class RobustnessRow:
    """Accuracy under one condition.

    Args:
        condition: Name of a corruption or framing, or ``"as they are"``.
        severity: 1..5, or 0 where there is only one.
        strength: The number behind the severity.
        hits: Faces read right.
        n: Faces.
    """

    condition: str
    severity: int
    strength: float
    hits: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types, with accuracy and its 95 % interval."""
        return {
            "condition": self.condition, "severity": self.severity, "strength": self.strength,
            "accuracy": self.hits / self.n,
            "accuracy_ci": list(wilson_interval(self.hits, self.n)), "n": self.n,
        }  # fmt: skip


def corrupt(face: U8, kind: str, strength: float, rng: np.random.Generator) -> U8:
    """Corrupts one face (S, S, C); for kind and strength see ``SEVERITIES``."""
    x = face.astype(np.float64)
    if kind == "noise":
        return _to_bytes(x + rng.normal(0.0, strength, x.shape))
    if kind == "brightness":
        return _to_bytes(x + strength)
    if kind == "contrast":
        return _to_bytes((x - x.mean()) * strength + x.mean())
    if kind == "occlusion":
        height, width = face.shape[:2]
        side = round((strength * height * width) ** 0.5)
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        out = face.copy()
        out[top : top + side, left : left + side] = 128
        return out
    picture = Image.fromarray(face[..., 0] if face.shape[2] == 1 else face)
    if kind == "blur":
        picture = picture.filter(ImageFilter.GaussianBlur(strength * face.shape[0]))
    elif kind == "jpeg":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(strength))
        picture = Image.open(buffer)
    else:
        raise ConfigError(f"there is no corruption {kind!r}", hint=suggest(kind, SEVERITIES))
    return np.asarray(picture).reshape(face.shape)


def _to_bytes(values: F64) -> U8:
    return np.clip(values.round(), 0, 255).astype(np.uint8)


def framed_crops(
    images_rgb: list[U8],
    preprocessing: Preprocessing,
    *,
    scale: float = 1.0,
    shift_x: float = 0.0,
    shift_y: float = 0.0,
) -> U8:
    """Cuts faces out of ready pictures with a wrong frame; border pixels are repeated.

    Args:
        images_rgb: N pictures of one face each, uint8 (h, w, 3).
        preprocessing: Size S and colour.
        scale: Side of the crop as a multiple of the right one.
        shift_x: To the right, in sides of the crop.
        shift_y: Down.

    Returns:
        uint8 (N, S, S, C).
    """
    crops = []
    for image_rgb in images_rgb:
        x1, y1, x2, y2 = whole_box(image_rgb.shape[1], image_rgb.shape[0])
        side, half = x2 - x1, (x2 - x1) * scale / 2
        x, y = (x1 + x2) / 2 + shift_x * side, (y1 + y2) / 2 + shift_y * side
        box = [x - half, y - half, x + half, y + half]
        crops.append(crop_faces(image_rgb, [box], preprocessing))
    return np.concatenate(crops)


def _shrunk(image_rgb: U8, side: int = 24) -> U8:
    x1, y1, x2, y2 = whole_box(image_rgb.shape[1], image_rgb.shape[0])
    how = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image_rgb).resize((side, side), how, (x1, y1, x2, y2)))


def conditions(
    images_rgb: list[U8], preprocessing: Preprocessing, seed: int
) -> Iterator[tuple[str, int, float, U8]]:
    """Yields (condition, severity, strength, crops (N, S, S, C)), the clean faces first."""
    clean = framed_crops(images_rgb, preprocessing)
    yield CLEAN, 0, 0.0, clean
    for kind, strengths in SEVERITIES.items():
        for severity, strength in enumerate(strengths, 1):
            rng = np.random.default_rng([seed, severity, list(SEVERITIES).index(kind)])
            crops = np.stack([corrupt(face, kind, strength, rng) for face in clean])
            yield kind, severity, strength, crops
    for name, (scale, x, y) in FRAMINGS.items():
        crops = framed_crops(images_rgb, preprocessing, scale=scale, shift_x=x, shift_y=y)
        yield name, 0, scale, crops
    yield SMALL, 0, 24.0, framed_crops([_shrunk(image) for image in images_rgb], preprocessing)


def robustness(
    recognizer: EmotionRecognizer,
    manifest: Manifest,
    *,
    split: str = "valid",
    faces: int = SUBSET,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[RobustnessRow]:
    """Scores a model on corrupted copies of a fixed sample of labelled faces.

    Args:
        recognizer: The model.
        manifest: The dataset; ready faces.
        split: The split to draw from.
        faces: How many to draw; all where there are fewer.
        seed: Of the draw and of the corruptions.
        progress: Called with 1 after each of the :data:`CONDITIONS`.

    Returns:
        A row for each condition, the clean faces first.

    Raises:
        DataError: If the split is missing or a picture cannot be read.
        ConfigError: If ``faces`` is below 1, or model and data have no label in common.
    """
    if faces < 1:
        raise ConfigError(f"robustness needs at least one face; got {faces}")
    part = manifest.split(split).with_labels()
    part = part.select(np.sort(np.random.default_rng(seed).permutation(len(part))[:faces]))
    images = [read_picture(part.images, index) for index in range(len(part))]
    config, rows = recognizer.config, []
    for name, severity, strength, crops in conditions(images, config.preprocessing, seed):
        probs = config.calibrated(recognizer.pipeline.logits(crops))
        predicted = map_probs(probs, config.schema, manifest.schema).argmax(axis=1)
        hits = int((predicted == part.class_ids).sum())
        rows.append(RobustnessRow(name, severity, strength, hits, len(part)))
        if progress:
            progress(1)
    return rows
