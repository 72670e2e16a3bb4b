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
from mien.images.source import address_error, address_of
from mien.video.animation import TICK, is_animated_picture, read_stills
from mien.video.blocks import has_hole, is_unbroken

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterator
    from fractions import Fraction

    from mien.arrays import U8

_T = TypeVar("_T")
#: Seconds that may be missing at the end, at most, before a clip counts as broken off.
_SLACK_S = 1.0
#: Frames that are decoded before they are asked for, at most.
AHEAD = 4
#: Errors in a row after which a file has broken off, and seconds that a clock jumps back.
_MAX_ERRORS, _JUMP_S = 8, 1.0
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


@dataclass
class Tally:
    """What reading met.

    ``damaged`` are packets and pictures; ``index`` and ``time_s`` those of the last frame, shown
    or not; ``end_s`` is the end of the last packet of any kind, on the file's clock.
    """

    damaged: int = 0
    index: int = -1
    time_s: float = 0.0
    end_s: float = 0.0

    def is_whole(self, clip: Clip) -> bool:
        """Tells whether all was read that the file holds by what it says itself."""
        if self.damaged or not is_unbroken(clip.path):
            return False
        if clip.duration_s is None:
            return self.index + 1 >= (clip.frames or 0)
        missing_s = clip.duration_s - max(self.time_s + 1 / clip.fps, self.end_s - clip.start_s)
        frame_s = max(1 / clip.fps, self.time_s / max(self.index, 1))
        slack_s = min(_SLACK_S, max(0.1 * clip.duration_s, 3 * frame_s))
        is_short = clip.frames is not None and self.index + 1 < clip.frames
        return missing_s <= (1.5 * frame_s if is_short else slack_s)

    def loss(self) -> str:
        """Returns what is said of a clip that is not whole."""
        count = f" in {self.damaged:,} places" if self.damaged > 1 else ""
        return f"the clip is not whole: it breaks off or is damaged{count}; the rest was read"


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


def check_one(source: object) -> None:
    """Refuses several clips where one is read."""
    if isinstance(source, (list, tuple)):
        reason = f"one clip or camera is read at a time; got {len(source)} in a list"
        raise InputError(reason, hint="Call it once for each of them.")


