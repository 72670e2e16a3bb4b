"""Readers: each kind of dataset becomes one Manifest."""

from mien.data.readers import (  # noqa: F401 - they register
    affectnet,
    ckplus,
    csvfile,
    fer2013,
    ferplus,
    folder,
    hes,
    hub,
    parquetfile,
    rafdb,
    shards,
    tarshards,
)
