"""What the documents show is what the code does.

Python blocks of a page run one after the other, in one process; the comment lines right below a
``print`` are what it prints. Marks in the Markdown, above a block:

``<!-- block: run -->``          the commands run, and print the text block below, if any
``<!-- block: needs THING -->``  the block is only parsed
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest

from mien.cli import VERBS, main
from support import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
#: Pages whose Python needs what a test has not; suites of their own hold what they say.
NEEDS = {"service.md": "a running service", "video.md": "a clip of a person"}
_BLOCK = re.compile(
    r"(?:<!-- block: (?P<mark>[^>]*?) -->\n)?^(?P<indent> *)```(?P<kind>\w+)\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_NEXT = "<<next block>>"


@dataclass(frozen=True)
class Block:
    """A fenced block, the mark above it, and the text block right below it."""

    kind: str
    body: str
    mark: str
    printed: str | None


def blocks(text: str) -> list[Block]:
    """Returns the fenced blocks of a page."""
    found = list(_BLOCK.finditer(text))
    result = []
    for at, match in enumerate(found):
        below = found[at + 1] if at + 1 < len(found) else None
        near = below is not None and not text[match.end() : below.start()].strip()
        printed = below["body"] if below is not None and near and below["kind"] == "text" else None
        result.append(Block(match["kind"], match["body"], match["mark"] or "", printed))
    return result


def promised(code: str) -> list[str]:
    """Returns the comment lines right below the calls of print, without their marks."""
    lines, below = [], False
    for line in code.splitlines():
        if below and line.startswith("# "):
            lines.append(line[2:])
        else:
            below = line.lstrip().startswith("print(")
    return lines


PAGE_BLOCKS = {page.name: blocks(page.read_text(encoding="utf-8")) for page in PAGES}


def _runnable(name: str) -> list[str]:
    if name in NEEDS:
        return []
    return [
        block.body
        for block in PAGE_BLOCKS[name]
        if block.kind == "python" and not block.mark.startswith("needs ")
    ]


def test_promises_are_read_from_below_print() -> None:
    assert promised("# title\nprint(1)\n# 1\n# and more\nx = 2\n# no\n    print(x)\n# 2\n") == [
        "1", "and more", "2",
    ]  # fmt: skip
    text = (
        "<!-- block: run -->\n```console\nmien x\n```\n\n```text\nout\n```\n\n```python\na\n```\n"
    )
    first, _, last = blocks(text)
    assert (first.mark, first.printed, last.printed) == ("run", "out\n", None)


@pytest.mark.parametrize("name", sorted(PAGE_BLOCKS))
def test_python_is_python(name: str) -> None:
    for block in PAGE_BLOCKS[name]:
        if block.kind == "python":
            ast.parse(block.body, name)


@pytest.mark.parametrize("name", sorted(PAGE_BLOCKS))
def test_commands_and_comments_are_whole_in_a_window_of_1280_pixels(name: str) -> None:
    """99 columns fit there (``docs/extra.css``); what a command printed may be wider."""
    lines = [
        line
        for block in PAGE_BLOCKS[name]
        for line in block.body.splitlines()
        if block.kind in {"console", "bash"} or (block.kind == "python" and "#" in line)
    ]
    assert [line for line in lines if len(line) > 99] == []


@pytest.mark.parametrize("name", [name for name in sorted(PAGE_BLOCKS) if _runnable(name)])
def test_python_prints_what_the_page_says(name: str) -> None:
    code = f"\nprint({_NEXT!r})\n".join(_runnable(name))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if "pip install" in done.stderr and "MissingExtraError" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(f"{_NEXT}\n")
    assert [part.splitlines() for part in printed] == [promised(body) for body in _runnable(name)]


def _commands(body: str) -> list[list[str]]:
    joined = body.replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip().startswith("mien ")]
    return [shlex.split(line, comments=True) for line in lines]


def test_commands_name_verbs_and_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    helps: dict[tuple[str, ...], str] = {}
    seen = 0
    for name, found in PAGE_BLOCKS.items():
        commands = [c for b in found if b.kind in {"console", "bash"} for c in _commands(b.body)]
        for command in commands:
            seen += 1
            assert command[1] in VERBS, (name, command)
            nested = command[1] in {"data", "detector"}
            verbs = tuple(command[1 : 3 if nested else 2])
            if verbs not in helps:
                with pytest.raises(SystemExit):
                    main([*verbs, "--help"])
                helps[verbs] = capsys.readouterr().out
            for word in command[2:]:
                if re.fullmatch(r"--?[a-z][a-z-]*", word):
                    flag = rf"(^|[\s,]){re.escape(word)}\b"
                    assert re.search(flag, helps[verbs]), (name, command, word)
    assert seen >= 40


def _same(printed: str, shown: str) -> None:
    """Compares tables word by word; paths differ from place to place, boxes by some pixels."""
    left, right = printed.splitlines(), shown.splitlines()
    assert len(left) == len(right)
    for one, two in zip(left, right, strict=True):
        for word, other in zip(one.split(), two.split(), strict=True):
            if "/" in word and word.split("/")[-1] == other.split("/")[-1]:
                continue
            if word.isdigit() and other.isdigit():
                assert abs(int(word) - int(other)) <= 12, (one, two)
            else:
                assert word == other, (one, two)


MARKED = [
    (name, at)
    for name, found in sorted(PAGE_BLOCKS.items())
    for at, block in enumerate(found)
    if block.mark == "run"
]


@pytest.mark.parametrize(("name", "at"), MARKED)
def test_marked_commands_print_what_the_page_shows(
    name: str, at: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    block = PAGE_BLOCKS[name][at]
    for command in _commands(block.body):
        with pytest.raises(SystemExit) as stop:
            main(command[1:])
        assert not stop.value.code, command
    out = capsys.readouterr().out
    if block.printed is None:
        assert out.strip()
    else:
        _same(out, block.printed)


def test_some_commands_are_run() -> None:
    assert len(MARKED) >= 2