def open_clip(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Clip:
    """Reads what a file says of its video; the first frame is decoded to be sure of the rest."""
    av = import_av()
    check_one(path)
    file = Path(path)
    if address := address_of(str(path)):
        raise address_error(address)
    if not file.is_file():
        raise InputError("no such file", subject=f"{file}:")
    if not file.stat().st_size:
        raise InputError("is empty: 0 bytes", subject=file)
    if is_animated_picture(file):
        return _open_animation(file, max_pixels)
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
        start_s = (container.start_time or 0) / av.time_base
        length = None if container.duration is None else container.duration / av.time_base
        if length is not None and "matroska" in container.format.name and 0 < start_s < length:
            length -= start_s  # Matroska says where the last frame ends
        rate = stream.average_rate or stream.guessed_rate or 25
        return Clip(
            file, width, height, float(rate), stream.time_base, start_s, length,
            stream.frames or None, bool(container.streams.audio), max_pixels,
        )  # fmt: skip


def _open_animation(file: Path, max_pixels: int) -> Clip:
    """Reads an animation once, since its frames say one by one how long they are shown."""
    first, frames, length_ms = None, 0, 0
    for still in read_stills(file, max_pixels):
        first, frames, length_ms = first or still, frames + 1, length_ms + still.duration_ms
    assert first is not None  # noqa: S101 - what has no frame was refused
    fps = 1000 * frames / length_ms
    return Clip(
        file, first.width, first.height, fps, TICK, 0.0, length_ms / 1000, frames,
        has_audio=False, max_pixels=max_pixels,
    )  # fmt: skip


def read_frames(
    clip: Clip,
    *,
    fps: float = 0.0,
    shown: bool = True,
    after: Mark | None = None,
    tally: Tally | None = None,
) -> Generator[Frame, None, None]:
    """Yields a clip's frames one after the other, those that follow ``after``.

    Of ``fps`` frames per second (0: all), the first of each 1 / fps seconds is wanted; with
    ``shown`` the others come too. ``tally`` is kept up to date.
    """
    tally = Tally() if tally is None else tally
    with refusing(clip.path):
        if after is not None:
            frames = _frames(clip, fps, after, tally, shown=shown)
            first = next(frames, None)
            if first is not None and (first.pts, first.mark().crc) == (after.pts, after.crc):
                yield from frames
                return
        tally.damaged = 0
        for frame in _frames(clip, fps, None, tally, shown=shown):
            if after is None or frame.pts > after.pts:
                yield frame


def _frames(
    clip: Clip, fps: float, after: Mark | None, tally: Tally, *, shown: bool
) -> Iterator[Frame]:
    """Yields the frames of a clip, or those from a mark on, the marked one included."""
    step = max(round(1 / (clip.fps * clip.time_base)), 1)
    jump = round(_JUMP_S / clip.time_base)
    index, last, cell, moved = -1, None, -1, 0
    for picture in _pictures(clip, after, tally):
        pts = moved + (picture.pts or 0)
        if picture.pts is None or (last is not None and pts <= last - jump):
            # No time, or a clock that began anew: it goes on where the frame before left it.
            pts = 0 if last is None else last + step
            moved += 0 if picture.pts is None else pts - picture.pts - moved
        if (last is not None and pts <= last) or (after is not None and pts < after.pts):
            continue
        index = after.index if after is not None and last is None else index + 1
        last = pts
        time_s = clip.time_of(pts)
        tally.index, tally.time_s = index, time_s
        before, cell = cell, math.floor(time_s * fps + 1e-6)
        wanted = not fps or cell != before
        marked = after is not None and index == after.index
        if wanted or shown or marked:
            _check_size(clip.path, picture.width, picture.height, clip.max_pixels)
            yield Frame(index, pts, time_s, wanted, _upright(picture, clip))


def _pictures(clip: Clip, after: Mark | None, tally: Tally) -> Iterator[Any]:
    """Yields the pictures of a clip as they are decoded, from somewhere before a mark on."""
    if is_animated_picture(clip.path):
        yield from read_stills(clip.path, clip.max_pixels)
        return
    with import_av().open(str(clip.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if after is not None:
            container.seek(after.pts, stream=stream, backward=True)
        yield from _decoded(container, stream, tally)


def _packets(container: Any, tally: Tally) -> Iterator[Any]:
    """Yields the packets of a file, then None; what cannot be read is passed over and counted."""
    av, errors = import_av(), 0
    packets = container.demux()
    while errors < _MAX_ERRORS:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, IndexError):  # IndexError: a stream that begins midway
            errors, packets = errors + 1, container.demux()
            tally.damaged += 1
            continue
        if packet is None:
            break
        errors = 0
        if packet.dts is not None:
            end = (packet.dts if packet.pts is None else packet.pts) + (packet.duration or 0)
            tally.end_s = max(tally.end_s, float(end * packet.time_base))
        yield packet
    yield None


def _decoded(container: Any, stream: Any, tally: Tally | None = None) -> Iterator[Any]:
    """Yields the pictures that can be decoded; a damaged packet is passed over."""
    av, seen = import_av(), False
    tally = Tally() if tally is None else tally
    codec, header = stream.codec_context.name, stream.codec_context.extradata
    for packet in _packets(container, tally):
        if packet is not None and packet.stream.index != stream.index:
            continue
        if packet is not None:
            tally.damaged += packet.is_corrupt or has_hole(memoryview(packet), codec, header)
        try:
            pictures = stream.codec_context.decode(None) if packet is None else packet.decode()
        except av.error.EOFError:
            pictures = []
        except av.error.FFmpegError:
            pictures = []
            # A broadcast is joined midway: what comes before its first picture is no damage.
            tally.damaged += seen
        tally.damaged += sum(p.is_corrupt for p in pictures if seen or p.key_frame)
        seen = seen or bool(pictures)
        yield from pictures


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
    if hasattr(picture, "image_rgb"):
        return np.asarray(picture.image_rgb)
    turns = round(picture.rotation / 90) % 4
    size = (clip.height, clip.width) if turns % 2 else (clip.width, clip.height)
    options = {} if size == (picture.width, picture.height) else {"interpolation": "AREA"}
    image_rgb = picture.to_ndarray(format="rgb24", width=size[0], height=size[1], **options)
    return np.ascontiguousarray(np.rot90(image_rgb, turns)) if turns else image_rgb
