"""Results drawn onto the picture they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.results import FaceEmotion, ImageResult

#: Colour by emotion, from the palette of Okabe and Ito (2008), which colour-blind readers tell
#: apart; labels of other schemas share the last colour.
COLORS: dict[str, tuple[int, int, int]] = {
    "neutral": (187, 187, 187),
    "happiness": (240, 228, 66),
    "happy": (240, 228, 66),
    "surprise": (230, 159, 0),
    "sadness": (86, 180, 233),
    "sad": (86, 180, 233),
    "anger": (213, 94, 0),
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "contempt": (150, 120, 220),
}
_OTHER = (255, 255, 255)


def draw_faces(image_rgb: NDArray[np.uint8], result: ImageResult) -> NDArray[np.uint8]:
    """Draws boxes and labels onto a copy of a picture.

    Lines and letters grow with the picture and shrink with small faces; labels stay inside the
    picture. Faces too small for a readable label get their box alone.

    Args:
        image_rgb: uint8 (H, W, 3), upright, as the detector saw it.
        result: What was found in it.

    Returns:
        A new uint8 (H, W, 3).

    Raises:
        InputError: If the picture is not uint8 (H, W, 3) of the result's size.
    """
    expected = (result.height, result.width, 3)
    if image_rgb.dtype != np.uint8 or image_rgb.shape != expected:
        raise InputError(
            f"the result belongs to a uint8 picture {expected}; got {image_rgb.dtype} "
            f"{image_rgb.shape}."
        )
    picture = Image.fromarray(image_rgb)
    pen = ImageDraw.Draw(picture)
    # The largest face comes first; it is drawn last, so that its label lies on top.
    for face in reversed(result.faces):
        _draw_face(pen, face, picture.size)
    return np.array(picture)


def _draw_face(pen: ImageDraw.ImageDraw, face: FaceEmotion, size: tuple[int, int]) -> None:
    width, height = size
    x1, y1, x2, y2 = face.box_xyxy
    color = COLORS.get(face.emotion, _OTHER)
    line = max(1, round(min(width, height) / 250))
    line = min(line, max(1, round((x2 - x1) / 12)))
    box = (max(x1, 0), max(y1, 0), min(x2, width - 1), min(y2, height - 1))
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    pen.rectangle(box, outline=(0, 0, 0), width=line + 2 if line > 1 else line)
    pen.rectangle(box, outline=color, width=line)
    letters = round(max(min(width, height) / 30, 10))
    letters = min(letters, max(9, round((x2 - x1) / 5)))
    text = f"{face.emotion} {face.confidence:.0%}"
    font = ImageFont.load_default(size=letters)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, letters // 5)
    text_width, text_height = right - left + 2 * pad, bottom - top + 2 * pad
    if text_width > width or text_height > height:
        return
    x = min(max(box[0], 0), width - text_width)
    above = box[1] - text_height
    y = above if above >= 0 else min(box[3], height - text_height)
    pen.rectangle((x, y, x + text_width, y + text_height), fill=color)
    pen.text((x + pad - left, y + pad - top), text, fill=(0, 0, 0), font=font)
