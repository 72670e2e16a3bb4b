from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mien.data import read_manifest, register_reader
from mien.data.registry import READERS, ReadRequest, parse_spec
from mien.errors import ConfigError, DataError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with paths that are hard to parse."""
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "a,b=c", "x,dedupe=false", "data:v2", "C:faces"):
        (tmp_path / name).mkdir()
    for name in ("table.csv", "TABLE.CSV", "rows.parquet", "notes.txt", "no,good.csv"):
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("plain", ("folder", "plain", {})),
        ("folder:plain", ("folder", "plain", {})),
        ("Folder:plain", ("folder", "plain", {})),
        ("folder:plain,dedupe=false", ("folder", "plain", {"dedupe": "false"})),
        ("plain,dedupe=false", ("folder", "plain", {"dedupe": "false"})),
        ("ferplus:plain,labels=fer2013,mode=soft",
         ("ferplus", "plain", {"labels": "fer2013", "mode": "soft"})),
        ("folder:a,b=c", ("folder", "a,b=c", {})),
        ("folder:a,b=c,dedupe=true", ("folder", "a,b=c", {"dedupe": "true"})),
        ("x,dedupe=false", ("folder", "x,dedupe=false", {})),
        ("no,good.csv", ("csv", "no,good.csv", {})),
        ("data:v2", ("folder", "data:v2", {})),
        ("C:faces", ("folder", "C:faces", {})),
        ("table.csv", ("csv", "table.csv", {})),
        ("TABLE.CSV", ("csv", "TABLE.CSV", {})),
        ("csv:notes.txt", ("csv", "notes.txt", {})),
        ("rows.parquet", ("parquet", "rows.parquet", {})),
        ("parquet:rows.parquet,label=fer2013",
         ("parquet", "rows.parquet", {"label": "fer2013"})),
    ],
)  # fmt: skip
def test_parse_spec(place: Path, spec: str, expected: tuple[str, str, dict[str, str]]) -> None:
    kind, path, options = parse_spec(spec)
    assert (kind, str(path), options) == expected


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("foldr:plain", ConfigError, "kind 'foldr', which no reader has.*Did you mean 'folder'"),
        (
            "hdf5:plain",
            ConfigError,
            "Known: affectnet, ckplus, csv, fer2013, ferplus, folder, hes, hf, parquet, rafdb",
        ),
        ("folder:plain,dedup=true", ConfigError, "the option 'dedup'.*Did you mean 'dedupe'"),
        ("folder:plain,mode=soft", ConfigError, "option 'mode', which folder datasets do not have"),
        ("plain,dedupe=perhaps", ConfigError, "dedupe=perhaps.*true, false"),
        ("notes.txt", ConfigError, "path without a kind .* must be a folder"),
        ("plian", DataError, "there is no plian"),
        ("folder:a,b=c/missing", DataError, "there is no a,b=c"),
        (r"C:\missing\faces", DataError, "there is no C:"),
        ("", DataError, "there is no"),
        ("y" * 5000, DataError, "there is no"),
        ("~nobody-of-that-name/faces", DataError, "there is no ~nobody"),
    ],
)
def test_wrong_specs_say_what_to_type(
    place: Path, spec: str, error: type[Exception], message: str
) -> None:
    (place / "plain" / "happy").mkdir()
    (place / "plain" / "sad").mkdir()
    (place / "plain" / "happy" / "1.png").write_bytes(b"1")
    with pytest.raises(error, match=message):
        read_manifest(spec)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_valid_share_out_of_range(place: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="valid_share must lie in"):
        read_manifest("plain", valid_share=share)


def test_register_reader_adds_a_kind(place: Path) -> None:
    asked = []

    @register_reader("mine", options=("speed",))
    def read_mine(request: ReadRequest) -> Any:
        asked.append(request)
        return "the manifest"

    try:
        read: object = read_manifest("mine:plain,speed=3", valid_share=0.25, seed=7)
        assert read == "the manifest"
        with pytest.raises(ConfigError, match="has a reader already"):
            register_reader("mine")
    finally:
        del READERS["mine"]
    (request,) = asked
    assert (str(request.path), request.options) == ("plain", {"speed": "3"})
    assert (request.valid_share, request.seed, request.labels) == (0.25, 7, None)


@pytest.mark.parametrize("kind", ["x", "Upper", "a b", ""])
def test_register_reader_refuses_names(kind: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a reader"):
        register_reader(kind)


def test_import_is_light() -> None:
    heavy = ("pyarrow", "torch", "PIL", "pandas")
    code = f"import sys, mien.data; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_list_of_one_is_one_dataset_and_of_several_is_refused(place: Path) -> None:
    from mien.data.inspection.run import silent
    from mien.data.resplit import resplit
    from mien.data.writers.convert import convert_data

    assert parse_spec([str(place)]) == parse_spec(str(place))
    several: Any = [str(place), str(place)]
    calls: list[Callable[[], object]] = [
        lambda: parse_spec(several),
        lambda: convert_data(several, place / "a.csv", "csv", bars=silent),
        lambda: resplit(several, {"train": 0.5, "valid": 0.5}, bars=silent),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="are 2 datasets where one is read") as refusal:
            call()
        assert "one by one" in refusal.value.hint
    with pytest.raises(ConfigError, match="are 0 datasets"):
        parse_spec([])
