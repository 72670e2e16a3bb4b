"""``mien push``."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or bundled name.")],
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the Hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private, with --create.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch to write; without it, the main one.")
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the repository and branch if need be.")
    ] = False,
    layout: Annotated[
        str, typer.Option("--layout", help="mien, or timm: what timm and transformers read.")
    ] = "mien",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print files and card; nothing is sent.")
    ] = False,
) -> None:
    """Upload a model folder to the Hugging Face Hub, with a card and its metadata.

    The token is that of HF_TOKEN or of hf auth login. EmotionRecognizer.from_pretrained fetches
    the model back.
    """
    from mien.hub import CARD, read_model_folder
    from mien.hub.remote import check_repo_id, push_model_folder, pushed_card, pushed_files

    folder = read_model_folder(model)
    check_repo_id(repo_id)
    if dry_run:
        for name in (CARD, *pushed_files(folder)):
            print(name)
        print()
        print(pushed_card(folder, repo_id), end="")
        return
    url = push_model_folder(
        folder, repo_id, private=private, revision=revision, create=create, layout=layout
    )
    print(url)
