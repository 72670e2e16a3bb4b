"""Planted faults: each is found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from mien.data.inspection import inspect_data


def test_ferplus_copies_come_first(shared: Path) -> None:
    inspection = inspect_data(f"ferplus:{shared / 'data/ferplus'},dedupe=false,labels=fer2013")
    first = inspection.findings[0]
    assert (first.kind, first.level) == ("exact_across", "leak")
    assert first.title == "279 valid pictures are byte-identical to a train picture"
    held = {i for group in first.groups for i in group if inspection.manifest.splits[i] == "valid"}
    assert len(held) == 279
    assert inspection.to_dict()["classes"]["valid"]["disgust"] > 0
