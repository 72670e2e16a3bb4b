"""Clips and cameras: frames in, tracked faces with smoothed expressions out (the video extra).

:func:`predict_video` yields the frames of a clip or camera with their faces; :func:`read_video`
turns a clip into a folder of results; :class:`VideoRecognizer` is what both do with a frame, for
programs with frames of their own. Nothing heavy is imported before one of them is used.
"""

from typing import TYPE_CHECKING

from mien import lazy_names

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
    from mien.video.summary import VideoResult, VideoSummary, VideoWarning
    from mien.video.tracker import KalmanTracker, Tracker

_STREAM = ("LatestFrame", "VideoFrame", "camera_frames", "predict_video", "track_live")
__getattr__ = lazy_names(
    __name__,
    {
        "mien.video.config": ("VIDEO_SUFFIXES", "VideoConfig", "is_video_name"),
        "mien.video.recognizer": ("TrackedFace", "VideoRecognizer"),
        "mien.video.run": ("read_video",),
        "mien.video.stream": _STREAM,
        "mien.video.summary": ("VideoResult", "VideoSummary", "VideoWarning"),
        "mien.video.tracker": ("KalmanTracker", "Tracker"),
    },
)
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
    "VideoWarning",
    "camera_frames",
    "is_video_name",
    "predict_video",
    "read_video",
    "track_live",
]
