"""A visitor's clip: checked, read and summed up; only the annotated copy stays a while."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import InputError, MienError, MissingExtraError
from mien.video import VideoConfig, read_video
from mien.video.reading import open_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mien.demo.config import DemoConfig
    from mien.demo.photo import Model
    from mien.demo.uploads import UploadStore
    from mien.video import VideoSummary

#: Most pixels of a frame: 4K and a little.
_MAX_PIXELS = 9_000_000
#: Seconds of work for each second that a clip may last, and at the least.
_PATIENCE, _AT_LEAST_S = 10.0, 180.0
#: Where the frames a second of a clip are not to be believed: frames a second that count as many.
_MAX_FPS = 60.0


@dataclass(frozen=True, eq=False)
class ClipAnswer:
    """What is shown of a clip: its faces, it with boxes, timelines (PNG) and a table (CSV)."""

    summary: VideoSummary
    annotated: Path
    timeline: bytes
    timeline_dark: bytes
    table: bytes


@contextmanager
def reading_clip(
    model: Model,
    path: Path,
    *,
    uploads: UploadStore,
    config: DemoConfig,
    progress: Callable[[float], None] | None = None,
) -> Iterator[ClipAnswer]:
    """Reads a clip; its files stay until the context ends. ``progress`` gets the share done."""
    size = path.stat().st_size
    if size > config.max_bytes:
        raise InputError(
            f"the clip has {size / 1e6:.1f} MB, and this page takes {config.max_mb:g} MB: "
            "make it smaller or shorter."
        )
    clip = open_clip(path, max_pixels=_MAX_PIXELS)
    if clip.duration_s is not None and clip.duration_s > config.max_seconds + 0.5:
        raise _too_long(config, clip.duration_s)
    most = round(config.max_seconds * min(max(clip.fps, 1.0), _MAX_FPS)) + 1
    end = time.monotonic() + max(_PATIENCE * config.max_seconds, _AT_LEAST_S)

    def watch(done: int, total: int | None) -> None:
        if done > most:
            raise _too_long(config, None)
        if time.monotonic() > end:
            raise InputError("this clip takes too long to read here: send a shorter one.")
        if progress is not None:
            progress(min(done / max(total or most, 1), 1.0))

    with uploads.working() as folder:
        try:
            found = read_video(
                path, folder / "clip", recognizer=model.recognizer, progress=watch,
                config=VideoConfig(max_pixels=_MAX_PIXELS, dark=True),
            )  # fmt: skip
        except (InputError, MissingExtraError):
            raise
        except MienError as error:  # the disk: nothing that a visitor could mend
            raise InputError(
                "this page has no room for your clip just now: try again in some minutes."
            ) from error
        yield ClipAnswer(
            found.summary, found.files["annotated.mp4"],
            *(found.files[name].read_bytes()
              for name in ("timeline.png", "timeline-dark.png", "timeline.csv")),
        )  # fmt: skip


def _too_long(config: DemoConfig, seconds: float | None) -> InputError:
    lasts = "the clip lasts longer than that" if seconds is None else f"it lasts {seconds:.0f} s"
    return InputError(
        f"this page reads clips of up to {config.max_seconds:g} seconds, and {lasts}: cut it, or "
        "read it on your own computer with mien predict."
    )
