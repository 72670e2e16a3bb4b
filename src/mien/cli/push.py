"""``mien push``."""

from __future__ import annotations

from typing import Annotated

import typer

from mien.cli.flags import flag


def command(
    model: Annotated[str, typer.Argument(help="Run directory, model folder or bundled name.")],
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the Hub.")],
    private: Annotated[
        bool, flag("Make the repository private, with --create.", "--private")
    ] = False,
    revision: Annotated[str | None, flag("Branch to write; without it, the main one.")] = None,
    create: Annotated[
        bool, flag("Create the repository and branch if need be.", "--create")
    ] = False,
    layout: Annotated[str, flag("mien, or timm: what timm and transformers read.")] = "mien",
    dry_run: Annotated[bool, flag("Print files and card; nothing is sent.", "--dry-run")] = False,
) -> None:
    """Upload a model folder to the Hugging Face Hub, with a card and its metadata.

    The token is that of HF_TOKEN or of hf auth login. EmotionRecognizer.from_pretrained fetches
    the model back.
    """
    from mien.hub import CARD, read_model_folder
    from mien.hub.calls import check_repo_id
    from mien.hub.remote import push_model_folder, pushed_card, pushed_files

    folder = read_model_folder(model)
    check_repo_id(repo_id)
    if dry_run:
        print("\n".join((CARD, *pushed_files(folder), "", pushed_card(folder, repo_id))), end="")
        return
    url = push_model_folder(
        folder, repo_id, private=private, revision=revision, create=create, layout=layout
    )
    print(url)
