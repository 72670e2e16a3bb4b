"""How files of tests are dealt out to the workers of pytest-xdist."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

#: Their tests make optimizers, for which PyTorch imports its compiler: a second and more.
TOGETHER = ("tests/unit/training/", "tests/unit/research/")


class FileScheduling(LoadFileScheduling):
    """One worker runs all tests of a file, and one all the quick tests that train."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return TOGETHER[0] if file.startswith(TOGETHER) else file
