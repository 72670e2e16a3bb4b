"""Cameras, as streams of pictures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import InputError
from mien.video.config import is_video_name
from mien.video.reading import import_av, open_clip, read_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

#: FFmpeg's name for cameras, and how it calls camera 0, by ``sys.platform``.
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}


def camera_frames(device: str) -> Iterator[NDArray[np.uint8]]:
    """Yields the pictures of a camera, or of a clip at the speed it was taken.

    Args:
        device: A camera's number from 0, a device's path or name as FFmpeg calls it, an address
            (``rtsp://…``), or a clip's file.

    Raises:
        InputError: If there is no such camera, it cannot be opened, or it goes away.
        MissingExtraError: If PyAV is not installed.
    """
    if is_video_name(device) and Path(device).is_file():
        yield from _played(device)
        return
    av = import_av()
    name, kind = _camera_name(device)
    try:
        with av.open(name, format=kind) as container:
            for picture in container.decode(video=0):
                yield picture.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, OSError, IndexError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"camera {device} cannot be read: {reason}",
            hint="See that it is plugged in and that no other program uses it.",
        ) from error
    raise InputError(f"camera {device} gives no more pictures: see that it is plugged in.")


def _camera_name(device: str) -> tuple[str, str | None]:
    """Returns FFmpeg's file name and format of a camera."""
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    if "://" in device:
        return device, None
    kind, pattern = _DEVICES.get(platform, ("dshow", "video={}"))
    name = pattern.format(device) if device.isdigit() else device
    if kind == "v4l2" and not Path(name).exists():
        there = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        raise InputError(f"camera {device}: there is no {name}", hint=f"Cameras here: {there}.")
    return name, kind


def _played(path: str) -> Iterator[NDArray[np.uint8]]:
    """Yields a clip's frames when their time has come."""
    start = time.monotonic()
    for frame in read_frames(open_clip(path)):
        time.sleep(max(start + frame.time_s - time.monotonic(), 0.0))
        yield frame.image_rgb
