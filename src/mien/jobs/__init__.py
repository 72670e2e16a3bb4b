"""Pictures by the million: jobs that can be killed and go on, on one machine or many.

``mien predict ... --output results.parquet`` and :func:`predict_files` list the input once, split
the list into parts and write one Parquet file per part. Needs the ``jobs`` extra; importing this
package does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.jobs.config import JobConfig
    from mien.jobs.run import JobSummary, open_job, predict_files

_HOMES = {
    "JobSummary": "mien.jobs.run",
    "JobConfig": "mien.jobs.config",
    "open_job": "mien.jobs.run",
    "predict_files": "mien.jobs.run",
}

__all__ = ["JobConfig", "JobSummary", "open_job", "predict_files"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien.jobs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
