"""Fixtures of this folder."""

from support.demo_clips import clip, model

__all__ = ["clip", "model"]
