"""Fixtures of this folder."""

from support.hub_timm_layout import bundled

__all__ = ["bundled"]
