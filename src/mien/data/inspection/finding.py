"""What an inspection found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.errors import DataError

if TYPE_CHECKING:
    from mien.data.inspection.scan import Scan
    from mien.data.manifest import Manifest

#: How bad a finding is: a leak makes scores dishonest, a fault is an error in the data, a note is
#: something to know.
LEVELS = ("leak", "fault", "note")


def readable_name(name: str) -> str:
    r"""Returns a name that can be printed: bytes that are no UTF-8 become ``\xNN``.

    >>> readable_name("caf\udce9.png")
    'caf\\xe9.png'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(count: int, one: str, more: str) -> str:
    """Returns a number with the fitting words.

    >>> counted(1, "file is empty", "files are empty"), counted(1200, "file", "files")
    ('1 file is empty', '1,200 files')
    """
    return f"{count:,} {one if count == 1 else more}"


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Args:
        kind: A stable word, for example ``"exact_across"``.
        level: ``"leak"``, ``"fault"`` or ``"note"``.
        title: A sentence with the number.
        groups: Positions in the manifest that belong together, one tuple a case.
        details: One line a case; a case may have a line and no picture.

    Raises:
        DataError: If the level is unknown, or groups and details differ in number.
    """

    kind: str
    level: str
    title: str
    groups: tuple[tuple[int, ...], ...] = ()
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise DataError(f"a finding's level is one of {LEVELS}, got {self.level!r}.")
        if self.groups and self.details and len(self.groups) != len(self.details):
            raise DataError(
                f"finding {self.kind!r}: {len(self.groups)} cases and {len(self.details)} lines."
            )

    @property
    def count(self) -> int:
        """Number of cases."""
        return max(len(self.groups), len(self.details))


@dataclass(frozen=True, eq=False)
class Inspection:
    """All that is known of a dataset after it was inspected.

    Args:
        manifest: The data, copies included.
        scan: Numbers of each picture.
        findings: Leaks first, then faults, then notes.
        spellings: By label, the spellings found and how many pictures have each.
        settings: What was looked for, and how closely.
        seconds: How long it took.
    """

    manifest: Manifest
    scan: Scan
    findings: tuple[Finding, ...]
    spellings: dict[str, dict[str, int]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        ordered = sorted(self.findings, key=lambda item: LEVELS.index(item.level))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make scores dishonest."""
        return tuple(item for item in self.findings if item.level == "leak")

    def keys(self, group: tuple[int, ...]) -> list[str]:
        """Returns printable names of pictures."""
        return [readable_name(self.manifest.images.key(index)) for index in group]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types, leakage first."""
        from mien.data.inspection.quality import summary

        m = self.manifest
        return {
            "leakage": bool(self.leaks),
            "findings": [
                {
                    "kind": item.kind,
                    "level": item.level,
                    "title": item.title,
                    "count": item.count,
                    "pictures": [self.keys(group) for group in item.groups],
                    "details": [readable_name(line) for line in item.details],
                }
                for item in self.findings
            ],
            "source": readable_name(m.source),
            "pictures": len(m),
            "readable": int(self.scan.readable.sum()),
            "labels": list(m.schema.labels),
            "schema": m.schema.name,
            "classes": m.counts(),
            "without_majority": int((m.class_ids < 0).sum()),
            "label_spellings": {
                label: {readable_name(name): n for name, n in found.items()}
                for label, found in self.spellings.items()
            },
            "measures": summary(self.scan),
            "settings": self.settings,
            "seconds": round(self.seconds, 2),
        }
