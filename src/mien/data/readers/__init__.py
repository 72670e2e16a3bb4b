"""Readers: each kind of dataset becomes one Manifest.

With ``dedupe=false`` each keeps the train pictures that are also in valid or test.
"""

from mien.data.readers import (  # noqa: F401 - they register
    archives,
    csvfile,
    ferplus,
    folder,
    parquetfile,
    shards,
    tarshards,
)
