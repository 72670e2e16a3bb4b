"""Clips and cameras: frames in, followed faces with smoothed expressions out (the video extra).

:func:`read_video` turns a clip into a folder of results; :func:`track_live` answers a camera as
it looks; :class:`VideoRecognizer` is what both do with a frame, for programs with frames of their
own. Nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.video.cameras import camera_frames
    from mien.video.config import VIDEO_SUFFIXES, VideoConfig, is_video_name
    from mien.video.finishing import VideoResult, VideoSummary
    from mien.video.following import TrackedFace, VideoRecognizer
    from mien.video.live import LatestFrame, LiveFrame, track_live
    from mien.video.run import read_video

#: Public name -> the module that defines it.
_HOMES = {
    "VideoRecognizer": "following",
    "LatestFrame": "live",
    "LiveFrame": "live",
    "TrackedFace": "following",
    "VIDEO_SUFFIXES": "config",
    "VideoConfig": "config",
    "VideoResult": "finishing",
    "VideoSummary": "finishing",
    "camera_frames": "cameras",
    "track_live": "live",
    "is_video_name": "config",
    "read_video": "run",
}

__all__ = [
    "VIDEO_SUFFIXES",
    "LatestFrame",
    "LiveFrame",
    "TrackedFace",
    "VideoConfig",
    "VideoRecognizer",
    "VideoResult",
    "VideoSummary",
    "camera_frames",
    "is_video_name",
    "read_video",
    "track_live",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.video' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mien.video.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
