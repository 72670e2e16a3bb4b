"""``mien web``: one folder, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mien.cli import main
from mien.errors import ConfigError, MienError, ModelError
from mien.hub import ASSETS, CONFIG, DEFAULT_MODEL, ONNX, read_model_folder, write_config
from mien.web import build_page, runtime
from mien.web.build import SOURCES
from mien.web.settings import page_settings

BUNDLED = ASSETS / DEFAULT_MODEL


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like that of ``npm install``, with short files in place of the engine's."""
    folder = tmp_path / "with_npm"
    dist = folder / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in runtime.FILES:
        (dist / name).write_text(f"stands for {name}")
    digests = {
        name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in runtime.FILES
    }
    monkeypatch.setattr(runtime, "FILES", digests)
    return folder


def _run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_page_names_no_other_place() -> None:
    for path in SOURCES.rglob("*"):
        if path.suffix in {".html", ".js", ".css"}:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(https?|wss?):|//[a-z]+\.", text), path
            assert "eval(" not in text
            # From the root of a host the page would not work in a subfolder.
            assert not re.search(r"""(src|href|from)=?\s*["']/""", text), path


def test_scripts_import_what_is_there_and_all_are_used() -> None:
    scripts = SOURCES / "scripts"
    named = {"main.js"}
    for path in scripts.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for names, target in re.findall(r'import \{([^}]*)\} from "\./([\w.]+)"', text):
            named.add(target)
            exported = (scripts / target).read_text(encoding="utf-8")
            for name in re.findall(r"\w+", names):
                assert re.search(rf"^export (?:async )?\w+ {name}\b", exported, re.MULTILINE), (
                    path,
                    name,
                )
    assert named == {path.name for path in scripts.glob("*.js")}


def test_command_builds_prints_and_replaces_only_its_own(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page"
    assert _run("web", page, "--runtime", stand_in) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{page}: {DEFAULT_MODEL}, ")
    assert "http.server" in err
    assert "npm" not in err
    (page / "old.txt").write_text("from before")
    assert _run("web", page, "--runtime", stand_in) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (page / "old.txt").exists()
    assert _run("web", page, "--runtime", stand_in, "--overwrite") == 0
    assert not (page / "old.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page", "with_npm"]
    if os.name == "posix":
        mask = os.umask(0o022)
        os.umask(mask)
        assert stat.S_IMODE(page.stat().st_mode) == 0o777 & ~mask  # a host's user must read it
    assert _run("web", stand_in, "--runtime", stand_in, "--overwrite") == 2
    assert "holds no page" in capsys.readouterr().err
    assert _run("web", tmp_path / "x", "--runtime", tmp_path / "nowhere") == 2


def test_engine_that_is_another_leaves_nothing_behind(stand_in: Path, tmp_path: Path) -> None:
    file = next(stand_in.rglob(runtime.BINARY))
    file.write_text("changed")
    with pytest.raises(ModelError, match=f"{runtime.BINARY} is not that of onnxruntime-web@"):
        build_page(tmp_path / "page", runtime=stand_in)
    file.unlink()
    with pytest.raises(ModelError, match="npm install onnxruntime-web@"):
        build_page(tmp_path / "page", runtime=stand_in)
    with pytest.raises(ModelError, match="no package of onnxruntime-web"):
        build_page(tmp_path / "page", runtime=next(stand_in.rglob(runtime.MODULE)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["with_npm"]


def test_missing_npm_and_a_missing_network_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MienError, match=r"no npm here.*--runtime FILE"):
        build_page(tmp_path / "page")
    npm = tools / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(MienError, match=r"\(npm error code ENOTFOUND\): is this machine online"):
        build_page(tmp_path / "page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tools"]


def test_model_that_scripts_do_not_run_is_refused(stand_in: Path, tmp_path: Path) -> None:
    folder = read_model_folder()
    copy = tmp_path / "turned"
    copy.mkdir()
    shutil.copyfile(BUNDLED / ONNX, copy / ONNX)
    config = folder.config
    write_config(copy, replace(config, preprocessing=replace(config.preprocessing, align="eyes")))
    with pytest.raises(ModelError, match="turns its faces"):
        build_page(tmp_path / "page", copy, runtime=stand_in)
    write_config(copy, config)
    (copy / ONNX).write_bytes(b"changed")
    with pytest.raises(ModelError, match="damaged or was changed"):
        build_page(tmp_path / "page", copy, runtime=stand_in)
    assert (copy / CONFIG).exists()
    assert not (tmp_path / "page").exists()
    with pytest.raises(ConfigError, match="is in use"):
        build_page(copy, runtime=stand_in, overwrite=True)


def test_settings_carry_the_constants_of_the_library() -> None:
    settings = page_settings(read_model_folder())
    assert settings["detector"] == {
        "name": "mien", "strides": [8, 16, 32], "max_cells": 2000, "max_log_size": 6.0,
        "max_candidates": 3000, "multiple": 32, "min_face": 20.0, "slack": 0.8, "batch": 128,
        "reducing_gaps": [2.0, 1.0], "min_share": 0.25, "unsound": -99.0,
    }  # fmt: skip
    assert settings["colors"]["happiness"] == {"paint": "#f0e442", "ink": "#000000"}
    assert settings["colors"]["sadness"] == {"paint": "#0072b2", "ink": "#ffffff"}
    assert settings["background"] == 128
