"""What the tests of this folder know of a page that is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Page:
    """A page that is served.

    Args:
        address: Where.
        private: The folder for what visitors send.
    """

    address: str
    private: Path

    def files(self) -> list[Path]:
        return [path for path in self.private.rglob("*") if path.is_file()]
