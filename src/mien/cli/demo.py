"""``mien demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.demo.config import DemoConfig

_DEFAULT = DemoConfig()
_HELP = {name: item.metadata["help"] for name, item in DemoConfig.__dataclass_fields__.items()}


def command(
    model: Annotated[
        list[str] | None, typer.Option("-m", "--model", help=_HELP["model"], show_default=False)
    ] = None,
    host: Annotated[str, typer.Option("--host", help=_HELP["host"])] = _DEFAULT.host,
    port: Annotated[int, typer.Option("--port", help=_HELP["port"])] = _DEFAULT.port,
    share: Annotated[
        bool, typer.Option("--share", help=_HELP["share"] + " Off by default.")
    ] = _DEFAULT.share,
    max_mb: Annotated[float, typer.Option("--max-mb", help=_HELP["max_mb"])] = _DEFAULT.max_mb,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", help=_HELP["max_seconds"])
    ] = _DEFAULT.max_seconds,
    concurrency: Annotated[
        int, typer.Option("--concurrency", help=_HELP["concurrency"])
    ] = _DEFAULT.concurrency,
) -> None:
    """Open a web page that reads photos, the camera and clips. Nothing that visitors send is kept.

    It needs the demo extra; clips need the video extra too. Ctrl-C ends it.
    """
    from mien.demo.server import run_demo

    config = DemoConfig(
        model=tuple(model or ()), host=host, port=port, share=share, max_mb=max_mb,
        max_seconds=max_seconds, concurrency=concurrency,
    )  # fmt: skip
    run_demo(config)
