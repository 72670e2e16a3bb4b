"""How a clip is read: one dataclass whose fields are the arguments and the flags.

Nothing heavy is imported here, so that the command line can know a clip from a photo.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError

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


def _option(default: Any, help_text: str, low: float = 0, high: float = math.inf) -> Any:
    return field(default=default, metadata={"help": help_text, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Everything that decides what comes out of a clip. Each field's help is its documentation.

    Raises:
        ConfigError: If a value is out of range or not a number.

    >>> VideoConfig(fps=5).detect_every
    3
    """

    fps: float = _option(0.0, "Frames per second to read; 0: every frame.", 0, 1000)
    detect_every: int = _option(
        3, "Search for faces in every n-th frame that is read; between, tracks move on.", 1, 1000
    )
    smooth_s: float = _option(
        0.5, "Time constant of the smoothing in seconds; 0: no smoothing.", 0, 600
    )
    gap_s: float = _option(
        1.0, "Longest time out of sight after which a face keeps its number, seconds.", 0, 60
    )
    confirm: int = _option(3, "Detections after which a face becomes a track.", 1, 100)
    min_face: int | None = _option(None, "Smallest face to search for, pixels.", 1)
    max_faces: int | None = _option(None, "How many faces to track at most; none: all.", 1)
    segment_s: float = _option(
        5.0, "Seconds of the clip between two savings of an unfinished run.", 0.2, 600
    )
    max_pixels: int = _option(36_000_000, "How many pixels a frame may have at most.", 1)
    annotate: bool = _option(default=True, help_text="Write the clip with boxes and labels.")
    picture: bool = _option(default=True, help_text="Draw the timeline (needs matplotlib).")
    srt: bool = _option(default=False, help_text="Write subtitles.")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, kind = getattr(self, item.name), str(item.type)
            if "bool" in kind:
                if not isinstance(value, bool):
                    raise ConfigError(f"must be True or False; got {value!r}", subject=item.name)
                continue
            if value is None and "None" in kind:
                continue
            number = _number(item.name, value, whole="int" in kind)
            low, high = item.metadata["low"], item.metadata["high"]
            if not low <= number <= high:
                most = "" if high == math.inf else f" and at most {high:g}"
                raise ConfigError(
                    f"must be at least {low:g}{most}; got {value!r}", subject=item.name
                )
            object.__setattr__(self, item.name, number)

    def to_dict(self) -> dict[str, Any]:
        """Returns the values, in the order of the fields."""
        return asdict(self)


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        raise ConfigError(
            f"must be {'a whole number' if whole else 'a number'}; got {value!r}", subject=name
        )
    return int(number) if whole else number
