"""Fixtures of this folder."""

from support.hub_fixtures import folder, hub

__all__ = ["folder", "hub"]
