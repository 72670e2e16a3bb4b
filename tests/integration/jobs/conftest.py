"""What the tests of jobs share."""

from support.jobs import faces, nodes, photos, store, undisturbed

__all__ = ["faces", "nodes", "photos", "store", "undisturbed"]
