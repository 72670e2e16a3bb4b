"""Numbers in words and in tables, as reports, cards and command lines print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def percent(share: float, interval: Sequence[float] | None = None) -> str:
    """Returns a share in percent, with its interval where there is one.

    >>> percent(0.5, (0.25, 0.75))
    '50.0 % (25.0 to 75.0)'
    """
    text = f"{share * 100:.1f} %"
    return f"{text} ({interval[0] * 100:.1f} to {interval[1] * 100:.1f})" if interval else text


def between(interval: Sequence[float]) -> str:
    """Returns the 95 % interval of a share in words.

    >>> between((0.25, 0.5))
    '95 %: 25.0 to 50.0 %'
    """
    return f"95 %: {interval[0] * 100:.1f} to {interval[1] * 100:.1f} %"


def counted(count: int, one: str, more: str) -> str:
    """Returns a number with the fitting words.

    >>> counted(1, "file is empty", "files are empty"), counted(1200, "file", "files")
    ('1 file is empty', '1,200 files')
    """
    return f"{count:,} {one if count == 1 else more}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a table in Markdown: the first column is left, the others are right.

    >>> print(markdown_table(["run", "n"], [["a", 1]]))
    | run | n |
    |---|---:|
    | a | 1 |
    """
    lines = [f"| {' | '.join(map(str, row))} |" for row in [header, *rows]]
    return "\n".join([lines[0], f"|---{'|---:' * (len(header) - 1)}|", *lines[1:]])
