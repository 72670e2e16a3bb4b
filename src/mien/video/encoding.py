"""Clips out: short pieces of annotated video, and how they become one file with its sound."""

from __future__ import annotations

import heapq
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import replacing
from mien.errors import MienError
from mien.video.reading import import_av

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.video.clip import Clip

#: Encoders in the order they are tried, with their options. No B-frames: then pieces join as
#: they are, without a gap or an overlap in decoding time.
_ENCODERS = (
    ("libx264", {"preset": "veryfast", "crf": "21", "bf": "0"}),
    ("libopenh264", {"rc_mode": "quality"}),
    ("mpeg4", {"qscale": "3", "bf": "0"}),
)
#: Sound that an MP4 file holds as it is; other sound becomes AAC.
_COPIED_SOUND = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "alac", "flac"})


class PieceWriter:
    """Writes one piece of a clip, an MP4 file without sound that starts at time 0.

    Args:
        path: The file; it appears when :meth:`close` is called.
        clip: The clip it is a piece of, for size and time.

    Raises:
        MienError: If no video encoder is there.
    """

    def __init__(self, path: Path, clip: Clip) -> None:
        av = import_av()
        self._path, self._clip = path, clip
        self._size = (max(clip.width // 2 * 2, 2), max(clip.height // 2 * 2, 2))
        name, options = _encoder()
        self._av = av
        self._stack = ExitStack()
        temporary = self._stack.enter_context(replacing(path))
        self._container = av.open(str(temporary), "w", format="mp4", options=_timescale(clip))
        self._stream = self._container.add_stream(name, options=options)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = clip.time_base
        self._stream.codec_context.framerate = Fraction(clip.fps).limit_denominator(1001)
        self.first_pts: int | None = None

    def add(self, image_rgb: NDArray[np.uint8], pts: int) -> None:
        """Adds a frame, uint8 (H, W, 3) of the clip's size, at its time in the clip's units."""
        if self.first_pts is None:
            self.first_pts = pts
        width, height = self._size
        if image_rgb.shape[:2] != (height, width):
            padded = np.pad(image_rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")
            image_rgb = np.ascontiguousarray(padded[:height, :width])
        picture = self._av.VideoFrame.from_ndarray(image_rgb, format="rgb24")
        picture.pts, picture.time_base = pts - self.first_pts, self._clip.time_base
        for packet in self._stream.encode(picture):
            self._container.mux(packet)

    def close(self) -> None:
        """Ends the file and puts it in its place."""
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
        except BaseException as error:
            self.discard(error)
            raise
        self._stack.close()

    def discard(self, error: BaseException) -> None:
        """Leaves no file; ``error`` is why."""
        with suppress(self._av.error.FFmpegError, OSError):  # the first error is what counts
            self._container.close()
        self._stack.__exit__(type(error), error, error.__traceback__)


def join_pieces(path: Path, pieces: Iterable[tuple[Path, int]], clip: Clip) -> None:
    """Joins pieces into one MP4 file and adds the clip's own sound.

    Nothing is encoded again (but sound that MP4 cannot hold), and memory does not grow with the
    length: packets of both are written in the order of their time.

    Args:
        path: The file to write, whole or not at all.
        pieces: Files and the time of their first frame in the clip's units, in order.
        clip: The clip they are of.
    """
    av = import_av()
    listed = list(pieces)
    with replacing(path) as temporary:
        options = {"movflags": "+faststart", **_timescale(clip)}
        with (
            av.open(str(temporary), "w", format="mp4", options=options) as output,
            av.open(str(listed[0][0])) as first,
            av.open(str(clip.path)) as source,
        ):
            video = output.add_stream_from_template(first.streams.video[0])
            streams: list[Iterator[Any]] = [_video_packets(listed, clip, video)]
            if source.streams.audio:
                streams.append(_sound_packets(source, output, clip))
            for packet in heapq.merge(*streams, key=lambda item: float(item.dts * item.time_base)):
                output.mux(packet)


def _timescale(clip: Clip) -> dict[str, str]:
    return {"video_track_timescale": str(clip.time_base.denominator)}


def _encoder() -> tuple[str, dict[str, str]]:
    av = import_av()
    for name, options in _ENCODERS:
        try:
            av.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name, dict(options)
    raise MienError(
        "this build of PyAV has no encoder for H.264 or MPEG-4: install PyAV from its wheels, "
        "or leave the annotated copy out."
    )


def _video_packets(pieces: list[tuple[Path, int]], clip: Clip, stream: Any) -> Iterator[Any]:
    av = import_av()
    zero = round(clip.start_s / clip.time_base)
    for path, first_pts in pieces:
        with av.open(str(path)) as piece:
            for packet in piece.demux(video=0):
                if packet.dts is None:  # the empty packet at the end
                    continue
                offset = round((first_pts - zero) * clip.time_base / packet.time_base)
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = stream
                yield packet


def _sound_packets(source: Any, output: Any, clip: Clip) -> Iterator[Any]:
    """Yields the packets of the first sound track, moved to the annotated copy's time."""
    track = source.streams.audio[0]
    if track.codec_context.name in _COPIED_SOUND:
        return _copied_sound(source, track, output.add_stream_from_template(track), clip)
    stream = output.add_stream("aac", rate=track.codec_context.sample_rate)
    return _encoded_sound(source, track, stream, clip)


def _copied_sound(source: Any, track: Any, stream: Any, clip: Clip) -> Iterator[Any]:
    av = import_av()
    try:
        for packet in source.demux(track):
            if packet.dts is None:
                continue
            offset = round(clip.start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            packet.stream = stream
            yield packet
    except av.error.FFmpegError:
        return  # the file breaks off: the sound ends with it


def _encoded_sound(source: Any, track: Any, stream: Any, clip: Clip) -> Iterator[Any]:
    av = import_av()
    try:
        for sound in source.decode(track):
            sound.pts = (
                None if sound.pts is None else sound.pts - round(clip.start_s / sound.time_base)
            )
            yield from _timed(stream.encode(sound))
    except av.error.FFmpegError:
        pass
    yield from _timed(stream.encode(None))


def _timed(packets: Iterable[Any]) -> Iterator[Any]:
    return (packet for packet in packets if packet.dts is not None)
