"""What the tests of jobs share."""

from support.jobs import faces
from support.jobs_stores import local

__all__ = ["faces", "local"]
