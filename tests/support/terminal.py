"""A terminal to print to."""

from __future__ import annotations

import io


class Terminal(io.StringIO):
    """Keeps what is printed, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True
