from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.serve.config import ServeConfig


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("port: 1\nworkers: 2\nrate: 5\nmodel: {fast: a, good: b}\n")
    environ = {"MIEN_PORT": "2", "MIEN_WORKERS": "3", "OTHER": "x"}
    config = ServeConfig.load(file, environ, port=4)
    assert (config.port, config.workers, config.rate) == (4, 3, 5.0)
    assert config.models == {"fast": "a", "good": "b"}


def test_toml_is_read_and_lists_are_lists(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('detector = ["none", "haar"]\nmax_body_mb = 0.5\n')
    config = ServeConfig.load(file, {})
    assert config.detector == ("none", "haar")
    assert config.max_body == 500_000
    assert ServeConfig.load(None, {"MIEN_DETECTOR": "none, haar"}).detector == ("none", "haar")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("prot: 1", "Did you mean 'port'"),
        ("port: many", "port must be a whole number"),
        ("port: 70000", "at most 65535"),
        ("port: true", "port must be a whole number"),
        ("max_images: 0", "at least 1"),
        ("log_level: loud", "log_level"),
        ("detector: []", "detector"),
        ("host: 5", "host must be a text"),
        ("- 1", "flat mapping"),
        ("port: [", "not valid YAML"),
    ],
)
def test_impossible_file_is_refused(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        ServeConfig.load(file, {})


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="new NAME"):
        _ = ServeConfig(model=("a=x", "a=y")).models
    assert ServeConfig(model=("runs/fast",)).models == {"fast": "runs/fast"}
    assert ServeConfig().models == {"default": None}


#: As `mien`, also where the verb is not listed yet.
START = "import mien.cli as cli; cli.VERBS.setdefault('serve', 'Answer.'); cli.main()"


def test_help_lists_every_setting() -> None:
    from dataclasses import fields

    done = subprocess.run(
        [sys.executable, "-c", START, "serve", "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    for item in fields(ServeConfig):
        assert f"--{item.name.replace('_', '-')}" in done.stdout
