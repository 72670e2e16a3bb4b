"""Fixtures of this folder."""

from support.web_scripts import call

__all__ = ["call"]
