"""``mien train``: every field of the recipe is a flag."""

from __future__ import annotations

import inspect
import os
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from mien.errors import MissingExtraError
from mien.training.config import TrainConfig, load_recipe

if TYPE_CHECKING:
    from mien.hub import ModelFolder


def _train(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML); flags win over it.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Run directory; becomes a model folder.")
    ] = Path("runs/train"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a run directory that exists.")
    ] = False,
    folds: Annotated[
        int, typer.Option("--folds", min=0, help="Cross-validate with so many folds; 0: one run.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    **values: Any,
) -> None:
    """Train a model on labelled faces; the run is a model folder.

    Stop it whenever you like and go on with --resume.
    """
    recipe = load_recipe(config, **values)
    # Threads that wait for work sleep: on few cores spinning costs more than it saves.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import lightning  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mien train", "train", error.name) from error
    from mien.cli._folds import train_folds
    from mien.cli.progress import progress_bar
    from mien.training.distributed.launch import tells_result
    from mien.training.distributed.processes import FailedElsewhereError
    from mien.training.run import train

    try:
        if folds:
            train_folds(
                recipe, output, folds=folds, resume=resume, overwrite=overwrite, quiet=quiet
            )
            return
        folder = train(
            recipe,
            output,
            resume=resume,
            overwrite=overwrite,
            progress=not quiet,
            bar=partial(progress_bar, quiet=quiet),
        )
    except KeyboardInterrupt:
        print(f"stopped; go on with: mien train ... -o {output} --resume", file=sys.stderr)
        raise
    except FailedElsewhereError:
        raise typer.Exit(1) from None
    if tells_result(recipe):
        _report(folder)


def _report(folder: ModelFolder) -> None:
    valid = folder.config.metrics["valid"]
    low, high = valid["accuracy_ci"]
    print(
        f"{folder.path}: accuracy {valid['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}, "
        f"n = {valid['n']}), macro-F1 {valid['macro_f1']:.3f}, ECE {valid['ece']:.3f}"
    )
    print(f"next: mien predict photo.jpg --model {folder.path}", file=sys.stderr)


_SHORT = {"data": "-d", "batch_size": "-b", "workers": "-j"}


def _with_recipe_flags() -> Any:
    """Gives the command a flag for each field of :class:`TrainConfig`, with its help text."""
    signature = inspect.signature(_train, eval_str=True)
    hints = get_type_hints(TrainConfig)
    flags = []
    for item in fields(TrainConfig):
        name = item.name.replace("_", "-")
        names = [f"--{name}/--no-{name}" if hints[item.name] is bool else f"--{name}"]
        names += [_SHORT[item.name]] if item.name in _SHORT else []
        default = "" if item.default == "" else f" [default: {item.default}]"
        option = typer.Option(*names, help=item.metadata["help"] + default, show_default=False)
        flags.append(
            inspect.Parameter(
                item.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[hints[item.name] | None, option],
            )
        )
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]

    def command(**given: Any) -> None:
        _train(**given)

    command.__doc__ = _train.__doc__
    command.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *flags)}
    return command


command = _with_recipe_flags()
