"""Numbers in words and in tables, as reports, cards and command lines print them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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


#: Header of :func:`source_rows`.
SOURCE_COLUMNS = ("dataset", "n", "accuracy (95 %)", "balanced", "macro-F1", "ECE")


def source_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Returns the scores of each dataset of an evaluation, and their mean; none where it is one."""
    scores = {**report.get("sources", {}), **({"mean": report["mean"]} if "mean" in report else {})}
    return [
        [name, str(m.get("n", "")), percent(m["accuracy"], m.get("accuracy_ci"))]
        + [f"{m[key]:.3f}" for key in ("balanced_accuracy", "macro_f1", "ece")]
        for name, m in scores.items()
    ]


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1
) -> str:
    """Returns a table in Markdown; ``left`` columns are aligned left, the others right.

    >>> print(markdown_table(["run", "n"], [["a", 1]]))
    | run | n |
    |---|---:|
    | a | 1 |
    """
    lines = [f"| {' | '.join(map(str, row))} |" for row in [header, *rows]]
    rule = f"|{'---|' * left}{'---:|' * (len(header) - left)}"
    return "\n".join([lines[0], rule, *lines[1:]])


def card_metadata(license: str, fields: Mapping[str, Any]) -> str:  # noqa: A002
    """Returns the metadata of a card on the Hugging Face Hub, between its two lines of dashes.

    ``license`` is an identifier of the Hub's list, or a text that only people understand; fields
    are written as JSON, which is YAML too.
    """
    known = re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license)
    terms = {"license": license} if known else {"license": "other", "license_name": license}
    tags = ["facial-expression-recognition", "emotion", "face"]
    block = {**terms, **fields, "tags": tags}
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in block.items()]
    return "\n".join(["---", *lines, "---", ""])
