"""``mien web``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.flags import Model, check_folder_name, flag
from mien.cli.printing import remark


def command(
    output: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write.", callback=check_folder_name)
    ],
    model: Model = None,
    runtime: Annotated[
        Path | None, flag("A copy of onnxruntime-web; without it, npm fetches it.")
    ] = None,
    overwrite: Annotated[
        bool, flag("Replace a page that was built earlier.", "--overwrite")
    ] = False,
) -> None:
    """Build a page that reads faces in the visitor's own browser; no picture leaves it.

    The folder is all that a static host needs, in any subfolder. The engine, ONNX Runtime Web,
    comes from npm, once a build.
    """
    from mien.web import RUNTIME_VERSION, build_page

    if runtime is None:
        remark(f"npm fetches onnxruntime-web {RUNTIME_VERSION}, 33 MB …")
    page = build_page(output, model, runtime=runtime, overwrite=overwrite)
    print(f"{page.path}: {page.model}, {page.files} files, {page.size / 1e6:.1f} MB")
    remark(f"next: python -m http.server -d {page.path}, and open http://localhost:8000")
