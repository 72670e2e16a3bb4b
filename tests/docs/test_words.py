"""The list of words that this project does not use finds them, and ordinary English it leaves."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from support import ROOT


@pytest.fixture(scope="module")
def words() -> ModuleType:
    spec = importlib.util.spec_from_file_location("words", ROOT / "scripts" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        "It reads 40 faces a second.",
        "# It reads 40 faces\n# a second.",
        'print("40 requests "\n      "a second")',
        "one row a face",
        "the label beside the face",
        "spoiled faces",
        "the surest mistakes",
        "a judge of faces",
        "class FaceFollower:",
        "least_share = 0.5",
        "mien data split --schema fer7",
        'recognizer.variant(\n    schema="hes3")',
        "Of a clip the faces are followed.",
        "def look(index): ...",
        'timings_ms["run"]',
    ],
)
def test_a_word_is_found(words: ModuleType, text: str) -> None:
    assert [rule for rule, _ in words.RULES if rule.search(text)]


@pytest.mark.parametrize(
    "text",
    [
        "40 faces per second",
        "These pictures a person has labelled.",
        "Faces look alike; follow the README.",
        "without doing anything besides",
        "They work together.",
        "the face of a person that follows",
        "at least one of the most useful",
        "labels=schema",
    ],
)
def test_ordinary_english_is_left(words: ModuleType, text: str) -> None:
    assert not [rule.pattern for rule, _ in words.RULES if rule.search(text)]


def test_names_of_others_are_allowed(words: ModuleType) -> None:
    assert words.allowed("src/a.py", "sizes.most_common(8)")
    assert not words.allowed("src/a.py", "most_faces = 8")
