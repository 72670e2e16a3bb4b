"""What the README shows is what the code does."""

from __future__ import annotations

import contextlib
import io
import re
import shlex

import pytest

from mien.cli import VERBS, main
from support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_first_command_prints_what_the_readme_shows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as stop:
        main(["predict", "sample"])
    assert not stop.value.code
    # The path of the package differs from place to place; the answer does not.
    printed = capsys.readouterr().out.splitlines()[1].split()[1:]
    shown = _blocks("text")[0].splitlines()[1].split()[1:]
    assert printed == shown


def test_python_examples_run_and_print_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for block in _blocks("python"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), names)
        expected = re.findall(r"^# (?!\s)(.*)$", block, re.MULTILINE)
        assert printed.getvalue().splitlines() == expected


def test_commands_name_verbs_and_flags_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        shlex.split(line)
        for block in _blocks("bash") + _blocks("console")
        for line in block.splitlines()
        if line.startswith("mien ")
    ]
    assert len(commands) >= 5
    for command in commands:
        assert command[1] in VERBS, command
        verbs = command[1:3] if command[1] == "data" else command[1:2]
        with pytest.raises(SystemExit):
            main([*verbs, "--help"])
        known = capsys.readouterr().out
        for word in command[2:]:
            if word.startswith("-") and word != "-":
                assert re.search(rf"(^|[\s,]){re.escape(word)}\b", known), (command, word)


def test_readme_stays_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 250
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
