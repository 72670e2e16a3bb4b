"""``mien space``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.flags import Models, Overwrite, check_folder_name, flag
from mien.demo.config import DemoConfig


def command(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder to write.", show_default=False, callback=check_folder_name),
    ],
    model: Models = None,
    title: Annotated[str, flag("Title on the Hub.")] = "What does a face look like?",
    max_mb: Annotated[float, flag("Largest photo or clip, megabytes (10^6).")] = DemoConfig.max_mb,
    max_seconds: Annotated[float, flag("Longest clip, seconds.")] = DemoConfig.max_seconds,
    overwrite: Overwrite = False,
) -> None:
    """Write a folder that the Hugging Face Hub runs as a Space, ready to push.

    Other files of the folder, such as .git, stay. A model may be NAME=FOLDER; it is copied.
    """
    from mien.demo.space import write_space

    config = DemoConfig(model=tuple(model or ()), max_mb=max_mb, max_seconds=max_seconds)
    print(write_space(folder, config=config, title=title, overwrite=overwrite))
