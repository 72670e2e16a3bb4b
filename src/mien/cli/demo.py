"""``mien demo``: every field of the settings is a flag."""

from __future__ import annotations

from mien.cli.flags import with_flags
from mien.demo.config import DemoConfig


@with_flags
def command(settings: DemoConfig) -> None:
    """Open a web page that reads photos, the camera and clips. Nothing that visitors send is kept.

    It needs the demo extra; clips need the video extra too. Ctrl-C ends it.
    """
    from mien.demo.server import run_demo

    run_demo(settings)
