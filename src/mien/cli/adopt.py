"""``mien adopt``: every field of the settings is a flag."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.adoption.config import AdoptConfig
from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import interval, remark

if TYPE_CHECKING:
    from mien.adoption import Adoption


@flags.with_label_map
@flags.with_flags
def command(
    settings: AdoptConfig,
    file: Annotated[Path, typer.Argument(help="ONNX file of a classifier trained elsewhere.")],
    output: Annotated[Path, output_flag("Model folder to write.", folder=True)],
    name: Annotated[str | None, flag("Name of the model; else the file's.")] = None,
    license: flags.License = "unknown",  # noqa: A002 - the flag is --license
    data: flags.OptionalData = None,
    split: flags.Split = "valid",
    overwrite: flags.Overwrite = False,
) -> None:
    """Make a model folder of a classifier trained elsewhere (Keras, scikit-learn, PyTorch).

    What its graph tells is read; the rest must be given. A pixel p goes in as
    (p * scale - mean) / std. With -d it is tried on labelled faces.
    """
    from mien.adoption import adopt
    from mien.data import read_manifest

    if sys.stdin.isatty() and sys.stderr.isatty():
        settings = _prompted(file, settings)
    adoption = adopt(
        file, output, settings, name=name, license=license,
        check=read_manifest(data[0]) if data else None, split=split, overwrite=overwrite,
    )  # fmt: skip
    _print(adoption)


def _prompted(file: Path, settings: AdoptConfig) -> AdoptConfig:
    """Asks a person at a terminal for what is missing."""
    from mien.adoption.config import missing_settings
    from mien.adoption.graph import read_facts

    facts = read_facts(file, output=settings.output_name)[1]
    for name, what in missing_settings(facts, settings).items():
        answer = typer.prompt(f"{name}: {what}", err=True)
        settings = AdoptConfig.make({**settings.to_dict(), name.removeprefix("--"): answer})
    return settings


def _print(adoption: Adoption) -> None:
    config, p = adoption.folder.config, adoption.folder.config.preprocessing
    size = config.files["model.onnx"]["bytes"] / 1e6
    print(f"{adoption.folder.path}: {config.name}, {size:.2f} MB, {p.size}x{p.size} {p.color}")
    gave = "probabilities" if adoption.probabilities else "logits"
    print(f"labels: {', '.join(config.schema.labels)}; the graph gives {gave}")
    if adoption.evaluation is not None:
        scores = adoption.evaluation.scores()
        print(
            f"tried on {scores['n']} labelled faces: accuracy {scores['accuracy']:.2%} "
            f"(95 % interval {interval(scores['accuracy_ci'])})"
        )
    if adoption.warning:
        remark(f"warning: {adoption.warning}")
    remark(f"next: mien predict photo.jpg --model {adoption.folder.path}")
