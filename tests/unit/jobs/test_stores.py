from __future__ import annotations

import pytest

from mien.errors import ConfigError
from mien.jobs.inputs import check_sources
from mien.jobs.stores import open_store


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
