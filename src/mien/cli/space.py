"""``mien space``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.demo.config import DemoConfig

_DEFAULT = DemoConfig()
_HELP = {name: item.metadata["help"] for name, item in DemoConfig.__dataclass_fields__.items()}


def command(
    folder: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--model", help="Model folder, or NAME=FOLDER, to copy into it; repeat it.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        str, typer.Option("--title", help="Title on the Hub.")
    ] = "What does a face look like?",
    max_mb: Annotated[float, typer.Option("--max-mb", help=_HELP["max_mb"])] = _DEFAULT.max_mb,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", help=_HELP["max_seconds"])
    ] = _DEFAULT.max_seconds,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of a Space that is there.")
    ] = False,
) -> None:  # fmt: skip
    """Write a folder that the Hugging Face Hub runs as a Space, ready to push.

    Other files of the folder, such as .git, stay.
    """
    from mien.demo.space import write_space

    config = DemoConfig(model=tuple(model or ()), max_mb=max_mb, max_seconds=max_seconds)
    print(write_space(folder, config=config, title=title, overwrite=overwrite))
