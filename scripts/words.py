"""Finds words that this project does not use: ``python scripts/words.py [PATH...]``.

Prints ``file:line: found -> instead`` and ends with 1 where there is one, with 0 else. A rule is a
regular expression; those of ``CODE`` are looked for in code, configuration and file names, those of
``PROSE`` in code and documents alike. What a rule finds and is right all the same stands in
``ALLOWED``, with the reason.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
SCANNED = (
    "src", "tests", "docs", "examples", "benchmarks", "recipes", "research", "deploy", "scripts",
    ".ci", "README.md", "CONTRIBUTING.md", "SECURITY.md", "mkdocs.yml", "pyproject.toml",
)  # fmt: skip
ENDINGS = {
    ".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".html", ".css", ".js", ".mjs", ".ipynb", ".j2",
}  # fmt: skip
#: Words of before are the matter of these.
SKIPPED = {"CHANGELOG.md", "docs/changelog.md", "scripts/words.py", "tests/docs/test_words.py"}

_UNITS = (
    "second|minute|hour|day|week|epoch|batch|step|run|trial|round|turn|process|worker|thread|core|"
    "picture|photo|image|face|frame|clip|crop|row|line|shard|file|class|label|model|client|key|"
    "request|call|answer|track|split|bin|group|case|rater|person|subject|member|layer|channel|"
    "pixel|device|GPU|page|column|cell|level|job|stage|part|verb|site|screen|connection"
)
_COUNTED = (
    "faces|requests|frames|pictures|images|photos|epochs|steps|crops|votes|raters|batches|tokens|"
    "rows|files|clips|milliseconds|seconds|minutes|ms|nats|bits|KB|MB|GB|kB|bytes|operations|"
    "multiply-accumulates|MACs|values|parameters|threads|processes|calls|connections|points|lines|"
    "labels|cases|boxes|trials|(?-i:runs)|times|once|twice|shares|numbers|proposals|squares|detections|"
    "pixels|gradients|updates|samples|columns|layers|channels|changes|shards|answers"
)

#: After these a count and its unit are only neighbours: "the times a face was lost".
_VERBS = "of|that|which|is|was|has|had|may|can|in|holds|needs|takes"

#: Pattern -> what to write instead. In code, configuration and file names.
CODE = {
    r"\w*[Ff]inder(?!s keep)\w*": "detector",
    r"\b\w*[Ww]ish(es)?\b": "options",
    r"\b_?asking\b(?=\s*[=(,:.)])": "options",
    r"\bon_one_thread\b": "single_threaded",
    r"\bset_limits\b": "fit_conformal",
    r"\bUncertainty\b(?!:)": "ConformalThresholds, QualityBounds",
    r"\bSAID\b": "QUALITY_FLAGS, or say which",
    r"\b(Sighting|FaceFollower|[Ff]ollower)\w*": "TrackedFace, VideoRecognizer",
    r"\bdef _?(first_|second_)?looks?\b|\b\w+_looks?\b|\blooks? ?=(?!=)": "scale, sniff, pass",
    r"(?<![\w-])--tracker\b": "--logger",
    r"(?<![\w-])--schema\b": "--labels",
    r"\bvariant\([^)]*schema=": "labels=",
    r"\bPlace\b(?= |\(|\[|,|:|\)|\.|`|$)(?! de )": "DistInfo, OutputStore",
    r"\bALONE\b|\bby_first\b": "SINGLE, on_rank_zero",
    r"(?<![.\w])_?(joined|together)\(": "init_distributed, fail_together, fused",
    r"--stages[ =`\"',\[\]]+joined": "--stages fused",
    r"\bThaw\w*|\bthaw\w*": "UnfreezeSchedule, unfreeze",
    r"\bclass_mass\b": "class_counts",
    r"(?<!Image\.)(?<!def )\bblend\(|\bdef _?blend\b": "distillation_targets",
    r"\b(Workshop|Judge)\b": "FormatExporter, ParityCheck",
    r"\b_?(least|most)_[a-z]\w*": "min_, max_",
    r"timings_ms\[[\"']run[\"']\]": 'timings_ms["inference"]',
}

#: The same in code and documents. A space stands for any gap between words, a new line too.
PROSE = {
    rf"\b(?:{_COUNTED}) an? (?:{_UNITS})\b(?! (?:{_VERBS})\b)": "per",
    r"\b(?:once|twice) an? (?:second|minute|hour|day|epoch|clip|process)\b": "per",
    r"\b(?:an?|one) (?:[a-z]+ of )?(?:row|line|path|file|tuple|folder|bars?|word|name|curve|sheet|"
    r"page|call|answer) an? (?:case|face|file|line|picture|photo|model|run|split|row|trial|class|"
    r"clip|group|verb|training|label|person)\b": "per",
    r"\bjudg\w*": "assess, score, decide",
    r"(?<!no\s)\bdoubt(s|ed|ful)?\b": "quality flag, uncertain",
    r"\bcaveats?\b": "warning",
    r"\bbeside\b": "next to, in, with, and",
    r"\bspoil(s|t|ed|ing)?\b": "corrupt",
    r"\bsurest\b": "most confident",
    r"\b(?:dear|dearer|dearest)\b": "expensive",
    r"\bcraft\b": "technique",
    r"\bwishe[sd]\b": "options",
    r"\b(?:an?|one|each|every|two|three|first|second|third|per|another|closer|both) looks?\b(?! "
    r"(?:like|at home))": "scale, appearance, sniff, pass",
    r"\blooks? (?:a second time|twice|again)\b": "runs again",
    r"\b(?:faces?|boxes|box|person|people) (?:is|are|was|were) followed\b": "tracked",
    r"\bfollow(?:s|ed|ing)? (?:an? |the |each |every |its |their )?(?:faces?|boxes|people|person)"
    r"\b": "track",
    r"(?:^|[.:;] |\"|`)(?-i:Of) (?:an?|each|every) \w+,? (?:the|its|no|only|one)"
    r"\b": "In a clip, ... are",
    r"\bmien finder\b": "mien detector",
    r"\b(?:light|full|first) door\b": "base install, every extra",
}

#: (path, pattern of the line, why): ordinary English, and names of others.
ALLOWED = (
    (r"", r"\.most_common\(|MetaPathFinder|PathFinder|find_spec", "Python's own"),
    (r"", r"DocTestFinder", "Python's own"),
    (r"", r"Estimating Uncertainty in Dataset Labels", "title of an article"),
)


# What parts two words of a sentence: spaces, a new line of a comment, or of a string.
_GAP = r"""(?:\s?["']\s+[fr]{0,2}["']|\s+(?:#\s+)?)"""
RULES = [(re.compile(pattern, re.MULTILINE), instead) for pattern, instead in CODE.items()] + [
    (re.compile(pattern.replace(" ", _GAP), re.MULTILINE | re.IGNORECASE), instead)
    for pattern, instead in PROSE.items()
]


def files(wanted: list[str]) -> Iterator[Path]:
    """Yields the files to read, without hidden and generated ones."""
    for name in wanted or SCANNED:
        top = (Path.cwd() / name if wanted else ROOT / name).resolve()
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inner = path.relative_to(top).parts
            hidden = any(part.startswith((".", "__pycache__")) for part in inner)
            if path.is_file() and not hidden and path.relative_to(ROOT).as_posix() not in SKIPPED:
                yield path


def finds(path: Path) -> Iterator[str]:
    """Yields what is found in a file's name and lines."""
    name = path.relative_to(ROOT).as_posix()
    text = ""
    if path.suffix in ENDINGS or not path.suffix:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            return
    lines = [name, *text.split("\n")]
    whole = "\n".join(lines)
    for rule, instead in RULES:
        for match in rule.finditer(whole):
            number = whole.count("\n", 0, match.start())
            if not allowed(name, lines[number]):
                yield f"{name}:{number}: {' '.join(match[0].split())} -> {instead}"


def allowed(name: str, line: str) -> bool:
    """Returns whether a line is right as it stands."""
    return any(re.match(where, name) and re.search(what, line) for where, what, _ in ALLOWED)


def main(wanted: list[str]) -> int:
    """Prints what is found and returns the exit code."""
    found = [text for path in files(wanted) for text in finds(path)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} words to replace" if found else "no word to replace", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
