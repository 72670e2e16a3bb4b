"""What an inspection found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.data.filenames import printable
from mien.errors import DataError
from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mien.data.inspection.scan import Scan
    from mien.data.manifest import Manifest

#: Level -> kind of finding -> what it means and what to do about it. A leak makes scores too good,
#: a fault is an error in the data, a note is something to know.
_MEANINGS = {
    "leak": {
        "exact_across": (
            "The same file is on both sides, so a model is scored on what it has learned by heart. "
            "Training and evaluation drop the train copies (dedupe=true); `mien data split` makes "
            "splits that keep copies together."
        ),
        "near_across": (
            "Not the same bytes, but the same photograph: cut, scaled or compressed differently. "
            "`mien data split` keeps such pairs on one side."
        ),
        "mirrored_across": (
            "One is the mirror image of the other. Training mirrors faces at random, so this is as "
            "much a leak as a plain copy."
        ),
        "stem_across": (
            "Copies of one picture, made before the data was split, are on both sides, as the file "
            "names tell. Scores on them tell little about new faces."
        ),
        "subject_across": (
            "The same person is learned from and scored on. `mien data split` keeps subjects whole."
        ),
    },
    "fault": {
        "conflicting_labels": (
            "The same picture has two labels. At least one is wrong, or the face is ambiguous: "
            "keep votes, or drop both."
        ),
        "unreadable": "Training and scores leave such files out. Fetch or remove them.",
        "empty": "Files of no bytes, as an interrupted download leaves them.",
        "not_picture": (
            "The ending is that of a picture, the content is not: error pages are often saved so."
        ),
        "bad_name": "The name is not UTF-8. Rename the file; many tools cannot open it.",
        "missing_class": (
            "Scores of this split tell nothing about the class, or a model never sees it."
        ),
        "label_spellings": "They are read as one label. Make sure that is meant.",
        "flat": "There is nothing to see in them.",
    },
    "note": {
        "exact_within": "They count twice in training or scoring.",
        "near_within": (
            "Within a split they count twice; they leak as soon as the data is split anew without "
            "grouping."
        ),
        "mirrored_within": "Mirror images within a split.",
        "stem_within": "Augmented offline: keep each source picture on one side when splitting.",
        "no_face": "Detectors miss tight crops and turned heads: check before you delete.",
        "suspicious_label": (
            "The least likely first. A list to go through, not a verdict: rare expressions are "
            "often named here."
        ),
        "imbalance": (
            "Accuracy hides what is rare: look at macro-F1. `class_weight: effective` or "
            "`logit_adjustment: 1` make up for it in training."
        ),
        "share_shift": (
            "Scores depend on the shares of the classes: splits were drawn from other faces, or "
            "one of them was balanced. `mien data split` deals classes evenly."
        ),
        "few_faces": (
            "Too few to learn a class from, or to tell two models apart: gather more, start from "
            "weights (`mien train --weights`), or score by folds (`mien train --folds 5`)."
        ),
        "other_files": "Not an error; listed so that nothing is lost unseen.",
        "reader": "Remarks of the reader of this dataset.",
        "size_low": "Far smaller than the rest.",
        "size_high": "Far larger than the rest.",
        "brightness_low": "Far darker than the rest.",
        "brightness_high": "Far brighter than the rest.",
        "contrast_low": "Far paler than the rest.",
        "contrast_high": "Far harsher than the rest.",
        "sharpness_low": (
            "Little detail compared with the rest: blurred, or enlarged from few pixels."
        ),
        "sharpness_high": "Much detail compared with the rest: noise, print, or drawn lines.",
    },
}
LEVELS = tuple(_MEANINGS)
#: Kind of finding -> its level and its meaning.
KINDS = {k: (level, text) for level, kinds in _MEANINGS.items() for k, text in kinds.items()}


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found.

    Args:
        kind: A key of :data:`KINDS`, for example ``"exact_across"``.
        title: A sentence with the number.
        groups: Positions in the manifest that belong together, one tuple per case.
        details: One line per case; a case may have a line and no picture.

    Raises:
        DataError: If the kind is unknown, or groups and details differ in number.
    """

    kind: str
    title: str
    groups: tuple[tuple[int, ...], ...] = ()
    details: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"there is no kind of finding {self.kind!r}")
        if self.groups and self.details and len(self.groups) != len(self.details):
            reason = f"has {len(self.groups)} cases and {len(self.details)} lines"
            raise DataError(reason, subject=f"finding {self.kind!r}")

    @property
    def level(self) -> str:
        """``"leak"``, ``"fault"`` or ``"note"``."""
        return KINDS[self.kind][0]

    @property
    def meaning(self) -> str:
        """What the finding means, and what to do about it."""
        return KINDS[self.kind][1]

    @property
    def count(self) -> int:
        """Number of cases."""
        return max(len(self.groups), len(self.details))


def found(
    kind: str,
    words: tuple[str, str],
    rest: str,
    groups: Iterable[tuple[int, ...]] = (),
    lines: Iterable[str] = (),
) -> list[Finding]:
    """Returns a finding on cases, counted in ``words`` for one and for more; none without cases."""
    cases, details = tuple(groups), tuple(lines)
    count = max(len(cases), len(details))
    return [Finding(kind, f"{counted(count, *words)} {rest}", cases, details)] if count else []


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
        """The findings that make scores too good."""
        return tuple(item for item in self.findings if item.level == "leak")

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """The findings on files that training and scores leave out: they cannot be read."""
        kinds = ("unreadable", "empty", "not_picture")
        return tuple(item for item in self.findings if item.kind in kinds)

    def keys(self, group: tuple[int, ...]) -> list[str]:
        """Returns printable names of pictures."""
        return [printable(self.manifest.images.key(index)) for index in group]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types, leakage first."""
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
                    "details": [printable(line) for line in item.details],
                }
                for item in self.findings
            ],
            "source": printable(m.source),
            "pictures": len(m),
            "readable": int(self.scan.readable.sum()),
            "labels": list(m.schema.labels),
            "schema": m.schema.name,
            "classes": m.counts(),
            "without_majority": int((m.class_ids < 0).sum()),
            "label_spellings": {
                label: {printable(name): n for name, n in found.items()}
                for label, found in self.spellings.items()
            },
            "measures": self.scan.summary(),
            "settings": self.settings,
            "seconds": round(self.seconds, 2),
        }
