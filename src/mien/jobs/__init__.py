"""Pictures by the million: jobs that can be killed and go on, on one machine or many.

``mien predict ... --output results.parquet`` and :func:`predict_files` list the input once, split
the list into parts and write one Parquet file per part. Needs the ``jobs`` extra; importing this
package does not.
"""

from typing import TYPE_CHECKING

from mien import lazy_names

if TYPE_CHECKING:
    from mien.jobs.config import JobConfig
    from mien.jobs.run import JobSummary, open_job, predict_files

__getattr__ = lazy_names(
    __name__,
    {
        "mien.jobs.config": ["JobConfig"],
        "mien.jobs.run": ["JobSummary", "open_job", "predict_files"],
    },
)

__all__ = ["JobConfig", "JobSummary", "open_job", "predict_files"]
