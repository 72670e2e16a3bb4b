"""Clips in: a stream of upright frames with their times, in constant memory.

Through PyAV (FFmpeg). Frame rates may vary, phones may have been held sideways, pixels need not
be square; what is damaged in the middle is skipped. A run that goes on where another one stopped
jumps there, checks that it found the very same picture, and else reads from the start.
"""

from __future__ import annotations

import math
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mien.errors import InputError, import_extra

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator
    from fractions import Fraction

    from mien.arrays import U8

_T = TypeVar("_T")
#: Frames that are decoded before they are asked for, at most.
AHEAD = 4
#: Pixels that a frame may have, where nobody says otherwise.
MAX_PIXELS = 36_000_000


@dataclass(frozen=True)
class Mark:
    """A position in a clip: the last frame that is done, and a checksum of its pixels."""

    index: int
    pts: int
    crc: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a clip: its number from 0, and its time in the file's units and in seconds.

    ``wanted``: it is to be read, not only shown. ``image_rgb``: uint8 (H, W, 3), upright.
    """

    index: int
    pts: int
    time_s: float
    wanted: bool
    image_rgb: U8

    def mark(self) -> Mark:
        """Returns how to find this frame again."""
        return Mark(self.index, self.pts, zlib.crc32(np.ascontiguousarray(self.image_rgb).data))


@dataclass(frozen=True)
class Clip:
    """What a file says of its video; None where it does not say.

    Width and height are those of upright frames with square pixels; ``fps`` is the average,
    ``time_base`` the seconds per unit of time, ``start_s`` where the file's time begins; a frame
    of more than ``max_pixels`` is refused.
    """

    path: Path
    width: int
    height: int
    fps: float
    time_base: Fraction
    start_s: float
    duration_s: float | None
    frames: int | None
    has_audio: bool
    max_pixels: int

    def time_of(self, pts: int) -> float:
        """Returns the seconds from the file's start of a time in its units."""
        return float(pts * self.time_base) - self.start_s

    def rate(self, fps: float) -> float:
        """Returns the frames per second that are read where ``fps`` are wanted; 0: all."""
        return min(fps or self.fps, self.fps)


def ahead(items: Generator[_T, None, None], depth: int) -> Generator[_T, None, None]:
    """Yields the items of a generator that runs in a thread, at most ``depth`` ahead.

    >>> list(ahead((number for number in range(3)), 2))
    [0, 1, 2]
    """
    end: Any = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="mien-decode") as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)


def import_av() -> Any:
    """Returns PyAV, or says which extra brings it."""
    return import_extra("av", "reading a video", "video")


def reason_of(error: Exception) -> str:
    """Returns what an error of FFmpeg or of the system says."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextmanager
def refusing(path: object) -> Iterator[None]:
    """Turns FFmpeg's errors about a clip into ``InputError``."""
    av = import_av()
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        reason = f"cannot be read as a video: {reason_of(error)}"
        hint = "If the file is whole, convert it first, for example to H.264 in MP4."
        raise InputError(reason, subject=path, hint=hint) from error


def open_clip(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Clip:
    """Reads what a file says of its video; the first frame is decoded to be sure of the rest."""
    av = import_av()
    file = Path(path)
    if not file.is_file():
        raise InputError("no such file", subject=f"{file}:")
    if not file.stat().st_size:
        raise InputError("is empty: 0 bytes", subject=file)
    with refusing(file), av.open(str(file)) as container:
        if not container.streams.video:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            hint = "Give a file with pictures."
            raise InputError(f"has no video, only {kinds}", subject=file, hint=hint)
        stream = container.streams.video[0]
        _check_size(file, stream.width, stream.height, max_pixels)
        first = next(_decoded(container, stream), None)
        if first is None:
            raise InputError("has a video stream, but no frame of it can be read", subject=file)
        _check_size(file, first.width, first.height, max_pixels)
        width, height = _upright_size(first, stream.sample_aspect_ratio)
        start = container.start_time or 0
        length = None if container.duration is None else container.duration / av.time_base
        rate = stream.average_rate or stream.guessed_rate or 25
        return Clip(
            file, width, height, float(rate), stream.time_base, start / av.time_base, length,
            stream.frames or None, bool(container.streams.audio), max_pixels,
        )  # fmt: skip


def read_frames(
    clip: Clip, *, fps: float = 0.0, shown: bool = True, after: Mark | None = None
) -> Generator[Frame, None, None]:
    """Yields a clip's frames one after the other, those that follow ``after``.

    Of ``fps`` frames per second (0: all), the first of each 1 / fps seconds is wanted; with
    ``shown`` the others come too.
    """
    with refusing(clip.path):
        if after is not None:
            frames = _frames(clip, fps, after, shown=shown)
            first = next(frames, None)
            if first is not None and (first.pts, first.mark().crc) == (after.pts, after.crc):
                yield from frames
                return
        for frame in _frames(clip, fps, None, shown=shown):
            if after is None or frame.pts > after.pts:
                yield frame


def _frames(clip: Clip, fps: float, after: Mark | None, *, shown: bool) -> Iterator[Frame]:
    """Yields the frames of a clip, or those from a mark on, the marked one included."""
    av = import_av()
    with av.open(str(clip.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if after is not None:
            container.seek(after.pts, stream=stream, backward=True)
        step = max(round(1 / (clip.fps * clip.time_base)), 1)
        index, last, cell = -1, None, -1
        for picture in _decoded(container, stream):
            pts = picture.pts if picture.pts is not None else (0 if last is None else last + step)
            if (last is not None and pts <= last) or (after is not None and pts < after.pts):
                continue
            index = after.index if after is not None and last is None else index + 1
            last = pts
            time_s = clip.time_of(pts)
            before, cell = cell, math.floor(time_s * fps + 1e-6)
            wanted = not fps or cell != before
            marked = after is not None and index == after.index
            if wanted or shown or marked:
                _check_size(clip.path, picture.width, picture.height, clip.max_pixels)
                yield Frame(index, pts, time_s, wanted, _upright(picture, clip))


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yields the pictures that can be decoded; a damaged packet is passed over."""
    av = import_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the file breaks off: what is under way is still whole
            packet = None
        try:
            pictures = stream.codec_context.decode(None) if packet is None else packet.decode()
        except av.error.FFmpegError:
            pictures = []
        yield from pictures
        if packet is None:
            return


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        reason = f"frames of {width}x{height} are too large; at most {max_pixels:,} pixels are read"
        raise InputError(reason, subject=f"{path}:", hint="Scale the clip down first.")


def _upright_size(picture: Any, ratio: Fraction | None) -> tuple[int, int]:
    """Returns width and height once turned upright and with square pixels."""
    width, height = picture.width, picture.height
    if ratio and ratio != 1 and 0.1 < ratio < 10:
        width = max(round(width * ratio), 1)
    return (height, width) if picture.rotation % 180 else (width, height)


def _upright(picture: Any, clip: Clip) -> U8:
    """Returns a picture as uint8 (H, W, 3) of the clip's size."""
    turns = round(picture.rotation / 90) % 4
    size = (clip.height, clip.width) if turns % 2 else (clip.width, clip.height)
    options = {} if size == (picture.width, picture.height) else {"interpolation": "AREA"}
    image_rgb = picture.to_ndarray(format="rgb24", width=size[0], height=size[1], **options)
    return np.ascontiguousarray(np.rot90(image_rgb, turns)) if turns else image_rgb
