"""Fixtures of this folder."""

from support.detectors_download import cache

__all__ = ["cache"]
