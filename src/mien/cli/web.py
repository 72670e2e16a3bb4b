"""``mien web``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write.")],
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model folder or bundled name.")
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option("--runtime", help="A copy of onnxruntime-web; without it, npm fetches it."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a page that was built earlier.")
    ] = False,
) -> None:
    """Build a page that reads faces in the visitor's own browser; no picture leaves it.

    The folder is all that a static host needs, in any subfolder. The engine, ONNX Runtime Web,
    comes from npm, once a build.
    """
    from mien.web import RUNTIME_VERSION, build_page

    if runtime is None:
        print(f"npm fetches onnxruntime-web {RUNTIME_VERSION}, 33 MB …", file=sys.stderr)
    page = build_page(output, model, runtime=runtime, overwrite=overwrite)
    print(f"{page.path}: {page.model}, {page.files} files, {page.size / 1e6:.1f} MB")
    print(
        f"next: python -m http.server -d {page.path}, and open http://localhost:8000",
        file=sys.stderr,
    )
