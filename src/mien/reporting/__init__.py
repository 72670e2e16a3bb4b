"""Reports: one theme for pages and diagrams, and templates for the pages (extra ``eval``)."""

from mien.reporting.theme import to_png

__all__ = ["to_png"]
