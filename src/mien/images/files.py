"""Pictures on disk: which files are pictures, how they are listed, and how one is written."""

from __future__ import annotations

import glob
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mien.atomic import replacing
from mien.errors import ConfigError, InputError, suggest
from mien.images.guard import kind_of
from mien.images.pixels import check_rgb

if TYPE_CHECKING:
    from mien.arrays import U8

#: Suffixes of the files that mien reads as pictures, in lower case.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif",
     ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm"}
)  # fmt: skip

#: What is said of a name without letters, which to the system means the folder one is in.
EMPTY_NAME = "an empty name: is a variable of the shell not set? For this folder type a dot."

#: Formats that mien writes, by suffix.
_WRITERS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip


def check_suffix(suffix: str) -> str:
    """Returns the format that an ending means, or refuses one that is not written."""
    image_format = _WRITERS.get(suffix.lower())
    if image_format is None:
        raise ConfigError(f"cannot write a picture as {suffix!r}." + suggest(suffix, _WRITERS))
    return image_format


def encode(image_rgb: U8, *, suffix: str = ".png", quality: int = 92) -> bytes:
    """Returns the bytes of an image file.

    Args:
        image_rgb: uint8 (H, W, 3), RGB.
        suffix: ``.png``, ``.jpg``, ``.webp``, ``.bmp`` or ``.tif``; case does not matter.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        InputError: If the array is no such picture, or its size is beyond the format.
        ConfigError: If the suffix or the quality is not one that can be written.

    >>> import numpy as np
    >>> from mien.images import decode
    >>> image_rgb = np.full((4, 5, 3), 200, np.uint8)
    >>> bool((decode(encode(image_rgb)) == image_rgb).all())
    True
    """
    image_format = check_suffix(suffix)
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality must be from 1 to 100; got {quality!r}.")
    check_rgb(image_rgb, "an image file needs")
    options: dict[str, Any] = {"quality": quality} if image_format in {"JPEG", "WEBP"} else {}
    buffer = io.BytesIO()
    try:
        Image.fromarray(image_rgb).save(buffer, image_format, **options)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"a picture of shape {image_rgb.shape} cannot be written as {image_format} ({error}): "
            "make it smaller or choose .png."
        ) from error
    return buffer.getvalue()


def save_image(
    path: str | os.PathLike[str], image_rgb: U8, *, overwrite: bool = False, quality: int = 92
) -> Path:
    """Writes a picture; the file appears whole or not at all.

    Args:
        path: The suffix says the format; the folder must exist.
        image_rgb: uint8 (H, W, 3), RGB.
        overwrite: Replace a file of that name.
        quality: 1 to 100, for JPEG and WebP.

    Returns:
        The path written.

    Raises:
        InputError: See :func:`encode`.
        ConfigError: If the suffix is unknown, the folder is missing, the file exists and
            ``overwrite`` is off, or it cannot be written there.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_image(Path(folder) / "a.png", np.zeros((2, 2, 3), np.uint8)).name
    'a.png'
    """
    target = Path(path)
    data, refusal = (
        encode(image_rgb, suffix=target.suffix, quality=quality),
        f"cannot write {str(target)!r}",
    )
    if not target.parent.is_dir():
        raise ConfigError(f"{refusal}: there is no folder {target.parent}.")
    if target.is_dir():
        raise ConfigError(f"{refusal}: it is a folder.")
    if not overwrite and target.exists():
        reason = "exists: choose another name, or pass overwrite=True"
        raise ConfigError(reason, subject=f"{str(target)!r}")
    try:
        with replacing(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{refusal} ({error}).") from error
    return target


def list_images(source: str | os.PathLike[str]) -> list[Path]:
    """Lists the picture files of a folder and its subfolders, or those that a pattern matches.

    The order is the same on every machine and counts as people do: ``2.jpg`` before ``10.jpg``.
    Names that start with a dot are skipped, and so are the contents of such folders; links to
    folders are not followed.

    Args:
        source: A folder, one picture, or a pattern such as ``photos/*.jpg`` or ``photos/**/*``.

    Returns:
        Paths of existing files with a suffix in ``IMAGE_SUFFIXES``, and of photos that another name
        hides; empty where there is none.

    Raises:
        InputError: If there is no such file or folder, or it may not be read.

    >>> list_images("no/such/folder/*.png")
    []
    """
    return [file for file in list_files(source) if is_image_file(file)]


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Tells whether a file is there and is named like a picture, or begins like one."""
    if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 - of millions
        return os.path.isfile(path)  # noqa: PTH113
    return kind_of(path) == "photo"


def list_files(source: str | os.PathLike[str]) -> list[Path]:
    """Lists what :func:`list_images` chooses from: every file, and links that lead nowhere."""
    text = os.fspath(source)
    root = Path(text)
    try:
        if root.is_dir():
            files = _walk(root)
        elif root.exists():
            files = [root]
        elif glob.has_magic(text):
            files = [Path(match) for match in glob.glob(text, recursive=True)]  # noqa: PTH207
        else:
            raise InputError(f"there is no file or folder {text!r}: check the path.")
        files = [file for file in set(files) if not file.is_dir()]
        return sorted(files, key=lambda file: natural_key(file.as_posix()))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be listed ({error})", subject=f"{text!r}") from error


def _walk(root: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return found


def natural_key(text: str) -> tuple[list[list[tuple[int, str]]], str]:
    """Returns a key that sorts ``im2`` before ``im10`` whatever the case, folder by folder."""
    parts = [
        [(int(run), "") if run.isdecimal() else (-1, run) for run in re.split(r"([0-9]+)", part)]
        for part in text.casefold().split("/")
    ]
    # The text itself decides between names that differ in case or leading zeros only.
    return parts, text
