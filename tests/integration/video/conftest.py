"""Fixtures of this folder."""

from support.video_read_video import crossing_clip, recognizer, results

__all__ = ["crossing_clip", "recognizer", "results"]
