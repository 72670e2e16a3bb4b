"""Reports: one theme for pages and diagrams, and templates for the pages (extra ``eval``)."""

from mien.reporting.pages import (
    FORMS,
    Diagram,
    check_output,
    check_reporting,
    draw,
    render,
    write_report,
)
from mien.reporting.text import between, card_metadata, counted, markdown_table, percent
from mien.reporting.theme import DARK, LIGHT, Theme, save_figure, to_png

__all__ = [
    "DARK",
    "FORMS",
    "LIGHT",
    "Diagram",
    "Theme",
    "between",
    "card_metadata",
    "check_output",
    "check_reporting",
    "counted",
    "draw",
    "markdown_table",
    "percent",
    "render",
    "save_figure",
    "to_png",
    "write_report",
]
