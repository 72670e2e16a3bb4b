"""What the tests of jobs share."""

from support.jobs import faces, nodes, photos, store, undisturbed
from support.jobs_stores import local

__all__ = ["faces", "local", "nodes", "photos", "store", "undisturbed"]
