"""Fixtures of this folder."""

from support.hub_fixtures import folder, hub
from support.hub_timm_layout import bundled

__all__ = ["bundled", "folder", "hub"]
