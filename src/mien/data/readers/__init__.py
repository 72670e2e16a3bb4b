"""Readers: each kind of dataset becomes one Manifest."""

from mien.data.readers import (  # noqa: F401 - they register
    archives,
    csvfile,
    ferplus,
    folder,
    parquetfile,
    shards,
    tarshards,
)
