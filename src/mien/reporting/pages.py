"""Pages from templates: one file with everything inside, no script, nothing fetched."""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mien.atomic import check_new, write_text
from mien.errors import ConfigError, import_extra, needs_extra
from mien.images import encode
from mien.reporting.text import between, percent
from mien.reporting.theme import DARK, LIGHT, to_png

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from matplotlib.figure import Figure

    from mien.arrays import U8
    from mien.reporting.theme import Theme

FORMS = (".html", ".json", ".md")


@dataclass(frozen=True)
class Diagram:
    """A diagram as PNG files, for readers in light and in dark mode."""

    light: bytes
    dark: bytes


def draw(plot: Callable[[Theme], Figure]) -> Diagram:
    """Draws a diagram in both themes."""
    return Diagram(to_png(plot(LIGHT)), to_png(plot(DARK)))


def check_reporting(what: str) -> None:
    """Makes sure that the libraries of pages and diagrams are installed."""
    for module in ("jinja2", "matplotlib", "sklearn"):
        import_extra(module, what, "eval")


def render(template: str, *, title: str, subtitle: str = "", **values: Any) -> str:
    """Fills a template of ``reporting/templates``, as ``"tables.html"``; values are escaped."""
    pages = templates(Path(__file__).with_name("templates"), between=between, percent=percent)
    return pages.get_template(template).render(title=title, subtitle=subtitle, **values)


@functools.cache
def templates(folder: Path, **filters: Callable[..., str]) -> Environment:
    """Returns the templates of a folder; what they write is escaped."""
    from mien import __version__

    with needs_extra("a report's page", "eval"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"jpeg": jpeg_uri, "uri": data_uri, **filters}
    environment.globals |= {"light": LIGHT, "dark": DARK, "version": __version__}
    return environment


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Returns bytes as an address that holds them; ``kind`` is their media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def jpeg_uri(image_rgb: U8, quality: int = 86) -> str:
    """Returns a picture (H, W, 3) as an address that holds it as JPEG."""
    return data_uri(encode(image_rgb, suffix=".jpg", quality=quality), "image/jpeg")


class Report(Protocol):
    """What can be written as Markdown, JSON and HTML."""

    def markdown(self) -> str:
        """Returns the report as Markdown."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""

    def html(self) -> str:
        """Returns the report as a page."""


def check_output(
    path: Path, endings: tuple[str, ...] = FORMS, *, overwrite: bool, option: str = "-o"
) -> None:
    """Makes sure that a report or a picture can be written, before anything is computed."""
    if path.suffix.lower() not in endings:
        raise ConfigError(f"must end in {' or '.join(endings)}", subject=f"{option} {path}")
    check_new(path, overwrite=overwrite, option=option)
    if path.suffix.lower() not in {".json", ".md"}:
        check_reporting(f"{option} {path}")


def write_report(report: Report, path: Path) -> None:
    """Writes a report in the form that the file's ending names, whole or not at all.

    Raises:
        ConfigError: If the ending is not ``.html``, ``.json`` or ``.md``.
        MissingExtraError: If a page needs the ``eval`` extra and it is not installed.
    """
    check_output(path, overwrite=True)
    form = path.suffix.lower()
    if form == ".json":
        write_text(path, json.dumps(report.to_dict(), indent=2) + "\n")
    else:
        write_text(path, report.markdown() if form == ".md" else report.html())
