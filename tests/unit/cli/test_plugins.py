"""Code of the user's own, from the command line and from installed packages."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

import pytest

from mien import config
from mien.cli import main
from mien.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

READER = """
from mien.data import register_reader

@register_reader("{kind}")
def read(request):
    raise RuntimeError("read by a plugin")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _forget(module: str, kind: str) -> None:
    from mien.data.registry import READERS

    sys.modules.pop(module, None)
    READERS.pop(kind, None)


@pytest.mark.parametrize("name", ["reading_plugin", "reading_plugin.py"])
def test_import_registers_a_reader(here: Path, name: str) -> None:
    (here / "reading_plugin.py").write_text(READER.format(kind="mine"))
    (here / "faces").mkdir()
    path = list(sys.path)
    try:
        with pytest.raises(RuntimeError, match="read by a plugin"):
            main(["evaluate", "--import", name, "-d", "mine:faces"])
    finally:
        _forget("reading_plugin", "mine")
    assert sys.path == path


def test_an_import_leaves_the_search_path_as_it_was(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = [str(here), *sys.path]
    monkeypatch.setattr(sys, "path", list(path))
    config.import_plugins(["colorsys"])
    assert sys.path == path


def test_import_of_nothing_is_wrong_usage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "broken_plugin.py").write_text("1 / 0\n")
    for name, words in (("no_such_module", "No module named"), ("broken_plugin.py", "division")):
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", "--import", name, "-d", "folder:faces"])
        assert stop.value.code == 2
        assert words in capsys.readouterr().err
    assert "broken_plugin" not in sys.modules


def test_entry_points_are_read_where_a_name_is_unknown(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.data.registry import parse_spec

    (here / "entry_plugin.py").write_text(READER.format(kind="theirs"))
    entry = importlib.metadata.EntryPoint("theirs", "entry_plugin", config.PLUGINS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [entry])
    config.load_entry_points.cache_clear()
    try:
        assert parse_spec("theirs:.")[0] == "theirs"
        with pytest.raises(ConfigError, match="no reader"):
            parse_spec("nobodys:.")
    finally:
        config.load_entry_points.cache_clear()
        _forget("entry_plugin", "theirs")
