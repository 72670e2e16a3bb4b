"""Clips out: short pieces of annotated video, and how they become one file with its sound."""

from __future__ import annotations

import heapq
from contextlib import ExitStack, nullcontext, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import is_full, replacing
from mien.errors import MienError
from mien.video.reading import Clip, import_av

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mien.arrays import U8


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

    The file appears when :meth:`close` is called; size and time are those of the clip.
    """

    def __init__(self, path: Path, clip: Clip) -> None:
        self._av, self._clip, self._stack = import_av(), clip, ExitStack()
        self._size = (max(clip.width // 2 * 2, 2), max(clip.height // 2 * 2, 2))
        name, options = _encoder()
        temporary = self._stack.enter_context(replacing(path))
        self._container = self._stack.enter_context(
            self._av.open(str(temporary), "w", format="mp4", options=_timescale(clip))
        )
        self._stream = self._container.add_stream(name, options=dict(options))
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = clip.time_base
        self._stream.codec_context.framerate = Fraction(clip.fps).limit_denominator(1001)
        self.first_pts: int | None = None

    def add(self, image_rgb: U8, pts: int) -> None:
        """Adds a frame, uint8 (H, W, 3) of the clip's size, at its time in the clip's units."""
        if self.first_pts is None:
            self.first_pts = pts
        width, height = self._size
        if image_rgb.shape[:2] != (height, width):
            padded = np.pad(image_rgb, ((0, 1), (0, 1), (0, 0)), mode="edge")
            image_rgb = np.ascontiguousarray(padded[:height, :width])
        picture = self._av.VideoFrame.from_ndarray(image_rgb, format="rgb24")
        picture.pts, picture.time_base = pts - self.first_pts, self._clip.time_base
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Ends the file and puts it in its place."""
        with self._stack:
            self._container.mux(self._stream.encode(None))

    def discard(self, error: BaseException) -> None:
        """Leaves no file; ``error`` is why."""
        with suppress(BaseException), self._stack:  # the first error is what counts
            raise error


def join_pieces(path: Path, pieces: list[tuple[Path, int]], clip: Clip) -> bool:
    """Joins pieces into one MP4 file and adds the clip's own sound; False: that is left out.

    Sound that is damaged is a fault of the clip, and no reason to lose its pictures.
    """
    try:
        _join(path, pieces, clip, sound=clip.has_audio)
    except (import_av().error.FFmpegError, ValueError, AttributeError) as error:
        if not clip.has_audio or is_full(error):
            raise
        _join(path, pieces, clip, sound=False)
        return False
    return True


def _join(path: Path, pieces: list[tuple[Path, int]], clip: Clip, *, sound: bool) -> None:
    """Joins pieces into one MP4 file.

    Nothing is encoded again (but sound that MP4 cannot hold), and memory does not grow with the
    length. Pieces are files and the time of their first frame in the clip's units, in order.
    """
    av = import_av()
    options = {"movflags": "+faststart", **_timescale(clip)}
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options=options) as output,
        av.open(str(pieces[0][0])) as first,
        av.open(str(clip.path)) if sound else nullcontext() as source,
    ):
        video = output.add_stream_from_template(first.streams.video[0])
        streams: list[Iterator[Any]] = [_video_packets(pieces, clip, video)]
        if source is not None:
            streams.append(_sound_packets(source, output, clip))
        for packet in heapq.merge(*streams, key=lambda item: float(item.dts * item.time_base)):
            output.mux(packet)


def _timescale(clip: Clip) -> dict[str, str]:
    return {"video_track_timescale": str(clip.time_base.denominator)}


def _encoder() -> tuple[str, dict[str, str]]:
    av = import_av()
    for name, options in _ENCODERS:
        with suppress(av.codec.codec.UnknownCodecError):
            av.Codec(name, "w")
            return name, options
    raise MienError(
        "this build of PyAV has no encoder for H.264 or MPEG-4: install PyAV from its wheels, "
        "or leave the annotated copy out."
    )


def _moved(packet: Any, offset: int, stream: Any) -> Any:
    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
    packet.stream = stream
    return packet


def _video_packets(pieces: list[tuple[Path, int]], clip: Clip, stream: Any) -> Iterator[Any]:
    av = import_av()
    zero = round(clip.start_s / clip.time_base)
    for path, first_pts in pieces:
        with av.open(str(path)) as piece:
            for packet in _timed(piece.demux(video=0)):
                offset = round((first_pts - zero) * clip.time_base / packet.time_base)
                yield _moved(packet, offset, stream)


def _sound_packets(source: Any, output: Any, clip: Clip) -> Iterator[Any]:
    """Yields the packets of the first sound track, moved to the annotated copy's time."""
    track = source.streams.audio[0]
    if track.codec_context.name in _COPIED_SOUND:
        return _copied_sound(source, track, output.add_stream_from_template(track), clip)
    stream = output.add_stream("aac", rate=track.codec_context.sample_rate)
    return _encoded_sound(source, track, stream, clip)


def _copied_sound(source: Any, track: Any, stream: Any, clip: Clip) -> Iterator[Any]:
    with suppress(import_av().error.FFmpegError):  # the sound ends where the file breaks off
        for packet in _rising(_timed(source.demux(track))):
            yield _moved(packet, -round(clip.start_s / packet.time_base), stream)


def _encoded_sound(source: Any, track: Any, stream: Any, clip: Clip) -> Iterator[Any]:
    with suppress(import_av().error.FFmpegError):
        for sound in source.decode(track):
            if sound.pts is not None:
                sound.pts -= round(clip.start_s / sound.time_base)
            yield from _timed(stream.encode(sound))
    yield from _timed(stream.encode(None))


def _rising(packets: Iterable[Any]) -> Iterator[Any]:
    """Leaves out packets whose clock jumps back, which MP4 cannot hold."""
    last = None
    for packet in packets:
        if last is None or packet.dts > last:
            last = packet.dts
            yield packet


def _timed(packets: Iterable[Any]) -> Iterator[Any]:
    """Leaves the empty packet at the end out."""
    return (packet for packet in packets if packet.dts is not None)
