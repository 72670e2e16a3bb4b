"""``mien finder``: label, train, evaluate and export the face detector of the package."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from mien.errors import MissingExtraError
from mien.train.finder.config import FinderConfig, load_finder_recipe
from mien.train.finder.verifier_config import VerifierConfig, load_verifier_recipe

app = typer.Typer(
    no_args_is_help=True,
    help="Label scenes for, train, evaluate and export the package's own face detector.",
)

_YUNET = typer.Option("--yunet", help="ONNX file of YuNet.")
_ULTRAFACE = typer.Option("--ultraface", help="ONNX file of UltraFace, RFB at 640x480.")


def _need_torch() -> None:
    # Threads that wait for work sleep: on few cores spinning costs more than it saves.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mien finder", "train", error.name) from error


@app.command("label")
def label_command(
    scenes: Annotated[
        Path, typer.Option("--scenes", help="Folder with people, portraits, animals as parquet.")
    ],
    yunet: Annotated[Path, _YUNET],
    ultraface: Annotated[Path, _ULTRAFACE],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the shards.")],
    ferplus: Annotated[
        Path | None, typer.Option("--ferplus", help="Folder with FER+ train.parquet.")
    ] = None,
    workers: Annotated[int, typer.Option("-j", "--workers", min=1)] = os.cpu_count() or 1,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Label scenes by the agreement of two detectors; goes on where it was stopped."""
    try:
        from pyarrow import parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("mien finder label", "train", error.name) from error
    from mien.cli.progress import progress_bar
    from mien.train.finder.labelling import label

    with progress_bar("labelling", None, quiet=quiet) as advance:
        done = label(
            scenes, ferplus, output,
            yunet=yunet, ultraface=ultraface, workers=workers, progress=advance,
        )  # fmt: skip
    print(f"{output}: {done} pictures labelled now")


def _train(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML); flags win over it.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run directory.")] = Path(
        "runs/finder"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a run directory that exists.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    **values: Any,
) -> None:
    """Train the detector; stop it whenever you like and go on with --resume."""
    recipe = load_finder_recipe(config, **values)
    _need_torch()
    from mien.train.finder.run import train_finder

    weights = train_finder(recipe, output, resume=resume, overwrite=overwrite, progress=not quiet)
    print(f"{weights}\nnext: mien finder export {output}")


def _train_verifier(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="Recipe (YAML); flags win over it.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Run directory.")] = Path(
        "runs/verifier"
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew in a run directory that exists.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    **values: Any,
) -> None:
    """Train the second network, which judges what the detector proposes."""
    recipe = load_verifier_recipe(config, **values)
    _need_torch()
    from mien.train.finder.verifying import train_verifier

    weights = train_verifier(recipe, output, resume=resume, overwrite=overwrite, progress=not quiet)
    print(f"{weights}\nnext: mien finder export-verifier {output}")


