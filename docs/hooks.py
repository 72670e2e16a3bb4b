"""Puts the text of CHANGELOG.md into its page when the site is built, so that it stands once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
_MARK = re.compile(r"<!-- changelog: .*? -->\n")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns a page with its changelog mark replaced by the changelog below its title.

    Headings ``[1.0.0]`` are links that nothing defines, so their brackets go.
    """
    if not _MARK.search(markdown):
        return markdown
    text = CHANGELOG.read_text(encoding="utf-8").split("\n", 1)[1]
    text = re.sub(r"^## \[([^\]]+)\]", r"## \1", text, flags=re.MULTILINE)
    return _MARK.sub(lambda _match: text, markdown)


def on_serve(server: Any, **_: Any) -> Any:
    """Builds the site anew when the changelog changes."""
    server.watch(str(CHANGELOG))
    return server
