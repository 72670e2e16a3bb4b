"""How files of tests are dealt out to the workers of pytest-xdist."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadFileScheduling

#: Their tests make optimizers or count operations, for which PyTorch imports its compiler.
TOGETHER = (
    *("tests/unit/training/", "tests/unit/research/", "tests/unit/models/"),
    "tests/unit/cli/test_outputs.py",
)
#: Files that take a quarter of a minute and more: begun first, so that none is left at the end.
LONG = (
    "tests/integration/models/test_architectures.py",
    "tests/integration/jobs/test_ray.py",
    "tests/integration/training/test_distributed.py",
    "tests/integration/training/test_tracking.py",
    "tests/integration/training/test_tune.py",
    "tests/docs/test_notebooks.py",
    "tests/integration/demo/test_browser.py",
    "tests/integration/cli/test_light.py",
    "tests/integration/demo/test_api.py",
    "tests/integration/training/test_tune_workers.py",
    "tests/integration/jobs/test_watch.py",
    "tests/integration/training/test_distillation.py",
    "tests/integration/demo/test_space.py",
    "tests/integration/test_adopt.py",
    "tests/integration/training/test_run.py",
    "tests/integration/test_fuzz_images.py",
    "tests/integration/jobs/test_stores.py",
    "tests/integration/video/test_read_video.py",
    "tests/integration/test_peers.py",
    "tests/integration/exporting/test_formats.py",
    "tests/docs/test_site.py",
)


def scope_of(nodeid: str) -> str:
    """Returns what one worker runs together: a file, or all the quick tests that train."""
    file = nodeid.partition("::")[0]
    return TOGETHER[0] if file.startswith(TOGETHER) else file


def long_first(items: list[pytest.Item]) -> None:
    """Orders scopes: long files, then those with the most tests. Inside, all stays as it is."""
    scopes = {item: scope_of(item.nodeid) for item in items}
    counts = Counter(scopes.values())
    rank = {scope: at for at, scope in enumerate(LONG)}
    items.sort(key=lambda item: (rank.get(scopes[item], len(LONG)), -counts[scopes[item]]))


class ScopeScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Deals out scopes in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
