"""What the tests of jobs share."""

from support.jobs import faces

__all__ = ["faces"]
