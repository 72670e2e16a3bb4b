from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.jobs import JobConfig, predict_files
from mien.jobs.inputs import check_sources
from mien.jobs.stores import open_store
from support.jobs import read


@pytest.fixture(scope="module")
def local(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """What a job over the files says, by name."""
    output = tmp_path_factory.mktemp("local") / "out"
    config = JobConfig(workers=1, part_size=4, detector="none")
    predict_files([faces], output, config=config)
    return _by_name(read(output), str(faces))


def _by_name(table: object, root: str) -> dict[str, tuple[object, ...]]:
    rows = table.to_pylist()  # type: ignore[attr-defined]
    return {
        row["source"].removeprefix(root): (row["width"], row["emotion"], row["confidence"])
        for row in rows
    }


def test_addresses_with_a_password_are_refused_without_saying_it() -> None:
    for address in ("s3://me:hush@bucket/x", "gs://bucket/x.png?X-Signature=hush"):
        with pytest.raises(ConfigError, match="credentials in the environment") as refusal:
            check_sources([address])
        assert "hush" not in str(refusal.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        check_sources(["s4://bucket/x"])


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    from mien.jobs import stores

    def fail(*_: object, **__: object) -> None:
        raise ImportError("no")

    monkeypatch.setattr(fsspec, "filesystem", fail)
    stores._file_system.cache_clear()
    try:
        with pytest.raises(ConfigError, match="pip install gcsfs"):
            open_store("gs://bucket/x")
    finally:
        stores._file_system.cache_clear()
