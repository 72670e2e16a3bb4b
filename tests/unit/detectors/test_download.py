"""Fetching a pinned file, against a server on the loopback interface."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mien.detectors import get_detector, yunet
from mien.detectors.download import cache_dir
from mien.errors import ModelError
from support.detectors_download import get


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "no address"])
def test_fetch_takes_web_addresses_only(url: str) -> None:
    with pytest.raises(ModelError, match="only http and https"):
        get(url)


def test_yunet_without_internet_says_how_to_pass_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yunet, "_URL", "http://127.0.0.1:9/yunet.onnx")  # nobody listens
    with pytest.raises(ModelError, match=r"cannot fetch .*--detector yunet:PATH"):
        get_detector("yunet")


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", "mien"),
        ("win32", "LOCALAPPDATA", "mien/Cache"),
    ],
)
def test_cache_dir_follows_the_platform(
    platform: str, variable: str, tail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIEN_CACHE")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_dir() == tmp_path / tail


def test_cache_dir_without_settings_is_under_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MIEN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    assert cache_dir().is_relative_to(Path.home())
