"""Pieces of a self-contained HTML page: no script, no font, nothing fetched."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from mien.reporting.theme import DARK, LIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mien.reporting.theme import Theme


def _variables(theme: Theme) -> str:
    names = ("paper", "ink", "faint", "line", "accent", "second")
    return " ".join(f"--{name}: {getattr(theme, name)};" for name in names)


_CSS = f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} --back: #f4f6f8; }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} --back: #0d1117; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }}
main {{ max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }}
h1 {{ font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }}
h2 {{ font-size: 19px; margin: 40px 0 10px; }}
h3 {{ font-size: 15px; margin: 0 0 8px; }}
p {{ max-width: 78ch; margin: 0 0 12px; }}
.faint, figcaption, .note {{ color: var(--faint); }}
.note {{ font-size: 13px; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px;
  margin: 20px 0; }}
.card, .panel {{ background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 16px; }}
.card b {{ display: block; font-size: 25px; line-height: 1.3; font-weight: 600; }}
.card span {{ color: var(--faint); font-size: 13px; display: block; }}
.grid {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 16px; align-items: start; }}
.panel img {{ display: block; width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; }}
.panel + p, .panel + .grid, .grid + p {{ margin-top: 14px; }}
.panel > :last-child {{ margin-bottom: 0; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 14px; }}
th, td {{ padding: 5px 10px; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }}
th {{ color: var(--faint); font-weight: 500; }}
th:first-child, td:first-child {{ text-align: left; }}
tr:last-child td {{ border-bottom: 0; }}
ul {{ margin: 0 0 12px; padding-left: 20px; }}
.faces {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(154px, 1fr)); gap: 12px; }}
.faces figure {{ margin: 0; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; padding: 8px; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; }}
.faces .pair {{ display: flex; gap: 4px; margin-bottom: 6px; }}
.faces img {{ flex: 1 1 0; min-width: 0; max-width: 96px; width: 100%; aspect-ratio: 1;
  border-radius: 4px; }}
.faces figcaption b {{ color: var(--ink); font-weight: 600; }}
"""


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Returns bytes as a ``data:`` address.

    >>> data_uri(b"a", "text/plain")
    'data:text/plain;base64,YQ=='
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table; every cell is escaped.

    >>> table(["a"], [["<b>"]]).count("&lt;b&gt;")
    1
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f'<div class="panel scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def diagram(title: str, light: bytes, dark: bytes, note: str = "") -> str:
    """Returns a diagram that follows the reader's light or dark mode."""
    below = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<section class="panel"><h3>{escape(title)}</h3><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{data_uri(dark)}">'
        f'<img src="{data_uri(light)}" alt="{escape(title)}"></picture>{below}</section>'
    )


def cards(items: Iterable[tuple[str, str, str]]) -> str:
    """Returns a row of (name, number, explanation)."""
    return '<div class="cards">' + "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f"<span>{escape(below)}</span></div>"
        for name, value, below in items
    ) + "</div>"  # fmt: skip


def section(title: str, *parts: str) -> str:
    """Returns a titled section of ready HTML parts."""
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(part for part in parts if part)


def paragraph(text: str, *, note: bool = False) -> str:
    """Returns an escaped paragraph."""
    return f"<p{' class=note' if note else ''}>{escape(text)}</p>"


def page(title: str, subtitle: str, body: str) -> str:
    """Returns a whole page.

    >>> page("<t>", "s", "").startswith("<!doctype html>")
    True
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n"
        f'<body><main><h1>{escape(title)}</h1><p class="faint">{escape(subtitle)}</p>\n'
        f"{body}\n</main></body></html>\n"
    )
