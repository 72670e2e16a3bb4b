"""Fixtures of this folder."""

from support.command_line import photos

__all__ = ["photos"]
