"""Clips and cameras: frames in, tracked faces with smoothed expressions out (the video extra).

:func:`predict_video` yields the frames of a clip or camera with their faces; :func:`read_video`
turns a clip into a folder of results; :class:`VideoRecognizer` is what both do with a frame, for
programs with frames of their own. Nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.video.config import VIDEO_SUFFIXES, VideoConfig, is_video_name
    from mien.video.recognizer import TrackedFace, VideoRecognizer
    from mien.video.run import read_video
    from mien.video.stream import (
        LatestFrame,
        VideoFrame,
        camera_frames,
        predict_video,
        track_live,
    )
    from mien.video.summary import VideoResult, VideoSummary
    from mien.video.tracker import KalmanTracker, Tracker

#: Module -> the public names that it defines.
_NAMES = {
    "config": ("VIDEO_SUFFIXES", "VideoConfig", "is_video_name"),
    "recognizer": ("TrackedFace", "VideoRecognizer"),
    "run": ("read_video",),
    "stream": ("LatestFrame", "VideoFrame", "camera_frames", "predict_video", "track_live"),
    "summary": ("VideoResult", "VideoSummary"),
    "tracker": ("KalmanTracker", "Tracker"),
}
__all__ = [
    "VIDEO_SUFFIXES",
    "KalmanTracker",
    "LatestFrame",
    "TrackedFace",
    "Tracker",
    "VideoConfig",
    "VideoFrame",
    "VideoRecognizer",
    "VideoResult",
    "VideoSummary",
    "camera_frames",
    "is_video_name",
    "predict_video",
    "read_video",
    "track_live",
]


def __getattr__(name: str) -> object:
    for module, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module(f"mien.video.{module}"), name)
    raise AttributeError(f"module 'mien.video' has no attribute {name!r}")
