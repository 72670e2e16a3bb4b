"""How a clip is read.

Nothing heavy is imported here, so that the command line can know a clip from a photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.config import Config, from_one, from_zero, option, switch

if TYPE_CHECKING:
    import os

#: Files that ``mien predict`` takes for clips.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".3gp",
     ".wmv", ".flv", ".ogv"}
)  # fmt: skip


def is_video_name(path: str | os.PathLike[str]) -> bool:
    """Says whether a file's name ends like a clip's.

    >>> is_video_name("holiday.MP4"), is_video_name("holiday.jpg")
    (True, False)
    """
    return "." + str(path).rpartition(".")[2].lower() in VIDEO_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class VideoConfig(Config):
    """Everything that decides what comes out of a clip.

    Raises:
        ConfigError: If a value is out of range or not a number.

    >>> VideoConfig(fps=5).detect_every
    3
    """

    fps: float = from_zero(0.0, "Clips: frames per second to read; 0: every frame.", high=1000)
    detect_every: int = from_one(
        3, "Clips: faces are detected in every n-th frame and tracked between.", high=1000
    )
    smooth_s: float = from_zero(
        0.5, "Clips: time constant of the smoothing, seconds; 0: none.", high=600, flag="--smooth"
    )
    gap_s: float = from_zero(
        1.0, "Seconds out of sight after which a face keeps its number.", high=60, flag=None
    )
    confirm: int = from_one(
        3, "Detections after which a face becomes a track.", high=100, flag=None
    )
    min_face: int | None = from_one(None, "Smallest face that is detected, pixels.")
    max_faces: int | None = from_one(None, "Most faces per picture or frame; none: all.")
    segment_s: float = option(
        5.0, "Seconds between two savings of an unfinished run.", low=0.2, high=600, flag=None
    )
    max_pixels: int = from_one(36_000_000, "Most pixels a frame may have.", flag=None)
    annotate: bool = option(
        default=True, help_text="Write the clip with boxes and labels.", flag=None
    )
    picture: bool = option(
        default=True, help_text="Draw the timeline (needs matplotlib).", flag=None
    )
    every_s: float = from_zero(
        0.0, "Clips: also a table with a row per face and so many seconds; 0: none.",
        high=86_400, flag="--every",
    )  # fmt: skip
    dark: bool = option(
        default=False, help_text="Draw the timeline on dark paper as well.", flag=None
    )
    srt: bool = switch("Clips: write subtitles.")