def _with_recipe_flags(train: Any, recipe: type) -> Any:
    """Gives a command a flag for each field of its recipe, with its help text."""
    signature = inspect.signature(train, eval_str=True)
    hints = get_type_hints(recipe)
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [
        parameter.replace(kind=keyword)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    flags = []
    for item in fields(recipe):
        default = "" if item.default == "" else f" [default: {item.default}]"
        option = typer.Option(
            f"--{item.name.replace('_', '-')}",
            help=item.metadata["help"] + default,
            show_default=False,
        )
        flags.append(
            inspect.Parameter(
                item.name,
                keyword,
                default=None,
                annotation=Annotated[hints[item.name] | None, option],
            )
        )

    def train_command(**given: Any) -> None:
        train(**given)

    train_command.__doc__ = train.__doc__
    train_command.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    return train_command


app.command("train")(_with_recipe_flags(_train, FinderConfig))
app.command("verifier")(_with_recipe_flags(_train_verifier, VerifierConfig))


@app.command("candidates")
def candidates_command(
    scenes: Annotated[
        Path, typer.Option("--scenes", help="Folder with people, portraits, animals as parquet.")
    ],
    ferplus: Annotated[Path, typer.Option("--ferplus", help="Folder with FER+ train.parquet.")],
    labels: Annotated[Path, typer.Option("--labels", help="Shards of 'mien finder label'.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the candidates.")],
    corrections: Annotated[
        Path | None, typer.Option("--corrections", help="CSV of labels set right by hand.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Exported detector; without it, the bundled.")
    ] = None,
    composed: Annotated[int, typer.Option("--composed", help="Composed views.", min=0)] = 5000,
    workers: Annotated[int, typer.Option("-j", "--workers", min=1)] = os.cpu_count() or 1,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Gather what the detector proposes on training pictures; goes on where it was stopped."""
    _need_torch()
    from mien.cli.progress import progress_bar
    from mien.train.finder.candidates import PARTS, Order, gather

    order = Order(scenes, ferplus, labels, corrections, folder, PARTS, composed)
    with progress_bar("parts", PARTS, quiet=quiet) as advance:
        made = gather(order, output, workers=workers, progress=advance)
    print(
        f"{output}: {made:,} candidates made now\nnext: mien finder verifier --candidates {output}"
    )


@app.command("export-verifier")
def export_verifier_command(
    run: Annotated[Path, typer.Argument(help="Run directory of 'mien finder verifier'.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the exported detector to add it to.")
    ],
    config: Annotated[
        Path, typer.Option("-c", "--config", help="args.yaml of the detector's run: its scenes.")
    ],
    propose: Annotated[
        float, typer.Option("--propose", help="Lowest first score for a box to be judged.")
    ] = 0.05,
    alarms: Annotated[
        float, typer.Option("--alarms", help="Most false alarms a held-out animal picture.")
    ] = 0.02,
    least: Annotated[float, typer.Option("--least", help="Lowest threshold to choose.")] = 0.3,
    data: Annotated[str, typer.Option("--data", help="Trained on, in a sentence.")] = "unknown",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
) -> None:
    """Write the second network as ONNX beside the detector, with its threshold."""
    _need_torch()
    from mien.train.finder.run import read_pool
    from mien.train.finder.verifier_export import export_verifier

    pool = read_pool(load_finder_recipe(config), held=True)
    text = export_verifier(
        run, output, pool, propose=propose, alarms=alarms, least=least, data=data,
        overwrite=overwrite,
    )  # fmt: skip
    print(text)


_RUN = typer.Argument(help="Run directory of 'mien finder train'.")
_CONFIG = typer.Option("-c", "--config", help="Recipe; without it, the run's own args.yaml.")


@app.command("export")
def export_command(
    run: Annotated[Path, _RUN],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")],
    config: Annotated[Path | None, _CONFIG] = None,
    ruler: Annotated[
        str, typer.Option("--ruler", help="Detector whose crops the framing is measured by.")
    ] = "haar",
    alarms: Annotated[
        float, typer.Option("--alarms", help="Most false alarms a held-out animal picture.")
    ] = 0.02,
    least: Annotated[float, typer.Option("--least", help="Lowest threshold to choose.")] = 0.3,
    license: Annotated[str, typer.Option("--license", help="Of the weights.")] = "unknown",  # noqa: A002
    data: Annotated[str, typer.Option("--data", help="Trained on, in a sentence.")] = "unknown",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
) -> None:
    """Write the network as ONNX, checked against torch, with its threshold and framing."""
    _need_torch()
    from mien.train.finder.finish import export_run

    text = export_run(
        run, output, recipe=config, ruler=ruler, alarms=alarms, least=least, terms=license,
        data=data, overwrite=overwrite,
    )  # fmt: skip
    print(text)


@app.command("evaluate")
def evaluate_command(
    run: Annotated[Path, _RUN],
    yunet: Annotated[Path, _YUNET],
    ultraface: Annotated[Path, _ULTRAFACE],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Exported detector; without it, the bundled.")
    ] = None,
    config: Annotated[Path | None, _CONFIG] = None,
    composed: Annotated[int, typer.Option("--composed", help="Composed scenes a condition.")] = 200,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File for all numbers (JSON).")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Compare the detector with YuNet, UltraFace and Haar on pictures it never saw."""
    _need_torch()
    from mien.cli.progress import progress_bar
    from mien.train.finder.finish import evaluate_run

    with progress_bar("detectors", None, quiet=quiet) as advance:
        text = evaluate_run(
            run, recipe=config, folder=folder, yunet=yunet, ultraface=ultraface,
            composed=composed, output=output, progress=advance,
        )  # fmt: skip
    print(text)
